"""`explore.module(model, x)`: the module tree, a real input through it, and what is not registered."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from firstlight.explore.evaluation import require_model
from firstlight.explore.frame import Explorer
from firstlight.explore.module_expectation import misfits
from firstlight.explore.module_registry import Held, Part, find_parts, numbers
from firstlight.explore.module_run import Argument, Given, Origin, Seen, Step, run, see
from firstlight.explore.module_words import (
    Findings,
    change_sentence,
    counts,
    mode_sentence,
    notes,
    tags,
    tensor_words,
    unregistered_sentences,
    usual_dtype,
)
from firstlight.explore.tensors import call_names, counted, dtype_name, listed

LONGEST_LABEL = 24  # characters
LONGEST_MESSAGE = 900
MOST_STEPS = 1500  # of a longer run, so many are shown
MOST_PARTS = 3000


def module(model: nn.Module, x: Tensor | tuple[object, ...]) -> Explorer:
    """Show what a module registers, and how a real input runs through it.

    The tree has every module under the name you gave it, with its parameters and buffers, and what
    is hidden from the registry: layers in a plain list, tensors that are plain attributes. The run
    has every call in the order in which `forward` made it, with the shapes. An error in `forward`
    is shown at the layer where it rose.

    The model runs once, in the mode it is in, without recording gradients. Whatever the forward
    writes into it (running statistics, attributes, random numbers) is put back.

    Args:
        model: a module, as it stands.
        x: its input, a tensor; a tuple for several inputs, which are given as `model(*x)`.

    Raises:
        TypeError: for what is no module or no input, and for a lazy layer that never ran.
    """
    network = _as_module(model)
    inputs = _inputs(x)
    parts = find_parts(network)
    _refuse_lazy(parts)
    if len(parts) > MOST_PARTS:
        raise TypeError(
            f"explore.module shows up to {MOST_PARTS:,} modules and tensors; this model holds "
            f"{len(parts):,}. Give it a part of the model, and that part's input."
        )
    caller = sys._getframe(1)
    sources = call_names("module", (model, x), caller)
    label = _label(sources[0], _variable(model, caller) or type(network).__name__)
    held = [held for part in parts for held in part.holds if held.same is None]
    findings = Findings.of(parts, run(network, inputs, {id(h.value): h.path for h in held}))
    view = _View(findings, label)
    data = view.data(_input_words(sources[1], inputs))
    given = _label(sources[1], "one input")
    return Explorer("module", f"The module {label}, run on {given}", data, _text(data))


def _as_module(model: object) -> nn.Module:
    """Return the module that was given, without the wrapper of `torch.compile`."""
    if not isinstance(model, nn.Module):
        require_model(model, "explore.module")  # says what is wrong
    network = getattr(model, "_orig_mod", model)
    assert isinstance(network, nn.Module)
    return network


def _refuse_lazy(parts: Sequence[Part]) -> None:
    for part in parts:
        if any(torch.nn.parameter.is_lazy(held.value) for held in part.holds):
            kind = type(part.value).__name__
            raise TypeError(
                f"explore.module leaves your model as it is, and {part.path or 'it'} is a {kind}: "
                "its parameters get their shapes when it runs for the first time. "
                "Call the model once yourself, then explore it."
            )


def _inputs(x: object) -> tuple[object, ...]:
    if isinstance(x, Tensor):
        return (x,)
    if isinstance(x, tuple):
        return x
    kind = type(x).__name__
    if isinstance(x, (list, dict)):
        advice = f"For a model whose one input is a {kind}, give a tuple with it: `(x,)`."
    elif kind == "ndarray":
        advice = "`torch.from_numpy(x)` makes one of an array."
    else:
        advice = "Give it one real batch."
    raise TypeError(
        f"explore.module takes a tensor as input, or a tuple of inputs, and this is of type {kind}. "
        + advice
    )


def _variable(value: object, caller: FrameType) -> str | None:
    """Return the caller's name for a value, where the call itself has a long expression."""
    named = {**caller.f_globals, **caller.f_locals}
    names = (name for name, held in named.items() if held is value)
    return next((name for name in names if not name.startswith("_")), None)


def _label(source: str | None, kind: str) -> str:
    return source if source and len(source) <= LONGEST_LABEL else kind


def _input_words(source: str | None, inputs: Sequence[object]) -> str:
    name = f"`{source}`, " if source and len(source) <= LONGEST_LABEL else ""
    seen = [see(value) for value in inputs]
    return name + listed([_seen_words(each) for each in seen])


def _seen_words(seen: Seen) -> str:
    devices = [device for device in seen.devices if device != "cpu"]
    return " ".join([seen.text, *seen.dtypes, *(f"on {device}" for device in devices)])


class _View:
    """The findings as plain data: the rows of the tree, the steps of the run, the sums."""

    def __init__(self, findings: Findings, label: str) -> None:
        self._findings = findings
        self._label = label
        self._parts = findings.by_id
        run = findings.run
        self._steps = run.steps[:MOST_STEPS]
        if run.failed is not None and run.failed not in self._steps:
            self._steps = (*self._steps, *_path_to(run.failed, self._steps))
        self._places = {step: place for place, step in enumerate(self._steps)}
        self._order = {step: number for number, step in enumerate(run.steps)}

    def data(self, given: str) -> dict[str, Any]:
        findings, run = self._findings, self._findings.run
        return {
            "label": self._label,
            "counts": counts(findings),
            "sentences": [
                f"The input: {given}.{self._returned()}",
                f"{mode_sentence(findings)} {change_sentence(findings)}",
            ],
            "usual": usual_dtype(findings),
            "unregistered": [
                {"row": row, "sentence": sentence}
                for row, sentence in unregistered_sentences(findings)
            ],
            "error": None if run.failed is None else self._error(run.failed),
            "rows": [self._row(part) for part in findings.parts],
            "steps": [self._step(step) for step in self._steps],
            "moreSteps": len(run.steps) - len(self._steps),
        }

    def _returned(self) -> str:
        root = self._steps[0]
        if root.result is None:
            return ""
        missing = " A `forward` without `return` gives None." if root.result.text == "None" else ""
        return f" The output: {_seen_words(root.result)}.{missing}"

    def _error(self, failed: Step) -> dict[str, Any]:
        message = ": ".join(filter(None, [type(failed.error).__name__, str(failed.error)]))
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[:LONGEST_MESSAGE]} …"
        place = failed if failed.module is not None else failed.parent
        return {
            "step": self._places[failed],
            "where": self._where(failed),
            "place": self._name(place) if place else self._label,
            "message": message,
            "line": self._findings.run.line,
            "misfits": [asdict(misfit) for misfit in misfits(failed)],
        }

    def _where(self, failed: Step) -> str:
        """Say where the run stopped, and after how many calls."""
        if failed.module is None:
            assert failed.parent is not None
            kind = type(failed.parent.module).__name__
            inside = f"`{self._name(failed.parent)}`"
            return (
                f"The run stopped at `{failed.label}`, step {self._order[failed]}, in the forward of "
                f"{inside} ({kind})."
            )
        kind = type(failed.module).__name__
        name = self._name(failed)
        number = self._order[failed]
        if number == 0:
            return f"The run stopped in the forward of `{name}` ({kind}) itself."
        return f"The run stopped in `{name}` ({kind}), step {number}."

    def _name(self, step: Step) -> str:
        """Return a step as the student would call it: a path, an operation, a class."""
        if step.module is None:
            return step.label
        part = self._parts.get(id(step.module))
        return step.label if part is None else part.path or self._label

    # The tree

    def _row(self, part: Part) -> dict[str, Any]:
        findings = self._findings
        parameters = findings.parameters(part)
        is_module = part.kind == "module"
        calls = findings.called(part)
        return {
            "parent": part.parent,
            "name": part.name or self._label,
            "path": part.path or self._label,
            "kind": part.kind,
            "type": _type_name(part),
            "extra": _extra(part.value) if is_module else "",
            "registered": part.registered,
            "same": part.same,
            "tags": tags(part, findings),
            "count": numbers(parameters),
            "trains": numbers(p for p in parameters if p.requires_grad),
            "tensors": len(parameters),
            "holds": [self._held(held, part.registered) for held in part.holds],
            "calls": [self._places[step] for step in calls if step in self._places],
            "notes": list(notes(part, findings)),
        }

    @staticmethod
    def _held(held: Held, registered: bool) -> dict[str, Any]:
        device = str(held.value.device)
        return {
            "name": held.name,
            "shape": str(tuple(held.value.shape)),
            "count": held.value.numel(),
            "dtype": dtype_name(held.value) + ("" if device == "cpu" else f" on {device}"),
            "says": tensor_words(held, registered),
        }

    # The run

    def _step(self, step: Step) -> dict[str, Any]:
        part = self._parts.get(id(step.module)) if step.module is not None else None
        return {
            "parent": self._places[step.parent] if step.parent else None,
            "row": part.number if part else None,
            "stranger": part is None and step.module is not None,
            "name": self._name(step),
            "type": step.label if step.module is not None else None,
            "number": self._order[step],
            "given": [self._given(given) for given in step.given],
            "gives": self._seen(step.result),
            "line": step.line,
            "failed": step.error is not None,
        }

    def _given(self, given: Given) -> dict[str, Any]:
        return {**(self._seen(given.seen) or {}), "from": self._origin(given.origin)}

    def _origin(self, origin: Origin) -> str | None:
        if isinstance(origin, Argument):
            whose = "" if origin.call is self._steps[0] else f" of {self._name(origin.call)}"
            return f"{origin.name}{whose}"
        if not isinstance(origin, Step):
            return origin
        return f"{self._name(origin)} (step {self._order[origin]})"

    @staticmethod
    def _seen(seen: Seen | None) -> dict[str, Any] | None:
        if seen is None:
            return None
        devices = [device for device in seen.devices if device != "cpu"]
        return {"text": seen.text, "dtype": " ".join([*seen.dtypes, *devices])}


def _path_to(failed: Step, shown: Sequence[Step]) -> list[Step]:
    """Return the failed step and those it stands in, as far as they are not shown anyway."""
    path: list[Step] = []
    step: Step | None = failed
    while step is not None and step not in shown:
        path.insert(0, step)
        step = step.parent
    return path


def _type_name(part: Part) -> str:
    if part.kind == "tensor":
        return "Parameter" if part.holds[0].kind == "parameter" else "Tensor"
    return type(part.value).__name__


def _extra(value: nn.Module) -> str:
    try:
        return " ".join(value.extra_repr().split())[:200]
    except Exception:  # the student's own method
        return ""


# The same in words --------------------------------------------------------------------------------


def _text(data: Mapping[str, Any]) -> str:
    """Say everything the picture shows."""
    return "\n".join(
        [
            *(
                f"{word}: {number}{f' {of}' if of else ''}"
                for word, number, of, _ in data["counts"]
            ),
            "",
            *data["sentences"],
            f"Tensors are {data['usual']} where no dtype is written.",
            *(f"\n{entry['sentence']}" for entry in data["unregistered"]),
            *(_error_text(data["error"]) if data["error"] else []),
            "",
            "What is registered, and what is not:",
            *(line for row in data["rows"] for line in _row_text(row, data)),
            "",
            "The run, in the order in which forward called:",
            *(_step_text(step, data) for step in data["steps"]),
            *([f"  … and {data['moreSteps']:,} more steps."] if data["moreSteps"] else []),
        ]
    )


def _error_text(error: Mapping[str, Any]) -> list[str]:
    lines = ["", error["where"], *([f"  in: {error['line']}"] if error["line"] else [])]
    lines.append(f"  {error['message']}")
    for misfit in error["misfits"]:
        lines.append(f"  {misfit['sentence']}")
        lines += [f"    {name}: ({', '.join(sizes)})" for name, sizes in misfit["rows"]]
    return lines


def _row_text(row: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    indent = "  " * _depth(row, data["rows"])
    words = [f"{row['name']}  {row['type']}"]
    words += [", ".join(text for text, _ in row["tags"])] if row["tags"] else []
    if row["kind"] != "tensor":
        words.append(counted(row["count"], "parameter"))
    lines = [f"{indent}{'  '.join(words)}"]
    for held in row["holds"]:
        lines.append(f"{indent}    {held['name']} {held['shape']} {held['dtype']}, {held['says']}")
    told = {entry["sentence"] for entry in data["unregistered"]}
    lines += [f"{indent}    {note}" for note in row["notes"] if note not in told]
    return lines


def _step_text(step: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    indent = "  " * _depth(step, data["steps"])
    order = f"{step['number']}. " if step["number"] else ""
    name = f"{step['name']} ({step['type']})" if step["type"] else step["name"]
    name += ", not in the model" if step["stranger"] else ""
    given = ", ".join(
        _value(g, data) + (f" from {g['from']}" if g["from"] else "") for g in step["given"]
    )
    gives = "error" if step["failed"] else _value(step["gives"], data) if step["gives"] else "?"
    return f"{indent}{order}{name}: {given or 'nothing'} -> {gives}"


def _value(seen: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    return f"{seen['text']}{'' if seen['dtype'] in ('', data['usual']) else ' ' + seen['dtype']}"


def _depth(entry: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> int:
    depth = 0
    while entry["parent"] is not None:
        entry, depth = entries[entry["parent"]], depth + 1
    return depth
