"""`explore.floats` in a browser: its conversions are PyTorch's bit for bit, and bits can be flipped."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch import Tensor

import firstlight.explore
from firstlight import explore
from firstlight.explore.floats import FORMATS, Format, hold

Show = Callable[..., Page]
SOURCE = Path(str(firstlight.explore.__file__)).with_name("floats_formats.js").read_text("utf-8")


def every_kind() -> Tensor:
    """Thousands of doubles: of every size, between two numbers of each format, and on the edges."""
    generator = torch.Generator().manual_seed(0)
    powers = torch.rand(6000, generator=generator, dtype=torch.float64) * 180 - 160
    anywhere = 2.0**powers * (1 + torch.rand(6000, generator=generator, dtype=torch.float64))
    small = 2.0 ** (torch.rand(3000, generator=generator, dtype=torch.float64) * 45 - 27)
    halves = (
        torch.arange(0, 2**16, 13, dtype=torch.int32).to(torch.int16).view(torch.float16).double()
    )
    brains = (
        torch.arange(0, 2**16, 17, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).double()
    )
    ties = [
        torch.nextafter(row, torch.tensor(sign * torch.inf, dtype=torch.float64))
        for row in ((halves[:-1] + halves[1:]) / 2, (brains[:-1] + brains[1:]) / 2)
        for sign in (-1, 1)
    ]
    edges = [
        0.0,
        -0.0,
        65504,
        65519.999,
        65520,
        3.4028235677973366e38,
        3.4028234663852886e38,
        1e308,
    ]
    edges += [2.0**-149, 2.0**-150, 2.0**-151, 2.0**-133, 2.0**-134, 2.0**-24, 2.0**-25, 5e-324]
    edges += [
        1 + 2.0**-24,
        1 + 3 * 2.0**-24,
        1 + 2.0**-8,
        1 + 3 * 2.0**-8,
        1 + 2.0**-11,
        2049,
        2051,
    ]
    edges += [1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-8 + 2.0**-40, torch.inf, torch.nan]
    parts = [anywhere, small, halves, brains, *ties, torch.tensor(edges, dtype=torch.float64)]
    middles = [(row[:-1] + row[1:]) / 2 for row in (halves, brains)]
    found = torch.cat([*parts, *middles])
    return torch.cat([found, -found])


def in_browser(page: Page, expression: str, argument: Any) -> Any:
    source = SOURCE.replace("export ", "")
    return page.evaluate(f"(argument) => {{ {source}\nreturn {expression}; }}", argument)


def texts(values: Tensor) -> list[str]:
    """Doubles as text that JavaScript reads back the same."""
    named = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    return [named.get(repr(value), repr(value)) for value in values.tolist()]


@pytest.mark.parametrize("place", range(3), ids=[form.name for form in FORMATS])
def test_numbers_become_torch_s_bits(browser_page: Page, place: int) -> None:
    form, values = FORMATS[place], every_kind()
    assert len(values) > 30_000
    due = values.to(form.dtype).view(form.whole).to(torch.int64) % 2**form.size
    nan = values.isnan()
    due[nan] = torch.tensor(torch.nan, dtype=form.dtype).view(form.whole).to(torch.int64)
    found = in_browser(
        browser_page,
        f"argument.map((text) => encode(Number(text), FORMATS[{place}]))",
        texts(values),
    )
    wrong = [
        (value, a, b)
        for value, a, b in zip(values.tolist(), found, due.tolist(), strict=True)
        if a != b
    ]
    assert wrong == []


@pytest.mark.parametrize("place", range(3), ids=[form.name for form in FORMATS])
def test_bits_become_torch_s_numbers(browser_page: Page, place: int) -> None:
    form = FORMATS[place]
    step = 1 if form.size == 16 else 104_729
    bits = torch.arange(0, 2**form.size, step, dtype=torch.int64)
    signed = torch.where(bits >= 2 ** (form.size - 1), bits - 2**form.size, bits)
    due = signed.to(form.whole).view(form.dtype).double()
    found = in_browser(
        browser_page,
        "argument.map((bits) => { const value = decode(bits, FORMATS[" + str(place) + "]); "
        "return Object.is(value, -0) ? '-0' : String(value); })",
        bits.tolist(),
    )
    numbers = np.array([float(text.replace("Infinity", "inf")) for text in found])
    np.testing.assert_array_equal(numbers, due.numpy())
    assert (np.signbit(numbers) == np.signbit(due.numpy()))[~np.isnan(numbers)].all()


@pytest.mark.parametrize("place", range(3), ids=[form.name for form in FORMATS])
def test_gaps_and_neighbours_are_those_of_the_format(browser_page: Page, place: int) -> None:
    form = FORMATS[place]
    values = [0.0, 1.0, 0.1, 70000.0, 2049.0, 1e-8, 1e-40, -3.0, 65504.0, 3e38]
    found = in_browser(
        browser_page,
        f"argument.map((value) => {{ const form = FORMATS[{place}]; const bits = encode(value, form);"
        " return [String(gapOf(bits, form)), kindOf(bits, form),"
        " String(decode(neighbour(bits, form, true), form)),"
        " String(decode(neighbour(bits, form, false), form))]; })",
        values,
    )
    for value, (gap, kind, above, below) in zip(values, found, strict=True):
        held = hold(value, form)
        np.testing.assert_equal(float(gap), held.gap)
        assert kind == held.kind
        if form.name == "float32":
            here = torch.tensor(held.value, dtype=torch.float32)
            for text, end in ((above, torch.inf), (below, -torch.inf)):
                following = torch.nextafter(here, torch.tensor(end)).item()
                assert float(text.replace("Infinity", "inf")) == following


# The picture -----------------------------------------------------------------------------------


def card(page: Page, form: Format) -> Locator:
    return page.get_by_role("group", name=form.name, exact=True)


def shown(page: Page, form: Format) -> tuple[str, str]:
    bits = "".join(card(page, form).locator(".bit").all_inner_texts())
    return bits, card(page, form).locator(".holds").inner_text()


def same(text: str, value: float) -> bool:
    return float(text) == value or (text == "nan" and value != value)


def agrees(page: Page, number: float) -> None:
    for form in FORMATS:
        bits, holds = shown(page, form)
        held = hold(number, form)
        assert bits == held.bits
        assert same(holds, held.value)


@pytest.mark.parametrize("value", [0.1, 70000, 1e-8, -2.5, 0.0, 3e-6, float("inf"), float("nan")])
def test_the_bits_on_show_are_torch_s(show: Show, value: float) -> None:
    agrees(show(explore.floats(value)), value)


def test_presets_and_typed_numbers_are_shown(show: Show) -> None:
    page = show(explore.floats(1.0))
    for name, number in (("70000", 70000), ("1e-8", 1e-8), ("2048 + 1", 2049), ("nan", torch.nan)):
        page.get_by_role("button", name=name, exact=True).click()
        agrees(page, float(number))
    for text, number in (("-0.3", -0.3), ("2**-24", 2**-24), ("1e6", 1e6), ("-inf", -torch.inf)):
        page.get_by_label("the number", exact=True).fill(text)
        page.keyboard.press("Enter")
        agrees(page, number)


@pytest.mark.parametrize("text", ["", "tenth", "0x10", "1,5", "--1", "1e", "<b>"])
def test_what_is_no_number_is_said_and_changes_nothing(show: Show, text: str) -> None:
    page = show(explore.floats(0.5))
    page.get_by_label("the number", exact=True).fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_label("the number", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("status")).to_contain_text("is no number")
    agrees(page, 0.5)


def test_what_is_lost_is_said(show: Show) -> None:
    page = show(explore.floats(70000))
    expect(card(page, FORMATS[0])).to_contain_text("exact")
    expect(card(page, FORMATS[2])).to_contain_text("overflows to inf")
    page.get_by_role("button", name="1e-8", exact=True).click()
    expect(card(page, FORMATS[2])).to_contain_text("underflows to 0")
    expect(page.get_by_role("status")).to_contain_text("float16: underflows to 0")
    page.get_by_label("the number", exact=True).fill("1e-6")
    page.keyboard.press("Enter")
    expect(card(page, FORMATS[2])).to_contain_text("subnormal, rounded")


@pytest.mark.parametrize("press", ["mouse", "Enter", "Space"])
@pytest.mark.parametrize("place", range(3), ids=[form.name for form in FORMATS])
def test_a_flipped_bit_is_what_it_holds_everywhere(show: Show, press: str, place: int) -> None:
    page, form = show(explore.floats(1.001)), FORMATS[place]
    for at in (0, 3, form.size - 1, 1 + form.exponent):
        before, _ = shown(page, form)
        due = before[:at] + ("1" if before[at] == "0" else "0") + before[at + 1 :]
        bit = card(page, form).locator(".bit").nth(at)
        if press == "mouse":
            bit.click()
        else:
            bit.press(press)
        found, holds = shown(page, form)
        assert found == due
        whole = int(due, 2)
        signed = whole - 2**form.size if due[0] == "1" else whole
        value = torch.tensor(signed).to(form.whole).view(form.dtype).item()
        assert same(holds, value)
        agrees(page, value)


def test_bits_of_nan_stay_as_they_were_set(show: Show) -> None:
    page, form = show(explore.floats(float("inf"))), FORMATS[2]
    card(page, form).locator(".bit").nth(15).click()
    assert shown(page, form) == ("0111110000000001", "nan")
    card(page, form).locator(".bit").nth(15).click()
    assert shown(page, form) == ("0111110000000000", "inf")


def test_the_arrow_keys_move_along_the_bits(show: Show) -> None:
    page = show(explore.floats(1.0))
    bits = card(page, FORMATS[1]).locator(".bit")
    bits.first.focus()
    for key, place in (("ArrowRight", 1), ("End", 15), ("ArrowLeft", 14), ("Home", 0)):
        page.keyboard.press(key)
        expect(bits.nth(place)).to_be_focused()
    expect(bits.first).to_have_attribute("aria-label", "sign: 0")
    expect(bits.nth(8)).to_have_attribute("aria-label", "exponent bit 8: 1")


def test_one_gap_is_one_number_of_the_format(show: Show) -> None:
    page = show(explore.floats(2048))
    for name, up, down in (("float16", 2050, 2048), ("bfloat16", 2064, 2048)):
        page.get_by_text(name, exact=True).first.click()
        page.get_by_role("button", name="one gap up").click()
        agrees(page, up)
        page.get_by_role("button", name="one gap down").click()
        agrees(page, down)
    page.get_by_label("the number", exact=True).fill("2049")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="one gap up").click()
    agrees(page, 2064)
    page.get_by_label("the number", exact=True).fill("0")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="one gap down").click()
    agrees(page, -(2.0**-133))


def test_numbers_are_written_as_python_writes_them(show: Show) -> None:
    page = show(explore.floats(1.0))
    for value in (1e-8, 3e38, 0.1, 12345.678, 1e-4, 9.9e-5, 2.0**60, 1e15, -1e-7, 1.5e300):
        page.get_by_label("the number", exact=True).fill(repr(value))
        page.keyboard.press("Enter")
        due = repr(int(value)) if value == int(value) and abs(value) < 1e16 else repr(value)
        expect(page.get_by_label("the number", exact=True)).to_have_value(due)


def test_a_tensor_s_numbers_are_at_hand(show: Show) -> None:
    value = torch.tensor([0.1, -3.0, 1e-7])
    page = show(explore.floats(value))
    numbers = page.get_by_role("group", name="The tensor's numbers").get_by_role("button")
    for at, number in enumerate(value.tolist()):
        numbers.nth(at).click()
        agrees(page, number)


def test_the_drawings_say_their_facts(show: Show) -> None:
    page = show(explore.floats(0.1))
    range_, near = page.get_by_role("img", name="Sizes"), page.get_by_role("img", name="Near 0.1")
    name = range_.get_attribute("aria-label") or ""
    for size in ("65504", "3.4028e+38", "6.1e-05", "5.96e-08"):
        assert size in name
    assert "float16 holds 0.0999755859375" in (near.get_attribute("aria-label") or "")
    strokes = near.locator("line.number").evaluate_all(
        "(lines) => lines.map((line) => [Number(line.getAttribute('y1')), Number(line.getAttribute('x1'))])"
    )
    for row in {y for y, _ in strokes}:
        places = sorted(x for y, x in strokes if y == row)
        steps = [b - a for a, b in itertools.pairwise(places)]
        assert max(steps) == pytest.approx(min(steps), rel=1e-3)  # one gap between any two


def test_every_preset_and_edge_draws_without_an_error(show: Show) -> None:
    page = show(explore.floats(1.0))  # an error on the page's console fails the test
    for text in (
        "5e-324",
        "1.7e308",
        "-1e-46",
        "0",
        "-0.0",
        "inf",
        "nan",
        "65504",
        "3.4e38",
        "6e-8",
    ):
        page.get_by_label("the number", exact=True).fill(text)
        page.keyboard.press("Enter")
        assert "NaN" not in page.locator(".stage").inner_html()
        for name in ("one gap up", "one gap down", "one gap down"):
            page.get_by_role("button", name=name).click()


# In any page -----------------------------------------------------------------------------------


def several() -> list[Any]:
    return [explore.floats(0.1), explore.floats(70000), explore.floats(torch.tensor([1e-6, 2.0]))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(scheme: str, width: int, show: Show) -> None:
    page = show(*several())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_timeout(300)  # colours change over 120 ms
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_it_fits_the_page(width: int, show: Show) -> None:
    page = show(*several())
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_stay_inside(show: Show) -> None:
    page = show(explore.floats(1.0))
    page.evaluate("document.addEventListener('keydown', (e) => { window.heard = e.key; })")
    page.get_by_label("the number", exact=True).press("b")
    page.locator(".bit").first.press("ArrowRight")
    assert page.evaluate("window.heard") is None


def test_every_card_is_one_stop_of_the_tab_key(show: Show) -> None:
    page = show(explore.floats(1.0))
    assert page.locator('.bit[tabindex="0"]').count() == 3


def test_two_explorers_keep_apart(show: Show) -> None:
    page = show(explore.floats(1.0), explore.floats(2.0))
    second = page.locator("[data-explorer=floats]").nth(1)
    second.get_by_role("button", name="70000").click()
    first = page.locator("[data-explorer=floats]").first.locator(".holds").first
    expect(first).to_have_text(re.compile("^1$"))


def test_the_text_equivalent_is_on_the_page(show: Show) -> None:
    explorer = explore.floats(0.1)
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text
