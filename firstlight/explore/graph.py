"""`explore.graph(loss)`: the graph autograd recorded, with its values, stepped backward."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.frame import Explorer
from firstlight.explore.graph_backward import backward_steps
from firstlight.explore.graph_record import Recording, Saved, read, saved_by, scope
from firstlight.explore.graph_rules import plain_name
from firstlight.explore.graph_shown import one_line
from firstlight.explore.graph_story import Story
from firstlight.explore.graph_values import find_values
from firstlight.explore.graph_words import in_words
from firstlight.explore.tensors import (
    bytes_text,
    call_names,
    counted,
    dtype_name,
    require_dense,
)

MOST_DRAWN = 400  # operations and leaves: a larger graph is counted
LONGEST_LABEL = 24  # characters
MOST_LEAVES = 12  # named in a summary


def graph(loss: Tensor) -> Explorer:
    """Show the graph autograd recorded for a tensor, and go backward through it node by node.

    The values are those of the forward pass, the gradients those of `loss.backward()`, and each
    leaf shows what would land in its `.grad`. Nothing of yours changes: no `.grad` is written, no
    hook is set or called, and the graph is not freed. Names are those of your variables.

    A tensor without a graph is explained; a graph of thousands of nodes is counted.

    Raises:
        TypeError: for anything but a dense tensor that has values.
    """
    _check(loss)
    caller = sys._getframe(1)
    (source,) = call_names("graph", (loss,), caller)
    label = source if source and len(source) <= LONGEST_LABEL else "the result"
    with torch.inference_mode(False), torch.no_grad():
        if loss.grad_fn is None and not loss.requires_grad:
            return _nothing_recorded(loss, label)
        if loss.grad_fn is None:
            return _leaf(loss, label)
        return _explore(loss, label, scope(caller))


def _check(loss: object) -> None:
    if isinstance(loss, (int, float)):
        raise TypeError(
            f"explore.graph(loss) takes a tensor, and this is the number {loss!r:.40}. A number has "
            "no graph: .item() leaves it behind. Pass the tensor itself."
        )
    require_dense(loss, "explore.graph(loss)")


def _explore(loss: Tensor, label: str, variables: Sequence[tuple[str, Tensor]]) -> Explorer:
    title = f"The graph autograd recorded for {label}"
    recording = read(loss)
    saved = [saved_by(node) for node in recording.nodes]
    if len(recording.nodes) > MOST_DRAWN:
        return _summary(title, recording, saved, variables)
    with torch.random.fork_rng(devices=_cuda(loss)):
        values = find_values(recording, saved, loss, variables)
        steps = backward_steps(recording, loss)
    story = Story(recording, saved, values, steps, label, variables)
    data = {"mode": "graph", "label": label, **story.data(loss)}
    return Explorer("graph", title, data, in_words(data, recording.order))


def _cuda(loss: Tensor) -> list[torch.device]:
    return [loss.device] if loss.device.type == "cuda" else []


# What has no graph to draw ---------------------------------------------------------------------


def _plain(title: str, sentences: Sequence[str], **tables: Any) -> Explorer:
    data = {"mode": "summary", "sentences": list(sentences), "kinds": [], "leaves": [], **tables}
    return Explorer("graph", title, data, _plain_text(data))


def _plain_text(data: dict[str, Any]) -> str:
    lines = list(data["sentences"])
    if data["kinds"]:
        lines += ["", "Its operations:"]
        lines += [f"  {count:>7,} {name} ({op})" for op, name, count in data["kinds"]]
    if data["leaves"]:
        lines += ["", "Its leaves, where gradients land:"]
        lines += [f"  {leaf}" for leaf in data["leaves"]]
    return "\n".join(lines)


def _nothing_recorded(tensor: Tensor, label: str) -> Explorer:
    sentences = [
        f"There is no graph behind {label}: {_facts(tensor)}, and it does not require a gradient.",
        "Autograd records an operation only where an input requires a gradient and recording is on. "
        "So either nothing it was made of requires a gradient, or the graph was left behind on the "
        "way: by torch.no_grad(), .detach(), .item() and a new tensor, or an operation such as "
        "argmax that gives whole numbers.",
        f"{label}.backward() would raise {_refusal(torch.zeros((), device='cpu'))}",
    ]
    return _plain(f"No graph behind {label}", sentences)


def _leaf(leaf: Tensor, label: str) -> Explorer:
    now = "None" if leaf.grad is None else one_line(leaf.grad)
    sentences = [
        f"{label} is a leaf: {_facts(leaf)}. It was not computed from other tensors that require a "
        "gradient, so nothing is recorded behind it. A graph begins here.",
        f"In backward() a gradient for it lands in {label}.grad, which is now {now}.",
        f"To see a graph, compute something with it and pass the result: explore.graph(({label} * "
        f"{label}).sum()).",
    ]
    return _plain(f"{label} is a leaf", sentences)


def _facts(tensor: Tensor) -> str:
    return (
        f"it has shape {tuple(tensor.shape)}, dtype {dtype_name(tensor)}, value {one_line(tensor)}"
    )


def _refusal(tensor: Tensor) -> str:
    """Return what PyTorch raises when it cannot go backward from a tensor like this one."""
    try:
        tensor.backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    raise ValueError("backward() was expected to refuse.")


# What is too large to draw ---------------------------------------------------------------------

SMALLER = (
    "To see one, ask for a part of it: the loss of a single step, or a tensor from the middle. "
    "A graph that is larger than you expect often joins many steps, as `total += loss` does in a "
    "loop: `total += loss.item()` adds a number, and the graph of each step can go."
)


def _summary(
    title: str,
    recording: Recording,
    saved: Sequence[Saved],
    variables: Sequence[tuple[str, Tensor]],
) -> Explorer:
    kinds = Counter(node.op for node in recording.nodes if node.leaf is None)
    leaves = [node.leaf for node in recording.nodes if node.leaf is not None]
    sentences = [_size_sentence(recording, sum(kinds.values()), len(leaves)), _kept(saved), SMALLER]
    rows = [[op, plain_name(op), count] for op, count in kinds.most_common()]
    names = {id(tensor): name for name, tensor in reversed(variables)}
    told = [
        f"{names.get(id(leaf), 'a leaf without a name')}, shape {tuple(leaf.shape)}"
        for leaf in leaves[:MOST_LEAVES]
    ]
    more = len(leaves) - len(told)
    return _plain(title, sentences, kinds=rows, leaves=told + [f"{more:,} more"] * bool(more))


def _size_sentence(recording: Recording, operations: int, leaves: int) -> str:
    nodes = f"{len(recording.nodes):,}"
    kinds = (
        f"{counted(operations, 'operation')} and {leaves:,} {'leaf' if leaves == 1 else 'leaves'}"
    )
    if recording.complete:
        way = f"The longest way through it is {counted(_depth(recording), 'node')}."
        return f"It has {nodes} nodes, {kinds}: too many to draw. {way}"
    return (
        f"It has more than {nodes} nodes: too many to draw, and too many to read to the end. The "
        f"{nodes} nearest to the result are {kinds}."
    )


def _depth(recording: Recording) -> int:
    depth = [1] * len(recording.nodes)
    for number in recording.order:
        for edge in recording.nodes[number].edges:
            if edge.node is not None:
                depth[edge.node] = max(depth[edge.node], depth[number] + 1)
    return max(depth)


def _kept(saved: Sequence[Saved]) -> str:
    if any(each.freed for each in saved):
        return "What autograd had kept for it was freed by a backward pass."
    sizes = {}
    for each in saved:
        for _, tensor in each.tensors:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
    if not sizes:
        return "Autograd keeps no tensor for it."
    return (
        f"For their backward pass autograd keeps {counted(len(sizes), 'tensor')} in memory, "
        f"{bytes_text(sum(sizes.values()))}."
    )
