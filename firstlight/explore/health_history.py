"""What a recorder wrote down, read as one series of numbers for each layer and each parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from firstlight.explore.health_record import Recorder

CALL = "explore.health"
LAYER_KEYS = ("mean", "std", "largest", "zero", "dead", "nonfinite", "units", "values")
PARAMETER_KEYS = ("gradient", "largest", "nonfinite", "weight", "update", "ratio")

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Series:
    """One layer or one parameter over all steps; `there` says where it has numbers.

    A layer has numbers where it was called, a parameter's gradient where there was one.
    """

    name: str
    kind: str  # a layer's type, or "parameter"
    entries: Sequence[Mapping[str, Any] | None]
    there: Flags
    numbers: dict[str, Floats]

    def __getitem__(self, key: str) -> Floats:
        return self.numbers[key]

    @property
    def last(self) -> Mapping[str, Any]:
        """What the last step that has it says."""
        return next(entry for entry in reversed(self.entries) if entry is not None)


@dataclass(frozen=True, eq=False)
class Health:
    """All that was recorded; layers and parameters stand in the order of the forward."""

    losses: Floats
    has_loss: Flags
    forwards: list[int]
    updates: list[int]
    layers: list[Series]
    parameters: list[Series]

    @property
    def length(self) -> int:
        """How many steps there are."""
        return len(self.losses)

    @property
    def weights(self) -> list[Series]:
        """The parameters with two axes or more that are to be trained."""
        return [p for p in self.parameters if len(p.last["shape"]) > 1 and p.last["trains"]]


def read_health(history: object) -> Health:
    """Return what a history says.

    Raises:
        TypeError: for anything but a recorder with at least one step, or its history.
    """
    steps = history.history if isinstance(history, Recorder) else history
    _require(steps, isinstance(history, Recorder))
    assert isinstance(steps, (list, tuple))
    layers = [
        _series(name, [step["layers"].get(name) for step in steps], LAYER_KEYS)
        for name in _in_order(step["layers"] for step in steps)
    ]
    parameters = [
        _series(name, [step["parameters"].get(name) for step in steps], PARAMETER_KEYS)
        for name in _in_order(step["parameters"] for step in steps)
    ]
    losses = [step.get("loss") for step in steps]
    return Health(
        _floats(losses),
        np.array([loss is not None for loss in losses], dtype=bool),
        [int(step.get("forwards", 1)) for step in steps],
        [int(step.get("updates", 0)) for step in steps],
        layers,
        _as_called(parameters, layers),
    )


def _require(steps: object, recorded: bool) -> None:
    due = "what explore.record(model) recorded: the recorder, or its history"
    if isinstance(steps, nn.Module):
        raise TypeError(f"{CALL} needs {due}; it got the model itself.")
    if not isinstance(steps, (list, tuple)):
        name = type(steps).__name__
        got = "None" if steps is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
        raise TypeError(f"{CALL} needs {due}; it got {got}.")
    if not steps:
        raise TypeError(
            f"{CALL} needs at least one recorded step, and there is none: call record.step(loss) "
            "after each optimizer.step()."
        )
    for number, step in enumerate(steps):
        if not _is_step(step):
            hint = (
                " explore.training shows a list of losses."
                if isinstance(step, (int, float))
                else ""
            )
            where = "the recorder's history" if recorded else "history"
            raise TypeError(
                f"{CALL} needs {due}; {where}[{number}] is no recorded step but of type "
                f"{type(step).__name__}.{hint}"
            )


def _is_step(step: object) -> bool:
    return isinstance(step, Mapping) and all(
        isinstance(step.get(part), Mapping)
        and all(isinstance(entry, Mapping) and key in entry for entry in step[part].values())
        for part, key in (("layers", "std"), ("parameters", "update"))
    )


def _in_order(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all names, each new one behind the name that stands before it in its own step."""
    names: list[str] = []
    known: set[str] = set()
    for step in steps:
        if known.issuperset(step):
            continue
        before = -1
        for name in step:
            if name not in known:
                names.insert(before + 1, name)
                known.add(name)
            before = names.index(name)
    return names


def _series(name: str, entries: list[Any], keys: Sequence[str]) -> Series:
    layer = keys is LAYER_KEYS
    kind = next(entry for entry in entries if entry)["type"] if layer else "parameter"
    if layer:
        there = [entry is not None for entry in entries]
    else:
        there = [entry is not None and entry["gradient"] is not None for entry in entries]
    numbers = {key: _floats(entry and entry.get(key) for entry in entries) for key in keys}
    return Series(name, kind, entries, np.array(there, dtype=bool), numbers)


def _floats(values: Iterable[Any]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _as_called(parameters: list[Series], layers: list[Series]) -> list[Series]:
    """Order parameters as forward calls their layers; one of an uncalled layer keeps its neighbour."""
    places = {layer.name: place for place, layer in enumerate(layers)}
    order = {}
    place = -1
    for parameter in parameters:
        place = places.get(parameter.name.rpartition(".")[0], place)
        order[parameter.name] = place
    return sorted(parameters, key=lambda parameter: order[parameter.name])
