"""Lay a graph out from top to bottom: inputs above, the result below, each edge as a row of points.

Every box stands in a layer, one above the lowest box it feeds; the order within a layer is chosen so
that few edges cross, and places so that edges run straight. An edge over many layers is not drawn
through them: at its lower end stands a small sign that names the box it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

PITCH = 90  # pixels from one layer to the next
MARGIN = 12
SPAN = 3  # layers: a longer edge gets a sign
SWEEPS = 4  # over the order of things in their layers
LANE = 10  # width of an edge that passes through a layer
SIGN = 78  # width of a sign
GAP = 14  # between two things of one layer

Point = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Places in pixels: the middle of each box, a point row for each edge, signs as (x, y, from)."""

    width: int
    height: int
    boxes: Mapping[int, Point]
    edges: Mapping[tuple[int, int], tuple[Point, ...]]
    signs: Mapping[tuple[int, int], Point]


@dataclass
class _Thing:
    """What takes room in a layer: a box, a sign, or an edge passing through."""

    width: float
    layer: int
    heavy: bool = False  # an operation, for which the others make room
    tall: int = 0  # how many layers of operations stand above it
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    x: float = 0.0


def lay_out(
    order: Sequence[int], inputs: Mapping[int, Sequence[int]], widths: Mapping[int, float]
) -> Layout:
    """Place boxes, given in an order in which each stands before its inputs, the result first.

    `inputs[n]` are the boxes that feed box n; edge (n, i) is its i-th input.
    """
    layers = _layers(order, inputs)
    things: dict[int, _Thing] = {n: _Thing(widths[n], layers[n], bool(inputs[n])) for n in order}
    rows: list[list[int]] = [[] for _ in range(max(layers.values()) + 1)]
    lanes = _connect(order, inputs, layers, things)
    _measure_towers(things)
    _initial_order(order[0], things, rows)
    rows = _fewer_crossings(rows, things)
    _place(rows, things)
    return _measured(things, rows, layers, inputs, lanes)


def _layers(order: Sequence[int], inputs: Mapping[int, Sequence[int]]) -> dict[int, int]:
    layers = {order[0]: 0}
    for box in order:
        for above in inputs[box]:
            layers[above] = max(layers.get(above, 0), layers[box] + 1)
    return layers


def _connect(
    order: Sequence[int],
    inputs: Mapping[int, Sequence[int]],
    layers: Mapping[int, int],
    things: dict[int, _Thing],
) -> dict[tuple[int, int], list[int]]:
    """Link the things of neighbouring layers, and return for each edge what it runs through.

    An edge that gets a sign ends there: its list holds the sign alone.
    """
    lanes: dict[tuple[int, int], list[int]] = {}
    fresh = max(order) + 1
    for box in order:
        for at, source in enumerate(inputs[box]):
            span = layers[source] - layers[box]
            is_sign = span > SPAN
            inner = [layers[box] + 1] if is_sign else range(layers[box] + 1, layers[source])
            chain = [box]
            for layer in inner:
                things[fresh] = (
                    _Thing(SIGN, layer) if is_sign else _Thing(LANE, layer, bool(inputs[source]))
                )
                chain.append(fresh)
                fresh += 1
            lanes[box, at] = chain[1:]
            chain += [] if is_sign else [source]
            for lower, upper in pairwise(chain):
                things[lower].above.append(upper)
                things[upper].below.append(lower)
    return lanes


def _measure_towers(things: Mapping[int, _Thing]) -> None:
    for thing in sorted(things.values(), key=lambda thing: -thing.layer):
        heavy = [things[other].tall + 1 for other in thing.above if things[other].heavy]
        thing.tall = max(heavy, default=0)


def _initial_order(root: int, things: Mapping[int, _Thing], rows: list[list[int]]) -> None:
    """Fill the rows depth first, so that an operation's inputs stand from left to right.

    What only a sign leads to comes after what is joined by edges.
    """
    seen: set[int] = set()
    for start in (root, *things):
        waiting = [start]
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            rows[things[number].layer].append(number)
            waiting.extend(reversed(things[number].above))


def _fewer_crossings(rows: list[list[int]], things: Mapping[int, _Thing]) -> list[list[int]]:
    best, fewest = [list(row) for row in rows], _crossings(rows, things)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        upward = sweep % 2 == 0
        for row in rows[1:] if upward else rows[-2::-1]:
            rank = _ranks(rows)
            row.sort(key=lambda n: _mean_rank(things[n], rank, upward, rank[n]))
        crossings = _crossings(rows, things)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _ranks(rows: Sequence[Sequence[int]]) -> dict[int, int]:
    return {number: rank for row in rows for rank, number in enumerate(row)}


def _mean_rank(thing: _Thing, rank: Mapping[int, int], upward: bool, own: int) -> float:
    near = thing.below if upward else thing.above
    return sum(rank[other] for other in near) / len(near) if near else float(own)


def _crossings(rows: Sequence[Sequence[int]], things: Mapping[int, _Thing]) -> int:
    rank = _ranks(rows)
    total = 0
    for row in rows:
        ends = [rank[up] for n in row for up in sorted(things[n].above, key=rank.__getitem__)]
        total += sum(left > right for at, left in enumerate(ends) for right in ends[at + 1 :])
    return total


def _place(rows: Sequence[Sequence[int]], things: Mapping[int, _Thing]) -> None:
    """Give every thing its x, row by row from the result up: above what it feeds, none over another."""
    for row in rows:
        wishes = []
        for number in row:
            below = [things[other].x for other in things[number].below]
            wishes.append(sum(below) / len(below) if below else 0.0)
        _settle([things[number] for number in row], wishes)


def _settle(row: Sequence[_Thing], wishes: Sequence[float]) -> None:
    """Place a row as near to its wishes as the widths allow, in the least squares sense.

    With the widths subtracted it is isotonic regression: neighbours that collide form a block that
    stands at the mean of its wishes, in which the wish of a tall tower weighs most.
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP)
    blocks: list[tuple[float, float, int]] = []  # weighted sum of wishes, weight, size
    for thing, wish, offset in zip(row, wishes, offsets, strict=True):
        weight, size = 16.0 ** min(8, thing.tall + thing.heavy), 1
        total = weight * (wish - offset)
        while blocks and blocks[-1][0] / blocks[-1][1] > total / weight:
            before, other, count = blocks.pop()
            total, weight, size = total + before, weight + other, size + count
        blocks.append((total, weight, size))
    places = [total / weight for total, weight, size in blocks for _ in range(size)]
    for thing, place, offset in zip(row, places, offsets, strict=True):
        thing.x = place + offset


def _measured(
    things: Mapping[int, _Thing],
    rows: Sequence[Sequence[int]],
    layers: Mapping[int, int],
    inputs: Mapping[int, Sequence[int]],
    lanes: Mapping[tuple[int, int], Sequence[int]],
) -> Layout:
    left = min(thing.x - thing.width / 2 for thing in things.values()) - MARGIN
    right = max(thing.x + thing.width / 2 for thing in things.values()) + MARGIN
    depth = len(rows)

    def spot(number: int) -> Point:
        thing = things[number]
        return round(thing.x - left), (depth - 1 - thing.layer) * PITCH + PITCH // 2 + 2

    edges: dict[tuple[int, int], tuple[Point, ...]] = {}
    signs: dict[tuple[int, int], Point] = {}
    for (box, at), through in lanes.items():
        source = inputs[box][at]
        if layers[source] - layers[box] > SPAN:
            signs[box, at] = spot(through[0])
            edges[box, at] = (spot(box), spot(through[0]))
        else:
            edges[box, at] = tuple(spot(n) for n in (box, *through, source))
    boxes = {number: spot(number) for number in layers}
    return Layout(round(right - left), depth * PITCH + 4, boxes, edges, signs)
