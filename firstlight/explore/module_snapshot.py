"""Keep all that a forward could change, and put it back exactly."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from firstlight.explore.module_registry import INTERNAL, LONGEST, is_plain_object, joined

_CONTAINERS = (dict, list, set, deque)


@dataclass
class Snapshot:
    """The state of modules and of all that hangs from them, as it was when each was added.

    Attributes and the contents of plain containers are kept by reference, the values of tensors as
    copies. After `restore`, every object is the same object with the same content, down to the
    version counters by which autograd notices an edit. `changed` then holds the names of what had
    been changed.
    """

    changed: list[str] = field(default_factory=list)
    _seen: dict[int, object] = field(default_factory=dict)  # keeps them alive, so ids stay unique
    _undo: list[Callable[[], Iterator[str]]] = field(default_factory=list)

    def add(self, value: object, path: str = "") -> None:
        """Keep `value` and all that hangs from it; what is kept already stays as it was kept."""
        if id(value) in self._seen:
            return
        if isinstance(value, nn.Module):
            self._seen[id(value)] = value
            self._add_container(value.__dict__, path, hide=INTERNAL)
        elif isinstance(value, Tensor):
            self._seen[id(value)] = value
            self._undo.append(_keep_tensor(value, path))
        elif isinstance(value, torch.Generator):
            self._seen[id(value)] = value
            self._undo.append(_keep_generator(value))
        elif isinstance(value, _CONTAINERS):
            self._add_container(value, path)
        elif isinstance(value, tuple):
            self._add_entries(value, path)
        elif is_plain_object(value):
            self._seen[id(value)] = value
            self._add_container(vars(value), path)

    def _add_container(self, box: Any, path: str, hide: frozenset[str] = frozenset()) -> None:
        if id(box) in self._seen:
            return
        self._seen[id(box)] = box
        self._undo.append(_keep_dict(box, path) if isinstance(box, dict) else _keep_list(box, path))
        entries = box.items() if isinstance(box, dict) else [("", entry) for entry in box]
        if len(box) > LONGEST:
            return
        for name, entry in list(entries):
            inner = path if name in hide or not isinstance(name, str) else joined(path, name)
            self.add(entry, inner if name else path)

    def _add_entries(self, entries: tuple[object, ...], path: str) -> None:
        if len(entries) <= LONGEST:
            for entry in entries:
                self.add(entry, path)

    def restore(self) -> None:
        """Put everything back, the last thing kept first."""
        names = [name for undo in reversed(self._undo) for name in undo()]
        self.changed = list(dict.fromkeys(reversed(names)))


def _keep_dict(box: dict[Any, Any], path: str) -> Callable[[], Iterator[str]]:
    before = dict(box)

    def undo() -> Iterator[str]:
        keys = [*before, *(key for key in box if key not in before)]
        missing = object()
        different = [key for key in keys if box.get(key, missing) is not before.get(key, missing)]
        if different or list(box) != list(before):
            box.clear()
            box.update(before)
        for key in different:
            yield joined(path, str(key))

    return undo


def _keep_list(box: Any, path: str) -> Callable[[], Iterator[str]]:
    before = list(box)

    def undo() -> Iterator[str]:
        now = list(box)
        if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
            box.clear()
            box.update(before) if isinstance(box, set) else box.extend(before)
            yield path

    return undo


def _keep_tensor(tensor: Tensor, path: str) -> Callable[[], Iterator[str]]:
    flag = tensor.requires_grad
    grad = tensor.grad if tensor.is_leaf else None
    undo_grad = _keep_values(grad) if grad is not None else None
    undo_values = _keep_values(tensor)

    def undo() -> Iterator[str]:
        changed = undo_values()
        if tensor.is_leaf:
            if tensor.requires_grad != flag:
                tensor.requires_grad_(flag)
                changed = True
            if tensor.grad is not grad:
                tensor.grad = grad
                yield f"{path}.grad"
            elif undo_grad and undo_grad():
                yield f"{path}.grad"
        if changed:
            yield path

    return undo


def _keep_values(tensor: Tensor) -> Callable[[], bool]:
    """Return what puts a tensor's memory and values back, and tells whether they had changed."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_inference():
        return lambda: False
    before = tensor.detach()  # the same memory, whatever becomes of the tensor
    facts = _facts(before)
    once = before[tuple(slice(1 if step == 0 else None) for step in before.stride())]
    values = once.clone()
    version = torch.autograd._unsafe_preserve_version_counter(once)  # type: ignore[attr-defined]

    def undo() -> bool:
        moved = _facts(tensor) != facts
        if moved:
            tensor.data = before
        changed = not _equal(once, values)
        if changed:
            once.copy_(values)
        version.__exit__()  # the count is again what it was when `version` was made
        return moved or changed

    return undo


def _facts(tensor: Tensor) -> tuple[object, ...]:
    return tensor.dtype, tensor.device, tensor.shape, tensor.stride(), tensor.data_ptr()


def _equal(first: Tensor, second: Tensor) -> bool:
    """Tell whether two tensors hold the same values; NaN is NaN."""
    if torch.equal(first, second):
        return True
    return bool(((first == second) | (first.isnan() & second.isnan())).all())


def _keep_generator(generator: torch.Generator) -> Callable[[], Iterator[str]]:
    before = generator.get_state()

    def undo() -> Iterator[str]:
        generator.set_state(before)
        return iter(())

    return undo


@contextmanager
def random_kept() -> Iterator[None]:
    """Run the block, then put back every random generator: PyTorch's, NumPy's and Python's."""
    python, numpy = random.getstate(), np.random.get_state()
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)
