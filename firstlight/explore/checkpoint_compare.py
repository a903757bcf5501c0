"""Two files line by line: what only one holds, what differs and by how much, what is equal."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from typing import Any

from firstlight.explore.checkpoint_file import Content
from firstlight.explore.checkpoint_tensors import Saved, difference
from firstlight.explore.checkpoint_tree import Row, Tree
from firstlight.explore.checkpoint_values import same, short
from firstlight.explore.tensors import counted

MOST_PARTS = 12


@dataclass(frozen=True)
class Finding:
    """What comparing one line says.

    `state` is "equal", "differs", "first" or "second" (only there), "unread", or "" for a line
    that only holds others.
    """

    state: str
    text: str = ""
    mark: str = ""  # the same in a word or two
    largest: float = 0.0
    tensor: bool = False


@dataclass(frozen=True)
class Line:
    """One line of both files: where it stands, the row of each that has it, and the finding."""

    parent: int | None
    rows: tuple[Row | None, Row | None]
    finding: Finding

    @property
    def row(self) -> Row:
        """Return the row of the file that has it, first of all the first."""
        found = self.rows[0] or self.rows[1]
        assert found is not None
        return found


def compare(contents: tuple[Content, Content], trees: tuple[Tree, Tree]) -> list[Line]:
    """Put two trees into one, in the first's order, and compare each line that both have."""
    below = [_children(tree) for tree in trees]
    lines: list[Line] = []
    due: list[tuple[int | None, tuple[Row | None, Row | None]]] = [
        (None, (trees[0].rows[0], trees[1].rows[0]))
    ]
    while due:
        parent, pair = due.pop()
        place = len(lines)
        lines.append(Line(parent, pair, _finding(contents, pair)))
        children = [below[at].get(row.trail, {}) if row else {} for at, row in enumerate(pair)]
        trails = dict.fromkeys([*children[0], *children[1]])
        due += [
            (place, (children[0].get(trail), children[1].get(trail))) for trail in reversed(trails)
        ]
    return lines


def _children(tree: Tree) -> dict[str, dict[str, Row]]:
    """Return the lines under each line, by their trails."""
    found: dict[str, dict[str, Row]] = {}
    for row in tree.rows:
        if row.parent is not None:
            found.setdefault(tree.rows[row.parent].trail, {})[row.trail] = row
    return found


def _finding(contents: tuple[Content, Content], pair: tuple[Row | None, Row | None]) -> Finding:
    one, other = pair
    if one is None or other is None:
        held = other or one
        state = "second" if one is None else "first"
        return Finding(state, f"only in the {state}", tensor=bool(held and held.saved))
    if one.saved and other.saved:
        return _tensors(contents, one.saved, other.saved)
    if one.kind != other.kind:
        text = f"{_said(one)} | {_said(other)}"
        return Finding("differs", text, tensor=bool(one.saved or other.saved))
    if one.kind != "value":
        ours, theirs = one.what.split(",")[0], other.what.split(",")[0]
        return Finding("") if ours == theirs else Finding("differs", f"{ours} | {theirs}")
    if one.what.startswith("the same object as") or same(one.value, other.value):
        return Finding("equal", "equal")
    texts = short(one.value, 34), short(other.value, 34)
    return Finding(
        "differs", f"{texts[0]} | {texts[1]}" if texts[0] != texts[1] else "other values"
    )


def _said(row: Row) -> str:
    return f"tensor {row.saved.shape}" if row.saved else short(row.what, 40).strip("'\"")


def _tensors(contents: tuple[Content, Content], one: Saved, other: Saved) -> Finding:
    if one.shape != other.shape:
        return Finding("differs", f"shape {one.shape} | {other.shape}", tensor=True)
    if one.dtype != other.dtype:
        return Finding("differs", f"{one.dtype} | {other.dtype}", tensor=True)
    found = difference((contents[0], one), (contents[1], other))
    if found.unread:
        return Finding("unread", "not compared", tensor=True)
    if not found.count:
        return Finding("equal", "equal", tensor=True)
    largest, share = found.largest, f"in {found.count:,} of {counted(one.numbers, 'number')}"
    if one.dtype == "uint8":  # bytes, such as a state of a random generator: no gap has a meaning
        text, mark, largest = f"other bytes {share}", "other bytes", 0.0
    elif largest == 0:
        text, mark = f"other bits {share}, equal values", "other bits"
    elif isinf(largest):
        text, mark = f"differs beyond any number {share}", "not finite"
    else:
        text, mark = f"differs by up to {largest:.3g} {share}", f"{largest:.3g}"
    return Finding("differs", text, mark, largest, tensor=True)


# What comes out of it.


def headline(lines: list[Line]) -> tuple[str, list[str]]:
    """Return the state of all, "equal" or "differs", and the sentences that say it."""
    leaves = [line for line in lines if line.finding.state]
    tensors = [line for line in leaves if line.finding.tensor]
    others = [line for line in leaves if not line.finding.tensor]
    wrong = [line for line in leaves if line.finding.state != "equal"]
    if not wrong:
        what = f"{counted(len(tensors), 'tensor')} and {counted(len(others), 'other value')}"
        return "equal", [f"Equal bit by bit: {what}."]
    return "differs", [
        *_differing(tensors),
        *_shapes(wrong),
        *_values(others),
        *_only(lines, "first"),
        *_only(lines, "second"),
        *_unread(tensors),
    ]


def _differing(tensors: list[Line]) -> list[str]:
    apart = [line for line in tensors if line.finding.text.startswith(("differs", "other b"))]
    both = [line for line in tensors if line.finding.state not in ("first", "second")]
    if not both:
        return []
    if not apart:
        equal = sum(line.finding.state == "equal" for line in both)
        if equal < len(both):
            return [f"{equal:,} of {counted(len(both), 'tensor')} are equal bit by bit."]
        return [f"Equal bit by bit: {counted(len(both), 'tensor')}."]
    most = max(apart, key=lambda line: line.finding.largest)
    size = "beyond any number" if isinf(most.finding.largest) else f"by up to {most.finding.mark}"
    where = f", {size} in `{most.row.path}`" if most.finding.largest else ""
    verb = "differs" if len(apart) == 1 else "differ"
    return [f"{len(apart):,} of {counted(len(both), 'tensor')} {verb}{where}."]


def _shapes(wrong: list[Line]) -> list[str]:
    found = [
        line
        for line in wrong
        if line.finding.tensor and line.finding.state == "differs" and "|" in line.finding.text
    ]
    return _few(found, "Of another kind, shape or dtype")


def _values(others: list[Line]) -> list[str]:
    return _few([line for line in others if line.finding.state == "differs"], "Other values")


def _few(lines: list[Line], what: str) -> list[str]:
    if not lines:
        return []
    named = [f"`{line.row.path}` ({line.finding.text})" for line in lines[:3]]
    more = f" and {len(lines) - 3:,} more" if len(lines) > 3 else ""
    return [f"{what}: {', '.join(named)}{more}."]


def _only(lines: list[Line], state: str) -> list[str]:
    found = [
        line
        for line in lines
        if line.finding.state == state
        and (line.parent is None or lines[line.parent].finding.state != state)
    ]
    if not found:
        return []
    named = ", ".join(f"`{line.row.path}`" for line in found[:4])
    more = f" and {len(found) - 4:,} more" if len(found) > 4 else ""
    return [f"Only in the {state}: {named}{more}."]


def _unread(tensors: list[Line]) -> list[str]:
    count = sum(line.finding.state == "unread" for line in tensors)
    return [f"{counted(count, 'tensor')} could not be compared."] if count else []


def parts_table(lines: list[Line]) -> list[list[str]]:
    """Return, for each part, how many lines are equal, and the largest gap between tensors.

    A part is a top-level key; tensors that stand there themselves go by their modules. Of many parts
    the least equal are told alone.
    """
    parts: dict[str, list[Line]] = {}
    names: list[str] = []
    for line in lines:
        top = line.parent is None or lines[line.parent].parent is None
        key = line.row.key.partition(".")[0] if line.finding.tensor else line.row.key
        names.append(key if top else names[line.parent or 0])
        if line.finding.state:
            parts.setdefault(names[-1], []).append(line)
    if len(parts) > MOST_PARTS:
        kept = sorted(parts, key=lambda name: -_unequal(parts[name]))[: MOST_PARTS - 1]
        others = [line for name, held in parts.items() if name not in kept for line in held]
        count = len(parts) - len(kept)
        parts = {name: held for name, held in parts.items() if name in kept}
        parts[f"{count:,} others"] = others
    return [[name, *_part_cells(held)] for name, held in parts.items()]


def _unequal(lines: list[Line]) -> int:
    return sum(line.finding.state != "equal" for line in lines)


def _part_cells(lines: list[Line]) -> list[str]:
    apart = _unequal(lines)
    largest = max((line.finding.largest for line in lines), default=0.0)
    exact = "0" if not apart and any(line.finding.tensor for line in lines) else ""
    return [f"{len(lines) - apart:,} of {len(lines):,}", f"{largest:.3g}" if largest else exact]


def line_data(line: Line) -> dict[str, Any]:
    """Describe one line for the picture."""
    row, finding = line.row, line.finding
    data: dict[str, Any] = {"parent": line.parent, "key": row.key, "path": row.path}
    if row.saved:
        data["shape"] = f"{row.saved.dtype} {row.saved.shape}"
    elif finding.state != "differs":
        data["what"] = row.what
    if finding.state:
        data["state"] = finding.state
        data["sign"] = finding.text
        data["mark"] = finding.mark or finding.text
    return data
