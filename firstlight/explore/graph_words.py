"""The text equivalent of `explore.graph`: every node with its value, every step with its gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from firstlight.explore.graph_shown import in_brackets
from firstlight.explore.tensors import counted, listed

Data = dict[str, Any]

# True of every graph: without `retain_graph=True` a second pass finds the saved values freed.
SECOND_PASS = "A second pass, as after backward(retain_graph=True), adds the same gradients again:"


def in_words(data: Data, order: Sequence[int]) -> str:
    """Say everything the picture shows; `order` is the engine's order of the nodes."""
    return "\n".join(_lines(data, order))


def _lines(data: Data, order: Sequence[int]) -> Iterator[str]:
    for note in data["notes"]:
        yield from (note, "")
    yield from (_counts(data), "", "Forward, from the inputs to the result:")
    for number in (*range(len(order), len(data["boxes"])), *reversed(order)):
        yield from _box(data, data["boxes"][number])
    yield from ("", "Backward, in the order of the engine:")
    for number, step in enumerate(data["steps"], start=1):
        yield f"  {number}. {step['lines'][0]}"
        yield from (f"     {line}" for line in _step(data, step))
    if data["second"]:
        yield from ("", SECOND_PASS)
        for step in data["steps"]:
            box = data["boxes"][step["node"]]
            if box["kind"] == "leaf":
                yield f"  {step['lines'][1]}"
                yield f"     {box['label']}.grad: {_tensor(data, box['grads'][2])}"
    if data["rounded"]:
        yield from ("", data["rounded"])


def _counts(data: Data) -> str:
    kinds = Counter(box["kind"] for box in data["boxes"])
    leaves = f"{kinds['leaf']} {'leaf' if kinds['leaf'] == 1 else 'leaves'}"
    operations, constants = (
        counted(kinds[kind], thing)
        for kind, thing in (("op", "operation"), ("constant", "constant"))
    )
    return f"{operations}, {leaves}, {constants}."


def _box(data: Data, box: Data) -> Iterator[str]:
    kind = box["op"] if box["kind"] == "op" else box["kind"]
    name = " ".join(filter(None, (box["sign"], box["label"])))
    for result in box["results"]:
        shape = "" if result["shape"] is None else f", shape {tuple(result['shape'])}"
        value = "not known" if result["value"] is None else _tensor(data, result["value"])
        yield f"  {name} ({kind}{shape}) = {value}. {data['sentences'][result['from']]}"


def _step(data: Data, step: Data) -> Iterator[str]:
    box = data["boxes"][step["node"]]
    total = listed([_tensor(data, gradient) for gradient in step["arriving"]])
    parts = [_tensor(data, gradient) for _, gradient in step["parts"]]
    yield f"gradient: {' + '.join(parts) + ' = ' if len(parts) > 1 else ''}{total}"
    if step["error"]:
        yield step["error"]
    if box["kind"] == "leaf":
        yield f"{box['label']}.grad: {_tensor(data, box['grads'][1])}"
    for each in step["passes"]:
        terms = (each["formula"], each["numbers"], _tensor(data, each["gradient"]))
        told = " = ".join(dict.fromkeys(term for term in terms if term))
        summed = f". {each['summed']}" if each["summed"] else ""
        yield f"to {data['boxes'][each['to']]['label']}: {told}{summed}"


def _tensor(data: Data, number: int | None) -> str:
    return "None" if number is None else in_brackets(data["tensors"][number])
