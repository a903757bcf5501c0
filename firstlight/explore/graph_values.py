"""Find the forward values of a recorded graph: what was kept, what is named, what can be redone.

Autograd keeps only what some derivative needs. A value that it did not keep is read from the
caller's own variable, or computed again from its inputs, and then shown only if that is safe: the
inputs cannot have changed since, or what follows from it is what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from firstlight.explore.graph_record import Node, Place, Recording, Saved

LARGEST = 2**22  # elements: a larger result is not computed again
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.complex64: 1e-4}  # half precisions: 1e-2


@dataclass(frozen=True)
class Value:
    """A forward value and where it comes from: "leaf", "saved", "yours", "again"; `by` saved it."""

    tensor: Tensor
    source: str
    by: tuple[int, ...] = ()


@dataclass(frozen=True)
class Constant:
    """An input that needs no gradient. `source` is "saved", "fits", "solved" or "lost"."""

    name: str | None
    role: str
    tensor: Tensor | None
    source: str


@dataclass(frozen=True)
class Operand:
    """An input of an operation as it is drawn: a result of a node, or a constant by its number."""

    role: str
    place: Place | None
    constant: int | None = None


@dataclass(frozen=True)
class Values:
    """All that is known of a recording: values and names by place, constants, each node's inputs."""

    known: Mapping[Place, Value]
    names: Mapping[Place, str]
    constants: Sequence[Constant]
    operands: Sequence[tuple[Operand, ...]]
    doubted: bool


def find_values(
    recording: Recording,
    saved: Sequence[Saved],
    result: Tensor,
    variables: Sequence[tuple[str, Tensor]],
) -> Values:
    """Find every value there is to show. `variables` are the caller's tensors by name."""
    search = _Search(recording, saved, result, variables)
    search.read_kept()
    search.read_operands()
    for number in reversed(recording.order):
        search.redo(number)
    doubted = search.withdraw()
    return Values(search.known, search.names, search.constants, search.operands, doubted)


@dataclass
class _Search:
    """The state of one search. `sure` are places whose value cannot have changed."""

    recording: Recording
    saved: Sequence[Saved]
    result: Tensor
    variables: Sequence[tuple[str, Tensor]]
    known: dict[Place, Value] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)
    constants: list[Constant] = field(default_factory=list)
    operands: list[tuple[Operand, ...]] = field(default_factory=list)
    sure: set[Place] = field(default_factory=set)
    right: set[int] = field(default_factory=set)  # nodes whose inputs give what was recorded
    wrong: set[int] = field(default_factory=set)

    def read_kept(self) -> None:
        """Collect the leaves, what the nodes saved, and the caller's own tensors."""
        for name, tensor in self.variables:
            place = self._place(tensor)
            if place is not None:
                self.names.setdefault(place, name)
                if tensor.grad_fn is not None:
                    self._learn(place, Value(tensor.detach(), "yours"))
        for number, saved in enumerate(self.saved):
            for _, tensor in saved.tensors:
                place = self.recording.place(tensor)
                if place is not None:
                    self._learn(place, Value(tensor.detach(), "saved", (number,)))
        self._learn(self.recording.root, Value(self.result.detach(), "yours"))
        self.sure |= set(self.known)
        for number, node in enumerate(self.recording.nodes):
            if node.leaf is not None:
                self.known[number, 0] = Value(node.leaf.detach(), "leaf")
                if node.leaf._version == 0:
                    self.sure.add((number, 0))

    def _place(self, tensor: Tensor) -> Place | None:
        if not tensor.requires_grad:
            return None
        if tensor.grad_fn is not None:
            return self.recording.place(tensor)
        leaves = enumerate(self.recording.nodes)
        return next(((number, 0) for number, node in leaves if node.leaf is tensor), None)

    def _learn(self, place: Place, value: Value) -> None:
        before = self.known.get(place)
        if before is None or before.source == "yours":
            self.known[place] = value
        elif before.source == value.source == "saved":
            by = tuple(dict.fromkeys((*before.by, *value.by)))
            self.known[place] = replace(before, by=by)

    # Inputs, and the constants among them

    def read_operands(self) -> None:
        """List the inputs of every node, and make a constant of each that needs no gradient."""
        shared: dict[object, int] = {}
        for node, saved in zip(self.recording.nodes, self.saved, strict=True):
            self.operands.append(tuple(self._inputs(node, saved, shared)))

    def _inputs(self, node: Node, saved: Saved, shared: dict[object, int]) -> list[Operand]:
        roles = input_roles(node)
        inputs = []
        for role, edge in zip(roles, node.edges, strict=True):
            if edge.node is not None:
                inputs.append(Operand(role, (edge.node, edge.slot)))
            elif node.rule is not None:
                kept = [*saved.named(role), None][0]
                inputs.append(Operand(role, None, self._constant(role, kept, shared)))
        if node.rule is not None and node.rule.hidden:
            hidden = Operand(node.rule.hidden, None, self._constant("other", None, shared))
            inputs.insert(0, hidden)
        if node.rule is None:
            extra = [pair for pair in saved.tensors if not pair[1].requires_grad]
        else:
            extra = [pair for pair in saved.tensors if pair[0] in node.rule.kept]
        inputs += [Operand(r, None, self._constant(r, t, shared)) for r, t in extra]
        return inputs

    def _constant(self, role: str, tensor: Tensor | None, shared: dict[object, int]) -> int:
        key = object() if tensor is None else _memory(tensor)
        if key not in shared:
            shared[key] = len(self.constants)
            source = "lost" if tensor is None else "saved"
            name = None if tensor is None else self._name_of(tensor)
            self.constants.append(Constant(name, role, tensor, source))
        return shared[key]

    def _name_of(self, constant: Tensor) -> str | None:
        same = (name for name, other in self.variables if _memory(other) == _memory(constant))
        return next(same, None)

    # Once more, forward

    def redo(self, number: int) -> None:
        """Compute a node's result again: to learn it, to check it, or to find its one constant."""
        node = self.recording.nodes[number]
        rule, place = node.rule, (number, 0)
        if rule is None or len(node.results) != 1:
            return
        inputs = self.operands[number][: len(node.edges) + bool(rule.hidden)]
        tensors = [self._tensor(operand) for operand in inputs]
        unknown = [at for at, tensor in enumerate(tensors) if tensor is None]
        if len(unknown) == 1 and place in self.known and inputs[unknown[0]].place is None:
            self._find_constant(number, inputs, tensors, unknown[0])
        elif not unknown:
            self._compute(number, tensors)

    def _tensor(self, operand: Operand) -> Tensor | None:
        if operand.constant is not None:
            return self.constants[operand.constant].tensor
        known = self.known.get(operand.place) if operand.place else None
        return known.tensor if known else None

    def _compute(self, number: int, tensors: Sequence[Tensor | None]) -> None:
        place = (number, 0)
        result = _forward(self.recording.nodes[number], tensors)
        if result is None:
            return
        if place not in self.known:
            self.known[place] = Value(result, "again")
            if all(self._is_sure(operand) for operand in self.operands[number]):
                self.sure.add(place)
        elif _agree(result, self.known[place].tensor):
            self.right.add(number)
        else:
            self.wrong.add(number)

    def _is_sure(self, operand: Operand) -> bool:
        return operand.place is None or operand.place in self.sure

    def _find_constant(
        self, number: int, inputs: Sequence[Operand], tensors: list[Tensor | None], at: int
    ) -> None:
        """Look for a constant nobody kept: a variable that gives the result exactly, or solve."""
        node, due = self.recording.nodes[number], self.known[number, 0].tensor
        lost = inputs[at].constant
        assert lost is not None
        for name, tensor in self.variables:
            if tensor.requires_grad or not _fits(tensor, due):
                continue
            result = _forward(node, [*tensors[:at], tensor.detach(), *tensors[at + 1 :]])
            if result is not None and torch.equal(result, due):
                self.constants[lost] = replace(
                    self.constants[lost], name=name, tensor=tensor.detach(), source="fits"
                )
                self.right.add(number)
                return
        others = [operand for operand in inputs if operand.place is not None]
        if all(self._is_sure(operand) for operand in others):
            self._solve(number, lost, tensors, at)

    def _solve(self, number: int, lost: int, tensors: Sequence[Tensor | None], at: int) -> None:
        node, due = self.recording.nodes[number], self.known[number, 0].tensor
        if node.rule is None or node.rule.invert is None or len(tensors) != 2:
            return
        first = tensors[1 - at]
        if first is None or (at == 0 and not node.rule.hidden):
            return
        solved = _single(node.rule.invert(node.function, due, first))
        self.constants[lost] = replace(self.constants[lost], tensor=solved, source="solved")

    def withdraw(self) -> bool:
        """Take back what was computed from inputs that changed, or that nothing confirms.

        Return whether something did not agree with what was recorded.
        """
        confirmed = self._computed_behind(self.right)
        doubtful = self._computed_behind(self.wrong)
        for place, value in list(self.known.items()):
            safe = place in self.sure or place in confirmed
            if value.source == "again" and (place in doubtful or not safe):
                del self.known[place]
        return bool(self.wrong)

    def _computed_behind(self, numbers: set[int]) -> set[Place]:
        """Return the computed values that these nodes' inputs are, or were computed from."""
        found: set[Place] = set()
        waiting = list(numbers)
        while waiting:
            for operand in self.operands[waiting.pop()]:
                place = operand.place
                value = self.known.get(place) if place else None
                if place and value and value.source == "again" and place not in found:
                    found.add(place)
                    waiting.append(place[0])
        return found


def input_roles(node: Node) -> tuple[str, ...]:
    """Return a name for each edge: PyTorch's own where the rule gives it."""
    rule = node.rule
    if rule is not None and len(rule.inputs) == len(node.edges):
        return rule.inputs
    return tuple(f"input {number}" for number in range(1, len(node.edges) + 1))


def _memory(tensor: Tensor) -> object:
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)


def _forward(node: Node, tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Compute a node's result from its inputs, or None where that can't be done."""
    shape, dtype = node.results[0]
    rule = node.rule
    if rule is None or rule.forward is None or torch.Size(shape).numel() > LARGEST:
        return None
    try:
        result = rule.forward(node.function, shape, *tensors)
    except (RuntimeError, TypeError, IndexError, AttributeError):  # freed, changed, other devices
        return None
    return result if (tuple(result.shape), result.dtype) == (shape, dtype) else None


def _agree(result: Tensor, recorded: Tensor) -> bool:
    tolerance = CLOSE.get(recorded.dtype, 1e-2)
    if result.shape != recorded.shape:
        return False
    return torch.allclose(result, recorded, rtol=tolerance, atol=tolerance * 1e-2, equal_nan=True)


def _fits(constant: Tensor, result: Tensor) -> bool:
    """Whether a tensor could be an input of an elementwise operation with this result."""
    if constant.dtype != result.dtype or constant.device != result.device:
        return False
    sizes = zip(reversed(constant.shape), reversed(result.shape), strict=False)
    return constant.dim() <= result.dim() and all(own in (1, due) for own, due in sizes)


def _single(values: Tensor) -> Tensor:
    """Return one number for a tensor that holds it everywhere, as where a number was broadcast."""
    flat = values.flatten()
    same = flat.numel() > 1 and _agree(flat, flat[:1].expand_as(flat))
    return flat[0] if same else values
