"""Run a module once as it is, keep every call and operation in order, and put everything back."""

from __future__ import annotations

import inspect
import linecache
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Union

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from firstlight.explore.module_operations import ASSIGNMENT, operation_label
from firstlight.explore.module_snapshot import Snapshot, random_kept
from firstlight.explore.tensors import dtype_name

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parent)


@dataclass(frozen=True)
class Seen:
    """A value as it was seen: its shape (or what it is made of), its dtypes and its devices."""

    text: str
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Argument:
    """A tensor as a call was given it, under the name that the module's own `forward` uses."""

    call: Step
    name: str


Origin = Union["Step", Argument, str, None]  # a step, what a call was given, a name, or unknown


@dataclass(frozen=True)
class Given:
    """What went into a step, and where it came from."""

    seen: Seen
    origin: Origin


@dataclass(eq=False, repr=False)
class Step:
    """A module that was called, or (without `module`) an operation between modules.

    `line` is the student's own line that asked for it. `error` is what rose through the step.
    """

    parent: Step | None
    module: nn.Module | None
    label: str
    given: tuple[Given, ...]
    line: str | None
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    result: Seen | None = None
    error: Exception | None = None
    origins: dict[int, Step | Argument] = field(default_factory=dict)  # by id, inside this call


@dataclass(frozen=True)
class Run:
    """One forward: its steps in order, the one that failed, and what it read, made and changed."""

    steps: tuple[Step, ...]
    failed: Step | None
    line: str | None  # of the student's code, where the error rose
    changed: tuple[str, ...]
    _read: frozenset[int]
    _made: frozenset[int]

    def reads(self, tensor: Tensor) -> bool:
        """Tell whether an operation of the run read the tensor's memory."""
        return _memory(tensor) in self._read

    def makes(self, tensor: Tensor) -> bool:
        """Tell whether the tensor was made during the run."""
        return _memory(tensor) in self._made


def run(model: nn.Module, inputs: Sequence[object], names: Mapping[int, str]) -> Run:
    """Call `model(*inputs)` without gradients and in its own mode; then put everything back.

    An error in `forward` is part of the result. `names` gives the path of each tensor by its id. The
    model gets copies of the inputs, so an edit in place does not reach the student's own.
    """
    copies: dict[int, Tensor] = {}
    arguments = tuple(copy_tensors(value, copies) for value in inputs)
    snapshot = Snapshot()
    with torch.no_grad(), random_kept():
        snapshot.add(model)
        recorder = _Recorder(names, snapshot)
        memory = _Memory()
        error: Exception | None = None
        try:
            with _calls_recorded(recorder), memory, recorder:
                own = type(model).__call__
                if own is nn.Module.__call__:
                    model(*arguments)
                else:  # a class that overrides `__call__`
                    recorder.call(model, own, arguments, {})
        except Exception as raised:  # whatever the student's own code may raise
            error = raised
        finally:
            snapshot.restore()
    steps = recorder.visible()
    failed = recorder.failed if error else None
    return Run(
        steps=tuple(steps),
        failed=failed if failed is None or failed in steps else failed.parent,
        line=_own_line(error.__traceback__) if error else None,
        changed=tuple(snapshot.changed),
        _read=frozenset(memory.read),
        _made=frozenset(memory.made),
    )


# The run ----------------------------------------------------------------------------------------


class _Recorder(TorchFunctionMode):
    """Keep every call of a module and every operation that gives tensors."""

    def __init__(self, names: Mapping[int, str], snapshot: Snapshot) -> None:
        super().__init__()
        self.failed: Step | None = None
        self._names = names
        self._snapshot = snapshot
        self._steps: list[Step] = []
        self._running: list[Step] = []
        self._alive: list[object] = []  # or an id could be used twice
        self._made: dict[int, Step] = {}
        self._aside = False  # while our own code looks at tensors

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        label = None if self._aside else operation_label(func, args, kwargs)
        if label is None:
            return func(*args, **kwargs)
        step = self._begin(None, label, args, kwargs)
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            self._fail(step, error)
            raise
        changed = args[0] if label.endswith(ASSIGNMENT) else result
        if next(tensors(changed), None) is not None:
            self._end(step, changed)
        else:
            self._steps.remove(step)
        return result

    def call(
        self, module: nn.Module, call: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """Call a module and keep what went in and what came out."""
        with self._looking():
            self._snapshot.add(module)  # one that the model does not hold is met here
            step = self._begin(module, type(module).__name__, args, kwargs)
            for name, tensor in _named_inputs(module, args, kwargs):
                step.origins[id(tensor)] = Argument(step, name)
        self._running.append(step)
        try:
            result = call(module, *args, **kwargs)
        except Exception as error:
            self._fail(step, error)
            raise
        finally:
            self._running.pop()
        with self._looking():
            self._end(step, result)
        return result

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Let our own questions to tensors pass unrecorded."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def visible(self) -> list[Step]:
        """Return all steps but those by which PyTorch's own layers compute what they are for."""
        callers = {step.parent for step in self._steps if step.module is not None}
        return [
            step
            for step in self._steps
            if step.module is not None
            or step.parent is None
            or step.parent in callers
            or not is_torchs(step.parent.module)
        ]

    def _begin(
        self, module: nn.Module | None, label: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Step:
        values = (*args, *kwargs.values())
        given = tuple(
            self._given(value) for value in (tensors(values) if module is None else values)
        )
        parent = self._running[-1] if self._running else None
        line = _line_of(sys._getframe(2)) if parent else None
        step = Step(parent, module, label, tuple(filter(None, given)), line, (args, kwargs))
        self._steps.append(step)
        return step

    def _given(self, value: object) -> Given | None:
        found = list(tensors(value))
        if not found and not isinstance(value, nn.Module):
            return None
        origins = {self._origin(tensor) for tensor in found}
        return Given(see(value), origins.pop() if len(origins) == 1 else None)

    def _origin(self, tensor: Tensor) -> Origin:
        if id(tensor) in self._names:
            return self._names[id(tensor)]
        for step in reversed(self._running):
            if id(tensor) in step.origins:
                return step.origins[id(tensor)]
        return self._made.get(id(tensor))

    def _end(self, step: Step, result: object) -> None:
        step.result = see(result)
        self._alive.append(result)
        for tensor in tensors(result):
            self._made[id(tensor)] = step
            if step.parent:
                step.parent.origins[id(tensor)] = step

    def _fail(self, step: Step, error: Exception) -> None:
        if step.error is None:
            step.error = error
        if self.failed is None or self.failed.error is not error:
            self.failed = step


class _Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keep which memory was read and which was made, below every API that Python has."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.read: set[int] = set()
        self.made: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # or PyTorch imports its compiler first: 2.5 seconds
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.read.update(map(_memory, tensors((args, kwargs))))
        result = func(*args, **kwargs)
        self.made.update({_memory(tensor) for tensor in tensors(result)} - self.read)
        return result


@contextmanager
def _calls_recorded(recorder: _Recorder) -> Iterator[None]:
    """Let every call of a module in this thread go through the recorder.

    Hooks would not do: they see neither keyword arguments nor, in older versions, errors.
    """
    original = nn.Module.__call__
    thread = threading.get_ident()

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            return original(self, *args, **kwargs)
        return recorder.call(self, original, args, kwargs)

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]


def is_torchs(module: object) -> bool:
    """Tell whether a module's class is PyTorch's own."""
    return type(module).__module__.partition(".")[0] == "torch"


def _named_inputs(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    """Return the tensors that a module is given, under the names its own forward uses."""
    for name, value in bound(module, args, kwargs).items():
        for tensor in tensors(value):
            yield name, tensor


def bound(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by the names of `forward`; empty where they don't fit."""
    try:
        return inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {}


# What is seen of a value --------------------------------------------------------------------------


def tensors(value: object) -> Iterator[Tensor]:
    """Return the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from tensors(entry)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from tensors(entry)


def see(value: object) -> Seen:
    """Describe a value: `(32, 10)`, `tuple of (5, 3, 8), (1, 3, 8)`, `dict of a: (3,)`, `None`."""
    found = list(tensors(value))
    dtypes = tuple(dict.fromkeys(dtype_name(tensor) for tensor in found))
    devices = tuple(dict.fromkeys(str(tensor.device) for tensor in found))
    return Seen(_outline(value), dtypes, devices)


def _outline(value: object, top: bool = True) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, Mapping):
        parts = [f"{key}: {_outline(entry, False)}" for key, entry in value.items()]
    elif isinstance(value, (tuple, list)):
        parts = [_outline(entry, False) for entry in value]
    elif value is None or isinstance(value, (bool, int, float)):
        return str(value)
    else:
        return type(value).__name__
    shown = parts if len(parts) <= 6 else [*parts[:5], f"{len(parts) - 5:,} more"]
    inner = ", ".join(shown) or "nothing"
    kind = next(kind for kind in (dict, list, tuple, Mapping) if isinstance(value, kind)).__name__
    return f"{kind} of {inner}" if top else f"{kind}[{inner}]"


def copy_tensors(value: object, copies: dict[int, Tensor]) -> Any:
    """Return a value with every tensor in it copied; one tensor has one copy."""
    if isinstance(value, Tensor):
        return copies.setdefault(id(value), _copied(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(copy_tensors(entry, copies) for entry in value))
    if isinstance(value, (tuple, list)):
        return type(value)([copy_tensors(entry, copies) for entry in value])
    if isinstance(value, dict):
        return {key: copy_tensors(entry, copies) for key, entry in value.items()}
    return value


def _copied(tensor: Tensor) -> Tensor:
    """Return a copy that lies in memory just as the original does, so that `view` does the same."""
    with torch.no_grad():
        copy = tensor.detach().clone()
        if tensor.layout == torch.strided and copy.stride() != tensor.stride():
            pairs = zip(tensor.shape, tensor.stride(), strict=True)
            length = 1 + sum((size - 1) * step for size, step in pairs)
            whole = tensor.detach().as_strided((length,), (1,)).clone()
            copy = whole.as_strided(tensor.shape, tensor.stride(), 0)
    return copy.requires_grad_(tensor.requires_grad)


def _memory(tensor: Tensor) -> int:
    """Return what tells one piece of memory from another."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (NotImplementedError, RuntimeError):  # a sparse tensor, and others without a storage
        return id(tensor)


# The student's own line ---------------------------------------------------------------------------


def _line_of(frame: FrameType | None) -> str | None:
    """Return the line that asked for a step; None if it was PyTorch's own code, as in Sequential."""
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    while frame is not None and frame.f_code.co_filename.startswith(_TORCH):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(_OURS):
        return None
    return _source(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)


def _own_line(traceback: TracebackType | None) -> str | None:
    """Return the last line of a traceback that is neither PyTorch's nor ours."""
    line = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith((_TORCH, _OURS)):
            line = _source(code.co_filename, traceback.tb_lineno, traceback.tb_frame.f_globals)
        traceback = traceback.tb_next
    return line


def _source(file_name: str, number: int, variables: dict[str, Any]) -> str | None:
    return linecache.getline(file_name, number, variables).strip() or None
