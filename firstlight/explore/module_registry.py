"""What a module holds: what is registered under which name, and what is hidden from it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

INTERNAL = frozenset(vars(nn.Module()))  # the attributes every module has
LONGEST = 10_000  # entries: a longer container is not searched
DEEPEST = 5  # containers in containers
_FOREIGN = sys.stdlib_module_names | {"torch", "numpy"}  # objects of these packages are not opened


@dataclass(frozen=True)
class Held:
    """A tensor under one of its names. `same` is the name under which it stood before, if any.

    `kind` is "parameter", "buffer" or "tensor", which is neither.
    """

    name: str
    path: str
    kind: str
    value: Tensor
    persistent: bool
    same: str | None


@dataclass(frozen=True)
class Part:
    """One line of the tree: a module, a tensor outside the registry, or what holds such things.

    `kind` is "module", "tensor" or "holder" (a plain list, tuple, dict, set, or another object).
    `hidden` marks where the registry ends: the attribute that is not registered. What stands below
    it is not `registered` either. `same` is the path under which a module stood before.
    """

    number: int
    parent: int | None
    name: str
    path: str
    kind: str
    value: Any
    registered: bool
    hidden: bool
    same: str | None
    holds: tuple[Held, ...]


def find_parts(model: nn.Module) -> tuple[Part, ...]:
    """Return all that a model holds, each part before what it holds itself.

    The order is that of registration; what is hidden comes after what is registered. Something
    that is registered anywhere in the model is never called hidden.
    """
    walk = _Walk(model)
    walk.add_module(model, "", "", None)
    return tuple(walk.parts)


class _Walk:
    def __init__(self, model: nn.Module) -> None:
        self.parts: list[Part] = []
        self._paths: dict[int, str] = {}  # the first path of each module and tensor
        for named in (model.named_modules(), model.named_parameters(), model.named_buffers()):
            self._paths.update({id(value): path for path, value in named})
        self._registered = set(self._paths)

    def add_module(
        self,
        module: nn.Module,
        name: str,
        path: str,
        parent: int | None,
        registered: bool = True,
        hidden: bool = False,
    ) -> None:
        same = self._same(module, path)
        holds = () if same is not None else tuple(self._held(module, path))
        number = self._add(parent, name, path, "module", module, registered, hidden, same, holds)
        if same is not None:
            return
        for child_name, child in module._modules.items():
            if child is not None:
                self.add_module(child, child_name, joined(path, child_name), number, registered)
        for attribute, value in own_attributes(module):
            self._add_hidden(attribute, joined(path, attribute), value, number)

    def _add_hidden(self, name: str, path: str, value: object, parent: int) -> None:
        if isinstance(value, (nn.Module, Tensor)):
            if id(value) not in self._registered:
                self._add_found(name, path, value, parent, hidden=True)
            return
        found = [
            (place, held)
            for place, held in inside(value)
            if id(held) not in self._registered and not _is_placeholder(held)
        ]
        if found:
            number = self._add(parent, name, path, "holder", value, False, True, None, ())
            for place, held in found:
                self._add_found(place, path + place, held, number)

    def _add_found(
        self, name: str, path: str, value: nn.Module | Tensor, parent: int, hidden: bool = False
    ) -> None:
        if isinstance(value, nn.Module):
            self.add_module(value, name, path, parent, registered=False, hidden=hidden)
            return
        kind = "parameter" if isinstance(value, nn.Parameter) else "tensor"
        same = self._same(value, path)
        held = (Held(name, path, kind, value, False, same),)
        self._add(parent, name, path, "tensor", value, False, hidden, same, held)

    def _held(self, module: nn.Module, path: str) -> Iterator[Held]:
        for name, parameter in module._parameters.items():
            if parameter is not None:
                own = joined(path, name)
                yield Held(name, own, "parameter", parameter, True, self._same(parameter, own))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                own = joined(path, name)
                kept = name not in module._non_persistent_buffers_set
                yield Held(name, own, "buffer", buffer, kept, self._same(buffer, own))

    def _same(self, value: object, path: str) -> str | None:
        first = self._paths.setdefault(id(value), path)
        return None if first == path else first

    def _add(
        self,
        parent: int | None,
        name: str,
        path: str,
        kind: str,
        value: Any,
        registered: bool,
        hidden: bool,
        same: str | None,
        holds: tuple[Held, ...],
    ) -> int:
        number = len(self.parts)
        self.parts.append(
            Part(number, parent, name, path, kind, value, registered, hidden, same, holds)
        )
        return number


def own_attributes(module: nn.Module) -> Iterator[tuple[str, object]]:
    """Return the attributes that only this module has, in the order in which they were set."""
    for name, value in vars(module).items():
        if name not in INTERNAL:
            yield name, value


def inside(value: object, depth: int = DEEPEST) -> Iterator[tuple[str, nn.Module | Tensor]]:
    """Return the modules and tensors in a container, each with its place: `[0]`, `['a'][1]`.

    In an object of the student's own that is no container, only modules and parameters count.
    """
    if depth == 0:
        return
    entries, own_object = _entries(value)
    for place, entry in entries:
        if isinstance(entry, (nn.Module, nn.Parameter)) or (
            isinstance(entry, Tensor) and not own_object
        ):
            yield place, entry
        else:
            for further, found in inside(entry, depth - 1):
                yield place + further, found


def _entries(value: object) -> tuple[Iterable[tuple[str, object]], bool]:
    """Return what stands directly in a container or a plain object, and whether it is the latter."""
    if isinstance(value, (list, tuple, deque)):
        if len(value) > LONGEST:
            return (), False
        return [(f"[{index}]", entry) for index, entry in enumerate(value)], False
    if isinstance(value, Mapping):
        if len(value) > LONGEST:
            return (), False
        return [(f"[{_key(key)}]", entry) for key, entry in list(value.items())], False
    if isinstance(value, (set, frozenset)):  # no order: one that is the same every time
        ordered = sorted(value, key=_looks) if len(value) <= LONGEST else []
        return [(f"{{{index}}}", entry) for index, entry in enumerate(ordered)], False
    if is_plain_object(value):
        return [(f".{name}", entry) for name, entry in list(vars(value).items())], True
    return (), False


def is_plain_object(value: object) -> bool:
    """Tell whether `value` is an object of somebody's own class, which may hold layers."""
    if isinstance(value, (nn.Module, Tensor, type, ModuleType, FunctionType, MethodType)):
        return False
    package = type(value).__module__.partition(".")[0]
    return hasattr(value, "__dict__") and package not in _FOREIGN


def _key(key: object) -> str:
    return repr(key) if isinstance(key, (str, int, float, bool, tuple)) else type(key).__name__


def _looks(value: object) -> tuple[str, str]:
    if isinstance(value, Tensor):
        return type(value).__name__, str(tuple(value.shape))
    return type(value).__name__, repr(value) if isinstance(value, (str, int, nn.Module)) else ""


def _is_placeholder(value: object) -> bool:
    return isinstance(value, Tensor) and torch.nn.parameter.is_lazy(value)


def joined(path: str, name: str) -> str:
    """Return `block.fc` for `block` and `fc`, and `fc` for the model's own."""
    return f"{path}.{name}" if path else name


def distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return each tensor once."""
    return list({id(tensor): tensor for tensor in tensors}.values())


def numbers(tensors: Iterable[Tensor]) -> int:
    """Return how many numbers distinct tensors hold."""
    return sum(tensor.numel() for tensor in distinct(tensors))
