"""What the explorers read from tensors: short texts, corners and the names of a call."""

from __future__ import annotations

import sys

import pytest
import torch

from firstlight.explore.tensors import bytes_text, call_names, cell_texts, corner, listed, rounded


def names(*values):
    return call_names("names", values, sys._getframe(1))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (torch.tensor([1.0, -0.5, 1 / 3]), ["1.0", "-0.5", "0.3333"]),
        (torch.tensor([60000.0, 1234.56, 1e10, 1e-7]), ["60000.0", "1234.6", "1e+10", "1e-07"]),
        (torch.tensor([float("nan"), float("inf"), -float("inf")]), ["nan", "inf", "-inf"]),
        (torch.tensor([-0.0, 999.96, 3.0001]), ["-0.0", "1000.0", "3.0"]),
        (torch.tensor([True, False]), ["True", "False"]),
        (torch.tensor([-128, 127], dtype=torch.int8), ["-128", "127"]),
        (torch.tensor([2**63 - 1]), ["9223372036854775807"]),
        (torch.tensor([1 - 2j, 0.5j]), ["1.0-2.0j", "0.0+0.5j"]),
        (torch.tensor([1.5, -2.0], dtype=torch.bfloat16), ["1.5", "-2.0"]),
        (torch.tensor([0.1], dtype=torch.float16), ["0.09998"]),
        (torch.tensor([3.0], requires_grad=True), ["3.0"]),
        (torch.tensor(7), ["7"]),
        (torch.empty(0, 3), []),
    ],
)
def test_values_of_every_kind_become_short_text(values, texts):
    assert cell_texts(values) == texts


def test_a_float_never_looks_like_an_integer():
    generator = torch.Generator().manual_seed(0)
    exponents = torch.randint(-12, 12, (500,), generator=generator, dtype=torch.float64)
    values = torch.randn(500, generator=generator, dtype=torch.float64) * 10**exponents
    for value, text in zip(values.tolist(), cell_texts(values), strict=True):
        assert set(text) & set(".e")
        assert float(text) == pytest.approx(value, rel=5e-3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (torch.tensor([0.1, 2.5, float("nan"), float("inf")]), False),
        (torch.tensor([0.1, 2.5, 1 / 3]), True),
        (torch.tensor([0.1 + 2j]), False),
        (torch.tensor([1 / 3 + 2j]), True),
        (torch.tensor([123456789]), False),
        (torch.tensor([1.5], dtype=torch.bfloat16), False),
        (torch.empty(0), False),
    ],
)
def test_digits_left_out_are_noticed(values, expected):
    assert rounded(values) is expected


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((), ()), ((8,), (8,)), ((9,), (5,)), ((0, 60000), (0, 5)), ((8, 8, 8, 8), (2, 8, 8, 8))],
)
def test_a_corner_is_whole_or_short(shape, shown):
    assert corner(shape) == shown


def test_the_names_are_what_the_call_says():
    x = torch.zeros(2, 3)
    assert names(x, x.T, x[1:], x + 1, x.reshape(-1)) == (
        "x",
        "x.T",
        "x[1:]",
        "(x + 1)",
        "x.reshape(-1)",
    )


def test_a_call_over_several_lines_is_read():
    weight = torch.zeros(2)
    assert names(
        weight,
        weight.exp(),
    ) == ("weight", "weight.exp()")


def test_a_starred_call_falls_back_on_the_callers_variables():
    first, pair = torch.zeros(2), (torch.ones(2), torch.zeros(3))
    assert names(*(first, pair[0])) == ("first", None)


def test_two_calls_on_one_line_fall_back_on_the_callers_variables():
    first, second = torch.zeros(2), torch.ones(2)
    both = names(first, first[0]), names(second, second[0])
    assert both == (("first", None), ("second", None))


def test_code_without_source_falls_back_on_its_variables():
    scope = {"names": names, "x": torch.zeros(2)}
    exec("result = names(x, x[0])", scope)
    assert scope["result"] == ("x", None)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (3_136_000, "3.14 MB"), (4e10, "40 GB")],
)
def test_sizes_are_written_in_the_nearest_unit(number, text):
    assert bytes_text(number) == text


def test_lists_read_like_a_sentence():
    assert [listed("a"), listed("ab"), listed("abc")] == ["a", "a and b", "a, b and c"]
