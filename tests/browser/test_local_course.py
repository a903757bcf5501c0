"""The way of a student: the course's home, "open my notebook", JupyterLab, a cell that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_course import LocalCourse, free_port, serve
from playwright.sync_api import Browser, Page, expect

from firstlight.course import load_course

NAME = load_course().lessons[0].name
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<script defer src="/course/open.js"></script></head><body><h1>{title}</h1>{body}</body></html>"""
OPEN_SCRIPT = """
const link = document.createElement("a");
link.href = window.firstlightApp.open;
link.textContent = "Open my notebook";
if (link.href && window.firstlightApp.open) document.body.append(link);
"""
BADGE = "[![Open in Colab](https://colab.example/badge.svg)](https://colab.example/open)"
CELL = "import firstlight, sys\nprint('runs in', sys.prefix)"


def write_site(folder: Path) -> Path:
    folder.mkdir()
    home = PAGE.format(title="Home", body=f'<a href="{NAME}.html">Tensors</a>')
    (folder / "index.html").write_text(home, encoding="utf-8")
    (folder / f"{NAME}.html").write_text(PAGE.format(title="Tensors", body=""), encoding="utf-8")
    (folder / "open.js").write_text(OPEN_SCRIPT, encoding="utf-8")
    return folder


def write_originals(folder: Path, cell: str = CELL) -> Path:
    folder.mkdir(exist_ok=True)
    code = {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": []}
    badge = {"cell_type": "markdown", "id": "b", "metadata": {}, "source": BADGE}
    filler = [{**badge, "id": f"m{n}", "source": "A line.\n\n" * 20} for n in range(20)]
    far = {**badge, "id": "far-down", "source": "You are far down."}
    notebook = {
        "cells": [badge, {**code, "source": cell}, *filler, far],
        "metadata": {"kernelspec": {"display_name": "P", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return folder


@pytest.fixture
def course(tmp_path: Path) -> Iterator[LocalCourse]:
    site, originals = write_site(tmp_path / "site"), write_originals(tmp_path / "originals")
    server = serve(site, tmp_path / "work", originals, free_port(), tmp_path / "home")
    yield server
    server.stop()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A student's browser; a request to any other host fails the test."""
    hosts: set[str | None] = set()
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    yield context.new_page()
    context.close()
    assert hosts <= {"127.0.0.1", None}, hosts


def open_notebook(page: Page, course: LocalCourse) -> None:
    page.goto(course.url)
    page.get_by_role("link", name="Tensors").click()
    page.get_by_role("link", name="Open my notebook").click()


def run_first_cell(page: Page) -> None:
    ready = page.get_by_role("button", name="Python 3 (ipykernel) | Idle")
    expect(ready).to_be_visible(timeout=120_000)  # a cell run earlier may ask for a kernel
    cell = page.locator(".jp-Notebook .jp-CodeCell").first
    cell.locator(".cm-content").click(timeout=60_000)
    page.keyboard.press("Control+Enter")


def test_the_token_leaves_the_address_bar(page: Page, course: LocalCourse) -> None:
    page.goto(course.url)
    assert page.url == f"{course.root}/course/"
    page.reload()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def test_a_student_opens_the_notebook_and_a_cell_runs(
    page: Page, course: LocalCourse, tmp_path: Path
) -> None:
    open_notebook(page, course)
    page.wait_for_url(f"**/lab/tree/{NAME}.ipynb")
    run_first_cell(page)
    output = page.locator(".jp-OutputArea-output")
    expect(output).to_contain_text("runs in", timeout=120_000)
    assert (tmp_path / "work" / f"{NAME}.ipynb").is_file()
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_work_survives_an_update_of_the_course(
    page: Page, course: LocalCourse, tmp_path: Path
) -> None:
    open_notebook(page, course)
    page.wait_for_url(f"**/lab/tree/{NAME}.ipynb")
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.keyboard.press("Control+End")
    page.keyboard.type("\n# my own work")
    page.keyboard.press("Control+s")
    mine = tmp_path / "work" / f"{NAME}.ipynb"
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    assert "my own work" in mine.read_text(encoding="utf-8")

    write_originals(tmp_path / "originals", "print('second version')")
    open_notebook(page, course)
    expect(page.get_by_role("heading", name="This notebook has been updated")).to_be_visible()
    page.get_by_role("link", name="Open the new version beside it").click()
    page.wait_for_url(f"**/lab/tree/{NAME}-version-2.ipynb")
    assert "my own work" in mine.read_text(encoding="utf-8")


def test_a_link_to_a_cell_leads_there_also_past_an_update(
    page: Page, course: LocalCourse, tmp_path: Path
) -> None:
    page.goto(course.url)
    page.goto(f"{course.root}/course/open/{NAME}#cell-id=far-down")
    far = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) p", has_text="You are far down.")
    expect(far).to_be_in_viewport(timeout=60_000)

    write_originals(tmp_path / "originals", "print('second version')")
    page.goto(f"{course.root}/course/open/{NAME}#cell-id=far-down")
    page.get_by_role("link", name="Open the new version beside it").click()
    page.wait_for_url(f"**/lab/tree/{NAME}-version-2.ipynb*")
    expect(far).to_be_in_viewport(timeout=60_000)
