"""`explore.checkpoint` in a browser: the tree shows what the file holds, and what differs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch import nn

from firstlight import explore

Show = Callable[..., Page]


class Evil:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("exit 3",)


def trained(steps: int = 3) -> dict[str, Any]:
    """A checkpoint as a training script writes it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        model(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": steps}


def saved(folder: Path, value: Any, name: str) -> Path:
    torch.save(value, folder / name)
    return folder / name


@pytest.fixture
def last(tmp_path: Path) -> Path:
    return saved(tmp_path, trained(), "last.pt")


@pytest.fixture
def several(tmp_path: Path, last: Path) -> list[Any]:
    evil = saved(
        tmp_path, {"model": {"w": torch.full((3,), float("nan"))}, "it": Evil()}, "evil.pt"
    )
    later = saved(tmp_path, trained(4) | {"notes": "x"}, "later.pt")
    return [
        explore.checkpoint(last),
        explore.checkpoint(evil),
        explore.checkpoint(last, later),
        explore.checkpoint(saved(tmp_path, nn.Linear(2, 2), "whole.pt")),
    ]


def line(page: Page, name: str) -> Locator:
    return page.get_by_role("treeitem", name=re.compile(f"^{re.escape(name)}(,|$)"))


def panel(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def test_every_tensor_stands_in_the_tree(show: Show, last: Path) -> None:
    page = show(explore.checkpoint(last))
    for key, value in torch.load(last)["model"].items():
        expect(line(page, key)).to_have_attribute(
            "aria-label", re.compile(re.escape(f"float32 {tuple(value.shape)}"))
        )
        line(page, key).click()
        said = panel(page)
        assert f'checkpoint["model"]["{key}"]' in said
        assert f"{value.numel():,}" in said
        assert f"{value.min():.4g}" in said


def test_the_tree_opens_by_keys(show: Show, last: Path) -> None:
    page = show(explore.checkpoint(last))
    page.get_by_role("button", name="close all").click()
    expect(line(page, "model")).to_be_visible()
    expect(line(page, "0.weight")).to_be_hidden()
    line(page, "model").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(line(page, "0.weight")).to_be_focused()
    page.get_by_role("button", name="open all").click()
    expect(line(page, "exp_avg").first).to_be_visible()


def test_what_pytorch_notes_for_itself_begins_closed(show: Show, last: Path) -> None:
    page = show(explore.checkpoint(last))
    expect(line(page, "._metadata")).to_have_attribute("aria-expanded", "false")
    expect(line(page, "model")).to_have_attribute("aria-expanded", "true")


def test_lines_are_found_by_their_names(show: Show, last: Path) -> None:
    page = show(explore.checkpoint(last))
    page.get_by_label("find a line").fill("exp_avg_sq")
    expect(line(page, "exp_avg_sq")).to_have_count(4)
    expect(line(page, "0.weight")).to_have_count(0)
    expect(page.get_by_text(re.compile(r"^4 of \d+ lines$"))).to_be_visible()
    page.get_by_label("find a line").fill("nowhere")
    expect(page.get_by_text("No line is like that.")).to_be_visible()
    page.get_by_label("find a line").fill("")
    expect(line(page, "0.weight")).to_be_visible()


def test_a_refused_file_says_what_would_run(show: Show, tmp_path: Path) -> None:
    page = show(explore.checkpoint(saved(tmp_path, {"it": Evil()}, "evil.pt")))
    name = f"{os.system.__module__}.system"
    expect(page.get_by_text("torch.load refuses it", exact=True)).to_be_visible()
    expect(page.locator(".call", has_text=f"{name}('exit 3')")).to_be_visible()
    expect(page.locator(".run")).to_contain_text("can run any program or code")


def test_two_files_show_what_differs(show: Show, last: Path, tmp_path: Path) -> None:
    later = saved(tmp_path, trained(4), "later.pt")
    page = show(explore.checkpoint(last, later))
    one, other = torch.load(last), torch.load(later)
    for key, value in one["model"].items():
        gap = float((value - other["model"][key]).abs().max())
        expect(line(page, key)).to_contain_text(f"≠ {gap:.3g}")
    expect(line(page, "epoch")).to_contain_text("≠ 3 | 4")
    expect(line(page, "model")).to_contain_text("4 differ")
    page.get_by_text("what differs").click()
    expect(line(page, "lr")).to_have_count(0)
    expect(line(page, "0.weight")).to_be_visible()


def test_equal_files_are_said_to_be_equal(show: Show, last: Path, tmp_path: Path) -> None:
    page = show(explore.checkpoint(last, saved(tmp_path, trained(), "again.pt")))
    expect(page.get_by_text("Equal", exact=True)).to_be_visible()
    page.get_by_text("what differs").click()
    expect(page.get_by_text("No line is like that.")).to_be_visible()


def test_thousands_of_lines_stay_usable(show: Show, tmp_path: Path) -> None:
    state = {f"layers.{at}.weight": torch.ones(2) for at in range(3500)}
    page = show(explore.checkpoint(saved(tmp_path, state, "large.pt")))
    page.get_by_label("find a line").fill("layers.3141.")
    expect(line(page, "layers.3141.weight")).to_be_visible(timeout=3000)


def test_text_from_a_file_stays_text(show: Show, tmp_path: Path) -> None:
    mark = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
    page = show(explore.checkpoint(saved(tmp_path, {mark: mark, "`": mark}, "it.pt")))
    page.get_by_role("treeitem").nth(1).click()
    assert page.evaluate("window.ran") is None
    assert mark[:60] in page.get_by_role("tree").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(scheme: str, width: int, show: Show, several: list[Any]) -> None:
    page = show(*several)
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.get_by_role("treeitem").nth(2).click()
    page.wait_for_timeout(300)  # colours change over 120 ms
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_it_fits_the_page(width: int, show: Show, several: list[Any]) -> None:
    page = show(*several)
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_stay_inside(show: Show, last: Path) -> None:
    page = show(explore.checkpoint(last))
    page.evaluate("document.addEventListener('keydown', (e) => { window.heard = e.key; })")
    page.get_by_role("treeitem").first.focus()
    page.keyboard.press("ArrowDown")
    page.get_by_label("find a line").press("b")
    assert page.evaluate("window.heard") is None


def test_the_text_equivalent_is_on_the_page(show: Show, last: Path) -> None:
    explorer = explore.checkpoint(last)
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text
    assert len(explorer._repr_html_()) - len(explorer.text) < 60_000
