"""What a student noted about experiments: each run read and checked, runs of one name together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

CALL = "explore.runs"
LONGEST = 60  # characters of a value of a config


@dataclass(frozen=True)
class Run:
    """One run as it was noted; an empty list or None stands for what was not."""

    name: str
    config: dict[str, str]  # without its seed; values as they are written
    training: list[float | None]  # losses, one for each epoch; None where it was not measured
    validation: list[float | None]
    accuracies: list[float]  # one for each epoch, or the last alone
    per_class: list[float]
    seconds: float | None
    parameters: float | None
    seed: str | None

    @property
    def accuracy(self) -> float | None:
        return self.accuracies[-1] if self.accuracies else None

    @property
    def diverged(self) -> int | None:
        """The first epoch, from 1, whose loss is infinite or NaN."""
        for epoch, losses in enumerate(zip(self.training, self.validation, strict=True), 1):
            if any(loss is not None and not math.isfinite(loss) for loss in losses):
                return epoch
        return None


@dataclass(frozen=True)
class Spread:
    """Some numbers in short: their mean, the lowest, the highest, and how many they are."""

    mean: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: Sequence[float | None]) -> Spread | None:
        known = [value for value in values if value is not None]
        if not known:
            return None
        return Spread(sum(known) / len(known), min(known), max(known), len(known))

    @property
    def span(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class Group:
    """The runs of one name: an experiment, repeated with other seeds."""

    name: str
    runs: list[Run]

    @cached_property
    def accuracy(self) -> Spread | None:
        return Spread.of([run.accuracy for run in self.runs])

    @cached_property
    def seconds(self) -> Spread | None:
        return Spread.of([run.seconds for run in self.runs])

    @cached_property
    def parameters(self) -> Spread | None:
        return Spread.of([run.parameters for run in self.runs])

    @cached_property
    def last_loss(self) -> Spread | None:
        """The validation losses of the last epochs."""
        return Spread.of([run.validation[-1] for run in self.runs if run.validation])

    @cached_property
    def per_class(self) -> list[Spread]:
        known = [run.per_class for run in self.runs if run.per_class]
        found = [Spread.of(values) for values in zip(*known, strict=True)]
        return [spread for spread in found if spread]

    @cached_property
    def config(self) -> dict[str, str]:
        """Each setting; where the runs differ in it, all its values."""
        keys = dict.fromkeys(key for run in self.runs for key in run.config)
        return {
            key: " or ".join(dict.fromkeys(run.config.get(key, "none") for run in self.runs))
            for key in keys
        }

    @property
    def varied(self) -> list[str]:
        """The settings in which the runs of this name differ."""
        first = self.runs[0].config
        return [
            key
            for key in self.config
            if any(run.config.get(key) != first.get(key) for run in self.runs)
        ]

    @property
    def repeated_seeds(self) -> bool:
        seeds = [run.seed for run in self.runs if run.seed is not None]
        return len(set(seeds)) < len(seeds)

    @property
    def word(self) -> str:
        """What its runs are called: seeds, where each has one of its own."""
        all_known = all(run.seed is not None for run in self.runs)
        return "seed" if all_known and not self.repeated_seeds else "run"


# Reading ---------------------------------------------------------------------------------------


def read_runs(runs: object) -> list[Group]:
    """Return the runs in a list of dicts, those of one name together, in the order given.

    Raises:
        TypeError: for anything else, or a part of the wrong kind.
        ValueError: for a part whose numbers can't be meant, such as an accuracy of 88.
    """
    if isinstance(runs, Mapping):
        raise TypeError(
            f"{CALL} needs a list of runs, and got a dict: put one run in a list, "
            f"{CALL}([run]), or take the values of a dict of runs, {CALL}(list(runs.values()))."
        )
    if not isinstance(runs, (list, tuple)):
        raise TypeError(
            f"{CALL} needs a list of runs, each a dict with at least a name, and got {_kind(runs)}: "
            "note each run in a dict and collect these in a list."
        )
    if not runs:
        raise ValueError(f"{CALL} needs at least one run; the list is empty: append one to it.")
    found: dict[str, list[Run]] = {}
    for place, noted in enumerate(runs):
        run = _read_run(noted, f"runs[{place}]")
        found.setdefault(run.name, []).append(run)
    groups = [Group(name, together) for name, together in found.items()]
    _require_same_classes(groups)
    return groups


def _read_run(noted: object, where: str) -> Run:
    if not isinstance(noted, Mapping):
        raise TypeError(
            f"{CALL} needs each run as a dict, and {where} is {_kind(noted)}: "
            'write it as {"name": "baseline", "accuracy": 0.84}.'
        )
    name = noted.get("name")
    if name is None:
        raise ValueError(
            f'{CALL} needs a name for each run, and {where} has none: give it a "name".'
        )
    if not isinstance(name, str) or not name.strip():
        raise TypeError(
            f"{CALL} needs each name as text, and that of {where} is {_kind(name)}: "
            'write a word, such as "baseline".'
        )
    config = _config(noted.get("config"), f'{where}["config"]')
    seed = noted.get("seed", config.get("seed"))
    training, validation = _history(noted.get("history"), f'{where}["history"]')
    return Run(
        name=" ".join(name.split()),
        config={key: value for key, value in config.items() if key != "seed"},
        training=training,
        validation=validation,
        accuracies=_fractions(noted.get("accuracy"), f'{where}["accuracy"]', one=True),
        per_class=_fractions(noted.get("per_class"), f'{where}["per_class"]'),
        seconds=_amount(noted.get("seconds"), f'{where}["seconds"]'),
        parameters=_amount(noted.get("parameters"), f'{where}["parameters"]'),
        seed=None if seed is None else _written(seed),
    )


def _config(config: object, where: str) -> dict[str, str]:
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise TypeError(
            f"{CALL} needs a config as a dict from settings to their values, and {where} is "
            f'{_kind(config)}: write it as {{"lr": 0.1}}.'
        )
    return {_written(key): _written(value) for key, value in config.items()}


def _written(value: object) -> str:
    text = " ".join((value if isinstance(value, str) else repr(value)).split()) or "''"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _history(history: object, where: str) -> tuple[list[float | None], list[float | None]]:
    due = "a list of pairs (training loss, validation loss), one for each epoch"
    if history is None:
        return [], []
    entries = _items(history)
    if entries is None:
        raise TypeError(
            f"{CALL} needs a history as {due}, and {where} is {_kind(history)}: "
            "give it the list that fit returns."
        )
    losses: list[list[float | None]] = []
    for epoch, entry in enumerate(entries):
        pair = _items(entry)
        here = f"{where}[{epoch}]"
        if pair is None or len(pair) != 2:
            seen = _kind(entry) if pair is None else f"of {len(pair)} parts"
            raise TypeError(
                f"{CALL} needs a history as {due}, and {here} is {seen}: "
                "write None for a loss that was not measured."
            )
        losses.append([None if part is None else _number(part, here) for part in pair])
    return [pair[0] for pair in losses], [pair[1] for pair in losses]


def _fractions(values: object, where: str, one: bool = False) -> list[float]:
    """Read numbers from 0 to 1; a single one too, if `one`."""
    if values is None:
        return []
    items = _items(values)
    if items is None and not one:
        raise TypeError(
            f"{CALL} needs the accuracy of each class in a list, and {where} is {_kind(values)}: "
            "write one number for each class, in the classes' order."
        )
    found = [_number(value, where) for value in ([values] if items is None else items)]
    for value in found:
        if not 0 <= value <= 1:
            raise ValueError(
                f"{CALL} needs an accuracy as a fraction from 0 to 1, and {where} holds {value:g}: "
                f"{'divide a percentage by 100.' if value > 1 else 'measure it again.'}"
            )
    return found


def _amount(value: object, where: str) -> float | None:
    if value is None:
        return None
    found = _number(value, where)
    if not 0 <= found < math.inf:
        raise ValueError(
            f"{CALL} needs a number from 0 on, and {where} is {found:g}: "
            "leave it out if it was not measured."
        )
    return found


def _number(value: object, where: str) -> float:
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{CALL} needs a number there, and {where} is {_kind(value)}: "
            "leave it out if it was not measured."
        )
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{CALL} takes numbers up to 1.8e308, and {where} is larger.") from error


def _items(value: object) -> Sequence[Any] | None:
    """Return what a list, a tuple, a tensor or an array holds, else None."""
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim > 0:
        return value.tolist()
    return value if isinstance(value, (list, tuple)) else None


def _require_same_classes(groups: Sequence[Group]) -> None:
    sizes = {
        len(run.per_class): run.name for group in groups for run in group.runs if run.per_class
    }
    if len(sizes) > 1:
        (few, one), (many, other) = sorted(sizes.items())[:2]
        raise ValueError(
            f"{CALL} needs one number for each class in every run, and a run of {one!r} has {few} "
            f"where one of {other!r} has {many}: use the same classes in the same order."
        )


def read_classes(classes: object, groups: Sequence[Group]) -> list[str]:
    """Return the names of the classes: those given, else their numbers.

    Raises:
        TypeError: for names that are not a list of text.
        ValueError: for more or fewer names than classes.
    """
    count = max(len(group.per_class) for group in groups)
    if classes is None:
        return [f"class {number}" for number in range(count)]
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        raise TypeError(
            f"{CALL} needs classes as a list of names, and got {_kind(classes)}: "
            'write ["shirt", "coat"], one name for each class.'
        )
    if count and len(classes) != count:
        raise ValueError(
            f"{CALL} needs one name for each class, and got {len(classes)} names for the {count} "
            "numbers of per_class: give as many names as numbers."
        )
    return [" ".join(name.split()) for name in classes]


def find_baseline(baseline: object, groups: Sequence[Group]) -> int:
    """Return the place of the group of this name; of the first for None.

    Raises:
        ValueError: for a name that no run has.
    """
    names = [group.name for group in groups]
    if baseline is None:
        return 0
    if baseline not in names:
        raise ValueError(
            f"{CALL} needs as baseline the name of a run, and none is called {baseline!r}: "
            f"write {names[0]!r}, or another of your names."
        )
    return names.index(str(baseline))


def _kind(value: object) -> str:
    if value is None:
        return "None"
    text = " ".join(repr(value).split())
    if isinstance(value, str):
        return f"the text {text:.40}"
    return f"of type {type(value).__name__}"
