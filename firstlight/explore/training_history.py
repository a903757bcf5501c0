"""What a student recorded while training: read in every form it comes in, thinned, and judged."""

from __future__ import annotations

import math
import numbers
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight.explore.tensors import counted

CALL = "explore.training"
MOST_RUNS = 6
COPY = "copy.deepcopy(model.state_dict())"
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # a state_dict holds them too

Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """One training: the loss at every step, and the parameters recorded with it, if any."""

    label: str
    losses: list[float]
    records: list[Record]  # one for each step, or none at all
    holds_graph: bool

    @property
    def diverged(self) -> int | None:
        """The first step whose loss is no finite number."""
        return next((at for at, loss in enumerate(self.losses) if not math.isfinite(loss)), None)

    def parameters(self, step: int) -> dict[str, Tensor]:
        """Return the tensors recorded at a step, by name; floats count as tensors.

        Raises:
            TypeError: for a value that is neither.
        """
        found = {}
        for name, value in self.records[step].items():
            if isinstance(value, Tensor):
                found[name] = value.detach()
            elif _is_number(value) or isinstance(value, np.ndarray):
                found[name] = torch.as_tensor(value, device="cpu").double()
            elif not str(name).endswith("_extra_state"):
                raise TypeError(
                    f"{CALL} needs tensors as parameters; {str(name)!r} at step {step} "
                    f"is {_kind(value)}."
                )
        return found

    @property
    def is_live(self) -> bool:
        """Whether the first and the last step hold the same memory: references, not copies."""
        if len(self.records) < 2:
            return False
        first, last = self.parameters(0), self.parameters(-1)
        pairs = [(first[name], last[name]) for name in first if name in last]
        pairs = [(one, other) for one, other in pairs if one.numel()]
        return bool(pairs) and all(_address(one) == _address(other) for one, other in pairs)


def _address(tensor: Tensor) -> tuple[str, int]:
    return str(tensor.device), tensor.data_ptr()


def parameter_names(record: Mapping[str, Tensor]) -> list[str]:
    """Return the names in a record that a student would call parameters, without their model."""
    return [
        name
        for name, value in record.items()
        if value.is_floating_point() and name.rpartition(".")[2] not in _BUFFERS
    ]


# Reading ---------------------------------------------------------------------------------------


def read_history(history: object) -> list[Run]:
    """Return the runs in a history: a list of steps, or a dict from labels to such lists.

    Raises:
        TypeError: for anything else; the message says which step is wrong, and what is due.
    """
    if isinstance(history, Mapping):
        if not history:
            raise TypeError(f"{CALL} needs at least one run; the dict is empty.")
        if len(history) > MOST_RUNS:
            raise TypeError(
                f"{CALL} shows at most {MOST_RUNS} runs side by side; it got {len(history)}."
            )
        return [_run(str(label), steps, f"history[{label!r}]") for label, steps in history.items()]
    return [_run("", history, "history")]


def _run(label: str, steps: object, name: str) -> Run:
    if isinstance(steps, (Tensor, np.ndarray)) and steps.ndim == 1:
        steps = steps.tolist()
    if steps is None:
        raise TypeError(
            f"{CALL} needs what was recorded in training; {name} is None. "
            "Does the function that trains return it yet?"
        )
    if not isinstance(steps, (list, tuple)):
        raise TypeError(
            f"{CALL} needs a list with one entry for each step, a loss or (loss, parameters); "
            f"{name} is {_kind(steps)}."
        )
    if not steps:
        raise TypeError(f"{CALL} needs at least one step; {name} is empty.")
    losses, records, holds_graph = [], [], False
    for number, entry in enumerate(steps):
        where = f"{name}[{number}]"
        loss, record = _entry(entry, where)
        holds_graph = holds_graph or (isinstance(loss, Tensor) and loss.grad_fn is not None)
        losses.append(_number(loss, where))
        if record is not None:
            records.append(record)
        if len(records) not in (0, len(losses)):
            raise TypeError(
                f"{CALL} needs parameters at every step or at none: {where} and {name}[0] differ."
            )
    return Run(label, losses, records, holds_graph)


def _entry(entry: object, where: str) -> tuple[object, Record | None]:
    """Split an entry into its loss and its parameters."""
    if not isinstance(entry, (tuple, list)):
        return entry, None
    if len(entry) == 2 and isinstance(entry[1], Mapping) and entry[1]:
        return entry[0], entry[1]
    if len(entry) == 2 and all(_is_number(part) for part in entry):
        raise TypeError(
            f"{CALL} takes one loss for each step, and {where} is a pair of numbers. "
            'To see both, pass {"training": [a for a, b in history], '
            '"validation": [b for a, b in history]}.'
        )
    if len(entry) == 2 and isinstance(entry[1], torch.nn.Module):
        raise TypeError(
            f"{CALL} needs the parameters of each step, and {where} holds the model itself, "
            f"which goes on changing. Record {COPY}."
        )
    second = _kind(entry[1]) if len(entry) == 2 else f"{counted(len(entry), 'value')}"
    raise TypeError(
        f"{CALL} needs a loss, or a pair (loss, parameters) with a dict from names to tensors such "
        f"as {COPY}; {where} holds {'an empty dict' if second == 'a dict' else second}."
    )


def _number(loss: object, where: str) -> float:
    if isinstance(loss, Tensor) and not loss.is_meta and not loss.is_complex():
        if loss.numel() != 1:
            raise TypeError(
                f"{CALL} needs one number as the loss of a step; {where} has a tensor of shape "
                f"{tuple(loss.shape)}. A mean over the batch is one: loss.mean()."
            )
        return float(loss.detach())
    if _is_number(loss):
        return float(loss)  # type: ignore[arg-type]
    advice = " Does train_step return the loss yet?" if loss is None else ""
    raise TypeError(f"{CALL} needs a loss at every step; {where} has {_kind(loss)}.{advice}")


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _kind(value: object) -> str:
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return "None" if value is None else f"{article} {name}"


# Choosing steps --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frames:
    """The steps that are shown, and a sentence that says which; None where all are."""

    steps: list[int]
    sentence: str | None

    def of(self, run: Run) -> list[int]:
        """The shown steps that a run has."""
        return self.steps[: bisect_left(self.steps, len(run.losses))]


def choose_frames(runs: Sequence[Run], most: int, first: int) -> Frames:
    """Choose about `most` steps: the first few in a row, the rest evenly.

    The last step of every run is among them, and where a loss stops being finite.
    """
    length = max(len(run.losses) for run in runs)
    if length <= most:
        return Frames(list(range(length)), None)
    stride = math.ceil((length - first) / (most - first))
    chosen = {*range(first), *range(first, length, stride)}
    chosen |= {len(run.losses) - 1 for run in runs}
    breaks = [run.diverged for run in runs if run.diverged is not None]
    chosen |= {step for at in breaks for step in (max(0, at - 1), at)}
    beginning = f"the first {first}, then " if first else ""
    where = ", and where a loss stops being finite" if breaks else ""
    sentence = (
        f"Of {length:,} entries {len(chosen):,} are shown: {beginning}one in {stride:,}, and the last"
        f"{where}. The band around a loss reaches from the smallest to the largest between two of "
        "them."
    )
    return Frames(sorted(chosen), sentence)


def bands(run: Run, steps: Sequence[int]) -> list[tuple[float, float]]:
    """Return for each shown step the smallest and largest finite loss since the shown one before."""
    after = [(one + 1, other + 1) for one, other in pairwise((-1, *steps))]
    spans = []
    for begin, end in after:
        finite = [loss for loss in run.losses[begin:end] if math.isfinite(loss)]
        spans.append((min(finite), max(finite)) if finite else (math.nan, math.nan))
    return spans
