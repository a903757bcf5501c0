"""`explore.checkpoint(path)`: what a saved file holds, read without running anything in it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from firstlight.explore.checkpoint_allowed import judge
from firstlight.explore.checkpoint_compare import (
    compare,
    headline,
    line_data,
    parts_table,
)
from firstlight.explore.checkpoint_file import Content, opened
from firstlight.explore.checkpoint_pickle import printable
from firstlight.explore.checkpoint_tensors import Saved, fault, told
from firstlight.explore.checkpoint_tree import MOST_ROWS, Part, Row, grow, parts_of
from firstlight.explore.checkpoint_words import (
    file_text,
    notes_of,
    table_lines,
    tree_lines,
    verdict_data,
    verdict_lines,
)
from firstlight.explore.frame import Explorer
from firstlight.explore.tensors import bytes_text

MOST_READ = 32_000_000  # bytes of tensors read to say what their numbers are
Filename = str | PathLike[str]


def checkpoint(path: Filename, other: Filename | None = None) -> Explorer:
    """Show what a file of `torch.save` or safetensors holds; with `other`, where two files differ.

    The file is read and never loaded: nothing that it names is imported or called. Raises
    `TypeError` for what is no path, `FileNotFoundError` where there is no file, and `ValueError` for
    a folder, a file that is cut off, and one of another kind.
    """
    first = _as_path(path)
    if other is not None:
        return _two(first, _as_path(other))
    with opened(first) as content:
        data = _file_data(content)
    return Explorer("checkpoint", f"What {content.name} holds", data, file_text(data))


def _as_path(path: object) -> Path:
    if isinstance(path, (str, PathLike)) and not isinstance(path, bytes):
        return Path(path)
    kind = type(path).__name__
    raise TypeError(
        f"explore.checkpoint takes the path of a saved file, such as 'model.pt', and this is of type "
        f"{kind}: save it with torch.save(…, path) and give the path."
    )


def _file_data(content: Content) -> dict[str, Any]:
    tree = grow(content.pickle.root)
    tensors = [row for row in tree.rows if row.saved]
    most = max(1024, min(2**18, MOST_READ // 4 // max(1, len(tensors))))
    bad: list[tuple[str, int]] = []
    rows = [_row_data(content, row, most, bad) for row in tree.rows]
    parts = parts_of(content.pickle.root, content.sizes)
    return {
        "name": content.name,
        "size": bytes_text(content.length),
        "kind": content.kind,
        "verdict": verdict_data(content, judge(content.pickle)),
        "columns": ["part", "tensors", "numbers", "bytes"],
        "parts": [_part_data(part, parts) for part in parts],
        "notes": notes_of(content, tree, bad),
        "rows": rows,
    }


def _part_data(part: Part, parts: list[Part]) -> dict[str, Any]:
    most = sum(each.bytes for each in parts) or 1
    size = bytes_text(part.bytes) if part.tensors else "–"
    return {
        "cells": [part.name, f"{part.tensors:,}", f"{part.numbers:,}", size],
        "share": round(part.bytes / most, 4),
    }


def _row_data(content: Content, row: Row, most: int, bad: list[tuple[str, int]]) -> dict[str, Any]:
    data: dict[str, Any] = {"parent": row.parent, "key": row.key, "path": row.path}
    if row.saved is None:
        return {**data, "what": row.what, "kind": row.kind}
    tensor = row.saved
    unread = fault(content, tensor)
    if not unread:
        found = told(content, tensor, most)
        data["told"] = found.line
        if found.bad:
            bad.append((row.path, found.bad))
            data["loud"] = True
    else:
        data["unread"] = unread
        data["loud"] = tensor.device != "meta"
    data["kind"] = "tensor"
    data["shape"] = f"{tensor.dtype} {tensor.shape}"
    data["size"] = bytes_text(tensor.numbers * tensor.wide)
    data["facts"] = _tensor_facts(content, tensor)
    return data


def _tensor_facts(content: Content, tensor: Saved) -> list[list[str]]:
    """Return what the panel says of a tensor: pairs of a label and a text."""
    facts = [
        ["numbers", f"{tensor.numbers:,}"],
        ["stride", f"{tensor.stride}{'' if tensor.contiguous else ', not contiguous'}"],
    ]
    if tensor.storage:
        held = bytes_text(content.sizes.get(tensor.storage, 0))
        at = f", from number {tensor.offset:,} on" if tensor.offset else ""
        facts.append(["storage", f"{printable(tensor.storage)[:60]}, {held}{at}"])
    if tensor.device:
        facts.append(["saved from", tensor.device])
    if tensor.parameter:
        facts.append(["kind", "nn.Parameter"])
    return facts


# Two files.


def _two(first: Path, second: Path) -> Explorer:
    with opened(first) as one, opened(second) as other:
        contents = one, other
        trees = grow(one.pickle.root), grow(other.pickle.root)
        lines = compare(contents, trees)
        state, sentences = headline(lines)
        if any(tree.cut for tree in trees):
            sentences.append(f"Of each file the first {MOST_ROWS:,} lines were compared.")
            state = "differs" if state == "differs" else "cut"
        names = _names(first, second)
        data: dict[str, Any] = {
            "files": [
                {
                    "name": name,
                    "size": bytes_text(content.length),
                    "kind": content.kind,
                    "verdict": verdict_data(content, judge(content.pickle)),
                }
                for name, content in zip(names, contents, strict=True)
            ],
            "state": state,
            "sentences": sentences,
            "columns": ["part", "equal", "largest difference"],
            "parts": [{"cells": cells} for cells in parts_table(lines)],
            "rows": [line_data(line) for line in lines],
        }
    return Explorer("checkpoint", f"{names[0]} and {names[1]} compared", data, _two_text(data))


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Return how to call two files: by their names, with their folders where those are the same."""
    if first.name != second.name:
        return first.name, second.name
    return f"{first.parent.name}/{first.name}", f"{second.parent.name}/{second.name}"


def _two_text(data: dict[str, Any]) -> str:
    lines = []
    for place, file in zip(("first", "second"), data["files"], strict=True):
        lines.append(f"The {place}, {file['name']}: {file['size']}, {file['kind']}.")
        lines += [f"  {line}" for line in verdict_lines(file["verdict"])]
    lines += ["", *data["sentences"], ""]
    lines += table_lines(data["columns"], [part["cells"] for part in data["parts"]])
    return "\n".join([*lines, "", *tree_lines(data["rows"])])
