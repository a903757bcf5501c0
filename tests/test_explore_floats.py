"""`explore.floats`: the bits in its words are PyTorch's own, and a wrong argument is told so."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from firstlight import explore
from firstlight.explore.floats import FORMATS, hold

VALUES = [0.0, -0.0, 1.0, -1.5, 0.1, 1.001, 2049.0, 65504.0, 65519.99, 65520.0, 70000.0, 1e-8, 3e-8]
VALUES += [
    5.96e-8,
    6e-5,
    1e-40,
    1e-46,
    3.4e38,
    3.5e38,
    1e300,
    5e-324,
    math.pi,
    1 + 2**-8,
    1 + 2**-11,
]
VALUES += [math.inf, -math.inf, math.nan]


def test_float32_s_bits_are_those_of_ieee_754() -> None:
    for value in (0.1, -2.5, 1e-40, 3.4e38, math.inf):
        (bits,) = struct.unpack(">I", struct.pack(">f", value))
        assert hold(value, FORMATS[0]).bits == f"{bits:032b}"


def test_float16_s_bits_are_numpy_s() -> None:
    for value in (0.1, -2.5, 6e-8, 65504.0, 70000.0, 2049.0):
        with np.errstate(over="ignore"):
            bits = int(np.array(np.float32(value)).astype(np.float16).view(np.uint16))
        assert hold(value, FORMATS[2]).bits == f"{bits:016b}"


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("value", VALUES)
def test_what_is_held_is_what_torch_holds(value: float, form: Any) -> None:
    held = hold(value, form)
    due = torch.tensor(value, dtype=form.dtype).item()
    assert held.value == due or (math.isnan(held.value) and math.isnan(due))
    tiny, large = torch.finfo(form.dtype).tiny, torch.finfo(form.dtype).max
    size = abs(due)
    kinds = {
        "nan": math.isnan(due),
        "inf": math.isinf(due),
        "zero": size == 0,
        "subnormal": 0 < size < tiny,
        "normal": tiny <= size <= large,
    }
    assert [kind for kind, holds in kinds.items() if holds] == [held.kind]


@pytest.mark.parametrize("value", [v for v in VALUES if abs(v) < 3.4e38])
def test_the_gap_leads_to_the_next_number(value: float) -> None:
    held = hold(value, FORMATS[0])
    here = torch.tensor(abs(held.value), dtype=torch.float32)
    following = torch.nextafter(here, torch.tensor(math.inf))
    assert following.double() - here.double() == held.gap


def test_the_gap_of_one_is_the_format_s_epsilon() -> None:
    for form in FORMATS:
        assert hold(1.0, form).gap == torch.finfo(form.dtype).eps


def test_the_words_say_what_is_lost() -> None:
    text = explore.floats(70000).text
    assert "float32 (1 bit of sign, 8 bits of exponent, 23 of mantissa): 0 10001111 " in text
    assert "holds 70144.0: off by 144, 0.21 % of it." in text
    assert "overflows to inf: the largest number of float16 is 65504." in text
    assert "underflows to 0" in explore.floats(1e-8).text
    assert "subnormal" in explore.floats(1e-6).text
    assert "holds exactly this number" in explore.floats(0.5).text
    assert "nan, not a number" in explore.floats(math.nan).text
    assert "inf stays inf" in explore.floats(math.inf).text


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (0.1, ["0.1"]),
        (70000, ["70000"]),
        (-0.0, ["-0.0"]),
        (1e-8, ["1e-08"]),
        (math.inf, ["inf"]),
        (np.float32(0.5), ["0.5"]),
        (torch.tensor(0.1, dtype=torch.float64), ["0.1"]),
        (torch.tensor([[1, 2], [3, 4]]), ["1", "2", "3", "4"]),
        (torch.tensor([0.5, -2.0]).half(), ["0.5", "-2.0"]),
        (torch.tensor([0.1], requires_grad=True), ["0.10000000149011612"]),
        (torch.nn.Parameter(torch.ones(2)), ["1", "1"]),
    ],
)
def test_every_number_is_taken(value: Any, numbers: list[str]) -> None:
    assert explore.floats(value).data["numbers"] == numbers


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("0.1", "takes a number or a tensor of numbers, and this is of type str: '0.1'"),
        ([0.1], "of type list"),
        (None, "of type NoneType"),
        (True, "of type bool"),
        (1j, "of type complex"),
        (10**400, "up to 1.8e308"),
        (torch.ones(17), "1 to 16 numbers, and this tensor has 17"),
        (torch.ones(0), "1 to 16 numbers, and this tensor has 0"),
        (torch.tensor([True]), "real numbers, and this tensor is of torch.bool"),
        (torch.ones(2, dtype=torch.complex64), "real numbers"),
        (torch.ones(2, device="meta"), "'meta' device"),
        (torch.eye(2).to_sparse(), "dense tensors"),
    ],
)
def test_a_wrong_argument_is_a_type_error_in_one_sentence(value: Any, says: str) -> None:
    with pytest.raises(TypeError) as caught:
        explore.floats(value)
    assert says in str(caught.value)
    assert str(caught.value).startswith("explore.floats")


def test_the_tensor_and_the_defaults_stay() -> None:
    value = torch.tensor([0.1, 2.0], requires_grad=True)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        explorer = explore.floats(value)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert explorer.text == explore.floats(value).text
    assert isinstance(value, Tensor)
    assert value.tolist() == torch.tensor([0.1, 2.0]).tolist()


def test_it_is_small_and_alone() -> None:
    page = explore.floats(torch.linspace(0, 1, 16))._repr_html_()
    assert len(page) - len(explore.floats(torch.linspace(0, 1, 16)).text) < 60_000
    assert page.count("http") == page.count("http://www.w3.org/2000/svg")
