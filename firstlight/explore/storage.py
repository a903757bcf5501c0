"""Storages and the tensors that read them, counted in cells: who reads what, found by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

Index = tuple[int | str, ...]  # ":" where every index of an axis reads the same cell


@dataclass(frozen=True)
class View:
    """A tensor as a way to read a storage: element (i, j) is cell `offset + i·steps[0] + j·steps[1]`.

    Everything is counted in cells of the storage. An element is `width` cells long: 1, unless another
    tensor reads the same bytes as a smaller dtype.
    """

    values: Tensor
    label: str
    source: str | None
    offset: int
    steps: tuple[int, ...]
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.values.shape)

    def address(self, index: Sequence[int]) -> int:
        """Return the cell at which an element begins."""
        return self.offset + sum(at * step for at, step in zip(index, self.steps, strict=True))

    def readers(self, cell: int) -> list[Index]:
        """Return every element that reads the cell; an axis of stride 0 stands as `:`."""
        if self.values.numel() == 0:
            return []
        pairs = list(zip(self.shape, self.steps, strict=True))
        moving = [axis for axis, (size, step) in enumerate(pairs) if step and size > 1]
        moving.sort(key=lambda axis: self.steps[axis], reverse=True)
        start = tuple(":" if step == 0 and size > 1 else 0 for size, step in pairs)
        rest = (cell - self.offset) // self.width * self.width
        return list(self._solve(moving, rest, start))

    def _solve(self, axes: Sequence[int], rest: int, index: Index) -> Iterator[Index]:
        """Write `rest` in every way as a sum of index·step over these axes, the largest step first."""
        if not axes:
            if rest == 0:
                yield index
            return
        axis, *others = axes
        step = self.steps[axis]
        reach = sum((self.shape[other] - 1) * self.steps[other] for other in others)
        first = max(0, -((reach - rest) // step))  # below it, the others can't make up the rest
        for at in range(first, min(self.shape[axis] - 1, rest // step) + 1):
            yield from self._solve(
                others, rest - at * step, (*index[:axis], at, *index[axis + 1 :])
            )

    def footprint(self, cells: int) -> Tensor:
        """Return which of the storage's `cells` the tensor reads, as booleans."""
        mask = torch.zeros(cells, dtype=torch.bool, device="cpu")
        if self.values.numel():
            sizes = [size if step else 1 for size, step in zip(self.shape, self.steps, strict=True)]
            mask.as_strided((*sizes, self.width), (*self.steps, 1), self.offset).fill_(True)
        return mask


@dataclass(frozen=True)
class Storage:
    """A stretch of memory, in cells as long as the smallest element of the tensors that read it."""

    cells: int
    cell_bytes: int
    views: tuple[View, ...]


def find_storages(
    tensors: Sequence[Tensor], labels: Sequence[str], sources: Sequence[str | None]
) -> list[Storage]:
    """Group tensors by the memory they read, in the order in which they first appear.

    Tensors belong together where the bytes of their storages overlap: those made from two slices of
    one NumPy array have storages of their own, and share cells all the same.
    """
    groups = _overlapping([_span(tensor) for tensor in tensors])
    return [_storage([(tensors[n], labels[n], sources[n]) for n in group]) for group in groups]


def _span(tensor: Tensor) -> tuple[str, int, int]:
    """Return where the tensor's storage lies: its device, its first byte and the byte after it."""
    storage = tensor.untyped_storage()
    return str(tensor.device), storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def _overlapping(spans: Sequence[tuple[str, int, int]]) -> list[list[int]]:
    """Return the numbers of the spans in groups that overlap; an empty span is alone."""
    groups: list[list[int]] = []
    end = 0
    for _, on_device in groupby(
        sorted(range(len(spans)), key=lambda n: spans[n]), lambda n: spans[n][0]
    ):
        end = 0
        for number in on_device:
            _, first, after = spans[number]
            if first < min(end, after):
                groups[-1].append(number)
            else:
                groups.append([number])
            end = max(end, after)
    return sorted((sorted(group) for group in groups), key=min)


def _storage(members: Sequence[tuple[Tensor, str, str | None]]) -> Storage:
    tensors = [tensor for tensor, _, _ in members]
    spans = [_span(tensor) for tensor in tensors]
    first, after = min(span[1] for span in spans), max(span[2] for span in spans)
    unit = min(tensor.element_size() for tensor in tensors)
    views = tuple(_view(tensor, label, source, first, unit) for tensor, label, source in members)
    return Storage((after - first) // unit, unit, views)


def _view(tensor: Tensor, label: str, source: str | None, first: int, unit: int) -> View:
    size = tensor.element_size()
    width = size // unit
    start = tensor.untyped_storage().data_ptr() + tensor.storage_offset() * size
    steps = tuple(stride * width for stride in tensor.stride())
    return View(tensor, label, source, (start - first) // unit, steps, width)
