"""Name an operation as the student wrote it: `F.relu`, `+`, `.flatten(1)`, `torch.cat(…, dim=1)`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import resolve_name

LONGEST = 56  # characters
_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "matmul": "@",
    "pow": "**",
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}
_MODULES = {
    "torch.nn.functional.": "F.",
    "torch.nn.init.": "nn.init.",
    "torch.functional.": "torch.",
    "torch._C._nn.": "F.",
    "torch._VF.": "torch.",
}
_PARTS = {"T", "mT", "H", "mH", "real", "imag", "data", "grad"}  # tensors that are attributes
ASSIGNMENT = " = …"


def operation_label(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Return how a student writes this operation; None for what only asks, such as `x.dim()`."""
    name = resolve_name(func) or getattr(func, "__name__", "")
    if not name:
        return None
    if name.startswith("torch.Tensor."):
        return _method(name.removeprefix("torch.Tensor."), args, kwargs)
    for module, short in _MODULES.items():
        name = short + name.removeprefix(module) if name.startswith(module) else name
    given = "" if name.startswith("nn.init.") else _arguments(args, _chosen(func, name, kwargs))
    return _shortened(name + given)


def _method(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    attribute, _, verb = name.partition(".")
    if verb:  # `.T` is asked for by `T.__get__`
        return f".{attribute}" if verb == "__get__" and attribute in _PARTS else None
    if name in ("__getitem__", "__setitem__"):
        return _shortened(f"[{_index(args[1])}]") + ("" if name == "__getitem__" else ASSIGNMENT)
    plain = name.removeprefix("__").removesuffix("__")
    reverse = plain.startswith("r") and plain[1:] in _SIGNS and name.startswith("__")
    sign = _SIGNS.get(plain[1:] if reverse else plain)
    if sign and len(args) == 2 and not kwargs:
        if isinstance(args[1], Tensor):
            return sign
        other = _text(args[1])
        return f"{other} {sign}" if reverse else f"{sign} {other}"
    if plain == "neg" and len(args) == 1:
        return "-"
    return _shortened(f".{name}{_arguments(args[1:], kwargs) or '()'}")


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the arguments in brackets, or nothing where all of them are tensors."""
    texts = [_text(value) for value in args]
    texts += [f"{name}={_text(value)}" for name, value in kwargs.items()]
    return "" if set(texts) <= {"…"} else f"({', '.join(texts)})"


def _chosen(func: Any, name: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that are no defaults: PyTorch's functions pass all of them on."""
    typed = getattr(F, f"_{name.removeprefix('F.')}", func)
    try:
        parameters = inspect.signature(typed).parameters
    except (TypeError, ValueError):
        parameters = inspect.signature(lambda: None).parameters
    return {
        key: value
        for key, value in kwargs.items()
        if not key.startswith("_") and value is not None and not _is_default(key, value, parameters)
    }


def _is_default(key: str, value: object, parameters: Mapping[str, inspect.Parameter]) -> bool:
    if isinstance(value, Tensor) or key not in parameters:
        return False
    return bool(value == parameters[key].default)


def _index(index: object) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_index, index))
    if isinstance(index, slice):
        ends = ["" if end is None else _text(end) for end in (index.start, index.stop)]
        step = [] if index.step is None else [_text(index.step)]
        return ":".join([*ends, *step])
    return "..." if index is Ellipsis else _text(index)


def _text(value: object) -> str:
    if isinstance(value, (Tensor, nn.Module)):
        return "…"
    if isinstance(value, (tuple, list)):
        inner = [_text(entry) for entry in value]
        if inner and set(inner) == {"…"}:
            return "…"
        left, right = "()" if isinstance(value, tuple) else "[]"
        return f"{left}{', '.join(inner)}{',' if left == '(' and len(inner) == 1 else ''}{right}"
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    plain = value is None or isinstance(value, (bool, int, float, str))
    return repr(value) if plain else type(value).__name__


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
