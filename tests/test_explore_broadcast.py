"""`explore.broadcast` agrees with PyTorch: on shapes, on messages, and on every value."""

from __future__ import annotations

import operator
import re
from itertools import product

import pytest
import torch

from firstlight import explore
from firstlight.explore.broadcast import align, error_message
from firstlight.explore.tensors import cell_texts

SIZES = (0, 1, 2, 3)
SHAPES = [shape for depth in range(4) for shape in product(SIZES, repeat=depth)]
OPERATORS = {"-": operator.sub, "+": operator.add, "*": operator.mul, "==": operator.eq}


def broadcast_shape(first, second):
    try:
        return tuple(torch.broadcast_shapes(first, second))
    except RuntimeError:
        return None


def outcomes(explorer):
    return {outcome["sign"]: outcome for outcome in explorer.data["result"]["operators"]}


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_shapes_are_judged_as_pytorch_judges_them():
    for first, second in product(SHAPES, SHAPES):
        sizes = tuple(axis.result for axis in align(first, second, ("a", "b")))
        assert (None if None in sizes else sizes) == broadcast_shape(first, second)


@pytest.mark.parametrize("first", [shape for shape in SHAPES if len(shape) < 3])
def test_an_operand_is_stretched_where_expand_gives_it_stride_0(first):
    for second in SHAPES:
        axes = align(first, second, ("a", "b"))
        if any(axis.result is None for axis in axes):
            continue
        expanded = torch.zeros(first).expand([axis.result for axis in axes])
        own = (None,) * (len(axes) - len(first)) + first
        for axis, stride, size in zip(axes, expanded.stride(), own, strict=True):
            assert axis.stretched[0] == (axis.result != (1 if size is None else size))
            if axis.stretched[0] and axis.result:
                assert stride == 0


@pytest.mark.parametrize(
    ("first", "second"), [((4, 3), (4,)), ((2, 3, 4), (3, 3, 1)), ((0,), (5,)), ((2, 3), (3, 2))]
)
def test_the_message_is_the_one_pytorch_prints(first, second):
    a, b = torch.zeros(first), torch.zeros(second)
    with pytest.raises(RuntimeError) as raised:
        a + b
    explorer = explore.broadcast(a, b)
    assert explorer.data["error"] == f"RuntimeError: {raised.value}"
    assert explorer.data["result"] is None
    assert str(raised.value) in repr(explorer)


def test_the_axis_that_breaks_is_named_and_so_is_pytorchs_dimension():
    explorer = explore.broadcast(torch.zeros(5, 4, 3), torch.zeros(2, 3))
    assert [axis["verdict"] for axis in explorer.data["axes"]] == ["stretch b", "clash", "equal"]
    dimension = re.search(r"at non-singleton dimension (\d)", explorer.data["error"])
    assert dimension is not None
    assert f"axis -2, which it calls dimension {dimension[1]}," in repr(explorer)


def test_shapes_that_fit_have_no_error_message():
    with pytest.raises(ValueError, match="do not clash"):
        error_message((2, 1), (3,))


def test_every_cure_that_is_offered_works():
    offered = 0
    shapes = [(2,), (3,), (4,), (2, 3), (3, 2), (4, 3), (2, 3, 4), (3, 3), (2, 2, 3)]
    for first, second in product(shapes, shapes):
        a, b = torch.zeros(first), torch.zeros(second)
        for note in explore.broadcast(a, b).data["notes"]:
            cure = re.match(r"(\w)\.unsqueeze\((\d)\) .* has shape (\(.*\))\.", note)
            if cure is None:
                continue
            offered += 1
            value, other = (a, b) if cure[1] == "a" else (b, a)
            result = value.unsqueeze(int(cure[2])) + other
            assert str(tuple(result.shape)) == cure[3] == str(tuple(other.shape))
    assert offered >= 10


VALUES = [
    (random(5, 1), random(5)),
    (random(4, 3), random(3)),
    (random(2, 3, 2, 4), random(3, 1, 1)),
    (torch.tensor(2.0), random(2, 3)),
    (torch.tensor(1.5), torch.tensor(-2)),
    (torch.tensor([float("nan"), float("inf"), 0.0]), torch.tensor([[1.0], [-float("inf")]])),
    (torch.tensor([100, -7], dtype=torch.int8), torch.tensor([[90], [0]], dtype=torch.int8)),
    (torch.tensor([1 + 2j, -3j]), random(2, 1)),
    (random(3).bfloat16(), random(2, 1).bfloat16()),
    (random(3).requires_grad_(), random(2, 3).half()),
    (torch.zeros(0, 3), torch.zeros(3)),
    (torch.arange(6).reshape(2, 3).T, torch.arange(2)),
    (torch.tensor([250], dtype=torch.uint8), torch.tensor([10, 3], dtype=torch.uint8)),
]


@pytest.mark.parametrize(("a", "b"), VALUES)
def test_every_value_is_pytorchs(a, b):
    explorer = explore.broadcast(a, b)
    shown = outcomes(explorer)
    for sign, combine in OPERATORS.items():
        expected = combine(a, b)
        assert shown[sign]["cells"] == cell_texts(expected)
        assert shown[sign]["dtype"] == str(expected.dtype).removeprefix("torch.")
    assert explorer.data["result"]["shape"] == tuple(expected.shape)
    assert explorer.data["result"]["numel"] == expected.numel()


def test_an_operation_that_pytorch_refuses_shows_its_message():
    a, b = torch.tensor([True, False]), torch.tensor([[True]])
    with pytest.raises(RuntimeError) as raised:
        a - b
    shown = outcomes(explore.broadcast(a, b))
    assert shown["-"]["error"] == f"RuntimeError: {raised.value}"
    assert shown["=="]["cells"] == ["True", "False"]


def test_a_result_too_large_to_make_is_described_from_its_corner():
    a, b = torch.arange(100_000.0).reshape(-1, 1), torch.arange(100_000.0)
    explorer = explore.broadcast(a, b)
    corner = a[:5] - b[:5]
    assert outcomes(explorer)["-"]["cells"] == cell_texts(corner)
    assert outcomes(explorer)["-"]["bytes"] == "40 GB"
    assert "10,000,000,000 cells come out" in repr(explorer)
    assert len(explorer._repr_html_()) < 70_000


@pytest.mark.parametrize(
    ("first", "second", "grows"),
    [((5, 1), (5,), True), ((5,), (5,), False), ((4, 3), (3,), False), ((1,), (1, 1), False)],
)
def test_a_result_larger_than_both_is_pointed_out(first, second, grows):
    notes = explore.broadcast(torch.zeros(first), torch.zeros(second)).data["notes"]
    assert any("larger than either" in note for note in notes) is grows


def test_the_students_names_are_used():
    predictions, targets = random(5, 1), random(5)
    explorer = explore.broadcast(predictions, targets)
    assert [operand["label"] for operand in explorer.data["operands"]] == ["predictions", "targets"]
    assert "predictions - targets (float32, 100 bytes)" in repr(explorer)


def test_long_expressions_are_called_a_and_b():
    predictions = random(5)
    explorer = explore.broadcast(predictions.unsqueeze(1), predictions)
    assert [operand["label"] for operand in explorer.data["operands"]] == ["a", "b"]
    assert "a = predictions.unsqueeze(1) has shape (5, 1)" in repr(explorer)


def test_the_text_says_each_axis_from_the_right():
    explorer = explore.broadcast(torch.zeros(5, 1), torch.zeros(5))
    assert (
        "Axis -1: a has 1, b has 5. a is stretched: index 0 is used 5 times.\n"
        "Axis -2: a has 5, b has no such axis, which counts as 1. "
        "b is stretched: all of it is used 5 times.\n"
    ) in repr(explorer)


def test_the_text_holds_every_row():
    a, b = torch.arange(4).reshape(2, 1, 2), torch.tensor([[10], [20]])
    rows = ["[0, 0, :]  10  11", "[0, 1, :]  20  21", "[1, 0, :]  12  13", "[1, 1, :]  22  23"]
    assert "\n  ".join(rows) in repr(explore.broadcast(a, b))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], torch.zeros(2)), r"takes tensors, but one argument is of type list: \[1, 2\]"),
        ((torch.zeros(2), 3), "takes tensors, but one argument is of type int: 3"),
        ((torch.zeros(2), (2, 3)), "takes tensors"),
        ((torch.zeros(2), torch.zeros(2).to_sparse()), "layout is torch.sparse_coo"),
        ((torch.zeros(2, device="meta"), torch.zeros(2)), "'meta' device has none"),
        ((torch.zeros(2),), "missing 1 required positional argument: 'b'"),
    ],
)
def test_a_wrong_argument_gets_a_clear_type_error(arguments, message):
    with pytest.raises(TypeError, match=message):
        explore.broadcast(*arguments)


def test_tensors_and_random_numbers_come_back_unchanged():
    a = random(5, 1).requires_grad_()
    b = random(5)
    before = (a.detach().clone(), b.clone(), a._version, b._version, torch.get_rng_state())
    explore.broadcast(a, b)._repr_html_()
    after = (a.detach(), b, a._version, b._version, torch.get_rng_state())
    assert all(
        torch.equal(torch.as_tensor(x), torch.as_tensor(y))
        for x, y in zip(before, after, strict=True)
    )
    assert a.requires_grad
    assert a.grad is None


def test_another_default_device_does_not_matter():
    a, b, c = random(2, 1), random(3), random(2)
    with torch.device("meta"):
        explorer = explore.broadcast(a, b)
        clash = explore.broadcast(b, c)
    assert outcomes(explorer)["-"]["cells"] == cell_texts(a - b)
    assert "must match the size" in clash.data["error"]
