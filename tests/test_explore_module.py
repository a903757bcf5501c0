"""`explore.module` agrees with PyTorch: on names, shapes and counts, and on what is not registered."""

from __future__ import annotations

import copy
import gc
import random
import subprocess
import sys
import types
import weakref
from collections import deque

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from firstlight import explore
from firstlight.explore.module_operations import operation_label
from firstlight.explore.module_registry import find_parts


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Mlp(nn.Module):
    """Normalisation, dropout, functions and a skip between its layers."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 8)
        self.norm = nn.BatchNorm1d(8)
        self.fc2 = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = x.flatten(1)
        h = F.relu(self.norm(self.fc1(x)))
        h = h + torch.tanh(self.fc2(h))
        return self.head(self.drop(h))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(x + self.norm(self.conv(x)))


class Cnn(nn.Module):
    """Blocks in a ModuleList, a Sequential and a ModuleDict."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.stages = nn.ModuleList([nn.Sequential(Block(4), Block(4)) for _ in range(2)])
        self.heads = nn.ModuleDict({"digit": nn.Linear(4, 10), "even": nn.Linear(4, 2)})

    def forward(self, images):
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return {name: head(x) for name, head in self.heads.items()}


class Language(nn.Module):
    """A tied weight, a module under two names, frozen parameters, a buffer outside state_dict."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.rnn = nn.GRU(8, 8, batch_first=True)
        self.mix = nn.Linear(8, 8)
        self.again = self.mix
        self.out = nn.Linear(8, 20, bias=False)
        self.out.weight = self.embed.weight
        self.rnn.requires_grad_(False)
        self.register_buffer("mask", torch.ones(5, 5), persistent=False)

    def forward(self, tokens):
        states, last = self.rnn(self.embed(tokens))
        return self.out(self.mix(self.again(states))), last


CASES = {
    "mlp": (Mlp, lambda: torch.randn(6, 3, 4)),
    "cnn": (Cnn, lambda: torch.randn(2, 1, 8, 8)),
    "language": (Language, lambda: torch.randint(0, 20, (3, 5))),
}


@pytest.fixture(params=CASES)
def case(request):
    make, batch = CASES[request.param]
    return make(), batch()


def rows(explorer):
    return {row["path"]: row for row in explorer.data["rows"]}


def steps(explorer):
    return explorer.data["steps"]


def calls(explorer):
    return [step for step in steps(explorer) if step["type"]]


def operations(explorer):
    return [step["name"] for step in steps(explorer) if not step["type"]]


def hidden(explorer):
    return [entry["sentence"] for entry in explorer.data["unregistered"]]


def hooked(model, *inputs):
    """What PyTorch's own hooks see: per call the module, the shapes in and out, in order of entry."""
    seen, handles = [], []
    for module in model.modules():
        before = module.register_forward_pre_hook(lambda m, args: seen.append([m, args, None]))

        def after(m, args, output):
            next(e for e in reversed(seen) if e[0] is m and e[2] is None)[2] = output

        handles += [before, module.register_forward_hook(after)]
    with torch.no_grad():
        copy.deepcopy(model)  # hooks of a copy must not run here
        model(*inputs)
    for handle in handles:
        handle.remove()
    return seen


def shape_text(value):
    return ", ".join(str(tuple(each.shape)) for each in value)


def net(forward, **attributes):
    """A module with this forward and these attributes."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in attributes.items():
                setattr(self, name, value)

        def forward(self, *args):
            return forward(self, *args)

    return Net()


# The tree ---------------------------------------------------------------------------------------


def test_the_tree_has_every_module_under_every_name(case):
    model, x = case
    shown = [row["path"] for row in explore.module(model, x).data["rows"]]
    due = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert shown == [name or "model" for name in due]


def test_counts_are_pytorchs_for_every_part(case):
    model, x = case
    shown = rows(explore.module(model, x))
    for name, module in model.named_modules(remove_duplicate=False):
        row = shown[name or "model"]
        parameters = list(module.parameters())
        assert row["count"] == sum(p.numel() for p in parameters)
        assert row["trains"] == sum(p.numel() for p in parameters if p.requires_grad)
        assert row["tensors"] == len(parameters)
        assert row["type"] == type(module).__name__
        assert row["extra"] == module.extra_repr()


def test_every_part_lists_its_own_parameters_and_buffers(case):
    model, x = case
    shown = rows(explore.module(model, x))
    for name, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        held = [(h["name"], h["shape"], h["count"]) for h in shown[name or "model"]["holds"]]
        assert held == [(n, str(tuple(t.shape)), t.numel()) for n, t in own]


def test_the_sums_are_pytorchs(case):
    model, x = case
    sums = {word: number for word, number, _, _ in explore.module(model, x).data["counts"]}
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sums == {
        "parameters": f"{total:,}",
        "trainable": f"{trainable:,}",
        "frozen": f"{total - trainable:,}",
        "in buffers": f"{sum(b.numel() for b in model.buffers()):,}",
        "not registered": "0",
    }


def test_what_is_shared_is_said_and_counted_once():
    model = Language()
    shown = rows(explore.module(model, torch.zeros(3, 5, dtype=torch.int64)))
    assert shown["again"]["same"] == "mix"
    assert ["same as mix", False] in [list(tag) for tag in shown["again"]["tags"]]
    assert "its numbers count once" in shown["again"]["notes"][0]
    assert ("shares embed.weight", False) in shown["out"]["tags"]
    assert shown["out"]["holds"][0]["says"] == "parameter, trains, same as embed.weight"
    assert ("called 2 times", False) in shown["mix"]["tags"]


def test_frozen_parameters_and_buffers_outside_state_dict_are_said():
    shown = rows(explore.module(Language(), torch.zeros(3, 5, dtype=torch.int64)))
    assert ("frozen", False) in shown["rnn"]["tags"]
    assert {held["says"] for held in shown["rnn"]["holds"]} == {"parameter, frozen"}
    assert ("partly frozen", False) in shown["model" if "model" in shown else "Language()"]["tags"]
    (mask,) = next(row for row in shown.values() if row["parent"] is None)["holds"]
    assert mask["says"] == "buffer, not in state_dict"


def test_a_part_in_another_mode_is_marked():
    model = Mlp()
    model.norm.eval()
    explorer = explore.module(model, torch.randn(6, 12))
    assert ("eval mode", False) in rows(explorer)["norm"]["tags"]
    assert "in training mode" in explorer.data["sentences"][1]
    assert "running_mean" not in explorer.data["sentences"][1]
    model.eval()
    assert "in eval mode" in explore.module(model, torch.randn(6, 12)).data["sentences"][1]


def test_a_module_that_holds_itself_ends():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].__dict__["owner"] = model
    assert len(find_parts(model)) == 2
    model[0].owner_module = model
    assert [part.same for part in find_parts(model)] == [None, None, ""]


# The run ----------------------------------------------------------------------------------------


def test_calls_and_shapes_are_those_that_hooks_see(case):
    model, x = case
    explorer = explore.module(model, x)
    names = {id(module): name for name, module in model.named_modules()}
    shown = [
        (step["name"], ", ".join(g["text"] for g in step["given"]), step["gives"]["text"])
        for step in calls(explorer)
    ]
    due = []
    for module, args, output in hooked(model, x):
        gives = shape_text([output]) if isinstance(output, torch.Tensor) else None
        due.append((names[id(module)] or "model", shape_text(args), gives))
    assert len(shown) == len(due)
    for seen, expected in zip(shown, due, strict=True):
        assert seen[:2] == expected[:2]
        assert expected[2] in (None, seen[2])


def test_calls_stand_in_the_call_that_made_them():
    explorer = explore.module(Cnn(), torch.randn(2, 1, 8, 8))
    for step in calls(explorer)[1:]:
        above = steps(explorer)[step["parent"]]["name"]
        name = step["name"]
        nested = name.startswith("stages.") and name.count(".") > 1
        assert above == (name.rpartition(".")[0] if nested else calls(explorer)[0]["name"])


def test_operations_between_modules_are_shown_as_they_were_written():
    explorer = explore.module(Mlp(), torch.randn(6, 3, 4))
    assert operations(explorer) == [".flatten(1)", "F.relu", "torch.tanh", "+"]
    skip = next(step for step in steps(explorer) if step["name"] == "+")
    assert [given["from"] for given in skip["given"]] == ["F.relu (step 4)", "torch.tanh (step 6)"]
    assert skip["line"] == "h = h + torch.tanh(self.fc2(h))"
    assert [g["from"] for g in steps(explorer)[1]["given"]] == ["x"]


def test_what_a_layer_does_inside_is_not_spread_out():
    explorer = explore.module(nn.GRU(3, 4), torch.randn(5, 2, 3))
    assert len(steps(explorer)) == 1
    assert steps(explorer)[0]["gives"]["text"] == "tuple of (5, 2, 4), (1, 2, 4)"


OPERATIONS = [
    (lambda x, y: x + y, "+"),
    (lambda x, y: x - 1, "- 1"),
    (lambda x, y: 1 - x, "1 -"),
    (lambda x, y: 2 / x, "2 /"),
    (lambda x, y: x * 0.5, "* 0.5"),
    (lambda x, y: x**2, "** 2"),
    (lambda x, y: x @ y.T, "@"),
    (lambda x, y: -x, "-"),
    (lambda x, y: x[:, 0], "[:, 0]"),
    (lambda x, y: x[..., 1:], "[..., 1:]"),
    (lambda x, y: x > 0, "> 0"),
    (lambda x, y: F.relu(x), "F.relu"),
    (lambda x, y: torch.relu(x), "torch.relu"),
    (lambda x, y: x.relu(), ".relu()"),
    (lambda x, y: x.view(2, -1), ".view(2, -1)"),
    (lambda x, y: x.mean(1, keepdim=True), ".mean(1, keepdim=True)"),
    (lambda x, y: torch.cat([x, y], dim=1), "torch.cat(…, dim=1)"),
    (lambda x, y: torch.cat([x, y]), "torch.cat"),
    (lambda x, y: F.softmax(x, dim=1), "F.softmax(…, dim=1)"),
    (lambda x, y: F.dropout(x, 0.2), "F.dropout(…, p=0.2)"),
    (lambda x, y: F.max_pool2d(x[None], 2), "F.max_pool2d(…, 2)"),
    (lambda x, y: x.to(torch.float64), ".to(torch.float64)"),
    (lambda x, y: torch.einsum("ij,kj->ik", x, y), "torch.einsum('ij,kj->ik', …, …)"),
    (lambda x, y: x.masked_fill(x > 0, 0), ".masked_fill(…, 0)"),
    (lambda x, y: torch.zeros(2, 3), "torch.zeros(2, 3)"),
]


@pytest.mark.parametrize(("operation", "label"), OPERATIONS, ids=[label for _, label in OPERATIONS])
def test_an_operation_is_named_as_it_is_written(operation, label):
    model = net(lambda self, x, y: operation(x, y))
    explorer = explore.module(model, (torch.rand(4, 6), torch.rand(4, 6)))
    last = steps(explorer)[-1]
    assert last["name"] == label
    with torch.no_grad():
        due = operation(torch.rand(4, 6), torch.rand(4, 6))
    assert last["gives"]["text"] == str(tuple(due.shape))


def test_questions_to_a_tensor_are_no_operations():
    def forward(self, x):
        assert x.dim() == x.ndim == len(x.shape) == 2
        assert x.size(0) == len(x)
        assert not x.requires_grad
        return x

    explorer = explore.module(net(forward), torch.rand(2, 3))
    assert operations(explorer) == []


def test_long_arguments_are_cut():
    label = operation_label(torch.Tensor.view, [torch.zeros(1), *range(100)], {})
    assert label is not None
    assert len(label) == 56


def test_an_edit_in_place_is_a_step():
    def forward(self, x):
        x[:, 0] = 7
        x += 1
        return x

    explorer = explore.module(net(forward), torch.zeros(2, 3))
    assert operations(explorer) == ["[:, 0] = …", ".add_(1)"]
    assert [step["gives"]["text"] for step in steps(explorer)] == ["(2, 3)"] * 3


def test_keyword_arguments_are_seen():
    model = net(lambda self, x: self.attend(query=x, key=x, value=x)[0])
    model.attend = nn.MultiheadAttention(4, 2, batch_first=True)
    call = calls(explore.module(model, torch.randn(2, 3, 4)))[1]
    assert [given["text"] for given in call["given"]] == ["(2, 3, 4)"] * 3


def test_a_layer_whose_parameters_are_used_without_a_call_is_told_apart():
    model = net(lambda self, x: self.first.forward(x) @ self.second.weight.T)
    model.first, model.second, model.third = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2)
    shown = rows(explore.module(model, torch.randn(5, 3)))
    assert shown["first"]["tags"] == [("used, not called", False)]
    assert shown["second"]["tags"] == [("used, not called", False)]
    assert shown["third"]["tags"] == [("not called", True)]
    assert "never called it" in shown["third"]["notes"][0]


def test_a_parameter_that_is_never_read_gets_no_gradient_as_it_says():
    model = net(lambda self, x: self.layer(x))
    model.layer = net(lambda self, x: x * self.scale)
    model.layer.scale = nn.Parameter(torch.ones(3))
    model.layer.shift = nn.Parameter(torch.zeros(3))
    (note,) = rows(explore.module(model, torch.randn(2, 3)))["layer"]["notes"]
    assert note.startswith("No operation of this run read `shift`")
    model(torch.randn(2, 3)).sum().backward()
    assert model.layer.shift.grad is None
    assert model.layer.scale.grad is not None


def test_several_inputs_and_nested_outputs_are_described():
    def forward(self, x, pair):
        return {"sum": x + pair[0], "rest": (pair[1], None)}

    pair = [torch.zeros(2, 3), torch.zeros(4, dtype=torch.int64)]
    explorer = explore.module(net(forward), (torch.ones(2, 3), pair))
    root = steps(explorer)[0]
    assert [g["text"] for g in root["given"]] == ["(2, 3)", "list of (2, 3), (4,)"]
    assert root["gives"]["text"] == "dict of sum: (2, 3), rest: tuple[(4,), None]"
    assert root["gives"]["dtype"] == "float32 int64"


def test_a_forward_without_return_is_named():
    explorer = explore.module(net(lambda self, x: None), torch.ones(2))
    assert "The output: None. A `forward` without `return` gives None." in repr(explorer)


def test_an_empty_sequential_is_a_call_like_any_other():
    explorer = explore.module(nn.Sequential(nn.Sequential()), (torch.ones(2),))
    assert [(step["name"], step["type"]) for step in steps(explorer)][1:] == [("0", "Sequential")]
    assert [g["text"] for g in steps(explorer)[1]["given"]] == ["(2,)"]


def test_a_class_with_a_call_of_its_own_is_run_through_it():
    class Own(nn.Linear):
        def __call__(self, x):
            return self.forward(x) + 1

    explorer = explore.module(Own(3, 2), torch.ones(4, 3))
    assert steps(explorer)[0]["gives"]["text"] == "(4, 2)"
    assert operations(explorer) == ["F.linear", "+ 1"]


def test_a_call_in_a_loop_is_shown_each_time():
    def forward(self, x):
        state = torch.zeros(len(x), 4)
        for step in range(3):
            state = self.cell(x[:, step], state)
        return state

    explorer = explore.module(net(forward, cell=nn.GRUCell(2, 4)), torch.randn(5, 3, 2))
    assert [step["name"] for step in calls(explorer)[1:]] == ["cell"] * 3
    assert len(rows(explorer)["cell"]["calls"]) == 3


def test_a_model_in_eval_mode_and_on_the_meta_device_runs():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to("meta").eval()
    explorer = explore.module(model, torch.empty(2, 3, device="meta"))
    assert steps(explorer)[-1]["gives"] == {"text": "(2, 4)", "dtype": "float32 meta"}


# What is not registered ---------------------------------------------------------------------------


class Plain:
    """No nn.Module, and yet it holds a layer."""

    def __init__(self):
        self.fc = nn.Linear(3, 3)

    def __call__(self, x):
        return self.fc(x)


HIDDEN = {
    "a list": lambda: [nn.Linear(3, 3), nn.Linear(3, 3)],
    "a tuple": lambda: (nn.Linear(3, 3), nn.Linear(3, 3)),
    "a dict": lambda: {"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)},
    "a set": lambda: {nn.Linear(3, 3)},
    "a deque": lambda: deque([nn.Linear(3, 3)]),
    "lists in a dict": lambda: {"all": [[nn.Linear(3, 3)], []]},
    "an object": Plain,
}


@pytest.mark.parametrize("name", HIDDEN)
def test_layers_in_a_container_are_found_and_what_is_said_of_them_is_true(name):
    model = net(lambda self, x: self.head(x), head=nn.Linear(3, 2), parts=HIDDEN[name]())
    explorer = explore.module(model, torch.randn(4, 3))
    (sentence,) = hidden(explorer)
    inside = [part.value for part in find_parts(model) if isinstance(part.value, nn.Linear)][1:]
    count = sum(p.numel() for layer in inside for p in layer.parameters())
    assert f"({count} numbers)" in sentence
    assert rows(explorer)["parts"]["count"] == count
    assert explorer.data["counts"][-1][1] == str(count)
    for claim in ("not in `parameters()`", "not in `state_dict()`", "not moved by `.to()`"):
        assert claim in sentence
    assert "not reached by `train()` and `eval()`" in sentence
    assert "This forward does not call" in sentence
    assert_true_of_hidden(model, [p for layer in inside for p in layer.parameters()])
    model.eval()
    assert all(layer.training for layer in inside)


def assert_true_of_hidden(model, tensors):
    assert not {id(p) for p in (*model.parameters(), *model.buffers())} & set(map(id, tensors))
    held = {t.data_ptr() for t in model.state_dict().values()}
    assert not held & {t.data_ptr() for t in tensors}
    before = [t.dtype for t in tensors]
    model.to(torch.float64)
    assert [t.dtype for t in tensors] == before
    model.to(torch.float32)


def test_layers_in_a_list_that_forward_uses_are_named_by_their_place():
    layers = [nn.Linear(3, 3) for _ in range(3)]

    def forward(self, x):
        for layer in self.layers[:2]:
            x = layer(x)
        return x

    explorer = explore.module(net(forward, layers=layers), torch.randn(4, 3))
    assert [step["name"] for step in calls(explorer)[1:]] == ["layers[0]", "layers[1]"]
    (sentence,) = hidden(explorer)
    assert "`layers` is a plain list, so the 3 modules in it (36 numbers) are not" in sentence
    assert "The forward calls 2 of them all the same." in sentence
    assert sentence.endswith("`nn.ModuleList` would register them.")


def test_a_plain_tensor_is_told_from_a_buffer_and_from_a_parameter():
    model = net(lambda self, x: (x - self.mean) / self.std * self.gain)
    model.mean = torch.zeros(3)
    model.register_buffer("std", torch.ones(3))
    model.gain = nn.Parameter(torch.ones(3))
    explorer = explore.module(model, torch.randn(4, 3))
    (sentence,) = hidden(explorer)
    assert sentence.startswith("`mean` is a plain tensor, so it is not registered: not in `param")
    assert "The forward reads it all the same." in sentence
    assert rows(explorer)["mean"]["holds"][0]["says"] == "plain tensor"
    assert_true_of_hidden(model, [model.mean])


def test_a_tensor_that_requires_a_gradient_still_does_not_train():
    model = net(lambda self, x: x * self.gain, gain=torch.ones(3, requires_grad=True))
    (sentence,) = hidden(explore.module(model, torch.randn(4, 3)))
    assert "so it will not train, although it requires a gradient" in sentence
    assert list(model.parameters()) == []


def test_a_result_that_is_kept_says_that_it_keeps_its_graph():
    def forward(self, x):
        self.last = self.fc(x)
        return self.last

    model = net(forward, fc=nn.Linear(3, 2))
    model(torch.randn(4, 3))
    kept = model.last
    (sentence,) = hidden(explore.module(model, torch.randn(4, 3)))
    assert "It has a `grad_fn`" in sentence
    assert model.last is kept


def test_a_parameter_in_a_list_is_found():
    model = net(lambda self, x: x * self.gains[0], gains=[nn.Parameter(torch.ones(3))])
    explorer = explore.module(model, torch.randn(4, 3))
    (sentence,) = hidden(explorer)
    assert sentence.startswith("`gains` is a plain list, so the parameter in it (3 numbers) is")
    assert "`nn.ParameterList` would register it." in sentence
    assert rows(explorer)["gains[0]"]["holds"][0]["says"] == "parameter, not registered"
    assert steps(explorer)[1]["given"][1]["from"] == "gains[0]"
    assert_true_of_hidden(model, model.gains)


def test_layers_without_numbers_are_only_beyond_train_and_eval():
    model = net(lambda self, x: self.drops[0](x), drops=[nn.Dropout(0.5)])
    (sentence,) = hidden(explore.module(model, torch.randn(4, 3)))
    assert sentence.startswith(
        "`drops` is a plain list, so the module in it is not registered: not reached by"
    )


@pytest.mark.parametrize("cure", [nn.ModuleList, list])
def test_what_is_registered_elsewhere_is_not_called_hidden(cure):
    model = net(lambda self, x: self.b(self.a(x)), a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    model.both = cure([model.a, model.b])
    model.rnn = nn.LSTM(3, 3)  # keeps its weights in a plain list as well
    assert hidden(explore.module(model, torch.randn(4, 3))) == []


def test_what_is_past_the_modules_assignment_is_found():
    model = net(lambda self, x: self.fc(x))
    model.__dict__["fc"] = nn.Linear(3, 3)
    (sentence,) = hidden(explore.module(model, torch.randn(4, 3)))
    assert sentence.startswith("`fc` was stored past the module's own assignment")
    assert list(model.parameters()) == []


def test_lists_inside_hidden_modules_are_found_too():
    inner = net(lambda self, x: x, layers=[nn.Linear(2, 2)])
    explorer = explore.module(net(lambda self, x: x, blocks=[inner]), torch.randn(4, 3))
    assert [sentence.split("`")[1] for sentence in hidden(explorer)] == [
        "blocks",
        "blocks[0].layers",
    ]


def test_a_layer_made_in_forward_is_called_so():
    model = net(lambda self, x: nn.Linear(3, 3)(x))
    explorer = explore.module(model, torch.randn(4, 3))
    (sentence,) = hidden(explorer)
    assert "it was made during this very forward" in sentence
    made = calls(explorer)[1]
    assert (made["name"], made["stranger"], made["row"]) == ("Linear", True, None)


def test_a_layer_from_outside_is_told_from_one_made_in_forward():
    outside = nn.Linear(3, 3)
    model = net(lambda self, x: outside(x))
    (sentence,) = hidden(explore.module(model, torch.randn(4, 3)))
    assert "comes from outside the model" in sentence
    assert list(model.parameters()) == []


def test_an_activation_made_on_the_spot_is_no_finding_and_dropout_is():
    assert hidden(explore.module(net(lambda self, x: nn.ReLU()(x)), torch.randn(4, 3))) == []
    model = net(lambda self, x: nn.Dropout(0.5)(x)).eval()
    (sentence,) = hidden(explore.module(model, torch.ones(4, 300)))
    assert "`train()` and `eval()` do not reach it" in sentence
    assert (model(torch.ones(4, 300)) == 0).any()


# Errors -----------------------------------------------------------------------------------------

R = torch.randn
WRONG = {
    "features": (lambda: nn.Linear(4, 2), lambda: R(3, 5), "in_features=4: the last axis of its"),
    "flat": (lambda: nn.Linear(16, 2), lambda: R(3, 4, 4), "(3, 4, 4) is (3, 16), and would fit"),
    "turned": (lambda: nn.Linear(4, 2), lambda: R(4, 3), "the batch may stand in the wrong axis"),
    "dtype": (
        lambda: nn.Linear(4, 2),
        lambda: R(3, 4).double(),
        "are float32, and its input is fl",
    ),
    "ints": (lambda: nn.Linear(4, 2), lambda: torch.ones(3, 4).long(), "its input is int64"),
    "device": (lambda: nn.Linear(4, 2), lambda: R(3, 4, device="meta"), "on cpu, and its input is"),
    "channels": (lambda: nn.Conv2d(1, 2, 3), lambda: R(3, 4, 8, 8), "in_channels=1: axis 1 of its"),
    "no channel": (lambda: nn.Conv2d(1, 2, 3), lambda: R(3, 8, 8), "unsqueeze(1) is (3, 1, 8, 8)"),
    "no space": (lambda: nn.Conv2d(1, 2, 3), lambda: R(8, 8), "must have 3 or 4 axes"),
    "bytes": (
        lambda: nn.Conv2d(1, 2, 3),
        lambda: torch.ones(1, 1, 8, 8, dtype=torch.uint8),
        "its input is uint8",
    ),
    "transposed": (lambda: nn.ConvTranspose1d(4, 2, 3), lambda: R(2, 5, 5), "in_channels=4"),
    "pool": (lambda: nn.MaxPool2d(2), lambda: R(3, 5), "must have 3 or 4 axes"),
    "norm": (lambda: nn.BatchNorm1d(4), lambda: R(3, 5), "num_features=4: the last axis"),
    "one example": (lambda: nn.BatchNorm1d(4), lambda: R(1, 4), "holds one value per channel"),
    "norm axes": (lambda: nn.BatchNorm2d(4), lambda: R(3, 4), "must have 4 axes, (N, C, H, W)"),
    "layer norm": (lambda: nn.LayerNorm(4), lambda: R(3, 5), "normalized_shape=(4,)"),
    "group norm": (lambda: nn.GroupNorm(2, 4), lambda: R(3, 5), "num_channels=4"),
    "index": (lambda: nn.Embedding(4, 2), lambda: torch.tensor([0, 4]), "it goes from 0 to 4"),
    "floats": (lambda: nn.Embedding(4, 2), lambda: torch.tensor([1.0]), "must be whole numbers"),
    "lstm": (lambda: nn.LSTM(4, 2), lambda: R(3, 5, 5), "input_size=4: the last axis"),
    "lstm axes": (lambda: nn.GRU(4, 2), lambda: R(3, 5, 5, 4), "must have 2 or 3 axes"),
    "cell": (lambda: nn.GRUCell(4, 2), lambda: R(3, 5), "input_size=4"),
    "two inputs": (lambda: nn.Linear(4, 2), lambda: (R(3, 4), R(3)), "it was given 2 inputs"),
    "no forward": (lambda: nn.ModuleList(), lambda: R(3), "ModuleList has no `forward`"),
    "product": (
        lambda: net(lambda self, x: x @ self.w, w=nn.Parameter(R(3, 4))),
        lambda: R(5, 4),
        "The last axis of (5, 4) must be as long as axis -2 of (3, 4): 4 is not 3.",
    ),
    "weight": (
        lambda: net(lambda self, x: F.linear(x, self.w), w=nn.Parameter(R(3, 5))),
        lambda: R(5, 4),
        "as long as the last of the weight, (3, 5): 4 is not 5.",
    ),
    "sum": (
        lambda: net(lambda self, x: x + self.w, w=nn.Parameter(R(5, 3))),
        lambda: R(5, 4),
        "Axis -1: the first has 4 and the second has 3.",
    ),
    "cat": (
        lambda: net(lambda self, x: torch.cat([x, self.w], dim=1), w=nn.Parameter(R(6, 3))),
        lambda: R(5, 4),
        "All axes but axis 1 must be equally long.",
    ),
    "relu built": (
        lambda: net(lambda self, x: self.fc(nn.ReLU(x)), fc=nn.Linear(4, 2)),
        lambda: R(3, 4),
        "`nn.ReLU()(x)` does",
    ),
    "none": (
        lambda: net(lambda self, x: self.fc(self.none(x)), fc=nn.Linear(4, 2)),
        lambda: R(3, 4),
        None,
    ),
    "view": (lambda: net(lambda self, x: x.view(5, 5)), lambda: R(3, 4), None),
    "autograd": (
        lambda: net(lambda self, x: torch.autograd.grad(self.w.sum(), self.w)[0]),
        lambda: R(3, 4),
        None,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_is_shown_where_it_rises_with_pytorchs_own_message(name):
    make, batch, expectation = WRONG[name]
    model, x = make(), batch()
    with pytest.raises(Exception) as raised, torch.no_grad():  # noqa: PT011
        model(*x) if isinstance(x, tuple) else model(x)
    error = explore.module(model, x).data["error"]
    assert error["message"] == f"{raised.type.__name__}: {raised.value}"
    sentences = " ".join(misfit["sentence"] for misfit in error["misfits"])
    assert (expectation or "") in sentences


def test_an_error_in_a_network_is_shown_at_its_layer_with_the_shapes_up_to_it():
    features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    model = nn.Sequential(features, head)
    explorer = explore.module(model, torch.randn(4, 1, 28, 28))
    error = explorer.data["error"]
    assert error["where"] == "The run stopped in `1.1` (Linear), step 7."
    failed = steps(explorer)[error["step"]]
    assert (failed["name"], failed["given"][0]["text"]) == ("1.1", "(4, 1568)")
    assert [step["gives"] and step["gives"]["text"] for step in steps(explorer)] == [
        None,
        "(4, 8, 14, 14)",
        "(4, 8, 28, 28)",
        "(4, 8, 28, 28)",
        "(4, 8, 14, 14)",
        None,
        "(4, 1568)",
        None,
    ]
    (misfit,) = error["misfits"]
    assert misfit["rows"] == (("it got", ("4", "1568")), ("it takes", ("any", "784")))
    assert misfit["clash"] == (-1,)
    tags = {path: row["tags"] for path, row in rows(explorer).items()}
    assert tags["1.1"] == [("the error", True)]
    assert tags["1.2"] == tags["1.3"] == [("not reached", False)]


def test_the_students_own_line_stands_beside_the_error():
    model = Mlp()
    model.head = nn.Linear(7, 3)
    error = explore.module(model, torch.randn(6, 12)).data["error"]
    assert error["line"] == "return self.head(self.drop(h))"
    assert error["where"] == "The run stopped in `head` (Linear), step 9."


def test_an_error_of_plain_python_stands_at_the_module_whose_forward_it_is():
    model = nn.Sequential(nn.Linear(4, 4), net(lambda self, x: self.nothing(x)))
    error = explore.module(model, torch.randn(3, 4)).data["error"]
    assert error["where"] == "The run stopped in `1` (Net), step 2."
    assert error["message"].startswith("AttributeError: 'Net' object has no attribute 'nothing'")


def test_a_misspelt_forward_is_found():
    class Net(nn.Module):
        def foward(self, x):
            return x

    error = explore.module(Net(), torch.ones(2)).data["error"]
    assert "It has `foward`" in error["misfits"][0]["sentence"]


def test_asking_for_a_gradient_in_forward_is_explained():
    def forward(self, x):
        return torch.autograd.grad(self.w.sum(), self.w)[0]

    explorer = explore.module(net(forward, w=nn.Parameter(torch.ones(2))), torch.ones(2))
    assert "without recording gradients" in explorer.data["error"]["misfits"][0]["sentence"]


def test_an_error_that_forward_catches_is_no_error():
    def forward(self, x):
        try:
            return self.fc(x)
        except RuntimeError:
            return self.fc(x[:, :4])

    explorer = explore.module(net(forward, fc=nn.Linear(4, 2)), torch.randn(3, 5))
    assert explorer.data["error"] is None
    assert [step["failed"] for step in steps(explorer)] == [False, True, False, False]
    assert [step["parent"] for step in steps(explorer)] == [None, 0, 0, 0]


def test_an_interrupt_goes_through_and_leaves_all_as_it_was():
    def forward(self, x):
        self.left = True
        raise KeyboardInterrupt

    model, call = net(forward), nn.Module.__call__
    with pytest.raises(KeyboardInterrupt):
        explore.module(model, torch.ones(2))
    assert not hasattr(model, "left")
    assert nn.Module.__call__ is call


# Nothing changes ----------------------------------------------------------------------------------


class Restless(nn.Module):
    """A forward that changes all that it can reach."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.fc = nn.Linear(3, 3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.plain = torch.zeros(3)
        self.seen = []
        self.table = {"last": None, "rows": [1, 2]}
        self.count = 0
        self.generator = torch.Generator().manual_seed(3)
        self.note = types.SimpleNamespace(x=1)
        self.hidden = [nn.BatchNorm1d(3)]

    def forward(self, x):
        x.mul_(2)
        self.steps += 1
        self.plain.add_(1)
        self.plain.unsqueeze_(0)
        self.seen.append(x)
        self.table["last"] = x
        self.table["rows"].clear()
        self.count += 1
        self.fresh = x
        self.fc.weight.data.clamp_(-0.1, 0.1)
        self.fc.bias.requires_grad_(False)
        self.fc.weight.grad = None
        self.note.x = 2
        self.eval()
        self.train()
        self.register_forward_hook(lambda *all: None)
        self.extra = nn.Linear(2, 2)
        np.random.rand()
        random.random()
        torch.rand(2, generator=self.generator)
        return self.hidden[0](self.norm(self.drop(self.fc(x))))


def fingerprint(model):
    modules = [*model.modules(), *model.hidden]
    tensors = [t for m in modules for t in (*m.parameters(), *m.buffers())] + [model.plain]
    return [
        [(id(m), list(m.__dict__), m.training, len(m._forward_hooks)) for m in modules],
        [(id(t), t._version, t.requires_grad, t.shape, t.data_ptr(), t.tolist()) for t in tensors],
        [None if t.grad is None else (id(t.grad), t.grad.tolist()) for t in tensors],
        [len(model.seen), dict(model.table), list(model.table["rows"]), model.count],
        [model.generator.get_state().tolist(), torch.get_rng_state().tolist()],
        [np.random.get_state()[1].tolist(), random.getstate()],
        [torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()],
        [nn.Module.__call__, nn.modules.module._global_forward_hooks],
    ]


@pytest.mark.parametrize("broken", [False, True])
def test_a_model_that_changes_everything_comes_back_as_it_was(broken):
    model = Restless()
    x = torch.randn(4, 3)
    model(x.clone()).sum().backward()  # gradients, statistics and an attribute to keep
    model.norm.eval()
    model.fc.bias.requires_grad_(True)
    model.fc.weight.grad = torch.ones(3, 3)
    model.plain = torch.zeros(3)
    if broken:
        model.norm = nn.BatchNorm1d(7)
    before, batch = fingerprint(model), (x.clone(), x._version)
    explorer = explore.module(model, x)
    explorer._repr_html_()
    assert fingerprint(model) == before
    assert torch.equal(x, batch[0])
    assert x._version == batch[1]
    assert (explorer.data["error"] is not None) == broken


def test_what_the_forward_wrote_is_named():
    words = explore.module(Mlp(), torch.randn(6, 12)).data["sentences"][1]
    assert (
        "The forward wrote into `norm.running_mean`, `norm.running_var` and "
        "`norm.num_batches_tracked`; all of it was put back."
    ) in words
    quiet = explore.module(Mlp().eval(), torch.randn(6, 12)).data["sentences"][1]
    assert quiet.endswith("The forward wrote nothing into the model.")


def test_a_graph_that_waits_for_backward_still_goes_backward():
    model, x = Mlp(), torch.randn(6, 12, requires_grad=True)
    loss = model(x).square().mean()
    explore.module(model, x)
    loss.backward()
    assert x.grad is not None


def test_the_forward_runs_once_without_gradients_and_with_the_students_hooks():
    seen = []

    def forward(self, x):
        seen.append(torch.is_grad_enabled())
        return self.fc(x)

    model = net(forward, fc=nn.Linear(3, 2))
    model.fc.register_forward_hook(lambda module, args, output: output[:, :1])
    explorer = explore.module(model, torch.randn(4, 3))
    assert seen == [False]
    assert steps(explorer)[-1]["gives"]["text"] == "(4, 1)"


def test_modules_called_elsewhere_meanwhile_are_not_recorded():
    import threading

    other = nn.Linear(2, 2)

    def forward(self, x):
        thread = threading.Thread(target=lambda: other(torch.zeros(1, 2)))
        thread.start()
        thread.join()
        return self.fc(x)

    explorer = explore.module(net(forward, fc=nn.Linear(3, 2)), torch.randn(4, 3))
    assert [step["name"] for step in calls(explorer)[1:]] == ["fc"]


def test_the_copy_of_the_input_lies_in_memory_as_the_input_does():
    seen = []
    model = net(lambda self, *all: seen.extend((t.stride(), t.is_contiguous()) for t in all))
    base = torch.arange(24.0).reshape(4, 6)
    inputs = (base.T, base[:, ::2], base[0].expand(5, 6), base[1:], base[:0], base.unfold(1, 3, 1))
    explore.module(model, inputs)
    assert seen == [(t.stride(), t.is_contiguous()) for t in inputs]


def test_the_model_is_not_kept_alive():
    def explored():
        model = Mlp()
        return explore.module(model, torch.randn(6, 12)), weakref.ref(model)

    explorer, model = explored()
    gc.collect()
    assert model() is None
    assert explorer.title


# Wrong arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Mlp, torch.ones(2, 12)), r"Mlp is its class: make one first, as in `model = Mlp\(\)`"),
        ((lambda x: x, torch.ones(2)), "needs your network, an nn.Module; it got a function"),
        ((nn.Linear(2, 2), [1.0, 2.0]), r"of type list. For a model whose one input is a list"),
        ((nn.Linear(2, 2), {"x": 1}), r"of type dict. For a model whose one input is a dict"),
        ((nn.Linear(2, 2), np.ones((2, 2))), r"of type ndarray. `torch.from_numpy\(x\)` makes"),
        ((nn.Linear(2, 2), 3), "takes a tensor as input, or a tuple of inputs.*of type int"),
        ((nn.LazyLinear(3), torch.ones(2, 2)), "it is a LazyLinear.*Call the model once yourself"),
        (
            (nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), torch.ones(2, 2)),
            "1 is a LazyLinear: its parameters get their shapes when it runs for the first time",
        ),
        ((nn.Sequential(*map(nn.Identity, range(3001))), torch.ones(1)), "up to 3,000 modules"),
    ],
)
def test_a_wrong_argument_gets_a_clear_type_error(arguments, message):
    with pytest.raises(TypeError, match=message):
        explore.module(*arguments)


def test_a_lazy_layer_in_a_plain_list_is_refused_as_well():
    model = net(lambda self, x: x, layers=[nn.LazyLinear(3)])
    with pytest.raises(TypeError, match=r"layers\[0\] is a LazyLinear"):
        explore.module(model, torch.ones(2, 2))


# The whole ----------------------------------------------------------------------------------------


def test_names_are_those_of_the_call():
    model, images = Mlp(), torch.randn(6, 3, 4)
    explorer = explore.module(model, images)
    assert explorer.title == "The module model, run on images"
    assert "The input: `images`, (6, 3, 4) float32. The output: (6, 3) float32." in repr(explorer)
    chosen = explore.module(model if isinstance(model, nn.Module) else None, images)
    assert chosen.title == "The module model, run on images"
    unnamed = explore.module(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.ones(1, 3))
    assert unnamed.title == "The module Sequential, run on torch.ones(1, 3)"


def test_the_text_says_everything(case):
    model, x = case
    explorer = explore.module(model, x)
    for row in explorer.data["rows"]:
        assert f"{row['name']}  {row['type']}" in explorer.text
        for held in row["holds"]:
            assert (
                f"{held['name']} {held['shape']} {held['dtype']}, {held['says']}" in explorer.text
            )
        for note in row["notes"]:
            assert note in explorer.text
    for step in steps(explorer)[1:]:
        assert f"{step['number']}. {step['name']}" in explorer.text


def test_the_text_of_a_run():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.ones(2, 3)
    assert explore.module(model, x).text.endswith(
        "The run, in the order in which forward called:\n"
        "model (Sequential): (2, 3) -> (2, 4)\n"
        "  1. 0 (Linear): (2, 3) from input -> (2, 4)\n"
        "  2. 1 (ReLU): (2, 4) from 0 (step 1) -> (2, 4)"
    )


def test_a_network_of_200_layers_is_shown_whole():
    layers = [layer for _ in range(100) for layer in (nn.Linear(4, 4), nn.ReLU())]
    explorer = explore.module(nn.Sequential(*layers), torch.randn(2, 4))
    assert len(explorer.data["rows"]) == len(steps(explorer)) == 201
    assert len(explorer._repr_html_()) < 250_000


def test_a_run_of_thousands_of_steps_is_cut_and_says_so():
    def forward(self, x):
        for _ in range(2000):
            x = x + 1
        return self.fc(x)

    explorer = explore.module(net(forward, fc=nn.Linear(4, 2)), torch.ones(2, 3))
    assert len(steps(explorer)) == 1501
    assert explorer.data["moreSteps"] == 501
    failed = steps(explorer)[explorer.data["error"]["step"]]
    assert (failed["name"], failed["number"]) == ("fc", 2001)


def test_another_default_device_does_not_matter():
    model, x = Mlp(), torch.randn(6, 12)
    with torch.device("meta"):
        explorer = explore.module(model, x)
    assert steps(explorer)[0]["gives"]["text"] == "(6, 3)"


def test_the_same_model_gives_the_same_html():
    def page():
        torch.manual_seed(1)
        model, x = net(lambda self, x: x, parts={nn.Linear(1, 2), nn.ReLU()}), torch.ones(2)
        return explore.module(model, x)._repr_html_()

    assert page() == page()


def test_pytorchs_compiler_is_not_loaded_for_it():
    code = (
        "import sys, torch; from firstlight import explore;"
        "explore.module(torch.nn.Linear(2, 2), torch.ones(1, 2))._repr_html_();"
        "print('torch._dynamo' in sys.modules)"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["False"]
