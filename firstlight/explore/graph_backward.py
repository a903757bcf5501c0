"""Go backward through a recorded graph as PyTorch's engine does, one node at a time.

Each node's own backward is called, in the engine's order and on the gradients that reached it, so
every number is PyTorch's. But no gradient lands in a `.grad`, no hook is called and nothing is freed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from firstlight.explore.graph_record import Node, Place, Recording

Shape = tuple[int, ...]
Grads = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Part:
    """A gradient on its way: from a node (None: the start) by one of its edges."""

    sender: int | None
    edge: int
    gradient: Tensor


@dataclass(frozen=True)
class Leaving:
    """What a node passes along one edge; `summed` is the shape it had before it was summed."""

    edge: int
    to: Place
    gradient: Tensor | None
    summed: Shape | None


@dataclass(frozen=True)
class Step:
    """One node's turn: the gradients for its results, their parts, what leaves or what is raised."""

    node: int
    arriving: Grads
    parts: tuple[Part, ...]
    leaving: tuple[Leaving, ...] = ()
    error: str | None = None


def backward_steps(recording: Recording, result: Tensor) -> list[Step]:
    """Return the engine's steps of `result.backward()`, from ones where there are many numbers.

    A node whose backward raises is the last step, as it would be for the engine.
    """
    buffers: dict[Place, list[Part]] = {}
    buffers[recording.root] = [Part(None, 0, torch.ones_like(result.detach()))]
    steps = []
    for number in recording.order:
        step = _turn(recording, number, buffers)
        steps.append(step)
        if step.error is not None:
            break
        for leaving in step.leaving:
            if leaving.gradient is not None:
                part = Part(number, leaving.edge, leaving.gradient)
                buffers.setdefault(leaving.to, []).append(part)
    return steps


def _turn(recording: Recording, number: int, buffers: dict[Place, list[Part]]) -> Step:
    node = recording.nodes[number]
    slots = range(max(1, len(node.results)))
    parts = tuple(part for slot in slots for part in buffers.get((number, slot), ()))
    arriving = tuple(_sum(buffers.get((number, slot), ())) for slot in slots)
    if node.leaf is not None:
        return Step(number, arriving, parts)
    try:
        leaving = _call(node, arriving)
        return Step(number, arriving, parts, tuple(_leaving(recording, node, leaving)))
    except Exception as error:  # what backward() raises here; a node may be the student's own code
        return Step(number, arriving, parts, error=f"{type(error).__name__}: {error}")


def _sum(parts: Sequence[Part]) -> Tensor | None:
    total = None
    for part in parts:
        total = part.gradient if total is None else total + part.gradient
    return total


def _call(node: Node, arriving: Grads) -> Grads:
    """Call a node's backward: one gradient, or None, for each of its edges."""
    if node.op == "CheckpointFunctionBackward":
        raise RuntimeError("explore.graph ends here: this checkpoint would write into .grad.")
    if isinstance(node.function, BackwardCFunction):
        return _call_python(node, arriving)
    returned = node.function(*arriving)
    return returned if isinstance(returned, tuple) else (returned,)


def _call_python(node: Node, arriving: Grads) -> Grads:
    """Call the backward of a `torch.autograd.Function`, which has a None for inputs without one."""
    device = next((gradient.device for gradient in arriving if gradient is not None), None)
    filled = tuple(
        torch.zeros(shape, dtype=dtype, device=device) if gradient is None else gradient
        for gradient, (shape, dtype) in zip(arriving, node.results, strict=True)
    )
    returned = node.function.apply(*filled)
    returned = returned if isinstance(returned, tuple) else (returned,)
    needed = zip(returned, node.function.needs_input_grad, strict=False)
    due = iter([gradient for gradient, need in needed if need])
    return tuple(None if edge.node is None else next(due, None) for edge in node.edges)


def _leaving(recording: Recording, node: Node, gradients: Grads) -> list[Leaving]:
    leaving = []
    for number, (edge, gradient) in enumerate(zip(node.edges, gradients, strict=False)):
        if edge.node is not None:
            results = recording.nodes[edge.node].results
            fitted = _fit(gradient, *results[edge.slot]) if results else gradient
            grown = gradient is not None and fitted is not None and gradient.shape != fitted.shape
            summed = tuple(gradient.shape) if grown and gradient is not None else None
            leaving.append(Leaving(number, (edge.node, edge.slot), fitted, summed))
    return leaving


def _fit(gradient: Tensor | None, shape: Shape, dtype: torch.dtype) -> Tensor | None:
    """Give a gradient the shape and dtype of the value it belongs to, as the engine does."""
    if gradient is None:
        return None
    if tuple(gradient.shape) != shape:
        gradient = gradient.sum_to_size(shape)
    return gradient if gradient.dtype == dtype else gradient.to(dtype)
