"""Record what a network computes: every operation PyTorch runs for one picture, and nothing else.

At the level at which PyTorch dispatches, `nn.Linear`, `F.linear` and `x @ W.T + b` are one and the
same, so a student's `forward` may be written in any style: `nn.Sequential`, skip connections,
functional calls, Python control flow. What does not depend on the picture (weights, masks) appears
as a constant. A recording can be replayed on another picture, which proves that it is the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.utils._python_dispatch import TorchDispatchMode

from firstlight.explore.evaluation import first_line

CLASSES = 10
LAYOUTS = ((1, 1, 28, 28), (1, 28, 28), (1, 784))
_SHAPES_ONLY = ("empty_like", "zeros_like", "ones_like", "full_like", "new_")
_RANDOM = ("bernoulli", "native_dropout", "rand", "normal", "uniform", "multinomial")


@dataclass(frozen=True)
class Value:
    """A result of the recording: output `slot` of call number `call`; call -1 is the picture."""

    call: int
    slot: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One operation PyTorch ran, with `Value`s where the picture's descendants went in."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    layer: str

    @property
    def name(self) -> str:
        """The operation's plain name: `aten.relu_.default` is `relu`."""
        name = str(self.function.overloadpacket.__name__)
        return name.rstrip("_")

    @property
    def in_place(self) -> bool:
        """Whether it changes one of its arguments, the first."""
        return bool(self.function._schema.is_mutable)

    @property
    def bound(self) -> dict[str, Any]:
        """All arguments by name, defaults included."""
        parameters = self.function._schema.arguments
        given = {p.name: p.default_value for p in parameters if p.has_default_value()}
        given.update(zip((p.name for p in parameters), self.args, strict=False))
        return {**given, **self.kwargs}

    @property
    def inputs(self) -> Iterator[Value]:
        """The recorded values it reads."""
        for leaf in leaves((self.args, tuple(self.kwargs.values()))):
            if isinstance(leaf, Value):
                yield leaf


class RandomInEvalError(Exception):
    """The network drew random numbers although it is in eval mode; `layer` is where."""

    def __init__(self, layer: str) -> None:
        super().__init__(layer)
        self.layer = layer


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keep every call that reads the picture or something made of it."""

    def __init__(self, picture: Tensor, current_layer: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._current_layer = current_layer
        self._values = {id(picture): Value(-1, 0, tuple(picture.shape))}
        self._alive: list[Any] = [picture]  # or an id could be used twice

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # or PyTorch imports its compiler first: seconds
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        call = Call(func, self._named(args), self._named(kwargs), self._current_layer())
        if call.name.startswith(_RANDOM):
            raise RandomInEvalError(call.layer)
        reads_picture = any(call.inputs) and not call.name.startswith(_SHAPES_ONLY)
        if reads_picture and call.in_place and not isinstance(call.args[0], Value):
            before = (args[0].clone(), *call.args[1:])
            call = Call(func, before, call.kwargs, call.layer)
        result = func(*args, **kwargs)
        if reads_picture:
            self._keep(call, result)
        return result

    def value(self, tensor: Tensor) -> Value | None:
        """Return which recorded value this tensor is."""
        return self._values.get(id(tensor))

    def _keep(self, call: Call, result: Any) -> None:
        self._alive.append(result)
        for slot, tensor in enumerate(result if isinstance(result, (tuple, list)) else (result,)):
            if isinstance(tensor, Tensor):
                value = Value(len(self.calls), slot, tuple(tensor.shape))
                self._values[id(tensor)] = value
        self.calls.append(call)

    def _named(self, arguments: Any) -> Any:
        return _replace(
            arguments,
            lambda leaf: self._values.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf,
        )


@dataclass(frozen=True)
class Recording:
    """One run: the picture's shape, what PyTorch ran, and which value is the answer."""

    layout: tuple[int, ...]
    calls: tuple[Call, ...]
    answer: Value

    @property
    def needed(self) -> list[Value]:
        """The values the answer is made of, in the order they were made."""
        seen = {self.answer}
        waiting = [self.answer]
        while waiting:
            value = waiting.pop()
            if value.call >= 0:
                fresh = set(self.calls[value.call].inputs) - seen
                seen |= fresh
                waiting.extend(fresh)
        return sorted(seen, key=lambda value: (value.call, value.slot))

    def replay(self, picture: Tensor) -> Tensor:
        """Run the recorded calls that the answer needs on another picture."""
        results: dict[int, Any] = {-1: (picture,)}
        for number in dict.fromkeys(value.call for value in self.needed if value.call >= 0):
            call = self.calls[number]

            def fill(leaf: Any) -> Any:
                return results[leaf.call][leaf.slot] if isinstance(leaf, Value) else leaf

            args = list(_replace(call.args, fill))
            if call.in_place:  # the tensor it would change may be needed again
                args[0] = args[0].clone()
            result = call.function(*args, **_replace(call.kwargs, fill))
            results[number] = result if isinstance(result, (tuple, list)) else (result,)
        answer: Tensor = results[self.answer.call][self.answer.slot]
        return answer


def record(model: nn.Module, picture: Tensor, explorer: str) -> Recording:
    """Record the model's answer to `picture` (28, 28), in the first layout that gives (1, 10).

    Raises:
        TypeError: if no layout gives ten numbers; the message says what each gave.
        RandomInEvalError: if the model draws random numbers.
    """
    tried = []
    for layout in LAYOUTS:
        recording = _try_layout(model, picture.reshape(layout))
        if isinstance(recording, Recording):
            return recording
        tried.append(f"{layout}: {recording}")
    raise TypeError(
        f"{explorer} needs a network that turns one 28 × 28 picture into {CLASSES} numbers, "
        f"of shape (1, {CLASSES}). Tried with an input of shape\n  " + "\n  ".join(tried)
    )


def _try_layout(model: nn.Module, picture: Tensor) -> Recording | str:
    """Record one run, or say why this shape of picture did not work."""
    with _layer_names(model) as current_layer, _Recorder(picture, current_layer) as recorder:
        try:
            answer = model(picture)
        except RandomInEvalError:
            raise
        except Exception as error:  # whatever the student's own code may raise
            return first_line(error)
    if not isinstance(answer, Tensor):
        return f"it returned a {type(answer).__name__}"
    if answer.shape != (1, CLASSES):
        return f"it returned the shape {tuple(answer.shape)}"
    value = recorder.value(answer)
    if value is None:
        return "its answer does not depend on the picture"
    return Recording(tuple(picture.shape), tuple(recorder.calls), value)


@contextmanager
def _layer_names(model: nn.Module) -> Iterator[Callable[[], str]]:
    """Give a function that says which layer is running; the model itself gets no hook."""
    names = {module: name for name, module in model.named_modules()}
    running: list[nn.Module] = []

    def enter(module: nn.Module, inputs: Any) -> None:
        running.append(module)

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        running.pop()

    def current() -> str:
        if not running or running[-1] is model:
            return f"forward of {type(model).__name__}"
        module = running[-1]
        return f"{names.get(module, '?')} ({type(module).__name__})"

    handles = (
        hooks.register_module_forward_pre_hook(enter),
        hooks.register_module_forward_hook(leave),
    )
    try:
        yield current
    finally:
        for handle in handles:
            handle.remove()


def _replace(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dicts with every leaf changed."""
    if isinstance(tree, (tuple, list)):
        return type(tree)([_replace(branch, change) for branch in tree])
    if isinstance(tree, dict):
        return {key: _replace(branch, change) for key, branch in tree.items()}
    return change(tree)


def leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from leaves(branch)
    else:
        yield tree
