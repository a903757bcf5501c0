"""The epochs of a loader and what is asked about them: places of examples, counts of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from firstlight.explore.loader_draws import Epoch, sampler_of
from firstlight.explore.loader_labels import Labels, evenly

SHOWN = 64  # examples of one batch
MOST_RUNS = 20  # of one class, that the data set's rail names
ROOM = 4800  # examples on show, over all epochs


def choose_batches(epochs: Sequence[Sequence[int]]) -> list[int]:
    """Return the batches to keep, counted from 0: all, or the first, the last and some between.

    `epochs` holds the sizes of the batches of each epoch.
    """
    total = max(map(len, epochs))
    if sum(min(size, SHOWN) for sizes in epochs for size in sizes) <= ROOM:
        return list(range(total))
    widest = min(SHOWN, max(size for sizes in epochs for size in sizes))
    count = min(total, ROOM // (len(epochs) * widest))
    first, last = count // 3, max(2, count // 12)
    middle = evenly(first, total - last - 1, count - first - last)
    ends = {len(sizes) - 1 for sizes in epochs if sizes}
    return sorted({*range(first), *middle, *range(total - last, total), *ends})


@dataclass(frozen=True, eq=False)
class Story:
    """A loader's epochs, the batches that are kept of them, and the classes of the examples."""

    loader: DataLoader[Any]
    size: int | None  # len(dataset), None where it has none
    epochs: list[Epoch]
    kept: list[int]
    labels: Labels

    @property
    def sampler(self) -> Any:
        """What sets the order of single indices; None where a batch_sampler sets all itself."""
        return sampler_of(self.loader)

    @property
    def batch_size(self) -> int | None:
        """How many examples a full batch holds; None where nothing says so."""
        size: int | None = getattr(self.loader.batch_sampler, "batch_size", None)
        return size if type(size) is int else None

    @cached_property
    def extent(self) -> int:
        """How many examples there are, or were drawn where the data set has no length."""
        if self.size is not None:
            return self.size
        return max(int(draws.max()) + 1 if len(draws) else 1 for draws in self._draws)

    @cached_property
    def total(self) -> int:
        """The batches of the longest epoch."""
        return max(len(epoch.batches) for epoch in self.epochs)

    # Where examples lie ------------------------------------------------------------------------

    @cached_property
    def _draws(self) -> list[Tensor]:
        """The indices of each epoch in order; those below 0 are counted from the end."""
        found = []
        for epoch in self.epochs:
            draws = torch.tensor(epoch.draws, dtype=torch.long, device="cpu")
            if self.size is not None:
                draws = torch.where((draws < 0) & (draws >= -self.size), draws + self.size, draws)
            found.append(draws)
        return found

    def places(self, number: int, wanted: set[int]) -> dict[int, list[int]]:
        """Where the wanted examples lie in an epoch, counted from 0 over all its batches."""
        places: dict[int, list[int]] = {}
        for place, index in enumerate(self.epochs[number].draws):
            if index in wanted:
                places.setdefault(index, []).append(place)
        return places

    @cached_property
    def _times(self) -> list[Tensor]:
        """How often each example of the data set comes in each epoch."""
        assert self.size is not None
        return [
            torch.bincount(draws[(draws >= 0) & (draws < self.size)], minlength=self.size)
            for draws in self._draws
        ]

    def never(self, number: int) -> int:
        """How many examples of the data set an epoch leaves out."""
        return int((self._times[number] == 0).sum())

    @cached_property
    def never_at_all(self) -> int:
        """How many examples no epoch holds."""
        return int((torch.stack(self._times).sum(0) == 0).sum())

    def often(self, number: int) -> int:
        """How many examples an epoch holds more than once."""
        if self.size is not None:
            return int((self._times[number] > 1).sum())
        return sum(times > 1 for times in Counter(self.epochs[number].draws).values())

    @cached_property
    def strangers(self) -> list[tuple[int, int, int]]:
        """(epoch, batch, index) of the indices that the data set doesn't have, from 1."""
        if self.size is None:
            return []
        return [
            (number, at, index)
            for number, epoch in enumerate(self.epochs, 1)
            for at, batch in enumerate(epoch.batches, 1)
            for index in batch
            if not -self.size <= index < self.size
        ]

    # Classes -----------------------------------------------------------------------------------

    @cached_property
    def shares(self) -> list[float]:
        """The share of each class in the data set, as far as known; empty without classes."""
        known = self.labels.ranks[self.labels.ranks >= 0]
        count = torch.bincount(known, minlength=len(self.labels.classes))
        return [number / max(1, len(known)) for number in count.tolist()]

    @cached_property
    def class_runs(self) -> list[list[int]]:
        """Where a class begins in the data set, and which, if each lies in a few pieces at most."""
        ranks = self.labels.ranks
        if len(self.shares) < 2 or bool((ranks < 0).any()):
            return []
        starts = [0, *(torch.nonzero(ranks[1:] != ranks[:-1]).flatten() + 1).tolist()]
        if len(starts) > MOST_RUNS:
            return []
        return [[start, int(ranks[start])] for start in starts]

    def rank(self, index: int) -> int:
        """The place of an example's class among the classes, -1 where unknown."""
        size = len(self.labels.ranks)
        return int(self.labels.ranks[index]) if -size <= index < size else -1

    @cached_property
    def _counts(self) -> list[Tensor]:
        return [self._count(*both) for both in zip(self.epochs, self._draws, strict=True)]

    def _count(self, epoch: Epoch, draws: Tensor) -> Tensor:
        """How many of each class every batch holds, (batches, 1 + classes); first, the unknown."""
        width = 1 + len(self.labels.classes)
        size = len(self.labels.ranks)
        sizes = torch.tensor(
            [len(batch) for batch in epoch.batches], dtype=torch.long, device="cpu"
        )
        if size == 0 or len(draws) == 0:
            return torch.zeros(len(sizes), width, dtype=torch.long, device="cpu")
        inside = (draws >= 0) & (draws < size)
        ranks = torch.where(inside, self.labels.ranks[torch.where(inside, draws, 0)], -1)
        batch = torch.repeat_interleave(torch.arange(len(sizes), device="cpu"), sizes)
        cells = torch.bincount(batch * width + ranks + 1, minlength=len(sizes) * width)
        return cells.view(len(sizes), width)

    def counts(self, number: int, at: int) -> list[int] | None:
        """How many of each class a batch holds; None where an example's class is unknown."""
        if not self.shares:
            return None
        unknown, *known = self._counts[number][at].tolist()
        return None if unknown else known

    @cached_property
    def tallest(self) -> int:
        """The most of one class in a kept batch, and at least the largest share of a full one."""
        numbers = range(len(self.epochs))
        known = [
            self.counts(number, at) or [] for number in numbers for at in self._kept_of(number)
        ]
        fair = round(max(self.shares, default=0) * self.full)
        return max(1, fair, max((max(row, default=0) for row in known), default=0))

    def _kept_of(self, number: int) -> list[int]:
        return [at for at in self.kept if at < len(self.epochs[number].batches)]

    @cached_property
    def full(self) -> int:
        """The size that most batches have."""
        sizes = Counter(len(batch) for epoch in self.epochs for batch in epoch.batches)
        return max(sizes, key=lambda size: (sizes[size], size), default=0)

    def full_counts(self, number: int) -> Tensor:
        """The class counts of an epoch's batches of the usual size that are wholly known."""
        counts = self._counts[number]
        return counts[(counts[:, 0] == 0) & (counts.sum(1) == self.full)][:, 1:]
