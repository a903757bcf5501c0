"""Ask a trained network for its answers and leave it as it was."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeGuard

import torch
from torch import Tensor, nn


def require_model(model: object, explorer: str) -> nn.Module:
    """Return `model` if it is a network that can run.

    Raises:
        TypeError: if it is no `nn.Module`, or a lazy layer of it has no parameters yet.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise TypeError(
            f"{explorer} needs a network, and {model.__name__} is its class: "
            f"make one first, as in `model = {model.__name__}()`."
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"{explorer} needs your network, an nn.Module; it got {_a(model)}.")
    for name, parameter in chain(model.named_parameters(), model.named_buffers()):
        if torch.nn.parameter.is_lazy(parameter):
            raise TypeError(
                f"{explorer} needs a network that has run once: "
                f"{name} belongs to a lazy layer and has no shape yet."
            )
    return model


def home(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return the device and floating dtype of the network's parameters (CPU, float32 if none)."""
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run the block in eval mode without gradients; then put back every mode and the RNG."""
    modes = [(module, module.training) for module in model.modules()]
    device, _ = home(model)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.no_grad():
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def are_probabilities(outputs: Tensor) -> bool:
    """Tell whether rows of a network's outputs (N, classes) went through a softmax already."""
    sums = outputs.double().sum(1)
    return bool((outputs >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-3))


def is_images_and_labels(value: object) -> TypeGuard[tuple[Tensor, Tensor]]:
    """Tell whether `value` is a pair of tensors: images (N, ...) and as many labels (N,)."""
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(part, Tensor) for part in value)
        and value[0].dim() > 1
        and value[1].dim() == 1
        and len(value[0]) == len(value[1])
    )


def percent(probability: float) -> str:
    """Return `97.2 %`, and never all or nothing: `> 99.9 %`, `< 0.1 %`."""
    if math.isnan(probability):
        return "NaN"
    if probability < 0.0005:
        return "< 0.1 %"
    if probability >= 0.9995:
        return "> 99.9 %"
    return f"{math.floor(1000 * probability + 0.5) / 10:.1f} %"  # half up, as in the browser


def first_line(error: BaseException) -> str:
    """Return an error as one line: its type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
