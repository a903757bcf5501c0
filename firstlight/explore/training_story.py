"""A recorded training and what is asked about it: each answer computed once, where it is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.training_history import CALL, Frames, Run, choose_frames, parameter_names
from firstlight.explore.training_model import (
    Coordinate,
    Fit,
    Surface,
    Trained,
    compute_fit,
    compute_surface,
    coordinates,
)

MOST_FRAMES = 200  # steps on show
CURVE_FRAMES = 100  # as many at least where each has a curve, as far as there is room
CURVE_NUMBERS = 18_000  # room for the curves of all steps and runs: 96 kB
CURVE_POINTS = (41, 121)  # inputs of a curve, at least and at most
MOST_TENSORS = 8  # with curves of their own


def shared_names(runs: Sequence[Run], trained: Trained | None) -> list[str]:
    """Return the parameters that every run recorded, in the same shapes; none if they differ."""
    first: dict[str, Any] | None = None
    for run in runs:
        if not run.records:
            return []
        for step in {0, len(run.records) - 1}:
            record = run.parameters(step)
            if trained:
                trained.require(record, run.label)
            names = trained.names if trained else parameter_names(record)
            shapes = {name: tuple(record[name].shape) for name in names}
            first = shapes if first is None else first
            if shapes != first:
                return []
    return list(first or ())


@dataclass(frozen=True)
class Story:
    """All that is asked about a history: its shown steps, and what was recorded at them."""

    runs: list[Run]
    trained: Trained | None
    names: list[str]
    unit: str  # what an entry of the history stands for: a step, an epoch

    @cached_property
    def frames(self) -> Frames:
        """The steps on show: fewer where each has a long curve."""
        most = MOST_FRAMES
        if self.trained and self.trained.has_one_input and self.names and self.numbers > 2:
            most = min(most, CURVE_NUMBERS // (len(self.runs) * self.curve_points))
        return choose_frames(self.runs, most, first=most // 3 if self.names else 0)

    @property
    def curve_points(self) -> int:
        """At how many inputs a curve is computed: the fewer curves, the finer they are."""
        steps = max(len(run.losses) for run in self.runs)
        room = CURVE_NUMBERS // (len(self.runs) * min(steps, CURVE_FRAMES))
        return min(max(room, CURVE_POINTS[0]), CURVE_POINTS[1])

    @cached_property
    def records(self) -> list[list[dict[str, Tensor]]]:
        """What each run recorded at the shown steps."""
        if not self.names:
            return [[] for _ in self.runs]
        return [[self.record(run, step) for step in self.frames.of(run)] for run in self.runs]

    def record(self, run: Run, step: int) -> dict[str, Tensor]:
        """Return what a run recorded at a step.

        Raises:
            TypeError: if other parameters were recorded there than at the first step.
        """
        found = run.parameters(step)
        for name, value in self.runs[0].parameters(0).items():
            if name in self.names and (name not in found or found[name].shape != value.shape):
                raise TypeError(
                    f"{CALL} needs the same parameters at every step; {name!r} is missing or has "
                    f"another shape at step {step}{' of ' if run.label else ''}{run.label}."
                )
        return found

    @cached_property
    def numbers(self) -> int:
        """How many numbers the model learns."""
        first = self.runs[0].parameters(0) if self.names else {}
        return sum(first[name].numel() for name in self.names)

    @cached_property
    def coordinates(self) -> list[Coordinate]:
        """The two numbers of a model that learns one or two, else nothing."""
        return coordinates(self.records[0][0], self.names) if 0 < self.numbers <= 2 else []

    @cached_property
    def paths(self) -> list[Tensor]:
        """The coordinates of each run at the shown steps, (steps, 1 or 2) in float64."""
        return [
            torch.tensor(
                [
                    [float(record[c.tensor].view(-1)[c.place]) for c in self.coordinates]
                    for record in run
                ],
                dtype=torch.float64,
                device="cpu",
            )
            for run in self.records
        ]

    @cached_property
    def losses_again(self) -> list[list[float]]:
        """The loss on all the data of each run's recorded parameters; empty where unknown."""
        if not (self.trained and self.trained.loss_fn and self.names):
            return [[] for _ in self.runs]
        return [[self.trained.loss(record) for record in run] for run in self.records]

    @cached_property
    def fit(self) -> Fit | None:
        """The curves of a model with one input."""
        if self.trained and self.names and self.trained.has_one_input:
            return compute_fit(self.trained, self.records, self.curve_points)
        return None

    @cached_property
    def surface(self) -> Surface | None:
        """The loss around the paths of a model with two parameters."""
        if self.trained and self.trained.loss_fn and len(self.coordinates) == 2:
            return compute_surface(self.trained, self.coordinates, self.paths, self.losses_again)
        return None

    @cached_property
    def pairings(self) -> list[str | None]:
        """Whether parameters were recorded before or after the update; None where unknown."""
        return [
            _pairing(run, self.frames.of(run), again)
            for run, again in zip(self.runs, self.losses_again, strict=True)
        ]

    @cached_property
    def tensors(self) -> list[str]:
        """The parameters that get curves of their own."""
        return [] if self.surface else self.names[:MOST_TENSORS]

    @cached_property
    def sizes(self) -> list[tuple[Tensor, Tensor]]:
        """For each run (steps, tensors): the size of each tensor, and of its change in that step.

        The size is the norm, of a single number the number itself. The last column is the norm of
        all parameters together.
        """
        return [self._sizes(run) for run in self.runs]

    def _sizes(self, run: Run) -> tuple[Tensor, Tensor]:
        sizes, changes = [], []
        for step in self.frames.of(run):
            now = self.record(run, step)
            sizes.append(_norms([now[name] for name in self.names], signed=True))
            before = self.record(run, max(0, step - 1))
            moved = [now[name] - before[name] for name in self.names]
            changes.append(_norms(moved, signed=False))
        return tuple(  # type: ignore[return-value]
            torch.tensor(rows, dtype=torch.float64, device="cpu") for rows in (sizes, changes)
        )


def _norms(tensors: Sequence[Tensor], signed: bool) -> list[float]:
    """Return the norm of each tensor, and of all together; of one number, if `signed`, the number."""
    norms = [float(torch.linalg.vector_norm(tensor.cpu().double())) for tensor in tensors]
    shown = [
        float(tensor) if signed and tensor.numel() == 1 else norm
        for tensor, norm in zip(tensors, norms, strict=True)
    ]
    return [*shown, math.hypot(*norms)]


def _pairing(run: Run, steps: Sequence[int], again: Sequence[float]) -> str | None:
    """Tell whether parameters were recorded before or after the update their loss belongs to.

    Only where every step agrees: then the losses are those of all the data, and not of batches.
    """
    seen = set()
    for step, loss in zip(steps, again, strict=False):  # without data there is none
        if step + 1 < len(run.losses):
            now, then = run.losses[step : step + 2]
            if not near(now, then, 1e-3):
                seen.add("before" if near(loss, now) else "after" if near(loss, then) else None)
    return seen.pop() if len(seen) == 1 else None


def near(one: float, other: float, within: float = 1e-4) -> bool:
    """Tell whether two losses are one, as far as rounding leaves that open."""
    if not math.isfinite(one) or not math.isfinite(other):
        return True  # nothing can be told from these
    return abs(one - other) <= within * max(abs(one), abs(other))
