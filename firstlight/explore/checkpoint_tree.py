"""What a file holds as a tree of lines: containers, tensors, values, objects; and its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from firstlight.explore.checkpoint_pickle import Call, Items, printable
from firstlight.explore.checkpoint_tensors import Saved, saved_tensor
from firstlight.explore.checkpoint_values import (
    arguments,
    flat_values,
    is_scalar,
    numpy_of,
    plain,
    short,
    table_of,
)
from firstlight.explore.tensors import counted

MOST_ROWS = 4000
DEEPEST = 40  # levels
LONGEST_PATH = 300  # characters
MOST_PARTS = 8


@dataclass
class Row:
    """One line of the tree.

    `path` is the Python expression that gives it, `trail` tells it from every other; `kind` is "table", "items", "object" (these have
    lines below), "tensor", "value", or "more" for what is left out.
    """

    parent: int | None
    key: str
    path: str
    trail: str
    kind: str
    what: str
    saved: Saved | None = None
    value: Any = None


@dataclass
class Tree:
    """The lines, each after its parent, and whether some were left out."""

    rows: list[Row] = field(default_factory=list)
    cut: bool = False


def grow(root: Any, name: str = "checkpoint") -> Tree:
    """Return the lines of an inert value, `MOST_ROWS` at most; what appears twice is drawn once."""
    tree = Tree()
    _grow(tree, root, None, name, name, {}, 0)
    return tree


def _grow(
    tree: Tree,
    value: Any,
    parent: int | None,
    key: str,
    path: str,
    seen: dict[int, str],
    depth: int,
) -> None:
    if len(tree.rows) >= MOST_ROWS:
        tree.cut = True
        return
    if len(path) > LONGEST_PATH:
        path = f"…{path[-LONGEST_PATH:]}"
    children: list[Child]
    if id(value) in seen:
        kind, what, children = "value", f"the same object as {seen[id(value)]}", []
    else:
        kind, what, children = _look(value)
    trail = f"{'' if parent is None else tree.rows[parent].trail}\0{key}\0{path[-60:]}"
    row = Row(parent, key, path, trail, kind, what, saved_tensor(value), value)
    place = len(tree.rows)
    tree.rows.append(row)
    if not children:
        return
    seen[id(value)] = path
    if depth == DEEPEST:
        tree.rows.append(
            Row(place, "…", path, f"{trail}\0…", "more", "deeper levels are not shown")
        )
        return
    for name, access, child in children:
        _grow(tree, child, place, name, path + access, seen, depth + 1)


_NOTHING: tuple[Any, ...] = (("dict", []), ("OrderedDict", []))


@dataclass(frozen=True)
class Left:
    """What stands for lines that are left out."""

    what: str


Child = tuple[str, str, Any]  # its name in the tree, how Python gets at it, itself


def _look(value: Any) -> tuple[str, str, list[Child]]:
    """Return what kind of line a value is, what it says, and what stands below it."""
    if isinstance(value, Left):
        return "more", value.what, []
    if saved_tensor(value) is not None:
        return "tensor", "", []
    if is_scalar(value) or numpy_of(value) is not None:
        return "value", short(value), []
    inner = plain(value)
    if is_scalar(inner) or flat_values(inner) is not None:
        return "value", short(inner), []
    if (table := table_of(value)) is not None:
        kind, pairs = table
        below = [_child(key, item) for key, item in pairs]
        return "table", f"{kind}, {counted(len(pairs), 'key')}", below + _attributes(value)
    if isinstance(inner, Items):
        below = [(str(at), f"[{at}]", item) for at, item in enumerate(inner.values)]
        return "items", f"{inner.kind}, {counted(len(below), 'item')}", below
    if isinstance(value, Call):
        return "object", _object_words(value), _inside(value)
    return "value", short(value), []


def _child(key: Any, value: Any) -> Child:
    text = key if isinstance(key, str) and key and key.isprintable() else short(key, 60)
    quoted = short(key, 60)
    if isinstance(key, str) and key.isprintable() and '"' not in key and "\\" not in quoted:
        quoted = f'"{key[:60]}"'
    return text[:80], f"[{quoted}]", value


def _attribute(key: Any, value: Any) -> Child:
    name = printable(key)[:60] if isinstance(key, str) else short(key, 60)
    return f".{name}", f".{name}", value


def _attributes(value: Any) -> list[Child]:
    """Return what was set on an OrderedDict as attributes: of a state_dict its `_metadata`."""
    state = table_of(value.state) if isinstance(value, Call) else None
    return [_attribute(key, item) for key, item in state[1]] if state else []


def _object_words(call: Call) -> str:
    name = short(call.callee, 70, 1)
    return f"{'object of' if name.split('.')[-1][:1].isupper() else 'what is given by'} {name}"


def _inside(call: Call) -> list[Child]:
    """Return what an object is made of: its arguments, its attributes, its items."""
    given = [
        (f"argument {at}", f".{at}", item)
        for at, item in enumerate(arguments(call))
        if not (isinstance(item, Items) and not item.values)
    ]
    state = table_of(call.state) if call.state is not None else None
    if state is not None:
        own = [pair for pair in state[1] if not _is_empty(*pair)]
        given += [_attribute(key, item) for key, item in own]
        if len(own) < len(state[1]):
            empty = f"{counted(len(state[1]) - len(own), 'private attribute')}, empty"
            given.append(("…", "", Left(empty)))
    elif call.state is not None:
        given.append(("state", ".state", call.state))
    given += [_child(key, item) for key, item in call.pairs]
    return given + [(str(at), f"[{at}]", item) for at, item in enumerate(call.values)]


def _is_empty(key: Any, value: Any) -> bool:
    """Say whether an attribute is one of those that every module has, with nothing in it."""
    if not (isinstance(key, str) and key.startswith("_")):
        return False
    inner, table = plain(value), table_of(value)
    return value is None or (isinstance(inner, Items) and not inner.values) or table in _NOTHING


# The parts of a file: what its top-level keys take.


@dataclass(frozen=True)
class Part:
    """One part of a file: the tensors in it, their numbers, and the bytes of their storages."""

    name: str
    tensors: int
    numbers: int
    bytes: int


def parts_of(root: Any, sizes: dict[str, int]) -> list[Part]:
    """Return the parts under the top-level keys; of a bare state_dict, its modules.

    A storage counts in the first part that reads it, so that the parts add up.
    """
    groups: dict[str, list[Saved]] = {}
    for name, value in _groups(root):
        groups.setdefault(name, []).extend(tensors_in(value))
    taken: set[str] = set()
    parts = []
    for name, tensors in groups.items():
        fresh = {tensor.storage for tensor in tensors} - taken
        taken |= fresh
        held = sum(sizes.get(key, 0) for key in fresh)
        if tensors:
            numbers = sum(tensor.numbers for tensor in tensors)
            parts.append(Part(name, len(tensors), numbers, held))
    return _largest(parts)


def _groups(root: Any) -> Iterator[tuple[str, Any]]:
    _, _, children = _look(root)
    modules = next((child for name, _, child in children if name == "._modules"), None)
    if isinstance(root, Call) and modules is not None:
        yield "own", next((child for name, _, child in children if name == "._parameters"), None)
        children = _look(modules)[2]
    own = [child for child in children if not child[0].startswith("._")]
    bare = bool(own) and all(saved_tensor(value) for _, _, value in own)
    if not own:
        yield "everything", root
    for name, _, value in own:
        yield (name.partition(".")[0] if bare else name), value


def _largest(parts: list[Part]) -> list[Part]:
    """Keep the largest parts, in their order, and put the others together."""
    if len(parts) <= MOST_PARTS:
        return parts
    kept = sorted(parts, key=lambda part: -part.bytes)[: MOST_PARTS - 1]
    others = [part for part in parts if part not in kept]
    rest = Part(
        f"{len(others):,} others",
        sum(part.tensors for part in others),
        sum(part.numbers for part in others),
        sum(part.bytes for part in others),
    )
    return [part for part in parts if part in kept] + [rest]


def tensors_in(value: Any) -> list[Saved]:
    """Return every tensor inside an inert value, each once."""
    found: list[Saved] = []
    seen: set[int] = set()
    due = [value]
    while due:
        each = due.pop()
        if is_scalar(each) or id(each) in seen:
            continue
        seen.add(id(each))
        tensor = saved_tensor(each)
        if tensor is not None:
            found.append(tensor)
        elif isinstance(each, (Items, Call)) or table_of(each) is not None:
            due.extend(child for _, _, child in _look(each)[2])
    return found


def sharing(rows: list[Row]) -> dict[str, list[int]]:
    """Return the storages that more than one tensor reads, each with the places of its lines."""
    readers: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.saved and row.saved.storage:
            readers.setdefault(row.saved.storage, []).append(place)
    return {key: places for key, places in readers.items() if len(places) > 1}
