"""Read the graph autograd recorded: its nodes, their edges, what they saved, and whose it is.

Everything is read through the attributes of `grad_fn`. Nothing is run, no hook is set, and the walk
is a loop, so that a graph of any depth is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from firstlight.explore.graph_rules import Rule, rule_of

# A larger or deeper graph is not read to its end. (torch 2.13 frees a node that Python has seen by
# recursion, and a chain of 12,000 such nodes, when it is freed, overflows the 2 MB stack of Windows.)
MOST_READ = 20_000  # nodes
DEEPEST = 9_000  # nodes from the result
MOST_LISTED = 200  # elements of one of the caller's lists in which names are looked for
FREED = "second time"  # what PyTorch's message says of a graph that is freed
CHANGED = "modified by an inplace operation"

Shape = tuple[int, ...]
Place = tuple[int, int]  # a node's number, and which of its results


@dataclass(frozen=True)
class Edge:
    """An input of a node: the node behind it and which of its results; None for a constant."""

    node: int | None
    slot: int


@dataclass(frozen=True)
class Node:
    """A node of the graph: an operation, or a leaf in whose `.grad` a gradient lands."""

    function: Any
    op: str
    edges: tuple[Edge, ...]
    results: tuple[tuple[Shape, torch.dtype], ...]

    @property
    def leaf(self) -> Tensor | None:
        """The leaf tensor, if the node is one."""
        return getattr(self.function, "variable", None) if self.op == "AccumulateGrad" else None

    @property
    def rule(self) -> Rule | None:
        """What the node does in words, if its operation is a common one."""
        return rule_of(self.op)


@dataclass(frozen=True)
class Recording:
    """A graph, the result's node first. `order` is the order in which the engine visits the nodes.

    Where not all of it was read, `complete` is false and there is no order.
    """

    nodes: tuple[Node, ...]
    root: Place
    order: tuple[int, ...]
    numbers: Mapping[Any, int] = field(repr=False)
    complete: bool = True

    def place(self, tensor: Tensor) -> Place | None:
        """Return which result of which node a tensor is, or None."""
        number = self.numbers.get(tensor.grad_fn)
        return None if number is None else (number, tensor.output_nr)


def fan_in(nodes: Sequence[Node]) -> list[int]:
    """For each node, how many edges bring it a gradient."""
    arriving = [0] * len(nodes)
    for node in nodes:
        for edge in node.edges:
            if edge.node is not None:
                arriving[edge.node] += 1
    return arriving


def read(result: Tensor) -> Recording:
    """Read the graph behind a tensor that has a `grad_fn`, as far as the limits allow."""
    functions, complete = _reachable(result.grad_fn)
    numbers = {function: number for number, function in enumerate(functions)}
    nodes = tuple(_node(function, numbers) for function in functions)
    order = _engine_order(nodes) if complete else ()
    return Recording(nodes, (0, result.output_nr), order, numbers, complete)


def _reachable(root: Any) -> tuple[list[Any], bool]:
    """Return the nodes behind `root`, the nearest first, and whether they are all."""
    seen = {root: None}
    frontier = [root]
    for _ in range(DEEPEST):
        edges = (edge for function in frontier for edge in function.next_functions)
        fresh = dict.fromkeys(to for to, _ in edges if to is not None and to not in seen)
        frontier = list(fresh)
        seen.update(fresh)
        if not frontier or len(seen) > MOST_READ:
            break
    return list(seen), not frontier


def _node(function: Any, numbers: Mapping[Any, int]) -> Node:
    edges = (Edge(numbers.get(to), slot) for to, slot in function.next_functions)
    results = ((tuple(m.shape), m.dtype) for m in getattr(function, "_input_metadata", ()))
    return Node(function, function.name().split("::")[-1], tuple(edges), tuple(results))


def _engine_order(nodes: Sequence[Node]) -> tuple[int, ...]:
    """Return the order of PyTorch's engine: of the nodes whose gradients are all there, the latest.

    A node waits until every edge into it has delivered. Of those that are ready, the one recorded
    last goes first (`sequence_nr`), and before all a leaf. Source: `CompareNodeTaskTime` in
    torch/csrc/autograd/engine.h.
    """
    missing = fan_in(nodes)
    ready = _Ready()
    ready.push(0, 0)
    order = []
    while ready.heap:
        number = ready.pop()
        order.append(number)
        for edge in nodes[number].edges:
            if edge.node is None:
                continue
            missing[edge.node] -= 1
            if missing[edge.node] == 0:
                ready.push(nodes[edge.node].function._sequence_nr(), edge.node)
    return tuple(order)


class _Ready:
    """A queue, the largest first, that gives equals (leaves) in the order of C++'s `priority_queue`.

    Any order among equals is right; this is GNU's, so that it is the one seen on Linux. Source:
    `__adjust_heap` and `__push_heap` in bits/stl_heap.h.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[int, int]] = []

    def push(self, rank: int, number: int) -> None:
        self.heap.append((rank, number))
        self._rise(len(self.heap) - 1, (rank, number))

    def pop(self) -> int:
        (_, first), last = self.heap[0], self.heap.pop()
        if self.heap:
            self._rise(self._sink(), last)
        return first

    def _sink(self) -> int:
        """Move the gap at the top down to the bottom, and return where it is."""
        gap, size = 0, len(self.heap)
        while 2 * gap + 1 < size:
            child = 2 * gap + 2
            if child == size or self.heap[child][0] < self.heap[child - 1][0]:
                child -= 1
            self.heap[gap] = self.heap[child]
            gap = child
        return gap

    def _rise(self, gap: int, item: tuple[int, int]) -> None:
        while gap and self.heap[(gap - 1) // 2][0] < item[0]:
            self.heap[gap] = self.heap[(gap - 1) // 2]
            gap = (gap - 1) // 2
        self.heap[gap] = item


# What the nodes saved --------------------------------------------------------------------------


@dataclass(frozen=True)
class Saved:
    """What one node saved: its tensors by name, and by name what PyTorch says of those now lost."""

    tensors: tuple[tuple[str, Tensor], ...]
    lost: Mapping[str, str]

    @property
    def freed(self) -> bool:
        """Whether a backward pass has freed it."""
        return any(FREED in message for message in self.lost.values())

    def named(self, name: str) -> list[Tensor]:
        """Return the tensors saved under this name."""
        return [tensor for saved, tensor in self.tensors if saved == name]


def saved_by(node: Node) -> Saved:
    """Read a node's saved tensors, the single ones and those in tuples."""
    found: list[tuple[str, Tensor]] = []
    lost = {}
    for attribute in _saved_attributes(node.function.__class__):
        name = attribute.removeprefix("_saved_")
        try:
            value = getattr(node.function, attribute)
        except RuntimeError as error:
            lost[name] = str(error)
            continue
        parts = value if isinstance(value, (tuple, list)) else (value,)
        found += [(name, part) for part in parts if isinstance(part, Tensor)]
    return Saved(tuple(found), lost)


@cache
def _saved_attributes(kind: Any) -> tuple[str, ...]:
    own = tuple(name for name in dir(kind) if name.startswith("_saved_"))
    return own or tuple(name for name in ("saved_tensors",) if hasattr(kind, name))


# The student's own names -----------------------------------------------------------------------


def scope(caller: FrameType) -> list[tuple[str, Tensor]]:
    """Return the caller's dense tensors with their names, plain variables first: `w`, `params[0]`."""
    held = [
        (name, value)
        for variables in (caller.f_locals, caller.f_globals)
        for name, value in list(variables.items())
        if not name.startswith("_") and name not in ("In", "Out")
    ]
    plain = [(name, value) for name, value in held if isinstance(value, Tensor)]
    inside = [pair for name, value in held for pair in _inside(name, value)]
    return [(name, tensor) for name, tensor in (*plain, *inside) if _is_plain(tensor)]


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_nested


def _inside(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    pairs: list[tuple[str, Any]] = []
    if isinstance(value, nn.Module):
        pairs = [(f"{name}.{n}", p) for n, p in (*value.named_parameters(), *value.named_buffers())]
    elif isinstance(value, (list, tuple)) and len(value) <= MOST_LISTED:
        pairs = [(f"{name}[{at}]", part) for at, part in enumerate(value)]
    elif isinstance(value, dict) and len(value) <= MOST_LISTED:
        pairs = [(f"{name}[{key!r:.20}]", part) for key, part in value.items()]
    yield from ((label, part) for label, part in pairs if isinstance(part, Tensor))
