"""A real Chromium for the browser tests, and a page that tolerates no error and no other host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MACOS_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OWN_HOSTS = {"127.0.0.1", "localhost", None}  # None: about:, data:, blob: and file:
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>An explorer</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body {{ margin: 1rem; font: 16px system-ui, sans-serif; background: #fff; color: #1f2433; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #131722; color: #e8e9f1; }} }}
</style></head>
<body><main><h1>An explorer</h1>{body}</main></body></html>"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as one that drives a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome; `FIRSTLIGHT_CHROMIUM` names another."""
    named = os.environ.get("FIRSTLIGHT_CHROMIUM")
    on_path = (shutil.which(name) for name in NAMES)
    apps = (app for app in MACOS_APPS if Path(app).exists())
    return named or next(filter(None, (*on_path, *apps)), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests; without one the tests are skipped, which in CI is a failure."""
    path = find_chromium()
    if path is None:
        message = "No Chromium or Chrome found: the browser tests did not run."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium: Browser) -> Iterator[Page]:
    """A fresh page, 1000 x 900; a console error or a request to another host fails the test."""
    context = chromium.new_context(viewport={"width": 1000, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda entry: faults.append(entry.text) if entry.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.extend(_strangers(request.url)))
    yield page
    context.close()
    assert faults == []


def _strangers(url: str) -> list[str]:
    return [] if urlsplit(url).hostname in OWN_HOSTS else [f"a request to {url}"]


@pytest.fixture
def show(browser_page: Page) -> Callable[..., Page]:
    """`show(explorer, ...)` puts explorers on a plain page that is light or dark as the system."""

    def show_explorers(*explorers: object) -> Page:
        body = "\n".join(explorer._repr_html_() for explorer in explorers)  # type: ignore[attr-defined]
        browser_page.set_content(PAGE.format(body=body))
        return browser_page

    return show_explorers
