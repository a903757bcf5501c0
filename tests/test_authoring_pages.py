"""The sources of the site's pages: the author's text with its blocks, and measured outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.small_course import SmallCourse
from nbformat import NotebookNode

from authoring import places
from authoring.lesson_file import read_lesson
from authoring.notebook_file import notebook_bytes, read_notebook, write_if_changed
from authoring.notebooks import Measured, solution_notebook, student_notebook
from authoring.pages import StaleSolution, write_pages
from firstlight.course import load_course

pytest_plugins = ["fixtures.plugin"]

MEASURED = Measured("", "2.13.0", {"small_int_mean": "b"}, {"x": "RuntimeError: no"})


def made(small_course: SmallCourse) -> Path:
    """Write the pages from a solution whose cells show their own position as output."""
    solution = solution_notebook(read_lesson(small_course.lesson), MEASURED)
    for number, cell in enumerate(c for c in solution.cells if c.cell_type == "code"):
        text = f"output {number}\n"
        cell["outputs"] = [NotebookNode(output_type="stream", name="stdout", text=text)]
    path = places.solution_notebook(small_course.lesson)
    write_if_changed(path, notebook_bytes(solution))
    write_pages()
    return places.site_source()


def page(folder: Path) -> NotebookNode:
    return read_notebook(folder / "2-1-1-tensors.ipynb")


def sidecar(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "2-1-1-tensors.json").read_text(encoding="utf-8"))
    return read


def test_blocks_stand_on_the_page_as_the_author_wrote_them(small_course: SmallCourse):
    cells = page(made(small_course)).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    openings = [text.split("}")[0] for text in texts if text.startswith(":::")]
    assert openings == [
        ":::{from-foundations", ":::{predict", ":::{figure", ":::{note", ":::{exercise",
        ":::{exercise", "::::{goes-wrong", ":::{summary", "::::{cards",
    ]  # fmt: skip
    assert all(text.rstrip().endswith(":::") for text in texts if text.startswith(":::"))


def test_code_cells_carry_the_outputs_of_the_solution(small_course: SmallCourse):
    code = [cell for cell in page(made(small_course)).cells if cell.cell_type == "code"]
    sources = [cell.source for cell in read_lesson(small_course.lesson).code_cells]
    assert [cell.source for cell in code] == sources
    # 0 is the install cell, 2 the prediction: neither stands on the page.
    assert [cell.outputs[0]["text"] for cell in code] == ["output 1\n", "output 3\n", "output 4\n"]
    assert [cell.metadata["tags"] for cell in code] == [[], ["hide-input"], []]


def test_the_sidecar_holds_what_the_directives_need(small_course: SmallCourse):
    data = sidecar(made(small_course))
    assert data["right"] == {"small_int_mean": "b"}
    assert data["messages"] == {"x": "RuntimeError: no"}
    assert data["torch"] == "2.13.0"
    assert [section["slug"] for section in data["sections"]][:2] == [
        "what-you-will-be-able-to-do",
        "sums-and-means",
    ]


def test_each_section_leads_to_its_cell_in_the_notebook(small_course: SmallCourse):
    sections = sidecar(made(small_course))["sections"]
    notebook = student_notebook(read_lesson(small_course.lesson), MEASURED)
    cells = {cell.id: cell.source for cell in notebook.cells}
    assert len(sections) == 7
    for section in sections:
        assert cells[section["cell"]].splitlines()[0] == f"## {section['title']}"
        assert section["colab"].endswith(f".ipynb#scrollTo={section['cell']}")
        assert section["jupyter"] == f"2-1-1-tensors.ipynb#cell-id={section['cell']}"


def test_links_lead_to_sources_that_sphinx_can_check(small_course: SmallCourse):
    folder = made(small_course)
    text = "\n".join(cell.source for cell in page(folder).cells)
    assert "[the refresher](foundations/stochastic-gradient-descent.md)" in text
    assert "[the next lesson](index.md)" in text
    assert "[the section](2-1-1-tensors.ipynb)" in text
    assert "[one](#sums-and-means)" in text
    refresher = (folder / "foundations" / "stochastic-gradient-descent.md").read_text("utf-8")
    assert "[Tensors](../2-1-1-tensors.ipynb)" in refresher


def test_figures_lie_in_a_folder_of_their_lesson_and_notebooks_bitmaps_stay_away(
    small_course: SmallCourse,
):
    folder = made(small_course)
    assert [path.name for path in (folder / "figures" / "tensors").iterdir()] == ["sum.svg"]
    text = "\n".join(cell.source for cell in page(folder).cells)
    assert ":::{figure} figures/tensors/sum.svg\n:alt: Three boxes" in text


def test_the_plan_says_what_exists(small_course: SmallCourse):
    data = json.loads((made(small_course) / "course.json").read_text(encoding="utf-8"))
    lessons = [lesson for module in data["modules"] for lesson in module["lessons"]]
    assert len(lessons) == len(load_course().lessons) == 10
    assert [lesson["name"] for lesson in lessons if lesson["exists"]] == ["2-1-1-tensors"]


def test_only_what_has_changed_is_written_and_what_is_gone_is_deleted(small_course: SmallCourse):
    folder = made(small_course)
    old, own = folder / "2-9-9-gone.ipynb", folder / "index.md"
    old.write_text("{}", encoding="utf-8")
    own.write_text("# Home\n", encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    small_course.edit(small_course.text, "have no halves", "have no halves at all")
    made(small_course)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert set(before) - set(after) == {old}
    changed = {path.name for path in after if after[path] != before[path]}
    assert changed == {"2-1-1-tensors.ipynb"}


def test_without_a_solution_the_author_is_told_to_build_it(small_course: SmallCourse):
    assert small_course.lesson.exists
    with pytest.raises(StaleSolution, match="python -m authoring build tensors"):
        write_pages()


def test_a_solution_of_other_cells_is_not_shown(small_course: SmallCourse):
    made(small_course)
    small_course.edit(small_course.text, "scores.sum()\n", "scores.sum() + 1\n")
    with pytest.raises(StaleSolution, match="made from other code cells"):
        write_pages()
