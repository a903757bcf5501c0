"""What `explore.checkpoint` says of a file: its verdict, its notes, and all of it as text."""

from __future__ import annotations

from typing import Any

from firstlight.explore.checkpoint_allowed import Verdict, calls_of, danger, dangerous
from firstlight.explore.checkpoint_file import Content
from firstlight.explore.checkpoint_pickle import Call, Name
from firstlight.explore.checkpoint_tensors import Saved
from firstlight.explore.checkpoint_tree import MOST_ROWS, Tree, sharing
from firstlight.explore.checkpoint_values import arguments, short
from firstlight.explore.tensors import bytes_text, counted, listed

MOST_NAMES = 12  # refused names told one by one
MOST_LINES = 400  # of the tree, in words
WORDS = {
    "safe": "Nothing in it can run",
    "accepts": "torch.load accepts it",
    "refuses": "torch.load refuses it",
    "unknown": "Not known",
}
Note = dict[str, Any]


def verdict_data(content: Content, verdict: Verdict) -> dict[str, Any]:
    """Say whether `torch.load(path)` lets the file through, and of each refused name why not."""
    refusals = [
        {
            "name": str(name)[:120],
            "why": danger(name),
            "loud": dangerous(name),
            "calls": _call_texts(name, content),
        }
        for name in verdict.refused[:MOST_NAMES]
    ]
    return {
        "state": _state(content, verdict),
        "head": _head(content, verdict),
        "refusals": refusals,
        "more": max(0, len(verdict.refused) - MOST_NAMES),
        "strange": list(verdict.strange[:4]),
    }


def _state(content: Content, verdict: Verdict) -> str:
    if content.safe:
        return "safe"
    if not verdict.known or verdict.accepts:
        return "accepts" if verdict.known else "unknown"
    return "refuses"


def _head(content: Content, verdict: Verdict) -> str:
    if content.safe:
        return "The format holds tensors and nothing that could run. safetensors.torch reads it."
    if not verdict.known:
        return "This PyTorch does not tell what torch.load lets through."
    if verdict.accepts:
        return "With weights_only=True, the default since PyTorch 2.6, it lets this file through: all it names is on PyTorch's list."
    if any(dangerous(name) for name in verdict.refused):
        return (
            "With weights_only=True, the default since PyTorch 2.6, it stops there. With weights_only=False it would run what "
            "the file names: never load a file of unknown origin that way."
        )
    return (
        "With weights_only=True, the default since PyTorch 2.6, it lets through only what is on PyTorch's list, and these "
        "names are not:"
    )


def _call_texts(name: Name, content: Content) -> list[str]:
    """Write the first calls of a name; of harmless ones those that are given something."""
    texts = [_call_text(call) for call in calls_of(name, content.pickle)[:3]]
    return [text for text in texts if dangerous(name) or not text.endswith("()")]


def _call_text(call: Call) -> str:
    given = ", ".join(short(each, 120) for each in arguments(call)[:6])
    return f"{short(call.callee)}({given})"


def notes_of(content: Content, tree: Tree, bad: list[tuple[str, int]]) -> list[Note]:
    """Say what is special: numbers that are not finite, shared and oversized storages, devices."""
    notes = [_note(text) for text in content.notes]
    if content.pickle.broken:
        notes.append(_note(f"The pickle is not whole: {content.pickle.broken}.", loud=True))
    if tree.cut:
        notes.append(
            _note(
                f"It holds more than is shown: the tree stops after {MOST_ROWS:,} lines.", loud=True
            )
        )
    if bad:
        paths = [f"`{path}` ({counted(count, 'number')})" for path, count in bad[:3]]
        more = f" and {len(bad) - 3:,} more" if len(bad) > 3 else ""
        notes.append(_note(f"Not finite, nan or inf: {listed(paths)}{more}.", loud=True))
    saved = [row.saved for row in tree.rows if row.saved]
    return [*notes, *_sharing_notes(content, tree), *_device_notes(saved)]


def _note(text: str, loud: bool = False) -> Note:
    return {"text": text, "loud": loud}


def _sharing_notes(content: Content, tree: Tree) -> list[Note]:
    notes = []
    shared = sharing(tree.rows)
    for key, places in list(shared.items())[:4]:
        names = [f"`{tree.rows[place].path}`" for place in places[:3]]
        more = f" and {len(places) - 3:,} more" if len(places) > 3 else ""
        size = bytes_text(content.sizes.get(key, 0))
        notes.append(_note(f"{listed(names)}{more} read one storage of {size}: it is saved once."))
    if len(shared) > 4:
        notes.append(
            _note(f"{counted(len(shared) - 4, 'more storage')} are read by several tensors.")
        )
    for row in tree.rows:
        tensor = row.saved
        if not tensor or tensor.storage in shared or not tensor.wide:
            continue
        held, used = content.sizes.get(tensor.storage, 0), tensor.span * tensor.wide
        if held > 2 * used and held - used > 1000:
            notes.append(
                _note(
                    f"`{row.path}` uses {bytes_text(used)} of a storage of {bytes_text(held)}: it is "
                    "a view, and torch.save keeps its whole storage. A clone() before saving keeps "
                    "its own numbers alone.",
                    loud=True,
                )
            )
    return notes[:8]


def _device_notes(saved: list[Saved]) -> list[Note]:
    devices = sorted({tensor.device for tensor in saved} - {"", "cpu", "meta"})
    if not devices:
        return []
    named = listed([f"`{device}`" for device in devices])
    return [
        _note(
            f"Tensors were saved from {named}. On a machine without it, load them with "
            'torch.load(path, map_location="cpu").'
        )
    ]


# All of it in words.


def file_text(data: dict[str, Any]) -> str:
    """Say everything the picture of one file shows."""
    lines = [f"{data['name']}: {data['size']}, {data['kind']}."]
    lines += ["", *verdict_lines(data["verdict"])]
    lines += ["", *table_lines(data["columns"], [part["cells"] for part in data["parts"]])]
    if data["notes"]:
        lines += ["", *(note["text"] for note in data["notes"])]
    return "\n".join([*lines, "", *tree_lines(data["rows"])])


def verdict_lines(verdict: dict[str, Any]) -> list[str]:
    """Write what torch.load does with a file, one refused name a line."""
    lines = [f"{WORDS[verdict['state']]}. {verdict['head']}"]
    for refusal in verdict["refusals"]:
        lines.append(f"  {refusal['name']}: {refusal['why']}.")
        lines += [f"    It is called: {call}" for call in refusal["calls"]]
    if verdict["more"]:
        lines.append(f"  and {counted(verdict['more'], 'more name')}.")
    lines += [f"  It uses {what}, which torch.load does not follow." for what in verdict["strange"]]
    return lines


def table_lines(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Write a table in columns of equal width; the first is aligned left."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])],
        )
        for row in (columns, *rows)
    ]


def tree_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Write the tree, indented by level, with what each line says."""
    level: list[int] = []
    lines = []
    for row in rows:
        level.append(0 if row["parent"] is None else level[row["parent"]] + 1)
        says = [row.get("what", ""), row.get("shape", ""), row.get("told", ""), row.get("sign", "")]
        texts = "  ".join(text for text in [row["key"], *says] if text)
        lines.append(f"{'  ' * level[-1]}{texts}")
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"… and {len(lines) - MOST_LINES:,} more lines"]
    return lines
