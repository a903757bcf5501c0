"""Ask a student's model with the parameters of other steps: its curve, its loss, the loss surface.

`torch.func.functional_call` runs the model with tensors that it does not own, so that the student's
parameters are never written.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from firstlight.explore.evaluation import evaluating, first_line, home, require_model
from firstlight.explore.training_history import CALL, COPY

SIDE = 41  # parameter values along each axis of the surface
FARTHEST = 10  # times the loss at the start: a run that ends higher diverges
MARGIN = 0.3  # of the paths' own extent, on each side

Pair = tuple[float, float]


@dataclass(frozen=True)
class Trained:
    """The student's model and data; every question is asked with parameters of its own."""

    model: nn.Module
    loss_fn: Callable[[Any, Any], Any] | None
    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, model: object, loss_fn: object, inputs: object, targets: object) -> Trained | None:
        """Check the arguments; None where there is no model.

        Raises:
            TypeError: for a model without data, data without a model, or what is neither.
        """
        if model is None:
            if any(value is not None for value in (loss_fn, inputs, targets)):
                raise TypeError(
                    f"{CALL} needs your model too: without it, loss_fn, inputs and targets say "
                    "nothing about the steps."
                )
            return None
        network = require_model(model, CALL)
        for name, value in (("inputs", inputs), ("targets", targets)):
            if not isinstance(value, Tensor) or value.dim() == 0:
                got = "None" if value is None else type(value).__name__
                raise TypeError(
                    f"{CALL} needs with the model the data it was trained on: inputs and targets, "
                    f"tensors with one entry for each example. {name} is {got}."
                )
        assert isinstance(inputs, Tensor)
        assert isinstance(targets, Tensor)
        if len(inputs) != len(targets) or len(inputs) == 0:
            raise TypeError(
                f"{CALL} needs as many targets as inputs, one at least; "
                f"it got {len(inputs):,} inputs and {len(targets):,} targets."
            )
        if loss_fn is not None and (not callable(loss_fn) or isinstance(loss_fn, type)):
            raise TypeError(
                f"{CALL} needs loss_fn as a function of (outputs, targets), such as "
                f"nn.MSELoss(); it got {getattr(loss_fn, '__name__', loss_fn)!s:.40}."
            )
        device, _ = home(network)
        return cls(network, loss_fn, inputs.detach().to(device), targets.detach().to(device))

    @property
    def names(self) -> list[str]:
        """The names of the model's parameters; a shared one counts once."""
        return [name for name, _ in self.model.named_parameters()]

    @property
    def has_one_input(self) -> bool:
        """Whether an example is one number going in and one target."""
        shape = tuple(self.inputs.shape[1:])
        one_target = self.targets.numel() == len(self.targets)
        return shape in ((), (1,)) and self.inputs.is_floating_point() and one_target

    def require(self, record: Mapping[str, Tensor], label: str) -> None:
        """Raise `TypeError` unless a record holds this model's parameters, in their shapes."""
        whose = f" of {label}" if label else ""
        own = {n: tuple(p.shape) for n, p in self.model.named_parameters(remove_duplicate=False)}
        own.update((name, tuple(buffer.shape)) for name, buffer in self.model.named_buffers())
        strangers = [name for name in record if name not in own]
        if strangers:
            raise TypeError(
                f"{CALL}: the steps{whose} hold {_quoted(strangers)}, and this model has no such "
                f"parameter. It has {_quoted(self.names) or 'none at all'}."
            )
        missing = [name for name in self.names if name not in record]
        if missing:
            raise TypeError(
                f"{CALL}: the steps{whose} do not hold {_quoted(missing)}, which this model has. "
                f"Record all of its parameters: {COPY}."
            )
        for name, value in record.items():
            if tuple(value.shape) != own[name]:
                raise TypeError(
                    f"{CALL}: the steps{whose} were recorded with another model. {name!r} was "
                    f"recorded with shape {tuple(value.shape)} and has {own[name]} in this one."
                )

    def unrecorded_buffers(self, record: Mapping[str, Tensor]) -> list[str]:
        """The buffers whose value at a step is not known."""
        return [name for name, _ in self.model.named_buffers() if name not in record]

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Run the block in eval mode without gradients; then the model is as it was."""
        kept = [(module, dict(vars(module))) for module in self.model.modules()]
        with evaluating(self.model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the student's own code has warned already
            try:
                yield
            finally:  # `self.hidden = ...` in forward
                for module, attributes in kept:
                    vars(module).clear()
                    vars(module).update(attributes)

    def outputs(self, record: Mapping[str, Tensor], inputs: Tensor) -> Any:
        """Return what the model gives with these parameters. Inside `asked` only."""
        own = chain(self.model.named_parameters(), self.model.named_buffers())
        given = {
            name: record.get(name, value.detach()).to(value.device, value.dtype, copy=True)
            for name, value in own
        }
        try:
            return functional_call(self.model, given, (inputs,))
        except Exception as error:  # whatever the student's own code may raise
            raise TypeError(
                f"The model can't take inputs of shape {tuple(inputs.shape)} and dtype "
                f"{inputs.dtype}. It raised {first_line(error)}"
            ) from error

    def loss(self, record: Mapping[str, Tensor]) -> float:
        """Return the loss of these parameters on all the data. Inside `asked` only."""
        assert self.loss_fn is not None
        outputs = self.outputs(record, self.inputs)
        try:
            loss = self.loss_fn(outputs, self.targets)
        except Exception as error:
            raise TypeError(
                f"loss_fn can't take outputs of shape {_shape(outputs)} and targets of shape "
                f"{tuple(self.targets.shape)}. It raised {first_line(error)}"
            ) from error
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise TypeError(
                f"{CALL} needs a loss_fn that returns one number; this one returns a tensor of "
                f"shape {tuple(loss.shape)}."
            )
        try:
            return float(loss)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{CALL} needs a loss_fn that returns one number; {error}.") from error

    def mixed(self, record: Mapping[str, Tensor]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Return the shapes of outputs and targets where the loss pairs each with all the others.

        Outputs (N, 1) and targets (N,) alone prove nothing: loss_fn may bring them together itself.
        Inside `asked` only.
        """
        outputs = self.outputs(record, self.inputs)
        if self.loss_fn is None or not isinstance(outputs, Tensor):
            return None
        shapes = (tuple(outputs.shape), tuple(self.targets.shape))
        if shapes[0] == shapes[1] or outputs.numel() != self.targets.numel():
            return None
        try:
            matched = float(self.loss_fn(outputs.reshape(shapes[1]), self.targets))
        except Exception:  # then loss_fn wants these very shapes
            return None
        return None if math.isclose(matched, self.loss(record), rel_tol=1e-5) else shapes


# The fit ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """Curves of a model with one input: `curves[run]` is (steps, inputs), float32 on the CPU.

    A straight line is known by two of its points, so then `grid` holds two inputs.
    """

    grid: Tensor
    curves: list[Tensor]


def compute_fit(
    trained: Trained, records: Sequence[Sequence[Mapping[str, Tensor]]], points: int
) -> Fit | None:
    """Compute the curve of every record of every run at so many inputs.

    None if an output is not one number.
    """
    finite = trained.inputs[trained.inputs.isfinite()]
    if not len(finite):
        return None
    low, high = (float(edge) for edge in finite.aminmax())
    edge = 0.04 * (high - low) or 0.5
    grid = torch.linspace(low - edge, high + edge, points, dtype=torch.float64, device="cpu")
    asked = grid.to(trained.inputs).reshape(points, *trained.inputs.shape[1:])
    runs = []
    for run in records:
        curves = []
        for record in run:
            outputs = trained.outputs(record, asked)
            if not isinstance(outputs, Tensor) or outputs.shape not in ((points,), (points, 1)):
                return None
            curves.append(outputs.flatten().cpu().double())
        runs.append(torch.stack(curves))
    if all(_straight(curves) for curves in runs):
        grid, runs = grid[[0, -1]], [curves[:, [0, -1]] for curves in runs]
    return Fit(grid.float(), [curves.float() for curves in runs])


def _straight(curves: Tensor) -> bool:
    """Tell whether every finite curve is a line, as far as float32 can tell."""
    first, last = curves[:, :1], curves[:, -1:]
    weight = torch.linspace(0, 1, curves.shape[1], dtype=torch.float64, device="cpu")
    bend = (first + (last - first) * weight - curves).abs().amax(1)
    size = curves.abs().amax(1)
    return bool(((bend <= 1e-5 * size) | ~size.isfinite()).all())


# The loss surface ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coordinate:
    """One of the two numbers that a model learns: an element of a parameter."""

    tensor: str
    place: int
    name: str


def coordinates(record: Mapping[str, Tensor], names: Sequence[str]) -> list[Coordinate]:
    """Return every number of these parameters, with a name such as `bias` or `weight[0, 1]`."""
    found = []
    for name in names:
        shape, count = tuple(record[name].shape), record[name].numel()
        for place in range(count):
            index = [int(at) for at in np.unravel_index(place, shape)]
            found.append(Coordinate(name, place, f"{name}{index}" if count > 1 else name))
    return found


@dataclass(frozen=True)
class Surface:
    """The loss over a rectangle of two parameters: `values[row, column]` is at (x[column], y[row])."""

    x: Tensor
    y: Tensor
    values: Tensor


def compute_surface(
    trained: Trained,
    axes: Sequence[Coordinate],
    paths: Sequence[Tensor],
    losses: Sequence[list[float]],
) -> Surface | None:
    """Compute the loss on a grid that holds every path, as far as its loss stays within bounds.

    `paths[run]` is (steps, 2), `losses[run]` the loss at each of these points. None where no point
    is finite.
    """
    held = _held(paths, losses)
    if held is None:
        return None
    x, y = (_stretch(held[:, axis]) for axis in range(2))
    values = [trained.loss(_record(axes, (float(u), float(v)), trained)) for v in y for u in x]
    grid = torch.tensor(values, dtype=torch.float32, device="cpu").reshape(SIDE, SIDE)
    return Surface(x, y, grid)


def _held(paths: Sequence[Tensor], losses: Sequence[list[float]]) -> Tensor | None:
    """Return the points that the picture has to hold: of a run that diverges, the first ones."""
    starts = [abs(loss[0]) for loss in losses if math.isfinite(loss[0])]
    limit = FARTHEST * max(starts, default=0.0) or math.inf
    held = []
    for path, loss in zip(paths, losses, strict=True):
        stays = all(map(math.isfinite, loss)) and loss[-1] <= limit
        near = torch.tensor([stays or each <= limit for each in loss], device="cpu")
        held.append(path[near & path.isfinite().all(1)])
    points = torch.cat(held)
    return points if len(points) else None


def _stretch(values: Tensor) -> Tensor:
    """Return `SIDE` values, evenly spaced, that hold the given ones with a margin."""
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * (high - low)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        margin = 0.5 * max(1.0, abs(high))
    return torch.linspace(low - margin, high + margin, SIDE, dtype=torch.float64, device="cpu")


def _record(axes: Sequence[Coordinate], point: Pair, trained: Trained) -> dict[str, Tensor]:
    """Write two numbers into parameters of the model's shapes."""
    own = dict(trained.model.named_parameters())
    record: dict[str, Tensor] = {}
    for coordinate, value in zip(axes, point, strict=True):
        shape = own[coordinate.tensor].shape
        empty = torch.zeros(shape, dtype=torch.float64, device="cpu")
        record.setdefault(coordinate.tensor, empty).view(-1)[coordinate.place] = value
    return record


# Small things ----------------------------------------------------------------------------------


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:4]) + (", …" if len(names) > 4 else "")
