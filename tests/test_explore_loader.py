"""`explore.loader`: its batches are those that the loader gives next, and nothing else changes."""

from __future__ import annotations

import base64
import importlib
import itertools
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from firstlight import explore
from firstlight.explore.frame import Explorer
from firstlight.explore.loader_draws import MOST_DRAWS
from firstlight.explore.loader_story import ROOM, SHOWN

loader_module: Any = importlib.import_module("firstlight.explore.loader")
Make = Callable[[], DataLoader[Any]]
KINDS = {"u1": "u1", "u2": "<u2", "i4": "<i4", "f8": "<f8"}
CLASSES = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 10, labels: Tensor | None = None) -> TensorDataset:
    """A data set whose first part is the example's own number."""
    return TensorDataset(torch.arange(count), torch.arange(count) % 3 if labels is None else labels)


def drawn(loader: DataLoader[Any], epochs: int = 2) -> list[list[list[int]]]:
    """What iterating over the loader gives: the oracle of these tests."""
    return [[batch[0].reshape(-1).tolist() for batch in loader] for _ in range(epochs)]


def unpacked(packed: dict[str, Any]) -> list[int]:
    return np.frombuffer(base64.b64decode(packed["bytes"]), KINDS[packed["kind"]]).tolist()


def sizes(epoch: dict[str, Any]) -> list[int]:
    return [size for size, times in epoch["sizes"] for _ in range(times)]


def shown(explorer: Explorer) -> list[list[list[int]]]:
    """The batches in the picture's data, epoch by epoch; of long ones the first examples."""
    epochs = []
    for epoch in explorer.data["epochs"]:
        rows = iter(unpacked(epoch["rows"]))
        lengths = sizes(epoch)
        kept = [at for at in explorer.data["kept"] if at < len(lengths)]
        epochs.append([list(itertools.islice(rows, min(SHOWN, lengths[at]))) for at in kept])
        assert list(rows) == []
    return epochs


def places(explorer: Explorer, number: int) -> dict[int, list[int]]:
    """Where the picture says that each example lies in an epoch."""
    epoch = explorer.data["epochs"][number]
    draws = iter(unpacked(epoch["draws"]))
    often = unpacked(epoch["often"])
    ids = unpacked(explorer.data["ids"])
    found = {
        index: list(itertools.islice(draws, min(6, times)))
        for index, times in zip(ids, often, strict=True)
    }
    assert list(draws) == []
    return found


def loud(explorer: Explorer) -> str:
    return " ".join(note["text"] for note in explorer.data["notes"] if note["loud"])


def quiet(explorer: Explorer) -> str:
    return " ".join(note["text"] for note in explorer.data["notes"] if not note["loud"])


def fact(explorer: Explorer, name: str) -> list[str]:
    column = explorer.data["columns"].index(name)
    return [row[column] for row in explorer.data["facts"]]


class Backwards(Sampler[int]):
    """A student's sampler, which counts how often it was asked."""

    def __init__(self, count: int = 10) -> None:
        self.count = count
        self.asked = 0

    def __iter__(self) -> Iterator[int]:
        self.asked += 1
        return iter(range(self.count - 1, -1, -1))

    def __len__(self) -> int:
        return self.count


class Shaken(Sampler[int]):
    """Draws from every global random state there is, at once and along the way."""

    def __init__(self) -> None: ...

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(10).tolist()
        for index in order:
            yield (index + random.randrange(10) + int(np.random.randint(10))) % 10


class Stored(Dataset[Any]):
    """A student's data set, which remembers every reading and spoils its data by it."""

    def __init__(self, count: int = 40) -> None:
        self.pixels = torch.arange(float(count))
        self.labels = [index % 4 for index in range(count)]
        self.reads = 0

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.reads += 1
        pixels = self.pixels[index : index + 1]
        pixels *= 2
        return pixels + torch.rand(1) + random.random() + np.random.rand(), self.labels[index]


LOADERS: dict[str, Make] = {
    "in order": lambda: DataLoader(numbered(), 4),
    "shuffled": lambda: DataLoader(numbered(), 4, shuffle=True),
    "shuffled, generator": lambda: DataLoader(numbered(), 4, shuffle=True, generator=seeded()),
    "shuffled, dropping": lambda: DataLoader(numbered(), 4, shuffle=True, drop_last=True),
    "batches of 1": lambda: DataLoader(numbered(), shuffle=True),
    "one batch": lambda: DataLoader(numbered(), 32, shuffle=True),
    "with replacement": lambda: DataLoader(
        numbered(), 4, sampler=RandomSampler(numbered(), replacement=True, num_samples=70)
    ),
    "weighted": lambda: DataLoader(
        numbered(), 4, sampler=WeightedRandomSampler([1.0] * 9 + [20.0], 12)
    ),
    "weighted, generator": lambda: DataLoader(
        numbered(), 4, sampler=WeightedRandomSampler([1.0] * 10, 12, generator=seeded(3))
    ),
    "two generators": lambda: DataLoader(
        numbered(),
        4,
        sampler=SubsetRandomSampler([1, 3, 5, 7, 9], generator=seeded(1)),
        generator=seeded(2),
    ),
    "own sampler": lambda: DataLoader(numbered(), 4, sampler=Backwards()),
    "shaken": lambda: DataLoader(numbered(), 4, sampler=Shaken()),
    "a list": lambda: DataLoader(numbered(), 4, sampler=[3, 1, 2, 2, 9]),
    "a tensor": lambda: DataLoader(numbered(), 4, sampler=torch.arange(9, -1, -1)),  # type: ignore[arg-type]
    "own batches": lambda: DataLoader(numbered(), batch_sampler=[[1, 2, 3], [4], [9, 0, 9, 0]]),
    "random batches": lambda: DataLoader(
        numbered(), batch_sampler=BatchSampler(RandomSampler(numbered()), 3, drop_last=True)
    ),
    "no batches": lambda: DataLoader(numbered(), batch_size=None, shuffle=True),
    "lists as samples": lambda: DataLoader(
        numbered(), batch_size=None, sampler=BatchSampler(SequentialSampler(numbered()), 4, False)
    ),
    "subset": lambda: DataLoader(Subset(numbered(30), list(range(10))), 3, shuffle=True),
    "one of two machines": lambda: DataLoader(
        numbered(), 2, sampler=DistributedSampler(numbered(), 2, 0)
    ),
}


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest) -> DataLoader[Any]:
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    return LOADERS[request.param]()


# The batches are those that come next ----------------------------------------------------------


def test_the_batches_are_those_that_iterating_gives_next(loader: DataLoader[Any]) -> None:
    explorer = explore.loader(loader)
    assert shown(explorer) == drawn(loader)


def test_they_are_so_between_other_epochs(loader: DataLoader[Any]) -> None:
    drawn(loader, 1)
    explorer = explore.loader(loader, epochs=3)
    assert shown(explorer) == drawn(loader, 3)


def test_looking_twice_shows_the_same(loader: DataLoader[Any]) -> None:
    assert explore.loader(loader)._repr_html_() == explore.loader(loader)._repr_html_()


def test_all_random_states_stay_as_they_were(loader: DataLoader[Any]) -> None:
    def states() -> list[Any]:
        own = [loader.generator, getattr(loader.sampler, "generator", None)]
        return [
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),  # type: ignore[index, call-overload]
            *(one.get_state().tolist() for one in own if isinstance(one, torch.Generator)),
        ]

    before = states()
    explore.loader(loader)
    assert states() == before


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("name", ["shuffled", "shaken by batches"])
def test_with_workers_they_are_what_the_workers_are_handed(
    name: str, persistent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Batches(Sampler[list[int]]):
        def __init__(self) -> None: ...

        def __iter__(self) -> Iterator[list[int]]:
            return iter(torch.randperm(10).reshape(5, 2).tolist())

    options: dict[str, Any] = {
        "shuffled": {"batch_size": 4, "shuffle": True},
        "shaken by batches": {"batch_sampler": Batches()},
    }[name]
    loader = DataLoader(numbered(), num_workers=1, persistent_workers=persistent, **options)
    monkeypatch.setattr(torch.multiprocessing, "Process", None)  # none may start
    torch.manual_seed(3)
    explorer = explore.loader(loader)
    epochs = shown(explorer)
    # What PyTorch draws: the workers' seed where workers start, and the sampler asked twice then.
    expected = []
    for number in range(2):
        if number == 0 or not persistent:
            if name == "shaken by batches":
                iter(loader.batch_sampler)  # type: ignore[arg-type]
            torch.empty((), dtype=torch.int64).random_()
        expected.append([list(batch) for batch in loader.batch_sampler])  # type: ignore[union-attr]
    assert epochs == expected


def test_a_subclass_with_a_loop_of_its_own_is_shown() -> None:
    class OnDevice(DataLoader[Any]):
        def __iter__(self) -> Any:
            for inputs, labels in super().__iter__():
                yield inputs.to("cpu"), labels

    loader = OnDevice(numbered(), 4, shuffle=True, generator=seeded())
    assert shown(explore.loader(loader)) == drawn(loader)


def test_the_collate_function_does_not_run() -> None:
    def never(items: Any) -> Any:
        raise AssertionError("collated")

    assert len(shown(explore.loader(DataLoader(numbered(), 4, collate_fn=never)))[0]) == 3


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_as_many_epochs_as_wanted(epochs: int) -> None:
    explorer = explore.loader(DataLoader(numbered(), 4, shuffle=True), epochs=epochs)
    assert len(shown(explorer)) == epochs
    assert explorer.text.count("\nEpoch ") == epochs


# Nothing changes -------------------------------------------------------------------------------


def test_the_student_s_sampler_is_not_asked() -> None:
    loader = LOADERS["own sampler"]()
    explore.loader(loader)
    assert loader.sampler.asked == 0  # type: ignore[union-attr]


def test_the_data_set_is_not_read_itself() -> None:
    dataset = Stored()
    before = dataset.pixels.clone()
    explorer = explore.loader(DataLoader(dataset, 8, shuffle=True))
    assert explorer.data["classes"] == ["0", "1", "2", "3"]
    assert dataset.reads == 0
    assert torch.equal(dataset.pixels, before)


def test_random_transforms_disturb_nothing() -> None:
    loader = DataLoader(Stored(), 8, shuffle=True)
    torch.manual_seed(1)
    explorer = explore.loader(loader)
    first = iter(loader.batch_sampler)  # type: ignore[arg-type]
    torch.empty((), dtype=torch.int64).random_()  # as the loader's iterator does
    assert shown(explorer)[0] == list(first)


class Plain(Stored):
    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pixels[index], self.labels[index]


@pytest.mark.parametrize("dataset", [numbered(10, CLASSES), Plain(), Plain(2000), [(1, 0)] * 9])
def test_another_default_device_changes_nothing(
    dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = DataLoader(dataset, 4)
    expected = explore.loader(loader)
    recorded = loader_module.record_epochs(loader, 2)
    monkeypatch.setattr(loader_module, "record_epochs", lambda *_: recorded)  # PyTorch's own part
    with torch.device("meta"):
        assert explore.loader(loader)._repr_html_() == expected._repr_html_()


def test_the_loader_s_own_attributes_stay() -> None:
    loader = LOADERS["shuffled, dropping"]()
    before = dict(vars(loader))
    inner = loader.batch_sampler.sampler  # type: ignore[union-attr]
    explore.loader(loader)
    assert vars(loader) == before
    assert loader.batch_sampler.sampler is inner  # type: ignore[union-attr]


# Where examples lie ----------------------------------------------------------------------------


def test_each_example_lies_where_the_picture_says(loader: DataLoader[Any]) -> None:
    explorer = explore.loader(loader)
    for number, batches in enumerate(drawn(loader)):
        flat = [index for batch in batches for index in batch]
        for index, found in places(explorer, number).items():
            assert found == [at for at, other in enumerate(flat) if other == index][:6]


def test_a_short_last_batch_is_counted() -> None:
    explorer = explore.loader(LOADERS["shuffled"]())
    assert fact(explorer, "batches") == ["3", "3"]
    assert fact(explorer, "last batch") == ["2 of 4", "2 of 4"]
    assert fact(explore.loader(DataLoader(numbered(12), 4)), "last batch") == ["full", "full"]


def test_what_is_dropped_is_what_no_batch_holds() -> None:
    loader = LOADERS["shuffled, dropping"]()
    explorer = explore.loader(loader)
    for epoch, batches in zip(explorer.data["epochs"], drawn(loader), strict=True):
        held = {index for batch in batches for index in batch}
        assert sorted(epoch["dropped"]) == sorted(set(range(10)) - held)
    assert fact(explorer, "dropped") == fact(explorer, "left out") == ["2", "2"]
    assert loud(explorer) == ""


def test_the_same_examples_dropped_every_time_are_pointed_out() -> None:
    explorer = explore.loader(DataLoader(numbered(), 4, drop_last=True))
    assert "drops the same 2 examples in every epoch" in loud(explorer)
    assert "2 of them come in none of the epochs" in quiet(explorer)


def test_dropping_the_only_batch_is_pointed_out() -> None:
    explorer = explore.loader(DataLoader(numbered(), 32, shuffle=True, drop_last=True))
    assert "There is no batch at all: 10 examples do not fill one of 32" in loud(explorer)
    assert explorer.data["epochs"][0]["droppedCount"] == 10


def test_examples_that_come_again_or_never_are_counted() -> None:
    loader = LOADERS["weighted"]()
    explorer = explore.loader(loader)
    for number, batches in enumerate(drawn(loader)):
        flat = [index for batch in batches for index in batch]
        assert fact(explorer, "left out")[number] == str(10 - len(set(flat)))
        again = sum(flat.count(index) > 1 for index in set(flat))
        assert fact(explorer, "repeated")[number] == str(again)
    assert "may come several times, or never" in quiet(explorer)


def test_indices_from_the_end_count_as_their_example() -> None:
    explorer = explore.loader(DataLoader(numbered(), 2, sampler=[-1, 0, -10]))
    assert shown(explorer)[0] == [[-1, 0], [-10]]
    assert fact(explorer, "left out") == ["8", "8"]


def test_an_index_outside_the_data_set_is_pointed_out() -> None:
    explorer = explore.loader(DataLoader(numbered(), batch_sampler=[[1, 2], [12]]))
    assert "gives index 12 in batch 2 of epoch 1, and 1 more like it" in loud(explorer)


# Classes ---------------------------------------------------------------------------------------


def counted_by_torch(loader: DataLoader[Any], classes: int) -> list[list[list[int]]]:
    return [
        [torch.bincount(labels.flatten().int(), minlength=classes).tolist() for _, labels in loader]
        for _ in range(2)
    ]


def sources() -> dict[str, Dataset[Any]]:
    inputs, labels = torch.zeros(10, 2), CLASSES
    wrapped = TensorDataset(inputs, labels)
    items = [(row, int(label)) for row, label in zip(inputs, labels, strict=True)]
    other: Any = {
        "tensors": wrapped,
        "subset of a subset": Subset(Subset(wrapped, [9, 8, 7, 1, 0, 4]), [5, 4, 0, 1]),
        "joined": ConcatDataset([wrapped, Subset(wrapped, [1, 9])]),
        "a list of pairs": items,
        "tensors as labels": [(row, torch.tensor([label])) for row, label in items],
        "NumPy numbers": [(row, np.int64(label)) for row, label in items],
        "truths": [(row, label > 0) for row, label in items],
        "numbers far apart": TensorDataset(inputs, labels * 50 + 3),
    }
    return dict(other)


@pytest.mark.parametrize("name", sources())
def test_each_batch_s_classes_are_those_of_its_labels(name: str) -> None:
    loader = DataLoader(sources()[name], 4, shuffle=True, generator=seeded())
    explorer = explore.loader(loader)
    classes = list(map(int, explorer.data["classes"]))
    expected = [
        [[row[label] for label in classes] for row in epoch]
        for epoch in counted_by_torch(loader, max(classes) + 1)
    ]
    assert [epoch["counts"] for epoch in explorer.data["epochs"]] == expected


def test_an_image_data_set_s_labels_are_proved_by_a_sample() -> None:
    explorer = explore.loader(DataLoader(Stored(3000), 32, shuffle=True))
    assert "keeps in `labels`; 50 items from all over it gave the same" in quiet(explorer)


def test_stored_labels_that_items_do_not_give_are_not_believed() -> None:
    class Turned(Stored):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return self.pixels[index], 3 - self.labels[index]

    explorer = explore.loader(DataLoader(Turned(3000), 30))
    assert "1,000 items of 3,000 were read" in quiet(explorer)
    known = [row for row in explorer.data["epochs"][0]["counts"] if row is not None]
    assert 0 < len(known) < len(explorer.data["kept"])
    expected = torch.bincount(3 - torch.arange(30) % 4, minlength=4).tolist()
    assert known[0] == expected


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            TensorDataset(torch.zeros(4), torch.zeros(4)),
            "The targets are float32, not class numbers",
        ),
        (TensorDataset(torch.zeros(4)), "is a tuple of 1 and no pair"),
        (TensorDataset(torch.zeros(4), torch.zeros(4, 2).long()), "are no single numbers"),
        (TensorDataset(torch.zeros(30), torch.arange(30)), "hold 30 different numbers"),
        ([(1, "cat")] * 4, "The targets are of type str"),
        ([{"image": 1}] * 4, "`dataset[0]` is of type dict and no pair"),
        ([None] * 4, "`dataset[0]` is None and no pair"),
        ([(1, torch.zeros(2))] * 4, "The target of example 0 has shape (2,)"),
        ([(1, 0.5)] * 4, "The targets are of type float"),
    ],
)
def test_without_classes_it_says_why(dataset: Any, words: str) -> None:
    explorer = explore.loader(DataLoader(dataset, 2))
    assert words in quiet(explorer)
    assert explorer.data["classes"] == []
    assert explorer.data["epochs"][0]["counts"] == [None] * len(explorer.data["kept"])


def test_an_item_that_fails_is_pointed_out_beside_the_batches() -> None:
    class Broken(Stored):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            if index == 7:
                raise ValueError("no file 7")
            return super().__getitem__(index)

    explorer = explore.loader(DataLoader(Broken(), 8))
    assert "`dataset[7]` raised ValueError: no file 7." in loud(explorer)
    assert shown(explorer)[0][0] == list(range(8))


def test_a_data_set_that_cannot_be_copied_is_not_read() -> None:
    class Locked(Stored):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("cannot copy an open file")

    dataset = Locked()
    explorer = explore.loader(DataLoader(dataset, 8, shuffle=True))
    assert "can't be copied (TypeError: cannot copy an open file)" in quiet(explorer)
    assert dataset.reads == 0


def test_sorted_labels_that_nothing_mixes_are_pointed_out() -> None:
    dataset = numbered(1000, torch.arange(1000) // 100)
    assert "A batch of epoch 1 holds 1 to 2 classes" in loud(
        explore.loader(DataLoader(dataset, 32))
    )
    assert loud(explore.loader(DataLoader(dataset, 32, shuffle=True))) == ""
    assert loud(explore.loader(DataLoader(numbered(1000), 32))) == ""


def test_where_the_classes_begin_in_a_sorted_data_set_is_shown() -> None:
    explorer = explore.loader(DataLoader(numbered(10, CLASSES), 4))
    assert explorer.data["runs"] == [[0, 0], [4, 1], [7, 2]]
    words = "class 0 from example 0, class 1 from example 4 and class 2 from example 7."
    assert words in explorer.text
    assert explore.loader(DataLoader(numbered(100), 4)).data["runs"] == []


# What the words promise ------------------------------------------------------------------------


def test_it_says_what_the_next_epochs_depend_on() -> None:
    free = quiet(explore.loader(LOADERS["shuffled"]()))
    assert "if nothing else draws from PyTorch's global random state" in free
    assert "With `generator=` the loader has a state of its own" in free
    assert "With `generator=` the sampler has" in quiet(explore.loader(LOADERS["weighted"]()))
    bound = quiet(explore.loader(LOADERS["shuffled, generator"]()))
    assert "drawn from a generator of its own" in bound
    assert "2 loops over the loader get, run to their end." in bound
    assert "if " not in quiet(explore.loader(LOADERS["in order"]()))


def test_another_random_draw_changes_the_epochs_without_a_generator_only() -> None:
    for name, stays in (("shuffled", False), ("shuffled, generator", True)):
        torch.manual_seed(0)
        loader = LOADERS[name]()
        epochs = shown(explore.loader(loader))
        torch.rand(1)
        assert (drawn(loader) == epochs) is stays


def test_a_batch_sampler_of_pytorchs_is_told_by_its_own_sampler() -> None:
    batches = BatchSampler(RandomSampler(numbered(), generator=seeded()), 32, drop_last=True)
    explorer = explore.loader(DataLoader(numbered(), batch_sampler=batches))
    assert "10 examples do not fill one of 32" in loud(explorer)
    assert "Every epoch is a new order of the data set" in quiet(explorer)
    assert "drawn from a generator of its own" in quiet(explorer)
    own = explore.loader(DataLoader(numbered(), batch_sampler=[[0, 1], [2]]))
    assert "The batches come from your batch_sampler, a list." in quiet(own)


def test_a_sampler_that_repeats_its_order_is_named() -> None:
    words = quiet(explore.loader(LOADERS["one of two machines"]()))
    assert "a DistributedSampler. It gives the same order in every epoch." in words


def test_the_text_holds_every_batch_of_a_small_loader(loader: DataLoader[Any]) -> None:
    text = explore.loader(loader).text
    for number, batches in enumerate(drawn(loader), 1):
        part = text.split(f"\nEpoch {number}: ")[1].split("\nEpoch ")[0]
        told = re.findall(r"batch ([\d,]+): ([-\d, ]+)", part)
        assert [int(at) for at, _ in told] == list(range(1, len(batches) + 1))
        assert [list(map(int, row.split(", "))) for _, row in told] == batches


# A large data set ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large() -> tuple[DataLoader[Any], Explorer]:
    dataset = numbered(60_000, torch.arange(60_000) % 10)
    loader = DataLoader(dataset, 32, shuffle=True, generator=seeded())
    return loader, explore.loader(loader)


def test_of_a_large_loader_the_kept_batches_are_right(
    large: tuple[DataLoader[Any], Explorer],
) -> None:
    loader, explorer = large
    kept = explorer.data["kept"]
    assert kept[:20] == list(range(20))
    assert kept[-6:] == list(range(1869, 1875))
    for number, batches in enumerate(drawn(loader)):
        assert shown(explorer)[number] == [batches[at] for at in kept]
        order = list(itertools.chain(*batches))
        for index, found in list(places(explorer, number).items())[::50]:
            assert [order[at] for at in found] == [index]


def test_a_large_loader_stays_light(large: tuple[DataLoader[Any], Explorer]) -> None:
    _, explorer = large
    assert len(explorer._repr_html_().encode()) < 160_000
    assert sum(map(len, itertools.chain(*shown(explorer)))) <= ROOM
    assert "Of 1,875 batches in an epoch 75 are kept" in quiet(explorer)
    assert fact(explorer, "examples") == ["60,000", "60,000"]


def test_of_a_large_batch_the_first_examples_are_kept_and_all_are_counted() -> None:
    loader = DataLoader(numbered(2000), 512, shuffle=True, generator=seeded())
    explorer = explore.loader(loader)
    expected = drawn(loader)
    assert shown(explorer) == [[batch[:SHOWN] for batch in epoch] for epoch in expected]
    assert [sum(row) for row in explorer.data["epochs"][0]["counts"]] == [512, 512, 512, 464]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 300, 5000, 9000])
@pytest.mark.parametrize("epochs", [1, 4])
def test_every_loader_keeps_its_first_and_its_last_batch(size: int, epochs: int) -> None:
    explorer = explore.loader(DataLoader(numbered(9000), size), epochs=epochs)
    batches = -(-9000 // size)
    kept = explorer.data["kept"]
    assert kept[0] == 0
    assert kept[-1] == batches - 1
    assert sum(map(len, itertools.chain(*shown(explorer)))) <= ROOM


# What it refuses -------------------------------------------------------------------------------


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


class Failing(Sampler[int]):
    def __init__(self) -> None: ...

    def __iter__(self) -> Iterator[int]:
        yield 1
        raise KeyError("lost")


class Endless(Sampler[int]):
    def __init__(self) -> None: ...

    def __iter__(self) -> Iterator[int]:
        return itertools.repeat(1)


class Unmeasured:
    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, 0


class Failed(Unmeasured):
    def __len__(self) -> int:
        raise OSError("no such folder")


def refused() -> dict[str, tuple[Callable[[], Any], str]]:
    unsized: Any = Unmeasured()
    failed: Any = Failed()
    return {
        "a data set": (numbered, "got a TensorDataset. Wrap a data set first"),
        "None": (lambda: None, "got None. Does the function that makes it return it"),
        "an iterator": (lambda: iter(DataLoader(numbered())), "pass the loader itself"),
        "a number": (lambda: 3, "needs a DataLoader; it got an int"),
        "the class": (lambda: DataLoader, "DataLoader is a class: make one first"),
        "a stream": (lambda: DataLoader(Stream()), "Stream is an IterableDataset"),
        "an empty data set": (lambda: DataLoader([], 4), r"`len\(dataset\)` is 0"),  # type: ignore[arg-type]
        "a failing sampler": (
            lambda: DataLoader(numbered(), 4, sampler=Failing()),
            r"the sampler \(Failing\) raised KeyError: 'lost'",
        ),
        "an endless sampler": (
            lambda: DataLoader(numbered(), 64, sampler=Endless()),
            rf"{MOST_DRAWS:,} indices: the sampler \(Endless\) does not end",
        ),
        "a generator": (
            lambda: DataLoader(numbered(), 4, sampler=(index for index in range(3))),
            "it is a generator, which gives its indices once",
        ),
        "a generator of batches": (
            lambda: DataLoader(numbered(), batch_sampler=([index] for index in range(3))),
            "it is a generator, which gives its indices once",
        ),
        "numbers as batches": (
            lambda: DataLoader(numbered(), batch_sampler=[1, 2]),  # type: ignore[list-item]
            r"a list of whole numbers a batch; the batch_sampler \(list\) gave 1",
        ),
        "names as indices": (
            lambda: DataLoader(numbered(), 2, sampler=["a", "b"]),
            r"the sampler \(list\) gave \['a', 'b'\]",
        ),
        "no length": (lambda: DataLoader(unsized, 4), "SequentialSampler.* has no len"),
        "a failing length": (lambda: DataLoader(failed, 4), "raised OSError: no such folder"),
    }


@pytest.mark.parametrize("name", refused())
def test_a_wrong_argument_is_refused_in_a_sentence(name: str) -> None:
    make, words = refused()[name]
    with pytest.raises(TypeError, match=words) as caught:
        explore.loader(make())
    assert str(caught.value).startswith("explore.loader ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("epochs", [0, 5, -1, True, 2.0, "2", None])
def test_a_wrong_number_of_epochs_is_refused(epochs: Any) -> None:
    with pytest.raises(TypeError, match="shows 1 to 4 epochs; it got epochs="):
        explore.loader(DataLoader(numbered()), epochs=epochs)


def test_a_refused_generator_is_not_used_up() -> None:
    sampler = (index for index in range(3))
    loader = DataLoader(numbered(), 4, sampler=sampler)
    with pytest.raises(TypeError):
        explore.loader(loader)
    assert drawn(loader, 1) == [[[0, 1, 2]]]


def test_an_iterator_shows_that_its_second_epoch_is_empty() -> None:
    loader = DataLoader(numbered(), 4, sampler=iter([5, 6, 7]))
    explorer = explore.loader(loader)
    assert "Epoch 2 is empty: the sampler gives its indices once" in loud(explorer)
    assert shown(explorer) == drawn(loader) == [[[5, 6, 7]], []]


def test_a_data_set_without_a_length_is_shown_by_its_sampler() -> None:
    dataset: Any = Unmeasured()
    explorer = explore.loader(DataLoader(dataset, 2, sampler=[8, 1, 3]))
    assert shown(explorer)[0] == [[8, 1], [3]]
    assert "left out" not in explorer.data["columns"]
    assert explorer.data["extent"] == 9
