"""The classes of a data set's examples, read cheaply where that is exact, and what to say if not."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from firstlight.explore.evaluation import first_line
from firstlight.explore.loader_draws import datasets_within, randomness_kept
from firstlight.explore.tensors import counted

MOST_CLASSES = 20
MOST_ITEMS = 1000  # read from the data set itself
SAMPLE = 50  # items that stored labels are compared with
SECONDS = 4.0  # for reading items, however slow they are
MOST_BYTES = 2_000_000_000  # of a data set that is copied before its items are read


class UnknownLabels(Exception):
    """Says in a sentence why an item has no class."""


@dataclass(frozen=True)
class Labels:
    """Classes in rising order, and for each example the place of its class, -1 where unknown.

    `words` says where they come from, or why there are none; `fault` marks an error of the data set.
    """

    classes: list[int]
    ranks: Tensor
    words: str
    fault: bool = False

    @classmethod
    def none(cls, size: int, words: str, fault: bool = False) -> Labels:
        return cls([], torch.full((size,), -1, device="cpu"), words, fault)

    @classmethod
    def of(cls, values: dict[int, int], size: int, words: str) -> Labels:
        """Take the labels of some examples; more than `MOST_CLASSES` classes are too many."""
        classes = sorted(set(values.values()))
        if len(classes) > MOST_CLASSES:
            return cls.none(size, _too_many(len(classes)))
        rank = {label: place for place, label in enumerate(classes)}
        ranks = torch.full((size,), -1, device="cpu")
        for index, label in values.items():
            ranks[index] = rank[label]
        return cls(classes, ranks, words)


def _too_many(classes: int) -> str:
    return (
        f"The class balance is left out: the targets hold {classes:,} different numbers, and it is "
        f"shown for up to {MOST_CLASSES}."
    )


def read_labels(dataset: Any, size: int, wanted: Sequence[int]) -> Labels:
    """Return the class of every example, or of some of the `wanted` ones, in that order.

    Tensors of a `TensorDataset` are taken as they are, through subsets too. From other data sets
    items are read, on a copy; of a large one a sample, to prove labels that it stores.
    """
    try:
        stored = _tensor_labels(dataset)
        if stored is not None:
            return _all(stored, size, "")
        with warnings.catch_warnings(), randomness_kept():
            warnings.simplefilter("ignore")
            return _from_items(_copied(dataset), size, wanted)
    except UnknownLabels as reason:
        return Labels.none(size, str(reason), fault=isinstance(reason.__cause__, Exception))
    except IndexError as error:  # a subset whose indices are not all in its data set
        words = f"An index of the subset lies outside its data set: {first_line(error)}."
        return Labels.none(size, words, fault=True)


def _all(values: Tensor, size: int, words: str) -> Labels:
    if values.dim() != 1 or len(values) != size:
        return Labels.none(size, "The targets are no single numbers, so there is no class balance.")
    if values.is_floating_point() or values.is_complex():
        return Labels.none(size, _no_classes(f"{values.dtype}".removeprefix("torch.")))
    numbers = values.detach().cpu().long()
    classes = sorted(set(numbers.tolist()))
    if len(classes) > MOST_CLASSES:
        return Labels.none(size, _too_many(len(classes)))
    return Labels(classes, torch.searchsorted(torch.tensor(classes, device="cpu"), numbers), words)


def _no_classes(kind: str) -> str:
    return f"The targets are {kind}, not class numbers, so there is no class balance."


# Labels that are stored ------------------------------------------------------------------------


def _tensor_labels(dataset: Any) -> Tensor | None:
    """Return the second tensor of a `TensorDataset`, through PyTorch's own wrappers."""
    kind = type(dataset)
    if kind is TensorDataset and len(dataset.tensors) > 1:
        targets: Tensor = dataset.tensors[1]
        return targets
    if kind is Subset:
        inner = _tensor_labels(dataset.dataset)
        return None if inner is None else _chosen(inner, dataset)
    if kind is ConcatDataset:
        parts = [_tensor_labels(part) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if len(known) == len(parts) else None
    return None


def _chosen(values: Tensor, subset: Subset[Any]) -> Tensor:
    indices = [int(index) for index in subset.indices]
    return values.detach().cpu()[torch.tensor(indices, dtype=torch.long, device="cpu")]


def _candidates(dataset: Any, size: int) -> Iterator[tuple[str, Tensor]]:
    """Yield what a data set stores that could be its labels: `size` whole numbers, by name."""
    if type(dataset) is Subset:
        inner: Any = dataset.dataset
        for name, values in _candidates(inner, len(inner)):
            yield name, _chosen(values, dataset)
        return
    held = getattr(dataset, "__dict__", {})
    for name in dict.fromkeys(("targets", "labels", *held)):
        found = _whole_numbers(held.get(name), size)
        if found is not None:
            yield name, found


def _whole_numbers(value: object, size: int) -> Tensor | None:
    if isinstance(value, (list, tuple)) and len(value) == size:
        whole = all(type(part) is int and abs(part) < 2**62 for part in value)
        return torch.tensor(value, device="cpu") if whole else None
    if isinstance(value, (Tensor, np.ndarray)) and value.shape == (size,):
        if isinstance(value, np.ndarray) and value.dtype.kind not in "biu":
            return None
        values = torch.as_tensor(value, device=getattr(value, "device", "cpu"))
        floating = values.is_floating_point() or values.is_complex()
        return None if floating else values.detach().cpu().long()
    return None


# Labels read from items ------------------------------------------------------------------------


def _from_items(dataset: Any, size: int, wanted: Sequence[int]) -> Labels:
    if size <= MOST_ITEMS:
        read = _read(dataset, range(size))
        return Labels.of(read, size, _read_text(len(read), size))
    sample = _read(dataset, evenly(0, size - 1, SAMPLE))
    for name, values in _candidates(dataset, size):
        if all(int(values[index]) == label for index, label in sample.items()):
            words = (
                f"The classes are those that the data set keeps in `{name}`; {len(sample)} items from "
                "all over it gave the same."
            )
            return _all(values, size, words)
    first = [index for index in dict.fromkeys(wanted) if 0 <= index < size and index not in sample]
    read = sample | _read(dataset, first[: MOST_ITEMS - len(sample)])
    return Labels.of(read, size, _read_text(len(read), size))


def _read_text(read: int, size: int) -> str:
    if read == size:
        return ""
    return (
        f"The data set keeps its labels nowhere in sight, so {counted(read, 'item')} of {size:,} "
        "were read for them; batches with other examples have no balance here."
    )


def _read(dataset: Any, indices: Sequence[int]) -> dict[int, int]:
    """Read the labels of some items, as long as the time for it lasts."""
    until = time.monotonic() + SECONDS
    found: dict[int, int] = {}
    for index in indices:
        if found and time.monotonic() > until:
            break
        try:
            item = dataset[index]
        except Exception as error:  # the student's own code
            raise UnknownLabels(
                f"`dataset[{index}]` raised {first_line(error)}. The loader will stop there too."
            ) from error
        found[index] = _class_number(item, index)
    return found


def _class_number(item: object, index: int) -> int:
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        what = "None" if item is None else f"of type {type(item).__name__}"
        if isinstance(item, (tuple, list)):
            what = f"a {type(item).__name__} of {len(item)}"
        raise UnknownLabels(
            f"`dataset[{index}]` is {what} and no pair (input, label), so there is no class balance."
        )
    label = item[1]
    if isinstance(label, (bool, int, np.integer, np.bool_)):
        return int(label)
    if isinstance(label, (Tensor, np.ndarray)):
        values = torch.as_tensor(label, device=getattr(label, "device", "cpu"))
        if values.numel() != 1:
            raise UnknownLabels(
                f"The target of example {index} has shape {tuple(values.shape)} and is no class "
                "number, so there is no class balance."
            )
        if not (values.is_floating_point() or values.is_complex()):
            return int(values)
        raise UnknownLabels(_no_classes(f"{values.dtype}".removeprefix("torch.")))
    raise UnknownLabels(_no_classes(f"of type {type(label).__name__}"))


def evenly(first: int, last: int, count: int) -> list[int]:
    """Return at most `count` whole numbers from `first` to `last`, evenly spread."""
    count = min(count, last - first + 1)
    if count < 2:
        return [first] * count
    return [first + round(at * (last - first) / (count - 1)) for at in range(count)]


def _copied(dataset: Any) -> Any:
    """Return a copy whose items can be read without a trace in the student's data set."""
    held = [value for part in datasets_within(dataset) for value in _attributes(part)]
    size = sum(value.nbytes for value in held if isinstance(value, (Tensor, np.ndarray)))
    if size > MOST_BYTES:
        raise UnknownLabels("The class balance is left out: the data set is too large to copy.")
    try:
        return copy.deepcopy(dataset)
    except Exception as error:  # an open file, a lock
        raise UnknownLabels(
            "The class balance is left out: reading an item might change your data set, and it "
            f"can't be copied ({first_line(error)})."
        ) from None


def _attributes(dataset: Any) -> list[Any]:
    return list(getattr(dataset, "__dict__", {}).values())
