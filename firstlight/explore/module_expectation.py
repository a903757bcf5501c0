"""Say what a layer or an operation expected of its inputs where it failed, in the real numbers."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from firstlight.explore.broadcast import align
from firstlight.explore.module_run import Step, bound, tensors
from firstlight.explore.tensors import counted, dtype_name

Shape = tuple[int, ...]
ANY = "any"


@dataclass(frozen=True)
class Misfit:
    """What did not fit. `rows` draws it: shapes under each other, axis under axis, from the right.

    `clash` are the axes, counted from the right, where the rows differ.
    """

    sentence: str
    rows: tuple[tuple[str, tuple[str, ...]], ...] = ()
    clash: tuple[int, ...] = ()


def misfits(step: Step) -> list[Misfit]:
    """Return what the failed step expected and did not get; empty where nothing is known."""
    found = _layer(step) if step.module is not None else _operation(step)
    return [*found, *_of_the_explorer(step)]


def _of_the_explorer(step: Step) -> Iterator[Misfit]:
    if "does not require grad" in str(step.error):
        yield Misfit(
            "The explorer runs the model without recording gradients, and this forward asks for one."
        )


# Layers -----------------------------------------------------------------------------------------


def _layer(step: Step) -> Iterator[Misfit]:
    module = step.module
    assert module is not None
    args, kwargs = step.arguments
    yield from _forward_itself(module, args, kwargs)
    given = bound(module, args, kwargs)
    value = next(iter(given.values()), None)
    rule = next((rule for kinds, rule in _RULES if isinstance(module, kinds)), None)
    if rule is None or not given:
        return
    if not isinstance(value, Tensor):
        yield _no_tensor(value)
        return
    yield from rule(module, value)
    yield from _other_kind(module, value)


def _forward_itself(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Misfit]:
    name = type(module).__name__
    if getattr(type(module).forward, "__name__", "") == "_forward_unimplemented":
        own = difflib.get_close_matches("forward", vars(type(module)), n=1, cutoff=0.7)
        has = f" It has `{own[0]}`: PyTorch calls `forward`, spelled so." if own else ""
        yield Misfit(f"{name} has no `forward`, so it cannot be called.{has}")
        return
    try:
        signature = inspect.signature(module.forward)
        signature.bind(*args, **kwargs)
    except TypeError:
        due = ", ".join(f"`{name}`" for name in signature.parameters) or "no input"
        given = counted(len(args) + len(kwargs), "input")
        yield Misfit(f"`{name}.forward` takes {due}, and it was given {given}.")
    except ValueError:  # no signature to read
        return


def _no_tensor(value: object) -> Misfit:
    kind = type(value).__name__
    if isinstance(value, nn.Module):
        return Misfit(
            f"Its input must be a tensor, and it got a module: `nn.{kind}(…)` makes a {kind} and "
            f"does not apply it. `nn.{kind}()(x)` does."
        )
    if value is None:
        return Misfit("Its input must be a tensor, and it got None, as from a missing `return`.")
    return Misfit(f"Its input must be a tensor, and it got a {kind}.")


def _other_kind(module: nn.Module, x: Tensor) -> Iterator[Misfit]:
    """Compare dtype and device of the input with those of the layer's own numbers."""
    own = next((p for p in module.parameters(recurse=False) if p.is_floating_point()), None)
    if own is None:
        return
    if x.dtype != own.dtype and not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        yield Misfit(
            f"Its parameters are {dtype_name(own)}, and its input is {dtype_name(x)}: "
            "a layer computes in one dtype."
        )
    if x.device != own.device:
        yield Misfit(
            f"Its parameters are on {own.device}, and its input is on {x.device}: "
            "a layer computes on one device."
        )


_Rule = Callable[[Any, Tensor], Iterator[Misfit]]


def _axis(x: Tensor, axis: int, name: str, size: int) -> Iterator[Misfit]:
    """The size of one axis; `axis` counts from the right."""
    if x.dim() >= -axis and x.shape[axis] == size:
        return
    if x.dim() < -axis:
        yield Misfit(f"{name}={size}: its input needs such an axis, and it is {_shape(x)}.")
        return
    place = "the last axis" if axis == -1 else f"axis {x.dim() + axis}"
    due = [ANY] * x.dim()
    due[axis] = str(size)
    yield Misfit(
        f"{name}={size}: {place} of its input must be {size}, and it is {x.shape[axis]}.",
        (("it got", _texts(x.shape)), ("it takes", tuple(due))),
        (axis,),
    )


def _axes(x: Tensor, allowed: Sequence[int], forms: str) -> Iterator[Misfit]:
    if x.dim() not in allowed:
        many = " or ".join(map(str, allowed))
        yield Misfit(f"Its input must have {many} axes, {forms}; it has {x.dim()}: {_shape(x)}.")


def _linear(module: nn.Linear, x: Tensor) -> Iterator[Misfit]:
    yield from _axis(x, -1, "in_features", module.in_features)
    if x.dim() > 2 and x.shape[-1] != module.in_features == prod(x.shape[1:]):
        flat = (x.shape[0], prod(x.shape[1:]))
        yield Misfit(f"Flattened from axis 1 on, {_shape(x)} is {flat}, and would fit.")
    elif x.dim() == 2 and x.shape[0] == module.in_features != x.shape[1]:
        yield Misfit(f"Axis 0 has {module.in_features}: the batch may stand in the wrong axis.")


_SPACE = {1: "L", 2: "H, W", 3: "D, H, W"}
_CONVOLUTIONS: dict[type, int] = {
    nn.Conv1d: 1,
    nn.Conv2d: 2,
    nn.Conv3d: 3,
    nn.ConvTranspose1d: 1,
    nn.ConvTranspose2d: 2,
    nn.ConvTranspose3d: 3,
    nn.InstanceNorm1d: 1,
    nn.InstanceNorm2d: 2,
    nn.InstanceNorm3d: 3,
    nn.MaxPool1d: 1,
    nn.MaxPool2d: 2,
    nn.MaxPool3d: 3,
    nn.AvgPool1d: 1,
    nn.AvgPool2d: 2,
    nn.AvgPool3d: 3,
}


def _space(module: Any, x: Tensor) -> Iterator[Misfit]:
    """Layers over channels and one to three axes of space, with a batch or without one."""
    depth = next(depth for kind, depth in _CONVOLUTIONS.items() if isinstance(module, kind))
    space = _SPACE[depth]
    unfit = list(_axes(x, (depth + 1, depth + 2), f"(C, {space}) or (N, C, {space})"))
    name = "in_channels" if hasattr(module, "in_channels") else "num_features"
    channels = getattr(module, name, None)
    if unfit or channels is None:
        yield from unfit
        return
    yield from _axis(x, -depth - 1, name, channels)
    if channels == 1 and x.dim() == depth + 1 and x.shape[0] != 1:
        whole = (x.shape[0], 1, *x.shape[1:])
        yield Misfit(f"{_shape(x)} is read as (C, {space}). x.unsqueeze(1) is {whole}, and fits.")


def _batch_norm(module: Any, x: Tensor) -> Iterator[Misfit]:
    allowed, forms = {
        nn.BatchNorm1d: ((2, 3), "(N, C) or (N, C, L)"),
        nn.BatchNorm2d: ((4,), "(N, C, H, W)"),
        nn.BatchNorm3d: ((5,), "(N, C, D, H, W)"),
    }.get(type(module), ((x.dim(),), ""))
    unfit = list(_axes(x, allowed, forms))
    yield from unfit or _axis(x, 1 - x.dim(), "num_features", module.num_features)
    if not unfit and module.training and x.numel() == x.shape[1]:
        yield Misfit(
            "In training mode it needs the mean and variance of each channel over the batch, and "
            f"{_shape(x)} holds one value per channel."
        )


def _trailing(module: Any, x: Tensor) -> Iterator[Misfit]:
    due = tuple(module.normalized_shape)
    if tuple(x.shape[-len(due) :]) == due:
        return
    clash = [n for n in range(-len(due), 0) if x.dim() < -n or x.shape[n] != due[n]]
    yield Misfit(
        f"normalized_shape={due}: the last axes of its input must be {due}; it is {_shape(x)}.",
        (("it got", _texts(x.shape)), ("it takes", (ANY,) * (x.dim() - len(due)) + _texts(due))),
        tuple(clash),
    )


def _group_norm(module: nn.GroupNorm, x: Tensor) -> Iterator[Misfit]:
    yield from _axis(x, 1 - x.dim(), "num_channels", module.num_channels)


def _embedding(module: nn.Embedding, x: Tensor) -> Iterator[Misfit]:
    if x.dtype not in (torch.int32, torch.int64):
        yield Misfit(f"Its input must be whole numbers, int64 or int32; it is {dtype_name(x)}.")
    elif x.numel() and not x.is_meta:
        low, high = (int(edge) for edge in x.aminmax())
        if low < 0 or high >= module.num_embeddings:
            last = module.num_embeddings - 1
            yield Misfit(
                f"num_embeddings={module.num_embeddings}: its input must lie between 0 and {last}; "
                f"it goes from {low} to {high}."
            )


def _recurrent(module: Any, x: Tensor) -> Iterator[Misfit]:
    cell = isinstance(module, nn.RNNCellBase)
    first = "N, T" if getattr(module, "batch_first", False) else "T, N"
    forms = "(C,) or (N, C)" if cell else f"(T, C) or ({first}, C)"
    unfit = list(_axes(x, (1, 2) if cell else (2, 3), forms))
    yield from unfit or _axis(x, -1, "input_size", module.input_size)


def _attention(module: nn.MultiheadAttention, x: Tensor) -> Iterator[Misfit]:
    yield from _axis(x, -1, "embed_dim", module.embed_dim)


_RULES: tuple[tuple[Any, _Rule], ...] = (
    (nn.Linear, _linear),
    (tuple(_CONVOLUTIONS), _space),
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    ((nn.LayerNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else [])), _trailing),
    (nn.GroupNorm, _group_norm),
    (nn.Embedding, _embedding),
    ((nn.RNNBase, nn.RNNCellBase), _recurrent),
    (nn.MultiheadAttention, _attention),
)


# Operations -------------------------------------------------------------------------------------


def _operation(step: Step) -> Iterator[Misfit]:
    operands = list(tensors(step.arguments[0]))
    name = step.label.partition("(")[0].split(" ")[0]
    if len(operands) >= 2 and operands[0].device != operands[1].device:
        first, second = (operand.device for operand in operands[:2])
        yield Misfit(f"The first tensor is on {first}, the second on {second}.")
    elif len(operands) == 2 and name in ("@", "torch.matmul", "torch.mm", ".mm"):
        yield from _product(*operands)
    elif len(operands) >= 2 and name == "F.linear":
        yield from _weighted(*operands[:2])
    elif len(operands) == 2 and name in ("+", "-", "*", "/", "**", ">", "<", ">=", "<=", "=="):
        yield from _elementwise(*operands)
    elif len(operands) >= 2 and name in ("torch.cat", "torch.concat"):
        yield from _joined(step, operands)


def _product(first: Tensor, second: Tensor) -> Iterator[Misfit]:
    if first.dim() and second.dim():
        inner = second.shape[-2] if second.dim() > 1 else second.shape[0]
        if first.shape[-1] != inner:
            place = "axis -2" if second.dim() > 1 else "the only axis"
            yield Misfit(
                f"The last axis of {_shape(first)} must be as long as {place} of "
                f"{_shape(second)}: {first.shape[-1]} is not {inner}."
            )
    yield from _other_dtype(first, second)


def _weighted(x: Tensor, weight: Tensor) -> Iterator[Misfit]:
    if x.dim() and weight.dim() and x.shape[-1] != weight.shape[-1]:
        yield Misfit(
            f"The last axis of {_shape(x)} must be as long as the last of the weight, "
            f"{_shape(weight)}: {x.shape[-1]} is not {weight.shape[-1]}."
        )
    yield from _other_dtype(x, weight)


def _other_dtype(first: Tensor, second: Tensor) -> Iterator[Misfit]:
    if first.dtype != second.dtype:
        yield Misfit(
            f"The first tensor is {dtype_name(first)}, the second {dtype_name(second)}: "
            "a product needs one dtype."
        )


def _elementwise(first: Tensor, second: Tensor) -> Iterator[Misfit]:
    axes = align(tuple(first.shape), tuple(second.shape), ("the first", "the second"))
    clash = tuple(axis.axis for axis in axes if axis.result is None)
    if clash:
        last = next(axis for axis in reversed(axes) if axis.result is None)
        rows = (("first", _texts(first.shape)), ("second", _texts(second.shape)))
        yield Misfit(last.sentence, rows, clash)


def _joined(step: Step, parts: Sequence[Tensor]) -> Iterator[Misfit]:
    args, kwargs = step.arguments
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    depth = parts[0].dim()
    for part in parts[1:]:
        if part.dim() != depth or not isinstance(dim, int):
            return
        others = [n for n in range(-depth, 0) if n % depth != dim % depth]
        clash = tuple(n for n in others if part.shape[n] != parts[0].shape[n])
        if clash:
            rows = (("first", _texts(parts[0].shape)), ("another", _texts(part.shape)))
            yield Misfit(f"All axes but axis {dim} must be equally long.", rows, clash)
            return


def _texts(shape: Sequence[int]) -> tuple[str, ...]:
    return tuple(map(str, shape))


def _shape(x: Tensor) -> str:
    return str(tuple(x.shape))
