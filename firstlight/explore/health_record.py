"""`explore.record(model)`: note at every step of a training what the health of a network is read from.

The model gets forward hooks for the length of a `with` block. They keep numbers, never a tensor of
the graph, and are gone when the block ends, however it ends.
"""

from __future__ import annotations

import numbers
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode

from firstlight.explore.evaluation import require_model
from firstlight.explore.health_measure import (
    Gradient,
    Number,
    Output,
    answers,
    ask,
    channels_first,
    first_tensor,
    norm_of,
)
from firstlight.explore.module_operations import operation_label
from firstlight.explore.module_run import tensors
from firstlight.explore.tensors import listed

CALL = "explore.record"
INPUT = "input"
MOST_CALLS = 8  # of one layer in one forward; an unrolled loop makes hundreds
_MOST_WAITING = 64  # forwards that no backward has run through yet
_ACTIVATIONS = {
    "celu", "clamp", "clamp_min", "clip", "elu", "gelu", "glu", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu",
    "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh", "threshold",
}  # fmt: skip
_TORCH = str(Path(torch.__file__).parent)

_recorded: WeakSet[nn.Module] = WeakSet()


class Recorder:
    """What `explore.record(model)` gives: use it in a `with` block, around a training loop.

    `history` is a plain list with a plain dict for each step, of numbers and names only, so it can be
    pickled, plotted, and given to `explore.health`:

        step, loss       its number from 0; the loss you passed, or None
        forwards         how many forwards count: those that a backward has run through
        updates          how many times an optimizer of this model stepped
        layers           by name, in the order in which forward called them, "input" first:
            type             the layer's class, or the function's name
            training         its mode; None for the input and for a function
            values, units    how many numbers it gave; columns of (N, features), channels of an image
            mean, std        of all its values
            largest          the largest absolute value
            zero             share of the values that are exactly 0
            dead             share of the units that gave 0 for every example
            nonfinite        how many values are NaN or infinite
        parameters       by name, as in `model.named_parameters()`:
            shape, trains    a tuple; its `requires_grad`
            held             whether an optimizer that stepped holds it
            gradient         norm of its gradient, as the optimizer found it; None without a gradient
            largest          the largest absolute value of the gradient, or None
            nonfinite        how many of its values are NaN or infinite, or None
            weight           norm of the parameter before the step
            update           norm of what the step changed
            ratio            update / weight; None where the weight is 0
    """

    def __init__(self, model: nn.Module) -> None:
        self.history: list[dict[str, Any]] = []
        self._model = require_model(model, CALL)
        if hasattr(model, "_orig_mod"):
            raise TypeError(
                f"{CALL} needs the model as it was before torch.compile, which hides its layers."
            )
        self._open = False
        self._ended = False
        self._undo: list[Callable[[], None]] = []
        self._names: dict[nn.Module, str] = {}
        self._watched: dict[str, _Parameter] = {}
        # Since the last step:
        self._waiting: list[_Forward] = []
        self._running: _Forward | None = None
        self._parts: _Forward | None = None  # layers that were called by themselves
        self._mode: _Functions | None = None
        self._early = False
        self._updates = 0

    def __repr__(self) -> str:
        kind = type(self._model).__name__
        return f"<record of {kind}: {len(self.history):,} steps>"

    def __deepcopy__(self, memo: object) -> Recorder:
        return self  # a copy of the model is another model: its hooks find no name here

    def __reduce__(self) -> tuple[Any, ...]:
        return _kept, (self.history,)

    # The block

    def __enter__(self) -> Recorder:
        if self._open or self._ended:
            raise RuntimeError(
                "A recorder serves one `with` block; make another one with explore.record(model)."
            )
        if self._model in _recorded:
            raise RuntimeError(
                "This model is being recorded by another `with explore.record(...)` block; "
                "one inside the other would see every forward twice."
            )
        _recorded.add(self._model)
        self._open = True
        self._watched = {
            name: _Parameter.of(value) for name, value in self._model.named_parameters()
        }
        self._add_hooks()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open, self._ended = False, True
        _recorded.discard(self._model)
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._clear()
        self._watched.clear()

    def _add_hooks(self) -> None:
        handles: list[Any] = [
            self._model.register_forward_pre_hook(self._begin, with_kwargs=True),
            register_optimizer_step_pre_hook(self._before_update),
        ]
        for name, module in _layers_in(self._model):
            self._names[module] = name or type(module).__name__
            handles.append(module.register_forward_hook(self._after_layer))
        # Of the hooks after the forward this one comes last; it comes after an exception, too.
        handles.append(self._model.register_forward_hook(self._end, always_call=True))
        self._undo += [self._leave, *(handle.remove for handle in handles)]

    # A forward

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._open or module is not self._model or self._running:
            return
        if len(self._waiting) > _MOST_WAITING:
            self._waiting = [each for each in self._waiting if each.used][-_MOST_WAITING:]
        forward = _Forward(torch.is_grad_enabled(), module.training)
        self._running = forward
        if forward.grad:
            self._note(forward, INPUT, INPUT, None, (args, list(kwargs.values())))
            self._mode = _Functions(self._after_function)
            self._mode.__enter__()  # type: ignore[no-untyped-call]

    def _after_layer(self, module: nn.Module, args: object, output: object) -> None:
        name = self._names.get(module)
        if not self._open or name is None:
            return
        forward = self._running or self._alone()
        if forward.grad:
            self._note(forward, name, type(module).__name__, module.training, output)
            forward.last = name

    def _after_function(self, label: str, output: object) -> None:
        if self._running:
            last = self._running.last
            name = f"{label} after {last}" if last else label
            self._note(self._running, name, label, None, output)

    def _end(self, module: nn.Module, args: object, output: object) -> None:
        if not self._open or module is not self._model or self._running is None:
            return
        forward = self._running
        self._leave()
        if not forward.grad or output is None:
            return
        self._waiting.append(forward)
        with _looking():
            nodes = {tensor.grad_fn for tensor in tensors(output)}
        for node in nodes:
            if node is not None:
                forward.handles.append(node.register_prehook(partial(_mark, forward)))

    def _leave(self) -> None:
        """Leave the running forward: on its end, and on an interrupt that no hook has seen."""
        self._running = None
        if self._mode is not None:
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._mode = None

    def _alone(self) -> _Forward:
        """Return the place of layers that are called by themselves, not by `model(...)`."""
        grad = torch.is_grad_enabled() and self._model.training
        if not grad:
            return _Forward(False, False)
        if self._parts is None:
            self._parts = _Forward(True, True)
        return self._parts

    def _note(
        self, forward: _Forward, name: str, kind: str, training: bool | None, output: object
    ) -> None:
        forward.calls[name] += 1
        call = forward.calls[name]
        if call > MOST_CALLS:
            return
        with _looking():
            tensor = first_tensor(output)
            if tensor is None:
                return
            forward.channels = channels_first(kind, tensor.dim(), forward.channels)
            try:
                seen = Output.of(tensor, kind, training, bool(forward.channels))
            except RuntimeError:  # under torch.func a tensor does not tell its values
                return
        forward.outputs[name if call == 1 else f"{name}, call {call}"] = seen

    # An update

    def _before_update(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not self._open:
            return
        has_closure = len(args) > 1 or bool(kwargs)  # LBFGS: forward and backward come later
        held = {id(value) for group in optimizer.param_groups for value in group["params"]}
        ours = [each for each in self._watched.values() if id(each.value) in held]
        if not ours:
            return
        forward = bool(self._waiting) or self._parts is not None
        if self.history and not forward and not self._updates and not has_closure:
            self._early = True
        self._updates += 1
        for each in ours:
            each.held = True
        if any(forward.used for forward in self._waiting):
            with _looking():
                for each in ours:
                    each.look()

    def step(self, loss: object = None) -> None:
        """Note one step of the training. Call it after `optimizer.step()`.

        What is noted is all that happened since the last call: with several forwards and backwards
        before an update, all of them together.

        Args:
            loss: the loss of this step, one number: a tensor or a float. None notes no loss.

        Raises:
            TypeError: for a loss that is not one number.
            RuntimeError: outside the `with` block; if nothing was trained since the last call; if the
                call comes before `optimizer.step()`; if the model's parameters were replaced.
        """
        counted = self._counted()
        with _looking():
            value = _loss(loss)
            self._require_step()
            layers = _layers(counted)
            parameters = _parameters(self._watched)
        self.history.append(
            {
                "step": len(self.history),
                "loss": value,
                "forwards": len(counted),
                "updates": self._updates,
                "layers": layers,
                "parameters": parameters,
            }
        )
        self._clear()

    def _require_step(self) -> None:
        if not self._open:
            again = "has ended" if self._ended else "has not begun"
            raise RuntimeError(
                f"record.step() notes a step inside `with explore.record(model) as record:`; "
                f"this block {again}."
            )
        if self._early:
            raise RuntimeError(
                "Call record.step(loss) after optimizer.step(), not before it: "
                "otherwise a step would not show what it changed."
            )
        own = dict(self._model.named_parameters())
        other = [name for name, each in self._watched.items() if own.get(name) is not each.value]
        other += [name for name in own if name not in self._watched]
        other += [
            name for name, each in self._watched.items() if each.before.shape != each.value.shape
        ]
        if other:
            raise RuntimeError(
                f"{listed(list(dict.fromkeys(other))[:3])} of the model is another parameter than at the "
                "start of the block; after changing a model, record it in a new block."
            )
        if not self._waiting and self._parts is None and not self._updates:
            raise RuntimeError(
                "record.step() found no forward of the recorded model since the last call: call it "
                "once for each training step, and train the model that you gave to explore.record."
            )

    def _counted(self) -> list[_Forward]:
        """Return the forwards of this step: those that a backward ran through.

        Without any backward, those that could have had one: in training mode.
        """
        used = [forward for forward in self._waiting if forward.used]
        used = used or [forward for forward in self._waiting if forward.training]
        return used or ([self._parts] if self._parts else [])

    def _clear(self) -> None:
        for forward in self._waiting:
            forward.release()
        self._waiting = []
        self._parts = None
        self._early = False
        self._updates = 0


def record(model: nn.Module) -> Recorder:
    """Record the health of a training: activations, gradients, updates, by layer and step.

    Use it around any loop, and call `step` once for each update:

        with explore.record(model) as record:
            for inputs, targets in batches:
                loss = loss_fn(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                record.step(loss)
        explore.health(record)

    Seen are the outputs of all layers without layers inside, and of activation functions that your
    own forward calls (`F.relu(x)`, `x.relu()`, `torch.tanh(x)`, `x.clamp(min=0)`, ...). Not seen are
    other operations, what runs inside PyTorch's own compound layers (an attention, a recurrent
    network) and, if you never call the model as a whole, the functions between its layers.

    A forward counts for a step when a backward ran through its output, so a validation inside the
    block is not mixed in. The training is left as it is: outputs, gradients, modes and random
    numbers are the same as without the recorder.

    Raises:
        TypeError: for what is no network, or one whose lazy layers have not run yet.
    """
    return Recorder(model)


def _layers_in(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return the modules that hold no others, by name; a parametrised one (weight norm) is one."""
    for name, module in model.named_modules():
        inner = {child for child, _ in module.named_children()} - {"parametrizations"}
        if not inner and "parametrizations" not in name.split("."):
            yield name, module


# What is kept of a forward ----------------------------------------------------------------------


@dataclass(eq=False)
class _Forward:
    """One forward of the model; `used` when a backward has run through its output."""

    grad: bool
    training: bool
    used: bool = False
    last: str = ""
    channels: bool | None = None
    outputs: dict[str, Output] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    handles: list[Any] = field(default_factory=list)

    def release(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles.clear()


def _mark(forward: _Forward, gradients: object) -> None:
    forward.used = True


class _Functions(TorchFunctionMode):
    """See the activation functions that a student's own forward calls."""

    def __init__(self, seen: Callable[[str, object], None]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "").rstrip("_")
        if name in _ACTIVATIONS and _asked_by_student():
            self._seen(operation_label(func, args, kwargs) or name, result)
        return result


def _asked_by_student() -> bool:
    """Tell whether the call in progress stands in code that is neither PyTorch's nor ours."""
    frame = sys._getframe(2)
    passed = (f"{_TORCH}/overrides.py", f"{_TORCH}/nn/functional.py", __file__)
    while frame.f_back and frame.f_code.co_filename.replace("\\", "/") in passed:
        frame = frame.f_back
    return not frame.f_code.co_filename.startswith(_TORCH)


@contextmanager
def _looking() -> Iterator[None]:
    """Measure without gradients, and without a word to any mode that listens."""
    with torch._C.DisableTorchFunction(), torch.no_grad():
        yield


def _layers(forwards: Sequence[_Forward]) -> dict[str, dict[str, Any]]:
    """Put the outputs of all forwards of a step together, by layer."""
    outputs: dict[str, list[Output]] = {}
    for forward in forwards:
        for name, output in forward.outputs.items():
            outputs.setdefault(name, []).append(output)
    numbers = [number for seen in outputs.values() for number in _asked(seen)]
    found = iter(answers(numbers))
    return {name: _layer(seen, found) for name, seen in outputs.items()}


def _asked(seen: Sequence[Output]) -> Iterator[Number]:
    for output in seen:
        yield from (
            output.total, output.norm, output.low, output.high, output.zeros, output.unusual,
        )  # fmt: skip
    yield ask(_alive(seen).sum())


def _alive(seen: Sequence[Output]) -> Tensor:
    """Return which units gave other than 0; those of the last forward, where their number changes."""
    alive = seen[-1].alive
    for output in seen[:-1]:
        if output.alive.shape == alive.shape and output.alive.device == alive.device:
            alive = alive | output.alive
    return alive


def _layer(seen: Sequence[Output], found: Iterator[float]) -> dict[str, Any]:
    sums = [[next(found) for _ in range(6)] for _ in seen]
    units = seen[-1].alive.numel()
    alive = next(found)
    values = sum(output.values for output in seen)
    mean = sum(row[0] for row in sums) / values
    square = sum(row[1] ** 2 for row in sums) / values
    ends = [abs(end) for row in sums for end in row[2:4]]
    return {
        "type": seen[-1].kind,
        "training": seen[-1].training,
        "values": values,
        "units": units,
        "mean": mean,
        "std": max(square - mean * mean, 0.0) ** 0.5 if square == square else square,
        "largest": max(ends) if all(end == end for end in ends) else float("nan"),
        "zero": sum(row[4] for row in sums) / values,
        "dead": (units - alive) / units,
        "nonfinite": int(sum(row[5] for row in sums)),
    }


# What is kept of the parameters -----------------------------------------------------------------


@dataclass(eq=False)
class _Parameter:
    """A parameter, its values before the step, and the gradient that the optimizer found."""

    value: nn.Parameter
    before: Tensor
    norm: Number
    shape: tuple[int, ...]
    held: bool = False
    gradient: Gradient | None = None

    @classmethod
    def of(cls, value: nn.Parameter) -> _Parameter:
        before = value.detach().clone()
        return cls(value, before, norm_of(before), tuple(value.shape))

    def look(self) -> None:
        """Measure the gradient as it stands."""
        self.gradient = None if self.value.grad is None else Gradient.of(self.value.grad)

    def change(self) -> tuple[Number, Number]:
        """Return the norms of the parameter before and of its change, and begin the next step."""
        now = self.value.detach()
        if now.device != self.before.device or now.dtype != self.before.dtype:
            self.before = self.before.to(now)
        change = norm_of(self.before.sub_(now))
        self.before.copy_(now)
        before, self.norm = self.norm, norm_of(now)
        return before, change


def _parameters(watched: dict[str, _Parameter]) -> dict[str, dict[str, Any]]:
    asked: list[Number] = []
    for each in watched.values():
        if each.gradient is None:
            each.look()
        asked += each.change()
        if each.gradient is not None:
            seen = each.gradient
            asked += (seen.norm, seen.low, seen.high, seen.unusual)
    found = iter(answers(asked))
    return {name: _parameter(each, found) for name, each in watched.items()}


def _parameter(each: _Parameter, found: Iterator[float]) -> dict[str, Any]:
    weight, update = next(found), next(found)
    norm = largest = nonfinite = None
    if each.gradient is not None:
        norm, low, high, unusual = (next(found) for _ in range(4))
        largest = max(abs(low), abs(high)) if low == low else low
        nonfinite = int(unusual)
        each.gradient = None
    return {
        "shape": each.shape,
        "trains": each.value.requires_grad,
        "held": each.held,
        "gradient": norm,
        "largest": largest,
        "nonfinite": nonfinite,
        "weight": weight,
        "update": update,
        "ratio": update / weight if weight else None,
    }


# Arguments --------------------------------------------------------------------------------------


def _loss(loss: object) -> float | None:
    if isinstance(loss, Tensor) and loss.numel() == 1 and not loss.is_complex():
        return float(loss.detach())
    if isinstance(loss, numbers.Real) and not isinstance(loss, bool):
        return float(loss)
    if loss is None:
        return None
    what = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
    raise TypeError(f"record.step takes the loss as one number; it got {what:.60}.")


def _kept(history: list[dict[str, Any]]) -> Recorder:
    """Return what is left of a recorder that was pickled: its history."""
    recorder = Recorder(nn.Identity())
    recorder.history, recorder._ended = history, True
    return recorder
