"""Run an answer on a probe and write down what was seen: its signature."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch

from firstlight.checking import limits
from firstlight.checking.exercise import Answer, Exercise, Probe
from firstlight.checking.undisturbed import KeepingSettings, keeping_globals

INPUTS_AFTER = "the inputs afterwards"
LONGEST = 600  # characters of an error's message that are kept


@dataclass(frozen=True)
class Extra:
    """An observation that helps to tell misconceptions apart and never rejects an answer."""

    value: Any


@dataclass(frozen=True, eq=False)
class Seen:
    """One observed value, copied so that nothing can change it later.

    `kind` is tensor, array, number, bool, text, none, sequence, mapping, error or other. `value` is a
    detached CPU tensor for tensors and arrays, the Python value for plain kinds, a tuple of `Seen`
    for sequences and mappings (`keys` holds the keys), and the message for errors.
    """

    kind: str
    value: Any
    type: str = ""
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    device: str | None = None
    requires_grad: bool = False
    strides: tuple[int, ...] | None = None
    shares: tuple[int, ...] = ()
    keys: tuple[Any, ...] = ()
    extra: bool = False
    line: int | None = None
    own: bool = True


@dataclass(frozen=True, eq=False)
class Signature:
    """Everything observed in one run: the observations in the driver's order.

    `left` says in one sentence which default of the whole session, such as the grad mode, the answer
    left changed; the run has put it back.
    """

    observations: dict[str, Seen]
    left: str = ""

    @property
    def error(self) -> Seen | None:
        """The exception that ended the run, if one did."""
        return self.observations.get("error")


def _storage(value: Any) -> int | None:
    """Give an address that two tensors or arrays have in common if they share memory."""
    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
        return value.untyped_storage().data_ptr() or None
    if isinstance(value, np.ndarray):
        base = value
        while isinstance(base.base, np.ndarray):
            base = base.base
        return base.__array_interface__["data"][0] or None
    return None


def see(value: Any, inputs: tuple[Any, ...] = (), *, extra: bool = False) -> Seen:
    """Copy a value into a `Seen`; `inputs` are the objects it might share memory with."""
    if isinstance(value, Extra):
        return see(value.value, inputs, extra=True)
    name = type(value).__name__
    if isinstance(value, torch.Tensor) and value.layout is not torch.strided:
        return Seen("other", None, type=f"{value.layout} Tensor", extra=extra)
    if isinstance(value, torch.Tensor):
        own = _storage(value)
        shared = (i for i, given in enumerate(inputs) if own and _storage(given) == own)
        return Seen(
            "tensor",
            value.detach().cpu().clone(),
            type="Tensor",
            shape=tuple(value.shape),
            dtype=str(value.dtype).removeprefix("torch."),
            device=value.device.type,
            requires_grad=value.requires_grad,
            strides=value.stride() if value.layout is torch.strided else None,
            shares=tuple(shared),
            extra=extra,
        )
    if isinstance(value, np.ndarray):
        own = _storage(value)
        shared = (i for i, given in enumerate(inputs) if own and _storage(given) == own)
        return Seen(
            "array",
            value.copy(),
            type="ndarray",
            shape=value.shape,
            dtype=str(value.dtype),
            shares=tuple(shared),
            extra=extra,
        )
    if isinstance(value, bool | np.bool_):
        return Seen("bool", bool(value), type="bool", extra=extra)
    if isinstance(value, int | float | np.integer | np.floating):
        return Seen("number", value, type=name, extra=extra)
    if isinstance(value, str):
        return Seen("text", value, type="str", extra=extra)
    if value is None:
        return Seen("none", None, type="None", extra=extra)
    if isinstance(value, list | tuple):
        parts = tuple(see(part, inputs) for part in value)
        return Seen("sequence", parts, type=name, shape=(len(parts),), extra=extra)
    if isinstance(value, Mapping):
        parts = tuple(see(part, inputs) for part in value.values())
        return Seen("mapping", parts, type=name, keys=tuple(value), extra=extra)
    if isinstance(value, torch.Size | torch.dtype | torch.device):
        return Seen("text", str(value), type=name, extra=extra)
    return Seen("other", name, type=name, extra=extra)


def _see_anything(value: Any, inputs: tuple[Any, ...] = ()) -> Seen:
    """Copy a value, or say of one that has no plain elements that it cannot be read."""
    try:
        return see(value, inputs)
    except (RuntimeError, NotImplementedError, RecursionError, MemoryError, TypeError, ValueError):
        return Seen("other", None, type=f"{type(value).__name__} without readable elements")


# Errors ---------------------------------------------------------------------------------------


def _answer_files(answer: Answer) -> set[str]:
    """Name the files that hold the student's own lines."""
    codes = [getattr(answer, "__code__", None)]
    if inspect.isclass(answer):
        codes += [getattr(member, "__code__", None) for member in vars(answer).values()]
    return {code.co_filename for code in codes if code is not None}


def _own_line(trace: TracebackType | None, files: set[str]) -> tuple[int | None, str]:
    """Find the innermost of the student's own lines in a traceback."""
    for frame in reversed(traceback.extract_tb(trace)):
        if frame.filename in files:
            return frame.lineno, (frame.line or "").strip()
    return None, ""


def see_error(error: BaseException, answer: Answer) -> Seen:
    """Describe an exception, and where in the student's own lines it rose."""
    line, text = _own_line(error.__traceback__, _answer_files(answer))
    try:
        message = re.sub(r"\b0x[0-9a-f]+\b", "0x…", str(error))
    except Exception:  # an exception of the student's that cannot be printed
        message = "(its message cannot be printed)"
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]} …"
    return Seen(
        "error", message, type=type(error).__name__, line=line, own=line is not None, keys=(text,)
    )


# Running --------------------------------------------------------------------------------------


def make_inputs(probe: Probe, seed: int) -> tuple[Any, ...]:
    """Make a probe's inputs; the same on every call with the same seed."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + 7)
    return tuple(probe(generator))


def _data(inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Pick the inputs that hold plain data, which an answer has no business to change."""
    kinds = (torch.Tensor, np.ndarray, list, dict)
    return {str(i): given for i, given in enumerate(inputs) if isinstance(given, kinds)}


def _seed(seed: int) -> None:
    """Seed what draws random numbers: `torch.manual_seed` asks every kind of device, and takes 1 ms."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed)


def run(exercise: Exercise, answer: Answer, probe: Probe, seed: int) -> Signature:
    """Run an answer once on fresh inputs and observe it.

    An exception of the answer is an observation, and so is a default of the session that it leaves
    changed; it is put back at once, so that no other run meets it. `limits.OutOfTime` and an error in the probe
    itself pass through.
    """
    inputs = make_inputs(probe, seed)
    _seed(seed)
    settings = KeepingSettings()
    try:
        with settings, keeping_globals(answer):
            observed = dict(exercise.driver(answer, *inputs))
    except (limits.OutOfTime, KeyboardInterrupt):
        raise
    except BaseException as error:  # also SystemExit, and whatever a student derives from it
        return Signature({"error": see_error(error, answer)}, settings.left)
    seen = {name: _see_anything(value, inputs) for name, value in observed.items()}
    seen[INPUTS_AFTER] = _see_anything(_data(inputs))
    return Signature(seen, settings.left)
