"""`explore.graph` agrees with PyTorch: on every value, every gradient and the engine's own order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from firstlight import explore
from firstlight.explore.frame import Explorer, module_source
from firstlight.explore.graph_backward import backward_steps
from firstlight.explore.graph_layout import GAP, lay_out
from firstlight.explore.graph_record import read, saved_by
from firstlight.explore.graph_rules import RULES, rule_of
from firstlight.explore.graph_shown import one_line, shown_part
from firstlight.explore.graph_values import find_values

X = torch.tensor([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5], [-2.0, 1.0, 0.25], [0.3, 0.6, -0.9]])
Y = torch.tensor([[1.0], [-0.5], [2.0], [0.25]])
TARGETS = torch.tensor([0, 2, 1, 2])


def leaf(*shape: int) -> Tensor:
    """A leaf of distinct, asymmetric values between 0.2 and 1.7."""
    numbers = torch.arange(1.0, 1 + torch.Size(shape).numel())
    return (0.2 + 1.5 * (numbers * 0.377).frac()).reshape(shape).requires_grad_()


def above(*shape: int) -> Tensor:
    return (leaf(*shape).detach().flip(0) + 1).requires_grad_()


Build = Callable[[], Tensor]


class Square(torch.autograd.Function):
    """A student's own operation."""

    @staticmethod
    def forward(ctx, value, name):
        ctx.save_for_backward(value)
        return value * value

    @staticmethod
    def backward(ctx, gradient):
        (value,) = ctx.saved_tensors
        return 2 * value * gradient, None


def regression() -> Tensor:
    w, b = leaf(3, 1), leaf(1)
    return ((X @ w + b - Y) ** 2).mean()


def network() -> Tensor:
    w1, b1, w2, b2 = leaf(3, 5), leaf(5), leaf(5, 3), leaf(3)
    hidden = torch.tanh(X @ w1 + b1)
    return F.cross_entropy(torch.relu(hidden @ w2 + b2), TARGETS) + 0.1 * (w1**2).sum()


def recurrent() -> Tensor:
    w, u = leaf(), leaf()
    state = torch.tensor(0.0)
    for step in range(6):
        state = torch.tanh(w * state + u * X[step % 4, 0])
    return (state - 1) ** 2


def shared() -> Tensor:
    x = leaf()
    y = x * x
    return y * x + y


def skipped() -> Tensor:
    x = leaf(4)
    hidden = x.exp()
    far = ((hidden * 2).sin().cos() + 1).sqrt()
    return (far * hidden).sum() + hidden[1]


def joined() -> Tensor:
    a, b, c, d = leaf(2), leaf(3), leaf(1), leaf(2)
    return torch.cat([a, b, c, d]).square().mean()


def unbound() -> Tensor:
    first, _, third = leaf(3, 2).unbind(0)
    return (first * third).sum()


def in_place() -> Tensor:
    start = leaf(4)
    copy = start * 1
    copy[1] = copy[2] * 3
    return copy.sum()


def masked() -> Tensor:
    x = leaf(5)
    return torch.where(x > 1, x.log(), -x).sum()


GRAPHS: dict[str, Build] = {
    "regression": regression,
    "network": network,
    "recurrent": recurrent,
    "shared": shared,
    "skipped": skipped,
    "joined": joined,
    "unbound": unbound,
    "in place": in_place,
    "masked": masked,
    "linear": lambda: F.mse_loss(F.linear(X, leaf(1, 3), leaf(1)), Y),
    "own function": lambda: Square.apply(leaf(3), "name").sum(),
    "double precision": lambda: (leaf(3).double() ** 3).mean(),
    "half precision": lambda: (leaf(3).half() * 2).float().sum(),
    "one of many maxima": lambda: leaf(3, 4).max(1).values.sum() + leaf(2, 2).max(),
    "normalised": lambda: F.layer_norm(leaf(4, 3), (3,), leaf(3), leaf(3)).square().sum(),
    "convolution": lambda: F.conv2d(leaf(1, 1, 5, 5), leaf(2, 1, 3, 3)).relu().mean(),
    "einsum": lambda: torch.einsum("ij,jk->ik", X, leaf(3, 2)).logsumexp(1).sum(),
    "broadcast both ways": lambda: (leaf(4, 1) * leaf(1, 3)).sum(),
    "embedding": lambda: F.embedding(TARGETS, leaf(3, 2)).square().sum(),
    "sparse gradient": lambda: F.embedding(TARGETS, leaf(3, 2), sparse=True).square().sum(),
    "many kinds": lambda: (
        torch.linalg.vector_norm(leaf(3).repeat(2).flip(0).cumsum(0)) + leaf(2, 3).prod()
    ),
    "complex": lambda: (leaf(3).to(torch.complex64) * (1 + 2j)).abs().sum(),
    "a gradient's graph": lambda: torch.autograd.grad(
        shared_root := shared(), _leaves(shared_root), create_graph=True
    )[0],
}


def _leaves(result: Tensor) -> list[Tensor]:
    recording = read(result)
    return [node.leaf for node in recording.nodes if node.leaf is not None]


@pytest.fixture(params=GRAPHS)
def result(request) -> Tensor:
    return GRAPHS[request.param]()


# Backward --------------------------------------------------------------------------------------


def seen_by_the_engine(result: Tensor) -> list[tuple[object, tuple[Tensor | None, ...]]]:
    """Go backward for real, and note each node with the gradients that reach it."""
    turns: list[tuple[object, tuple[Tensor | None, ...]]] = []
    recording = read(result)
    for node in recording.nodes:
        function = node.function
        function.register_prehook(lambda grads, f=function: turns.append((f, grads)) or None)
    result.backward(torch.ones_like(result), retain_graph=True)
    return turns


def same(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.equal(first.to_dense(), second.to_dense())


def test_every_step_is_the_engines_with_the_same_gradients(result):
    recording = read(result)
    with torch.no_grad():
        steps = backward_steps(recording, result)
    turns = seen_by_the_engine(result)
    assert [recording.nodes[step.node].function for step in steps] == [node for node, _ in turns]
    for step, (_, gradients) in zip(steps, turns, strict=True):
        assert len(step.arriving) == len(gradients)
        for ours, theirs in zip(step.arriving, gradients, strict=True):
            assert same(ours, theirs)


def test_what_lands_in_each_leaf_is_what_backward_adds(result):
    recording = read(result)
    leaves = _leaves(result)
    for number, each in enumerate(leaves):
        each.grad = torch.full_like(each, float(number)) if number % 2 else None
    explorer = explore.graph(result)
    boxes = {box["label"]: box for box in explorer.data["boxes"] if box["kind"] == "leaf"}
    for turn in (0, 1, 2):
        if turn:
            result.backward(torch.ones_like(result), retain_graph=True)
        for each in leaves:
            (box,) = (b for n, b in enumerate(boxes_of(explorer)) if leaf_at(recording, n) is each)
            assert shown(explorer, box["grads"][turn]) == text(each.grad)
    assert len(boxes) == len(leaves)


def boxes_of(explorer: Explorer) -> list[dict]:
    return explorer.data["boxes"]


def leaf_at(recording, number):
    return recording.nodes[number].leaf if number < len(recording.nodes) else None


def shown(explorer: Explorer, number: int | None) -> str | None:
    return None if number is None else json.dumps(explorer.data["tensors"][number])


def text(tensor: Tensor | None) -> str | None:
    return None if tensor is None else json.dumps(shown_part(tensor))


# Forward ---------------------------------------------------------------------------------------


class Remember(TorchFunctionMode):
    """Keep every tensor that PyTorch computes, with a copy of its value."""

    def __init__(self) -> None:
        self.kept: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, Tensor) and part.grad_fn is not None:
                with torch._C.DisableTorchFunctionSubclass():
                    self.kept.append((part, part.detach().clone()))
        return result


def find(result: Tensor, variables: list[tuple[str, Tensor]]):
    recording = read(result)
    saved = [saved_by(node) for node in recording.nodes]
    with torch.no_grad():
        return recording, find_values(recording, saved, result, variables)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_value_is_the_one_that_was_computed(name):
    with Remember() as memory:
        result = GRAPHS[name]()
    recording, values = find(result, [])
    assert not values.doubted
    checked = 0
    for tensor, before in memory.kept:
        place = recording.place(tensor)
        if place in values.known:
            assert torch.equal(values.known[place].tensor, before), recording.nodes[place[0]].op
            checked += 1
    assert checked


@pytest.mark.parametrize("name", ["network", "recurrent", "shared", "linear", "masked", "joined"])
def test_of_common_operations_every_value_is_known(name):
    recording, values = find(GRAPHS[name](), [])
    for number, node in enumerate(recording.nodes):
        assert (number, 0) in values.known, node.op


def test_values_say_where_they_come_from():
    x, y, w, b = torch.tensor(3.0), torch.tensor(5.0), leaf(), leaf()
    pred = w * x + b
    loss = (pred - y) ** 2
    told = sources(explore.graph(loss))
    assert told["w"] == "A leaf of yours: its value now."
    assert told["x"].startswith("A constant: it needs no gradient. Autograd kept it")
    assert told["y"].endswith("Your variable y gives the recorded result exactly.")
    assert told["pred"] == "Not kept by autograd: no derivative needs it. Read from your pred."
    assert told["#1"].endswith("no derivative needs it. Computed again from its inputs.")
    assert told["#2"] == "Kept by autograd: the derivative of loss (** 2) needs it."
    assert told["loss"] == "The tensor you passed."


def sources(explorer: Explorer) -> dict[str, str]:
    sentences = explorer.data["sentences"]
    return {box["label"]: sentences[box["results"][0]["from"]] for box in boxes_of(explorer)}


def box(explorer: Explorer, label: str) -> dict:
    (found,) = (each for each in boxes_of(explorer) if each["label"] == label)
    return found


def value(explorer: Explorer, label: str) -> str:
    number = box(explorer, label)["results"][0]["value"]
    return "unknown" if number is None else explorer.data["tensors"][number]["cells"][0]


def test_a_constant_that_nobody_kept_is_solved_for():
    w = leaf()
    explorer = explore.graph((w - 3) ** 2)
    assert value(explorer, "3.0") == "3.0"
    assert sources(explorer)["3.0"].endswith("This value gives the recorded result.")
    assert value(explore.graph((1 - w) ** 2), "1.0") == "1.0"
    assert value(explore.graph(((w + 0.25) ** 2).sum()), "0.25") == "0.25"


def test_a_constant_that_cannot_be_known_is_not_guessed():
    w, hidden = leaf(), [torch.tensor(4.0)]
    explorer = explore.graph((w + hidden[0]) + hidden[0])
    unknown = [each for each in boxes_of(explorer) if each["kind"] == "constant"]
    assert [each["results"][0]["value"] for each in unknown] == [
        None,
        unknown[1]["results"][0]["value"],
    ]


def test_values_that_a_changed_leaf_would_falsify_are_left_out():
    w, b = leaf(3, 1), leaf(1)
    loss = ((X @ w + b - Y) ** 2).mean()
    with torch.no_grad():
        w -= 0.5
    explorer = explore.graph(loss)
    assert value(explorer, "#1") == "unknown"
    assert sources(explorer)["#1"] == "Not kept by autograd: no derivative needs it."
    assert value(explorer, "#3") != "unknown"
    w, b = leaf(3, 1), leaf(1)
    loss = (X @ w + b - Y).sum() + 0 * b.sum()
    with torch.no_grad():
        w += 0.25
    assert value(explore.graph(loss), "#1") == "unknown"


def test_an_operation_that_no_longer_gives_what_was_recorded_is_told():
    w, b = leaf(3), leaf(3)
    hidden = (w + b).exp()
    loss = hidden.sum()
    with torch.no_grad():
        b *= 2
    explorer = explore.graph(loss)
    assert any("has been changed in place since" in note for note in explorer.data["notes"])
    assert value(explorer, "#1") == "unknown"
    assert value(explorer, "hidden") != "unknown"


# Names -----------------------------------------------------------------------------------------


def test_names_are_the_callers_variables():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

    model, params, state = Model(), [leaf(1)], {"scale": leaf(1)}
    out = model.layer(X) * state["scale"] + params[0]
    labels = [each["label"] for each in boxes_of(explore.graph(out.sum()))]
    assert {"out", "params[0]", "state['scale']", "X"} <= set(labels)
    assert {"model.layer.weight", "model.layer.bias"} <= set(labels)


def test_any_other_tensor_may_stand_among_the_variables():
    sparse, nowhere = torch.eye(3).to_sparse(), torch.zeros(2, device="meta")
    nested = [torch.zeros(0), sparse]
    x, w = torch.tensor([1.0, 2.0]), leaf(2)
    explorer = explore.graph((w * x + 1).exp().sum())
    assert {"w", "x"} <= {each["label"] for each in boxes_of(explorer)}
    assert (sparse.is_sparse, nowhere.is_meta, len(nested)) == (True, True, 2)


def test_nameless_nodes_are_numbered_in_the_order_they_were_recorded():
    (explorer,) = (explore.graph(result) for result in [(leaf().exp() * 2).sin()])
    labels = {each["op"]: each["label"] for each in boxes_of(explorer)}
    assert labels["ExpBackward0"] == "#1"
    assert labels["MulBackward0"] == "#2"
    assert labels["AccumulateGrad"] == "leaf 1"
    assert labels["SinBackward0"] == "result"
    long = explore.graph(leaf().exp().sin().cos().tanh().sigmoid().sqrt())
    assert long.title == "The graph autograd recorded for the result"


# The rules -------------------------------------------------------------------------------------


EVERY_RULE: dict[str, Build] = {
    "AddBackward0": lambda: torch.add(leaf(3), leaf(3), alpha=2),
    "SubBackward0": lambda: torch.sub(leaf(3), above(3), alpha=3),
    "RsubBackward1": lambda: 1 - leaf(3),
    "MulBackward0": lambda: leaf(3) * above(3),
    "DivBackward0": lambda: leaf(3) / above(3),
    "NegBackward0": lambda: -leaf(3),
    "PowBackward0": lambda: leaf(3) ** 3,
    "PowBackward1": lambda: leaf(3) ** above(3),
    "PowBackward2": lambda: 2 ** leaf(3),
    "AbsBackward0": lambda: (leaf(3).detach() - 0.8).requires_grad_().abs(),
    "ExpBackward0": lambda: leaf(3).exp(),
    "LogBackward0": lambda: leaf(3).log(),
    "SqrtBackward0": lambda: leaf(3).sqrt(),
    "ReciprocalBackward0": lambda: leaf(3).reciprocal(),
    "RsqrtBackward0": lambda: leaf(3).rsqrt(),
    "Log1PBackward0": lambda: leaf(3).log1p(),
    "ProdBackward0": lambda: leaf(3).prod(),
    "LinalgVectorNormBackward0": lambda: torch.linalg.vector_norm(leaf(3)),
    "SinBackward0": lambda: leaf(3).sin(),
    "CosBackward0": lambda: leaf(3).cos(),
    "TanhBackward0": lambda: leaf(3).tanh(),
    "SigmoidBackward0": lambda: leaf(3).sigmoid(),
    "SoftplusBackward0": lambda: F.softplus(leaf(3)),
    "MmBackward0": lambda: leaf(4, 3) @ leaf(3, 2),
    "BmmBackward0": lambda: torch.bmm(leaf(2, 4, 3), leaf(2, 3, 2)),
    "MvBackward0": lambda: leaf(4, 3) @ leaf(3),
    "DotBackward0": lambda: leaf(3) @ above(3),
    "AddmmBackward0": lambda: torch.addmm(leaf(4, 2), leaf(4, 3), leaf(3, 2)),
    "MseLossBackward0": lambda: F.mse_loss(leaf(4), above(4)),
    "SoftmaxBackward0": lambda: leaf(4).softmax(0),
    "LogSoftmaxBackward0": lambda: leaf(4).log_softmax(0),
    "LogsumexpBackward0": lambda: leaf(4).logsumexp(0),
    "BinaryCrossEntropyWithLogitsBackward0": lambda: F.binary_cross_entropy_with_logits(
        leaf(4), (leaf(4) / 2).detach().requires_grad_()
    ),
}
IN_WORDS = {  # rules that say in words what formulas hold for everywhere else
    "ReluBackward", "LeakyReluBackward", "ClampBackward", "SumBackward0", "SumBackward1", "MeanBackward0",
    "MeanBackward1", "TBackward", "TransposeBackward", "PermuteBackward", "ViewBackward",
    "UnsafeViewBackward", "ReshapeAliasBackward", "SqueezeBackward", "UnsqueezeBackward",
    "ExpandBackward", "CloneBackward", "ToCopyBackward", "SelectBackward", "SliceBackward",
    "IndexBackward", "GatherBackward", "IndexSelectBackward", "UnbindBackward", "SplitBackward",
    "MaxBackward", "MinBackward", "AmaxBackward", "AminBackward", "MaximumBackward", "MinimumBackward",
    "WhereBackward", "NllLossBackward", "CumsumBackward", "RepeatBackward", "FlipBackward", "EmbeddingBackward", "CatBackward", "StackBackward",
}  # fmt: skip


def test_every_rule_is_either_a_formula_that_is_proved_or_in_words():
    proved = {re.sub(r"Backward\d$", "Backward", op) for op in EVERY_RULE} | set(EVERY_RULE)
    assert set(RULES) - proved == IN_WORDS


@pytest.mark.parametrize("op", EVERY_RULE)
def test_a_rules_formula_gives_pytorchs_gradient(op):
    result = EVERY_RULE[op]()
    recording, values = find(result, [])
    node, rule = recording.nodes[0], rule_of(op)
    assert node.op == op
    gradient = leaf(*result.shape).detach() if result.dim() else torch.tensor(0.75)
    returned = node.function(gradient)
    returned = returned if isinstance(returned, tuple) else (returned,)
    names = {"g": gradient, "result": result.detach(), "N": str(4)}
    names |= {o.role: values.known[o.place].tensor for o in values.operands[0] if o.place}
    for formula, theirs in zip(rule.passes, returned, strict=True):
        facts = {k: re.sub(r"\{(\w+)\}", r"\1", v) for k, v in rule.facts(node.function).items()}
        python = formula
        for name in re.findall(r"\{(\w+)\}", formula):
            python = python.replace(f"{{{name}}}", facts.get(name, name))
        ours = calculate(python, names)
        torch.testing.assert_close(ours.expand_as(theirs), theirs)


def calculate(formula: str, names: dict) -> Tensor:
    """Evaluate a formula as it is written for people."""
    python = formula.replace("·", "*").replace("−", "-").replace("²", "**2").replace("ᵀ", ".mT")
    python = re.sub(r"\bN\b", "4", python.replace("^", "**"))
    functions = {
        n: getattr(torch, n)
        for n in ("cos", "sin", "exp", "log", "sigmoid", "sign", "outer", "softmax")
    }
    functions["sum"] = torch.sum
    functions["log"] = lambda value: torch.as_tensor(value).log()
    functions["softmax"] = lambda values: torch.softmax(values, 0)
    return eval(python, {}, {**functions, **names})


def test_a_calculation_on_single_numbers_comes_out_as_it_says():
    x, w, b = torch.tensor(3.0), leaf(), leaf()
    loss = ((w * x + b).tanh() / (b + 2) - 0.3) ** 2 + w.exp() * b.sin() - w.log()
    explorer = explore.graph(loss)
    checked = 0
    for step in explorer.data["steps"]:
        for each in step["passes"]:
            (due,) = explorer.data["tensors"][each["gradient"]]["cells"]
            if each["numbers"]:
                python = each["numbers"].replace("·", "*").replace("−", "-").replace("²", "**2")
                ours = eval(python, {"cos": lambda v: torch.tensor(v).cos().item()})
                assert ours == pytest.approx(float(due), rel=2e-2)
                checked += 1
    assert checked >= 12


# Wrong and unusual arguments --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (0.25, r"takes a tensor, and this is the number 0\.25\. A number has no graph: \.item\(\)"),
        (True, "takes a tensor, and this is the number True"),
        ([torch.zeros(1)], "takes tensors, but one argument is of type list"),
        (None, "takes tensors, but one argument is of type NoneType"),
        (torch.zeros(2, device="meta"), "'meta' device has none"),
        (torch.zeros(2).to_sparse(), "layout is torch.sparse_coo"),
    ],
)
def test_a_wrong_argument_gets_a_clear_type_error(argument, message):
    with pytest.raises(TypeError, match=message):
        explore.graph(argument)


def test_a_tensor_without_a_graph_is_told_why():
    w = leaf(3)
    with torch.no_grad():
        loss = (w * 2).sum()
    explorer = explore.graph(loss)
    assert explorer.title == "No graph behind loss"
    assert "There is no graph behind loss: it has shape (), dtype float32" in explorer.text
    assert "torch.no_grad(), .detach()" in explorer.text
    with pytest.raises(RuntimeError) as raised:
        loss.backward()
    assert f"would raise RuntimeError: {raised.value}" in explorer.text


def test_a_leaf_is_told_to_be_one():
    w = leaf(2)
    w.grad = torch.tensor([1.0, 2.0])
    explorer = explore.graph(w)
    assert explorer.title == "w is a leaf"
    assert "lands in w.grad, which is now [1.0, 2.0]." in explorer.text


def test_many_numbers_start_from_ones_as_their_sum_does():
    w = leaf(3)
    result = w * torch.tensor([1.0, 2.0, 3.0])
    explorer = explore.graph(result)
    assert "those of result.sum().backward()." in explorer.text
    after = box(explorer, "w")["grads"][1]
    assert explorer.data["tensors"][after]["cells"] == ["1.0", "2.0", "3.0"]


# A graph that is freed, changed, or has hooks ----------------------------------------------------


def test_a_freed_graph_keeps_its_structure_and_says_why_the_rest_is_gone():
    w, b = leaf(3, 1), leaf(1)
    loss = ((X @ w + b - Y) ** 2).mean()
    whole = explore.graph(loss)
    loss.backward()
    freed = explore.graph(loss)
    assert [each["op"] for each in boxes_of(freed)] == [each["op"] for each in boxes_of(whole)]
    note, stopped = freed.data["notes"]
    assert note.startswith("A backward pass has been through this graph and freed")
    assert stopped.startswith(
        "Another backward() stops at #4 (** 2): RuntimeError: Trying to backw"
    )
    assert sources(freed)["#3"] == "Gone: autograd had kept it, and the backward pass freed it."
    assert sources(freed)["#2"] == "Not kept by autograd: no derivative needs it."
    assert value(freed, "#3") == "unknown"
    assert not freed.data["second"]
    last = freed.data["steps"][-1]
    with pytest.raises(RuntimeError) as raised:
        loss.backward()
    assert last["error"] == f"RuntimeError: {raised.value}"
    assert box(freed, "w")["grads"][0] is not None


def test_a_graph_that_saved_nothing_is_not_freed():
    w = leaf()
    loss = w + 1
    loss.backward()
    explorer = explore.graph(loss)
    assert explorer.data["notes"] == []
    assert explorer.data["second"]


def test_the_text_says_what_a_second_pass_takes():
    w = leaf()
    told = explore.graph(w**2).text
    assert "A second pass, as after backward(retain_graph=True), adds the same gradients" in told


def test_a_value_changed_in_place_stops_at_its_node_with_pytorchs_message():
    w = leaf(3)
    hidden = w.exp()
    loss = hidden.sum()
    hidden.add_(1)
    explorer = explore.graph(loss)
    note = explorer.data["notes"][0]
    assert note.startswith(
        "backward() stops at #1 (exp): RuntimeError: one of the variables needed"
    )
    with pytest.raises(RuntimeError) as raised:
        loss.backward()
    assert explorer.data["steps"][-1]["error"] == f"RuntimeError: {raised.value}"


def test_a_students_own_backward_that_fails_is_the_last_step():
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value * 2

        @staticmethod
        def backward(ctx, gradient):
            raise KeyError("scale")

    last = explore.graph(Broken.apply(leaf(2)).sum()).data["steps"][-1]
    assert last["error"] == "KeyError: 'scale'"
    assert last["lines"][0].endswith("and here backward() stops with a KeyError.")


def test_hooks_are_not_called_and_are_told():
    calls = []
    w, v = leaf(3), leaf(3)
    w.register_hook(lambda gradient: calls.append("w"))
    pred = w * v
    pred.register_hook(lambda gradient: calls.append("pred"))
    v.register_post_accumulate_grad_hook(lambda tensor: calls.append("v"))
    explorer = explore.graph(pred.sum())
    assert calls == []
    (note,) = explorer.data["notes"]
    assert note.startswith("w, v and pred have a hook of yours. backward() calls it")


def test_retain_grad_is_told_and_nothing_is_written_there():
    w = leaf(3)
    pred, other = w * 2, w.exp()
    pred.retain_grad()
    explorer = explore.graph((pred * other).sum())
    assert pred.grad is None
    sentences = explorer.data["sentences"]
    assert sentences[box(explorer, "pred")["after"]].startswith("It is kept in pred.grad too")
    assert sentences[box(explorer, "other")["after"]].endswith(": other.grad stays None.")


# What comes back unchanged -----------------------------------------------------------------------


def test_nothing_of_the_students_changes():
    w, b = leaf(3, 1), leaf(1)
    w.grad = torch.ones(3, 1)
    loss = ((X @ w + b - Y) ** 2).mean()
    kept, state, versions = w.grad, torch.get_rng_state(), (w._version, X._version, Y._version)
    explore.graph(loss)._repr_html_()
    assert w.grad is kept
    assert torch.equal(w.grad, torch.ones(3, 1))
    assert b.grad is None
    assert (w._version, X._version, Y._version) == versions
    assert (w.requires_grad, loss.requires_grad, X.requires_grad) == (True, True, False)
    assert (w._backward_hooks, loss._backward_hooks, pre_hooks(w)) == (None, None, None)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    loss.backward()  # the graph was not freed
    torch.testing.assert_close(w.grad - 1, torch.autograd.grad(again(w, b), w)[0])


def pre_hooks(tensor: Tensor):
    return getattr(tensor, "_post_accumulate_grad_hooks", None)


def again(w: Tensor, b: Tensor) -> Tensor:
    return ((X @ w + b - Y) ** 2).mean()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_it_works_in_every_grad_mode_and_leaves_it(mode):
    loss = regression()
    usual = explore.graph(loss)
    with mode():
        before = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        explorer = explore.graph(loss)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    assert explorer.data == usual.data


def test_another_default_device_or_dtype_does_not_matter():
    loss = regression()
    usual = explore.graph(loss).data
    with torch.device("meta"):
        assert explore.graph(loss).data == usual


def test_the_same_graph_gives_the_same_html():
    pages = {explore.graph(regression())._repr_html_() for _ in range(3)}
    assert len(pages) == 1


# Large graphs ------------------------------------------------------------------------------------


def chain(rounds: int) -> Tensor:
    w = leaf()
    total = w * 0
    for _ in range(rounds):
        total = total + (w * 2 - 1) ** 2
    return total


def test_two_hundred_nodes_are_drawn():
    explorer = explore.graph(chain(48))
    assert explorer.data["mode"] == "graph"
    assert len(boxes_of(explorer)) > 200
    assert explorer.data["size"][0] < 1200  # seven boxes side by side
    assert len(explorer._repr_html_()) < 400_000


def test_ten_thousand_nodes_are_counted():
    total = chain(3000)
    explorer = explore.graph(total)
    assert explorer.data["mode"] == "summary"
    assert "It has 12,002 nodes, 12,001 operations and 1 leaf: too many to draw." in explorer.text
    kinds = {op: number for op, _, number in explorer.data["kinds"]}
    assert kinds == {
        "AddBackward0": 3000, "PowBackward0": 3000, "SubBackward0": 3000, "MulBackward0": 3001
    }  # fmt: skip
    assert "The longest way through it is 3,004 nodes." in explorer.text
    assert "autograd keeps" in explorer.text
    assert "a tensor from the middle" in explorer.text
    assert len(explorer._repr_html_()) < 60_000


def test_a_graph_too_large_to_read_is_told_from_its_nearest_nodes(monkeypatch):
    monkeypatch.setattr("firstlight.explore.graph_record.MOST_READ", 500)
    words = explore.graph(chain(200)).text
    assert "It has more than 50" in words
    assert "nearest to the result are" in words


def test_a_chain_of_a_hundred_thousand_nodes_breaks_no_stack():
    value = leaf()
    for _ in range(100_000):
        value = value * 1.0
    words = explore.graph(value).text
    assert "It has more than 9,001 nodes" in words
    del value  # freeing it is where torch 2.13 would recurse


# Layout ------------------------------------------------------------------------------------------


def test_no_two_boxes_overlap_and_inputs_stand_above(result):
    explorer = explore.graph(result)
    rows: dict[int, list[dict]] = {}
    for each in boxes_of(explorer):
        rows.setdefault(each["y"], []).append(each)
        for above_it in each["inputs"]:
            assert boxes_of(explorer)[above_it]["y"] < each["y"]
    for row in rows.values():
        row.sort(key=lambda each: each["x"])
        for left, right in pairwise(row):
            assert right["x"] - left["x"] >= (left["width"] + right["width"]) / 2 + GAP - 2
    width, height = explorer.data["size"]
    for each in boxes_of(explorer):
        assert each["x"] - each["width"] / 2 >= 0
        assert each["x"] + each["width"] / 2 <= width
        assert 0 < each["y"] < height


def test_a_chain_is_drawn_straight():
    explorer = explore.graph(recurrent())
    spine = [each["x"] for each in boxes_of(explorer) if each["op"] == "TanhBackward0"]
    assert max(spine) - min(spine) <= 2


def test_a_long_edge_becomes_a_sign():
    layout = lay_out(
        [0, 1, 2, 3, 4, 5],
        {0: [1, 5], 1: [2], 2: [3], 3: [4], 4: [5], 5: []},
        dict.fromkeys(range(6), 100.0),
    )
    assert set(layout.signs) == {(0, 1)}


# The same in words -------------------------------------------------------------------------------


def test_the_text_lists_every_node_with_its_value_and_gradient():
    x, y, w, b = torch.tensor(3.0), torch.tensor(5.0), torch.tensor(2.0), torch.tensor(1.0)
    w.requires_grad_(), b.requires_grad_()
    b.grad = torch.tensor(0.5)
    pred = w * x + b
    loss = (pred - y) ** 2
    words = repr(explore.graph(loss))
    assert "× #1 (MulBackward0, shape ()) = 6.0." in words
    assert (
        "  3. pred (+) gets 4.0 and passes on 4.0 to #1 (×) and 4.0 to b.\n"
        "     gradient: 4.0\n"
        "     to #1: grad = 4.0\n"
        "     to b: grad = 4.0\n"
        "  4. 4.0 is added: b.grad was 0.5 and is now 4.5.\n"
        "     gradient: 4.0\n"
        "     b.grad: 4.5\n"
        "  5. #1 (×) gets 4.0 and passes on 12.0 to w.\n"
        "     gradient: 4.0\n"
        "     to w: grad · x = 4.0 · 3.0 = 12.0\n"
        "  6. w.grad was None and is now 12.0.\n"
    ) in words
    assert "  4.0 is added: b.grad was 4.5 and is now 8.5." in words


def test_a_gradient_summed_over_broadcast_copies_is_explained():
    words = explore.graph(regression()).text
    assert re.search(
        r"to leaf 2: sum\(grad\) = \[\S+\]. Summed from \(4, 1\) back to \(1,\): leaf 2 was broadcast",
        words,
    )


@pytest.mark.parametrize(
    ("tensor", "line"),
    [
        (torch.tensor(3.0), "3.0"),
        (torch.tensor([1.0, 2.0]), "[1.0, 2.0]"),
        (torch.arange(9.0), "[0.0, 1.0, 2.0, …]"),
        (torch.arange(4.0).reshape(2, 2), "[[0.0, 1.0], [2.0, 3.0]]"),
        (torch.zeros(9, 9), f"[{', '.join(['[0.0, 0.0, 0.0, …]'] * 5)}, …]"),
        (torch.arange(8.0).reshape(2, 2, 2), "[[[0.0, 1.0], [2.0, 3.0]], …]"),
        (torch.zeros(0, 3), "[]"),
    ],
)
def test_a_tensor_is_written_in_one_line(tensor, line):
    assert one_line(tensor) == line


def test_script_and_style_stay_small():
    assert len(module_source("graph").encode()) <= 60_000
