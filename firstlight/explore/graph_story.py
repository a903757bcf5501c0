"""Tell a recorded graph as data: its boxes, what each holds and why, and every step backward."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.graph_backward import Leaving, Step
from firstlight.explore.graph_layout import lay_out
from firstlight.explore.graph_record import CHANGED, FREED, Node, Place, Recording, Saved, fan_in
from firstlight.explore.graph_rules import Facts, plain_name
from firstlight.explore.graph_shown import Pool
from firstlight.explore.graph_values import Constant, Operand, Value, Values, input_roles
from firstlight.explore.tensors import (
    ROUNDED,
    cell_texts,
    dtype_name,
    listed,
)

FEW = 4  # elements written out in a sentence
WIDTHS = {"op": 134, "leaf": 134, "constant": 112}
_FIELD = re.compile(r"\{(\w+)\}")


class Story:
    """One recorded graph, told. Boxes are the recording's nodes, then the constants."""

    def __init__(
        self,
        recording: Recording,
        saved: Sequence[Saved],
        values: Values,
        steps: Sequence[Step],
        label: str,
        variables: Sequence[tuple[str, Tensor]],
    ) -> None:
        self.recording = recording
        self.saved = saved
        self.values = values
        self.steps = steps
        self.variables = variables
        self.pool = Pool()
        self.fan_in = fan_in(recording.nodes)
        self.freed = any(each.freed for each in saved)
        self.names = dict(values.names)
        if label != "the result":
            self.names[recording.root] = label
        self.labels = self._labels()

    # Names

    def _labels(self) -> list[str]:
        """Return a label for each box: the student's name, a number, or a constant's value."""
        labels = [""] * len(self.recording.nodes)
        operations = leaves = 0
        for number in reversed(self.recording.order):
            name = self.names.get((number, 0))
            if self.recording.nodes[number].leaf is not None:
                leaves += name is None
                labels[number] = name or f"leaf {leaves}"
            else:
                operations += name is None
                labels[number] = name or f"#{operations}"
        return labels + [_constant_label(constant) for constant in self.values.constants]

    def _sign(self, number: int) -> str:
        node = self.recording.nodes[number]
        if node.rule is None:
            return plain_name(node.op)
        return _filled(node.rule.sign, _facts(node) or {}) or plain_name(node.op)

    def spoken(self, number: int) -> str:
        """Name a box in a sentence: `w`, `#3 (×)`, `pred (@)`."""
        if number >= len(self.recording.nodes) or self.recording.nodes[number].leaf is not None:
            return self.labels[number]
        return f"{self.labels[number]} ({self._sign(number)})"

    # Data

    def data(self, result: Tensor) -> dict[str, Any]:
        """Return everything the picture shows."""
        boxes = [self._box(number) for number in range(len(self.recording.nodes))]
        boxes += [self._constant_box(constant) for constant in self.values.constants]
        steps = [self._step(step) for step in self.steps]
        layout = self._lay_out(boxes)
        return {
            "boxes": boxes,
            "steps": steps,
            "notes": self._notes(result),
            "second": bool(self.steps) and self.steps[-1].error is None,
            **layout,
            "tensors": self.pool.parts,
            "sentences": self.pool.sentences,
            "rounded": ROUNDED if self.pool.rounded else None,
        }

    def _lay_out(self, boxes: list[dict[str, Any]]) -> dict[str, Any]:
        first = len(self.recording.nodes)
        order = [*self.recording.order, *range(first, len(boxes))]
        inputs = {number: boxes[number]["inputs"] for number in order}
        widths = {number: float(WIDTHS[boxes[number]["kind"]]) for number in order}
        layout = lay_out(order, inputs, widths)
        for number, (x, y) in layout.boxes.items():
            boxes[number].update(x=x, y=y, width=WIDTHS[boxes[number]["kind"]])
        return {
            "size": [layout.width, layout.height],
            "edges": [
                {
                    "to": box,
                    "from": inputs[box][at],
                    "points": [list(point) for point in points],
                    "sign": (box, at) in layout.signs,
                }
                for (box, at), points in layout.edges.items()
            ],
        }

    def _box(self, number: int) -> dict[str, Any]:
        node = self.recording.nodes[number]
        leaf = node.leaf
        shapes = node.results or (((), torch.float32),)
        box: dict[str, Any] = {
            "kind": "op" if leaf is None else "leaf",
            "sign": self._sign(number) if leaf is None else "",
            "label": self.labels[number],
            "named": (number, 0) in self.names,
            "op": node.op,
            "results": [self._result((number, slot)) for slot in range(len(shapes))],
            "inputs": [self._box_of(operand) for operand in self.values.operands[number]],
            "fan": self.fan_in[number] or 1,
            "because": self.pool.say(self._because(number)),
        }
        if leaf is None:
            box["after"] = self.pool.say(self._after(number))
        else:
            box["grads"] = self._grads(number, leaf)
        return box

    def _result(self, place: Place) -> dict[str, Any]:
        node = self.recording.nodes[place[0]]
        known = self.values.known.get(place)
        shape, dtype = node.results[place[1]] if node.results else ((), torch.float32)
        if known is not None:
            shape, dtype = tuple(known.tensor.shape), known.tensor.dtype
        return {
            "shape": list(shape),
            "dtype": str(dtype).removeprefix("torch."),
            "value": self.pool.add(known.tensor) if known else None,
            "from": self.pool.say(self._from(place, known)),
        }

    def _box_of(self, operand: Operand) -> int:
        if operand.place is not None:
            return operand.place[0]
        assert operand.constant is not None
        return len(self.recording.nodes) + operand.constant

    def _constant_box(self, constant: Constant) -> dict[str, Any]:
        tensor = constant.tensor
        return {
            "kind": "constant",
            "sign": "",
            "label": _constant_label(constant),
            "named": constant.name is not None,
            "op": "",
            "results": [
                {
                    "shape": None if tensor is None else list(tensor.shape),
                    "dtype": None if tensor is None else dtype_name(tensor),
                    "value": self.pool.add(tensor),
                    "from": self.pool.say(self._constant_from(constant)),
                }
            ],
            "inputs": [],
            "fan": 0,
            "because": self.pool.say(None),
        }

    # Where a value comes from

    def _from(self, place: Place, known: Value | None) -> str:
        if known is None:
            return self._why_missing(place)
        if known.source == "leaf":
            return "A leaf of yours: its value now."
        if known.source == "saved":
            who = [
                "its own derivative" if by == place[0] else f"the derivative of {self.spoken(by)}"
                for by in known.by
            ]
            return f"Kept by autograd: {listed(who[:3])} need{'s' * (len(who) == 1)} it."
        if known.source == "yours":
            if place == self.recording.root:
                return "The tensor you passed."
            lost = self._lost(place)
            why = "Freed by the backward pass." if FREED in lost else self._why_missing(place)
            return f"{why} Read from your {self.labels[place[0]]}."
        return "Not kept by autograd: no derivative needs it. Computed again from its inputs."

    def _why_missing(self, place: Place) -> str:
        message = self._lost(place)
        if CHANGED in message:
            return "Changed in place since it was recorded, so PyTorch refuses to give it."
        if FREED in message:
            return "Gone: autograd had kept it, and the backward pass freed it."
        return "Not kept by autograd: no derivative needs it."

    def _lost(self, place: Place) -> str:
        """Return what PyTorch says where a node saved this value and gives it no more, else ""."""
        own = self.saved[place[0]].lost.get("result", "")
        for number, node in enumerate(self.recording.nodes):
            lost = self.saved[number].lost
            for role, edge in zip(input_roles(node), node.edges, strict=True):
                if lost and (edge.node, edge.slot) == place:
                    own = own or lost.get(role, "")
        return own

    def _constant_from(self, constant: Constant) -> str:
        if constant.source == "saved":
            return (
                "A constant: it needs no gradient. Autograd kept it, since a derivative needs it."
            )
        if constant.source == "fits":
            return (
                "A constant: it needs no gradient, and autograd did not keep it. Your variable "
                f"{constant.name} gives the recorded result exactly."
            )
        if constant.source == "solved":
            return (
                "A constant: it needs no gradient, and autograd did not keep it. This value gives "
                "the recorded result."
            )
        return "A constant: it needs no gradient, and autograd does not hold it."

    # Leaves and what is left of gradients

    def _grads(self, number: int, leaf: Tensor) -> list[int | None]:
        """Return the leaf's `.grad` now, after one backward pass, and after two."""
        arriving = next((s.arriving[0] for s in self.steps if s.node == number), None)
        now = None if leaf.grad is None else leaf.grad.detach()
        if arriving is None:
            return [self.pool.add(now)] * 3
        once = arriving if now is None else now + arriving
        return [self.pool.add(grad) for grad in (now, once, once + arriving)]

    def _after(self, number: int) -> str:
        """Say what becomes of an operation's gradient."""
        name = self.names.get((number, 0))
        held = [t for n, t in self.variables if n == name and t.grad_fn is not None]
        if held and held[0].retains_grad:
            return f"It is kept in {name}.grad too, since you called {name}.retain_grad()."
        stays = f": {name}.grad stays None" if name and name.isidentifier() else ""
        return f"Not a leaf, so the gradient is used and let go{stays}."

    def _because(self, number: int) -> str | None:
        node = self.recording.nodes[number]
        if node.leaf is not None:
            return "A leaf: the gradients that arrive are added to its .grad."
        facts = _facts(node)
        if node.rule is None or facts is None:
            return "No formula is written here for this operation; the numbers are PyTorch's own."
        return _filled(node.rule.because, {"N": self._share(number)})

    def _share(self, number: int) -> str:
        """Return how many elements of the input go into one of the result."""
        node = self.recording.nodes[number]
        inside = [operand.place for operand in self.values.operands[number] if operand.place]
        if not inside or not node.results:
            return "N"
        before = self.recording.nodes[inside[0][0]].results
        if not before:
            return "N"
        count = torch.Size(before[inside[0][1]][0]).numel()
        return str(count // max(1, torch.Size(node.results[0][0]).numel()))

    # Steps

    def _step(self, step: Step) -> dict[str, Any]:
        node = self.recording.nodes[step.node]
        data = {
            "node": step.node,
            "arriving": [self.pool.add(gradient) for gradient in step.arriving],
            "parts": [[part.sender, self.pool.add(part.gradient)] for part in step.parts],
            "passes": [self._pass(step, leaving) for leaving in step.leaving],
            "error": step.error,
        }
        if node.leaf is None:
            line = self._line(step, data)
            return {**data, "lines": [line]}
        return {**data, "lines": [self._landing(step, at) for at in (0, 1)]}

    def _pass(self, step: Step, leaving: Leaving) -> dict[str, Any]:
        formula, numbers = self._formula(step, leaving)
        return {
            "to": leaving.to[0],
            "formula": formula,
            "numbers": numbers,
            "gradient": self.pool.add(leaving.gradient),
            "summed": self._summed(leaving),
        }

    def _summed(self, leaving: Leaving) -> str | None:
        """Say in words that a gradient was summed back over what broadcasting had stretched."""
        if leaving.summed is None or leaving.gradient is None:
            return None
        name = self.labels[leaving.to[0]]
        return (
            f"Summed from {leaving.summed} back to {tuple(leaving.gradient.shape)}: {name} was "
            "broadcast, and each of its copies sends a gradient back."
        )

    def _formula(self, step: Step, leaving: Leaving) -> tuple[str | None, str | None]:
        """Return what an edge gets, as a formula and, for single numbers, as a calculation."""
        node = self.recording.nodes[step.node]
        facts = _facts(node)
        if node.rule is None or facts is None:
            return None, None
        passes = node.rule.passes
        template = passes[leaving.edge] if leaving.edge < len(passes) else passes[0]
        facts = {**facts, "N": self._share(step.node)}
        template = _filled(template, facts)
        names, texts = self._fields(step)
        formula = _filled(template, names)
        if leaving.summed:
            return f"sum({formula})", None
        single = leaving.gradient is not None and leaving.gradient.numel() == 1
        if not single or set(_FIELD.findall(template)) - set(texts):
            return formula, None
        numbers = re.sub(r"^\((-[^)]*)\)", r"\1", _filled(template, texts))
        if "," in numbers or " where " in numbers:
            return formula, None
        return formula, numbers

    def _fields(self, step: Step) -> tuple[dict[str, str], dict[str, str]]:
        """Return what stands for each field of a formula: names, and numbers where there is one."""
        node = self.recording.nodes[step.node]
        names = {"g": "grad", "result": self.labels[step.node]}
        tensors: dict[str, Tensor | None] = {"g": step.arriving[0]}
        known = self.values.known.get((step.node, 0))
        tensors["result"] = known.tensor if known else None
        for operand in self.values.operands[step.node]:
            names[operand.role] = self.labels[self._box_of(operand)]
            tensors[operand.role] = self._tensor(operand)
        for role in (*input_roles(node), "self", "other"):
            names.setdefault(role, role)
        texts = {
            role: _number(tensor)
            for role, tensor in tensors.items()
            if tensor is not None and tensor.numel() == 1
        }
        return names, texts

    def _tensor(self, operand: Operand) -> Tensor | None:
        if operand.constant is not None:
            return self.values.constants[operand.constant].tensor
        known = self.values.known.get(operand.place) if operand.place else None
        return known.tensor if known else None

    def _line(self, step: Step, data: dict[str, Any]) -> str:
        name = self.spoken(step.node)
        gets = listed([self._brief(gradient) for gradient in step.arriving])
        if step.error is not None:
            kind = step.error.partition(":")[0]
            return f"{name} gets {gets}, and here backward() stops with a {kind}."
        passes = [
            f"{self._brief(leaving.gradient)} to {self.spoken(leaving.to[0])}"
            for leaving in step.leaving
        ]
        return f"{name} gets {gets} and passes on {listed(passes) or 'nothing'}."

    def _brief(self, gradient: Tensor | None) -> str:
        if gradient is None:
            return "no gradient"
        if gradient.dim() == 0 or gradient.numel() == 1:
            return cell_texts(gradient)[0]
        return f"a gradient of shape {tuple(gradient.shape)}"

    def _landing(self, step: Step, turn: int) -> str:
        leaf = self.recording.nodes[step.node].leaf
        assert leaf is not None
        name = f"{self.labels[step.node]}.grad"
        arriving = step.arriving[0]
        if arriving is None:
            return f"No gradient reaches {self.labels[step.node]}: {name} stays as it is."
        before, after = (self._grads(step.node, leaf)[at] for at in (turn, turn + 1))
        if arriving.numel() > FEW:
            kind = f"gradient of shape {tuple(arriving.shape)}"
            if before is None:
                return f"{name} was None and is now the {kind} that arrived."
            return f"A {kind} is added to {name}."
        if before is None:
            return f"{name} was None and is now {self.pool.text(after)}."
        added = self.pool.text(self.pool.add(arriving))
        return (
            f"{added} is added: {name} was {self.pool.text(before)} and is now "
            f"{self.pool.text(after)}."
        )

    # Notes

    def _notes(self, result: Tensor) -> list[str]:
        label = self.labels[self.recording.root[0]]
        notes = []
        if self.freed:
            notes.append(
                "A backward pass has been through this graph and freed what autograd had kept for it. The "
                "structure is still here; values and gradients that only autograd held are gone. "
                f"Compute {label} again, and look before you call backward()."
            )
        stopped = self.steps[-1] if self.steps and self.steps[-1].error else None
        if stopped:
            kind = "Another backward()" if self.freed else "backward()"
            notes.append(f"{kind} stops at {self.spoken(stopped.node)}: {_sentence(stopped.error)}")
        if result.dim() and result.numel() != 1:
            notes.append(
                f"{label} has shape {tuple(result.shape)}, and backward() alone starts from a single "
                f"number. The steps start with ones: they are those of {label}.sum().backward()."
            )
        if self.values.doubted:
            notes.append(
                "An operation, done again with its inputs as they are now, does not give what was "
                "recorded: an input has been changed in place since. Values computed from it are "
                "left out."
            )
        hooked = self._hooked()
        if hooked:
            notes.append(
                f"{listed(hooked)} {'has' if len(hooked) == 1 else 'have'} a hook of yours. backward() "
                "calls it; here it is not called, so the gradients may differ."
            )
        return notes

    def _hooked(self) -> list[str]:
        tensors = [(name, tensor) for name, tensor in self.variables if tensor.requires_grad]
        leaves = [
            (self.labels[n], node.leaf)
            for n, node in enumerate(self.recording.nodes)
            if node.leaf is not None
        ]
        inside = [(n, t) for n, t in tensors if self.recording.place(t) is not None]
        hooked = [n for n, t in (*leaves, *inside) if _has_hooks(t)]
        return list(dict.fromkeys(hooked))


def _sentence(message: str | None) -> str:
    """Return the first sentence of what was raised."""
    return re.split(r"(?<=[.;)]) (?=[A-Z])|; ", " ".join((message or "").split()))[0]


def _constant_label(constant: Constant) -> str:
    if constant.name is not None:
        return constant.name
    if constant.tensor is not None and constant.tensor.numel() == 1:
        return cell_texts(constant.tensor)[0]
    return constant.role if constant.role not in ("self", "other", "mat2") else "constant"


def _number(tensor: Tensor) -> str:
    """Write a number so that it can stand in a formula: a negative one in parentheses."""
    text = cell_texts(tensor)[0]
    return f"({text})" if text.startswith("-") else text


def _filled(template: str, fields: Mapping[str, str]) -> str:
    """Fill in the fields that are given, and leave the others."""
    return _FIELD.sub(lambda found: fields.get(found[1], found[0]), template)


def _facts(node: Node) -> Facts | None:
    """Return the facts of a node, as far as they are not freed, or None where no rule holds for it."""
    if node.rule is None or any(dtype.is_complex for _, dtype in node.results):
        return None
    try:
        return node.rule.facts(node.function)
    except LookupError:
        return None
    except (RuntimeError, AttributeError):
        return {}


def _has_hooks(tensor: Tensor) -> bool:
    return bool(tensor._backward_hooks) or bool(
        getattr(tensor, "_post_accumulate_grad_hooks", None)
    )
