"""Write what Sphinx reads: each lesson's text with its blocks intact, and its measured outputs.

For every lesson that exists, `build/site-src/` holds

- `NAME.ipynb`: markdown cells as the author wrote them, so that the site's directives render the
  blocks; code cells with the outputs of the committed solution notebook;
- `NAME.json`: what the directives need beside the text, see `sidecar`;
- `figures/SLUG/`: the lesson's drawings.

`foundations/SLUG.md` are the refreshers, and `course.json` the plan with what exists of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from authoring import places
from authoring.lesson_file import CodeCell, LessonFile, Part, read_lesson
from authoring.links import with_page_links
from authoring.notebook_file import (
    code_cell,
    markdown_cell,
    new_notebook,
    notebook_bytes,
    read_notebook,
    role,
    write_if_changed,
)
from authoring.notebooks import section_cell_id
from firstlight.blocks import Block
from firstlight.course import Foundation, Lesson, load_course

GENERATED = ("*.ipynb", "*.json", "figures/*/*", "foundations/*.md")


class StaleSolution(Exception):
    """A solution notebook that is missing or older than its code; the message says what to do."""


def write_pages(folder: Path | None = None) -> list[Path]:
    """Write the page sources of all that exists and return their paths.

    A file whose content would not change is left alone, so that Sphinx rebuilds only what must be.
    Sources of pages that are gone are deleted; files of other kinds beside them are not touched.

    Raises:
        StaleSolution: if a lesson's solution notebook was not built.
    """
    folder = folder or places.site_source()
    course = load_course()
    wanted: dict[Path, bytes] = {folder / "course.json": _json(course_data())}
    for lesson in course.lessons:
        if lesson.exists:
            wanted |= {folder / name: data for name, data in lesson_pages(lesson)}
    for foundation in course.foundations:
        if foundation.exists:
            wanted[folder / "foundations" / f"{foundation.slug}.md"] = _refresher(foundation)
    _write_only(folder, wanted)
    return sorted(wanted)


def _write_only(folder: Path, wanted: dict[Path, bytes]) -> None:
    """Make the generated files of a folder be exactly those wanted."""
    for pattern in GENERATED:
        for path in folder.glob(pattern):
            if path not in wanted:
                path.unlink()
    for path, data in wanted.items():
        write_if_changed(path, data)


def lesson_pages(lesson: Lesson) -> Iterator[tuple[str, bytes]]:
    """Yield the files of one lesson's page, each as its relative path and its bytes."""
    file = read_lesson(lesson)
    solution = _solution(lesson)
    page = page_notebook(file, solution)
    yield f"{lesson.name}.ipynb", notebook_bytes(page)
    yield f"{lesson.name}.json", _json(sidecar(file, solution))
    for figure in sorted((lesson.folder / "figures").glob("*")):
        for_notebooks = figure.suffix == ".png" and figure.with_suffix(".svg").is_file()
        if figure.is_file() and not for_notebooks:
            yield f"figures/{lesson.slug}/{figure.name}", figure.read_bytes()


def _solution(lesson: Lesson) -> NotebookNode:
    path = places.solution_notebook(lesson)
    if not path.is_file():
        raise StaleSolution(f"{places.shown(path)} is missing. {_remedy(lesson)}")
    return read_notebook(path)


def _remedy(lesson: Lesson) -> str:
    return f"Build it with `python -m authoring build {lesson.slug}`."


def page_notebook(file: LessonFile, solution: NotebookNode) -> NotebookNode:
    """Join a lesson's text to the outputs of its solution notebook.

    Raises:
        StaleSolution: if the solution was made from other code.
    """
    outputs = _outputs(file, solution)
    cells = []
    for number, part in enumerate(file.parts):
        if isinstance(part, CodeCell):
            cell = code_cell(part.source, outputs=next(outputs))
            cell.metadata["tags"] = list(part.tags)
        else:
            cell = markdown_cell(_page_text(part, file.lesson))
        cell["id"] = f"part-{number}"
        cells.append(cell)
    return new_notebook(cells, _metadata(solution))


def _metadata(solution: NotebookNode) -> dict[str, Any]:
    return {"kernelspec": solution.metadata["kernelspec"], "language_info": {"name": "python"}}


def _outputs(file: LessonFile, solution: NotebookNode) -> Iterator[list[NotebookNode]]:
    """Iterate over the outputs of the cells that the author wrote, in order."""
    ran = [cell for cell in solution.cells if role(cell) == "code"]
    if [cell.source for cell in ran] != [cell.source for cell in file.code_cells]:
        path = places.shown(places.solution_notebook(file.lesson))
        raise StaleSolution(f"{path} was made from other code cells. {_remedy(file.lesson)}")
    return iter([cell.outputs for cell in ran])


def _page_text(part: Part, lesson: Lesson) -> str:
    """The text of prose or a block; figures lie in a folder of the lesson's own."""
    text = with_page_links(part.text) if not isinstance(part, CodeCell) else part.source
    if isinstance(part, Block) and part.name == "figure":
        text = text.replace("figures/", f"figures/{lesson.slug}/", 1)
    return text


def sidecar(file: LessonFile, solution: NotebookNode) -> dict[str, Any]:
    """What the directives of a page need beside its text.

    `right`: the right letter of each prediction; `messages`: what each goes-wrong snippet said;
    `sections`: each heading with its slug, its id on the page, and its cell in the notebook.
    """
    kept = solution.metadata["firstlight"]
    return {
        "lesson": file.lesson.slug,
        "colab": file.lesson.colab_url,
        "torch": kept["torch"],
        "right": dict(kept["right"]),
        "messages": dict(kept["messages"]),
        "sections": [
            {
                "level": heading.level,
                "title": heading.title,
                "slug": heading.slug,
                "anchor": heading.anchor,
                "cell": section_cell_id(heading),
                "colab": f"{file.lesson.colab_url}#scrollTo={section_cell_id(heading)}",
                "jupyter": f"{file.lesson.name}.ipynb#cell-id={section_cell_id(heading)}",
            }
            for heading in file.headings
            if heading.level in (2, 3)
        ],
    }


def course_data() -> dict[str, Any]:
    """The plan for the home page: modules, lessons, and which of them exist."""
    course = load_course()
    return {
        "title": course.title,
        "subtitle": course.subtitle,
        "repository": course.repository,
        "modules": [
            {
                "number": module.number,
                "title": module.title,
                "lessons": [_lesson_data(lesson) for lesson in module.lessons],
            }
            for module in course.modules
        ],
        "foundations": [
            {"number": f.number, "slug": f.slug, "title": f.title, "exists": f.exists}
            for f in course.foundations
        ],
    }


def _lesson_data(lesson: Lesson) -> dict[str, Any]:
    return {
        "position": lesson.position,
        "name": lesson.name,
        "slug": lesson.slug,
        "title": lesson.title,
        "description": lesson.description,
        "minutes": lesson.minutes,
        "exists": lesson.exists,
        "colab": lesson.colab_url,
    }


def _refresher(foundation: Foundation) -> bytes:
    text = foundation.path.read_text(encoding="utf-8")
    return with_page_links(text, up="../").encode()


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
