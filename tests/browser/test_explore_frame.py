"""Lesson 1's explorers in any page: light, dark, narrow, shown twice, with and without scripts."""

from __future__ import annotations

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from firstlight import explore

X = torch.arange(12.0).reshape(3, 4)
COLUMN = torch.tensor([[2.5], [0.0], [-2.0]])


def explorers():
    return (
        explore.broadcast(COLUMN, X[0]),
        explore.broadcast(X, COLUMN[:, 0]),
        explore.broadcast(torch.zeros(2, 3, 4, 5), torch.zeros(4, 1)),
        explore.memory(X, X.T, X[1:], X.clone()),
        explore.memory(torch.zeros(1000, 784), torch.tensor(3)),
    )


def hosts(page):
    return page.locator(".firstlight-explorer")


def theme(page):
    return hosts(page).first.get_attribute("data-firstlight-theme")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360])
def test_axe_finds_nothing(show, scheme, width):
    page = show(*explorers())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    expect(hosts(page).first).to_have_attribute("data-firstlight-theme", scheme)
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


def test_a_phone_scrolls_only_inside(show):
    page = show(*explorers())
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_same_explorer_works_twice_on_a_page(show):
    explorer = explore.memory(X, X.T)
    page = show(explorer, explorer)
    for which in range(2):
        host = hosts(page).nth(which)
        host.get_by_role("grid", name="X", exact=True).locator(".cell").nth(4 + which).hover()
        expect(host.locator(".told")).to_contain_text(f"cell {4 + which}")
    expect(hosts(page).nth(0).locator(".told")).to_contain_text("cell 4")


def test_running_the_script_again_changes_nothing(show):
    page = show(explore.memory(X))
    page.get_by_role("radio", name="cell numbers").check()
    page.evaluate(
        "() => { const old = document.querySelector('script[type=module]');"
        "const again = document.createElement('script'); again.type = 'module';"
        "again.textContent = old.textContent; document.body.append(again); }"
    )
    page.wait_for_timeout(100)
    expect(page.get_by_role("radio", name="cell numbers")).to_be_checked()
    assert page.get_by_role("grid").count() == 2


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        ("document.body.dataset.theme = 'dark'", "dark"),
        ("document.body.dataset.jpThemeLight = 'false'", "dark"),
        ("document.body.classList.add('vscode-dark')", "dark"),
        ("document.documentElement.setAttribute('theme', 'dark')", "dark"),
        ("document.body.style.background = '#101010'", "dark"),
        ("document.body.dataset.theme = 'light'", "light"),
    ],
)
def test_the_theme_follows_the_page_while_it_is_shown(show, say, expected):
    page = show(explore.memory(X))
    if expected == "light":
        page.emulate_media(color_scheme="dark")
        expect(hosts(page)).to_have_attribute("data-firstlight-theme", "dark")
    page.evaluate(say)
    expect(hosts(page)).to_have_attribute("data-firstlight-theme", expected)


def test_reduced_motion_is_honoured(show):
    page = show(explore.memory(X))
    page.emulate_media(reduced_motion="no-preference")
    durations = "() => getComputedStyle(document.querySelector('.firstlight-explorer').shadowRoot"
    durations += ".querySelector('.cell')).transitionDuration"
    assert "0.12s" in page.evaluate(durations)
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(durations) == "0s"


def test_the_words_are_there_beside_the_picture(show):
    explorer = explore.memory(X, X.T)
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text


def test_without_scripts_the_words_remain(chromium):
    explorer = explore.broadcast(COLUMN, X[0])
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(explorer._repr_html_())
    page.get_by_text("in words").click()
    expect(page.locator("pre")).to_be_visible()
    assert page.locator("pre").inner_text() == explorer.text
    context.close()


def test_focus_is_seen(show):
    page = show(explore.memory(X))
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    outline = page.evaluate(
        "() => getComputedStyle(document.activeElement.shadowRoot.activeElement).outlineWidth"
    )
    assert float(outline.removesuffix("px")) >= 2
