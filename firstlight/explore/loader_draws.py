"""The batches that a DataLoader draws next: recorded on a copy of its samplers, with PyTorch's code."""

from __future__ import annotations

import copy
import operator
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from firstlight.explore.evaluation import first_line

CALL = "explore.loader"
MOST_DRAWS = 1_000_000  # in an epoch, or this many times the data set: a sampler beyond has no end
MOST_TIMES = 10


@dataclass(frozen=True)
class Epoch:
    """One pass over the data: the indices of each batch, and those that `drop_last` left out."""

    batches: list[list[int]]
    dropped: list[int]

    @property
    def draws(self) -> list[int]:
        """Every index handed over, in order."""
        return [index for batch in self.batches for index in batch]


def require_loader(loader: object) -> DataLoader[Any]:
    """Return `loader` if it is a DataLoader over a map-style data set.

    Raises:
        TypeError: for anything else; the message says what was given, and what to do.
    """
    if isinstance(loader, type):
        raise TypeError(f"{CALL} needs a loader, and {loader.__name__} is a class: make one first.")
    if not isinstance(loader, DataLoader):
        raise TypeError(f"{CALL} needs a DataLoader; it got {_a(loader)}.{_advice(loader)}")
    if isinstance(loader.dataset, IterableDataset):
        raise TypeError(
            f"{CALL} shows which index lands in which batch, and {type(loader.dataset).__name__} "
            "is an IterableDataset: it hands out examples in its own order and has no indices. Give "
            "a loader over a data set with `dataset[i]` and `len(dataset)`."
        )
    return loader


def _advice(value: object) -> str:
    if value is None:
        return " Does the function that makes it return it yet?"
    if hasattr(value, "_sampler_iter"):
        return " That is an iterator over one: pass the loader itself, not `iter(loader)`."
    if hasattr(value, "__getitem__"):
        return " Wrap a data set first: `DataLoader(dataset, batch_size=32)`."
    return ""


def size_of(dataset: object) -> int | None:
    """Return `len(dataset)`, or None where it has none.

    Raises:
        TypeError: if the data set is empty, or its `__len__` fails.
    """
    if not hasattr(dataset, "__len__"):
        return None
    try:
        size = len(dataset)
    except Exception as error:  # the student's own code
        raise TypeError(
            f"{CALL} could not ask for `len(dataset)`: it raised {first_line(error)}."
        ) from error
    if size == 0:
        raise TypeError(
            f"{CALL} needs at least one example; `len(dataset)` is 0, so there is no batch to show."
        )
    return size


def record_epochs(loader: DataLoader[Any], count: int) -> list[Epoch]:
    """Return the next `count` epochs that iterating over the loader would give.

    PyTorch's own iterator runs on copies of the samplers and generators, without workers and with
    a data set that only echoes the indices. All random states are put back.

    Raises:
        TypeError: if the samplers can't be copied, fail, or give no indices.
    """
    with randomness_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the student hears them from the loader itself
        twin = _twin(loader)
        spy = _Spy.on(twin.batch_sampler)
        iterator: Any = loader._iterator  # persistent workers go on without a new seed
        epochs = []
        for number in range(1, count + 1):
            source: Any = twin._index_sampler
            if not (loader.num_workers and loader.persistent_workers and iterator is not None):
                source = iterator = DataLoader.__iter__(twin)  # draws its seed, as every loop does
                if loader.num_workers:
                    iterator._reset(twin)  # with workers, PyTorch asks the sampler a second time
            epochs.append(_epoch(loader, source, spy, number))
        return epochs


def _epoch(loader: DataLoader[Any], source: Any, spy: _Spy | None, number: int) -> Epoch:
    batches: list[list[int]] = []
    drawn, most = 0, max(MOST_DRAWS, MOST_TIMES * (size_of(loader.dataset) or 0))
    if spy:
        spy.drawn.clear()
    try:
        for raw in source:
            batches.append(_indices(raw, loader))
            drawn += max(1, len(batches[-1]))
            if drawn > most:
                raise TypeError(
                    f"{CALL} stopped after {most:,} indices: {_sampler_name(loader)} does not "
                    "end, and an epoch has to."
                )
    except TypeError as error:
        if str(error).startswith(CALL):
            raise
        raise _failure(loader, number, error) from error
    except Exception as error:  # the student's own sampler
        raise _failure(loader, number, error) from error
    return Epoch(batches, _indices(spy.drawn[drawn:], loader) if spy else [])


def _failure(loader: DataLoader[Any], number: int, error: Exception) -> TypeError:
    return TypeError(
        f"{CALL} could not draw epoch {number}: {_sampler_name(loader)} raised {first_line(error)}."
    )


def sampler_of(loader: DataLoader[Any]) -> Any:
    """Return what sets the order of single indices; None where a batch_sampler sets all itself."""
    batch_sampler = loader.batch_sampler
    if batch_sampler is None:
        return loader.sampler
    return batch_sampler.sampler if type(batch_sampler) is BatchSampler else None


def _sampler_name(loader: DataLoader[Any]) -> str:
    sampler = sampler_of(loader)
    if sampler is None:
        return f"the batch_sampler ({type(loader.batch_sampler).__name__})"
    return f"the sampler ({type(sampler).__name__})"


def _indices(raw: Any, loader: DataLoader[Any]) -> list[int]:
    """Return as a list what the loader hands over at once: a batch, or one index alone."""
    values: Any = raw
    if isinstance(raw, (Tensor, np.ndarray)) and raw.ndim == 1:
        values = raw.tolist()
    elif loader.batch_sampler is None and not isinstance(raw, (list, tuple)):
        values = [raw]
    try:
        return [operator.index(value) for value in values]
    except TypeError as error:
        due = "whole numbers" if loader.batch_sampler is None else "a list of whole numbers a batch"
        raise TypeError(
            f"{CALL} needs indices, {due}; {_sampler_name(loader)} gave {raw!r:.60}."
        ) from error


# The copy --------------------------------------------------------------------------------------


class _Echo:
    """A data set whose batch is the very indices it was asked for."""

    def __getitem__(self, index: Any) -> Any:
        return index

    def __getitems__(self, indices: Any) -> Any:
        return indices


def _as_it_is(value: Any) -> Any:
    return value


def _twin(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Return a loader with copies of the samplers and generators, and an echo as its data set."""
    parts = (loader.sampler, loader.batch_sampler, loader.generator)
    shared: dict[int, Any] = {id(one): one for one in datasets_within(loader.dataset)}
    shared |= {id(one): _generator_like(one) for one in _generators(*parts)}
    try:
        sampler, batch_sampler, generator = copy.deepcopy(parts, shared)
    except Exception as error:  # the student's own objects
        raise TypeError(_uncopied(loader, error)) from error
    twin: DataLoader[Any] = object.__new__(DataLoader)
    vars(twin).update(
        vars(loader),
        dataset=_Echo(),
        sampler=sampler,
        batch_sampler=batch_sampler,
        generator=generator,
        collate_fn=_as_it_is,
        num_workers=0,
        timeout=0,
        pin_memory=False,
        persistent_workers=False,
        _iterator=None,
    )
    return twin


def _generators(*parts: Any) -> Iterator[torch.Generator]:
    """Yield the generators that the samplers hold."""
    for part in parts:
        held = [part, *getattr(part, "__dict__", {}).values()]
        yield from (one for one in held if isinstance(one, torch.Generator))


def _generator_like(generator: torch.Generator) -> torch.Generator:
    twin = torch.Generator(generator.device)
    twin.set_state(generator.get_state())
    return twin


def _uncopied(loader: DataLoader[Any], error: Exception) -> str:
    batch_sampler = loader.batch_sampler
    parts = (loader.sampler, batch_sampler, getattr(batch_sampler, "sampler", None))
    for part in parts:
        if isinstance(part, Iterator):
            return (
                f"{CALL} would use up the sampler: it is a {type(part).__name__}, which gives its "
                "indices once, so the loader has one epoch only. Give it a list or a Sampler: "
                "`sampler=list(...)`."
            )
    return (
        f"{CALL} looks at a copy, so that your loader stays as it is, and {_sampler_name(loader)} "
        f"can't be copied: {first_line(error)}."
    )


def datasets_within(dataset: object) -> list[Any]:
    """Return a data set and those that it wraps (`Subset`, `ConcatDataset`, a student's own)."""
    found: list[Any] = []
    waiting = [dataset]
    while waiting:
        one = waiting.pop()
        if any(one is other for other in found):
            continue
        found.append(one)
        inner = [getattr(one, "dataset", None), *_parts(getattr(one, "datasets", None))]
        waiting += [part for part in inner if hasattr(part, "__getitem__")]
    return found


def _parts(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


@dataclass(frozen=True)
class _Spy:
    """Stands in front of the sampler of a `BatchSampler` and writes down what it draws."""

    sampler: Any
    drawn: list[int]

    @classmethod
    def on(cls, batch_sampler: Any) -> _Spy | None:
        if type(batch_sampler) is not BatchSampler or not batch_sampler.drop_last:
            return None
        spy = cls(batch_sampler.sampler, [])
        batch_sampler.sampler = spy
        return spy

    def __iter__(self) -> Iterator[Any]:
        for index in self.sampler:
            self.drawn.append(index)
            yield index

    def __len__(self) -> int:
        return len(self.sampler)


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Put back the random states of PyTorch, NumPy and Python as they were before the block."""
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = list(range(torch.cuda.device_count())) if started else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)
            if mps is not None:
                torch.mps.set_rng_state(mps)


def _a(value: object) -> str:
    name = type(value).__name__
    if value is None:
        return "None"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
