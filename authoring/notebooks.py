"""Make a lesson's notebooks: the student's, with starters, and the solution, not yet executed.

Both have the same cells with the same ids. An id is made from what the cell is (a section, an
exercise, a prediction) or else from its content, so that an edit changes no other cell's id, and a
link to a section keeps working.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from authoring.lesson_file import CodeCell, LessonFile
from authoring.links import published_site
from authoring.markdown import Heading, headings
from authoring.notebook_file import code_cell, markdown_cell, new_notebook
from authoring.notebook_text import Writer
from firstlight.blocks import Block, Prose, parse_question
from firstlight.checking import Exercise, lesson_exercises
from firstlight.course import Lesson, load_course

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
SECTION_LEVELS = (2, 3)

INSTALL = """\
# Finds the course: installed, in the clone around this notebook, or (Colab) on GitHub.
import subprocess
import sys
from pathlib import Path

try:
    import firstlight
except ImportError:
    if Path("../firstlight/course.toml").exists():
        sys.path.insert(0, str(Path("..").resolve()))
    else:
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        course = "firstlight @ git+https://github.com/{repository}"
        subprocess.run([*pip, course], check=True)"""


@dataclass(frozen=True)
class Measured:
    """What executing a lesson's code has shown; kept in the solution notebook's metadata."""

    source_hash: str = ""
    torch: str = ""
    right: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """Give the form in which a notebook keeps it."""
        return {
            "source_hash": self.source_hash,
            "torch": self.torch,
            "right": dict(self.right),
            "messages": dict(self.messages),
        }

    @staticmethod
    def of(notebook: NotebookNode) -> Measured:
        """Read it from a solution notebook; empty where a notebook holds none."""
        return Measured(**notebook.metadata.get("firstlight", {}))


def student_notebook(file: LessonFile, measured: Measured) -> NotebookNode:
    """Make the notebook a student opens: starters, questions, no outputs."""
    cells = _Cells(file, measured, solved=False)
    return _notebook(file.lesson, cells.make())


def solution_notebook(file: LessonFile, measured: Measured) -> NotebookNode:
    """Make the notebook with every exercise solved and question answered, not yet executed."""
    cells = _Cells(file, measured, solved=True)
    notebook = _notebook(file.lesson, cells.make())
    notebook.metadata["firstlight"] = measured.metadata()
    return notebook


def section_cell_id(heading: Heading) -> str:
    """The id of the cell that begins with a heading; JupyterLab and Colab link to it."""
    return _cell_id(f"section-{heading.slug}")


def _cell_id(name: str) -> str:
    """Spell a name with what nbformat allows in an id."""
    return re.sub(r"[^a-zA-Z0-9-_]", "-", name)[:60]


def _notebook(lesson: Lesson, cells: list[NotebookNode]) -> NotebookNode:
    colab: dict[str, Any] = {"provenance": [], "toc_visible": True}
    metadata: dict[str, Any] = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "colab": colab,
    }
    if lesson.gpu:
        metadata["accelerator"] = "GPU"
        colab["gpuType"] = "T4"
    return new_notebook(cells=cells, metadata=metadata)


class _Cells:
    """Makes the cells of one notebook, in order."""

    def __init__(self, file: LessonFile, measured: Measured, *, solved: bool) -> None:
        self.file = file
        self.lesson = file.lesson
        self.measured = measured
        self.solved = solved
        self.writer = Writer(file.lesson, measured.messages)
        self.exercises: Mapping[str, Exercise] = lesson_exercises(file.lesson)
        self.ids: set[str] = set()
        self.texts: list[str] = []  # what the next Markdown cell will hold
        self.text_id = "title"
        self.cells: list[NotebookNode] = []

    def make(self) -> list[NotebookNode]:
        """Return the cells."""
        for part in self.file.parts:
            if isinstance(part, Prose):
                self._prose(part)
            elif isinstance(part, CodeCell):
                self._code(part.source, "", {"role": "code"}, part.line, part.tags)
            elif part.name == "exercise":
                self._exercise(part)
            elif part.name == "predict":
                self._predict(part)
            else:
                self.texts.append(self.writer.part(part))
        self._end_text()
        return self.cells

    # Markdown -------------------------------------------------------------------------------------

    def _prose(self, part: Prose) -> None:
        """Add prose; each section begins a cell of its own."""
        for heading, text in _sections(part.text):
            written = self.writer.prose(text)
            if heading and heading.level == 1:
                self.texts.append(self._title(written))
                self._end_text()
                self._install()
                continue
            if heading:
                self._end_text()
                self.text_id = section_cell_id(heading)
            self.texts.append(written)

    def _title(self, text: str) -> str:
        """Put the badge and the way back to the page below the lesson's title."""
        lesson = self.lesson
        title, _, rest = text.partition("\n")
        page = f"{published_site(load_course())}{lesson.name}.html"
        total = len(load_course().lessons)
        lines = [
            f"{title}: solutions" if self.solved else title,
            f"[![Open in Colab]({BADGE})]({lesson.colab_url})",
            f"Firstlight, lesson {lesson.position} of {total} · about {lesson.minutes} minutes · "
            f"[read this lesson as a page]({page})",
        ]
        if self.solved:
            lines[1] = "Every exercise solved and run. Open this one after you tried."
        return "\n\n".join([*lines, rest.strip()]).rstrip()

    def _end_text(self) -> None:
        """Close the Markdown cell that is being gathered."""
        text = "\n\n".join(self.texts)
        if text:
            self._add(markdown_cell(text), self.text_id or f"text-{_digest(text)}")
        self.texts, self.text_id = [], ""

    # Code -----------------------------------------------------------------------------------------

    def _install(self) -> None:
        source = INSTALL.format(repository=load_course().repository)
        self._code(source, "install", {"role": "install"}, 1)

    def _exercise(self, block: Block) -> None:
        exercise = self.exercises[block.argument]
        name = exercise.name
        self._end_text()
        self.text_id = _cell_id(f"exercise-{name}")
        self.texts = [_exercise_heading(exercise)]
        if block.body:
            self.texts.append(self.writer.prose(block.body))
        answer = exercise.reference_source if self.solved else exercise.starter
        data = {"role": "starter", "exercise": name}
        self._code(answer.rstrip("\n"), f"starter-{name}", data, block.line)
        data = {"role": "check", "exercise": name}
        self._code(f"check({name})", f"check-{name}", data, block.line)

    def _predict(self, block: Block) -> None:
        question, _ = parse_question(block.argument, block.body, block.body_line)
        self._end_text()
        self.text_id = _cell_id(f"question-{question.name}")
        self.texts = [self.writer.question(question)]
        letter = self.measured.right.get(question.name, "?") if self.solved else "?"
        data = {"role": "predict", "prediction": question.name}
        source = f'predict("{question.name}", "{letter}")'
        self._code(source, f"predict-{question.name}", data, block.line)

    def _code(
        self, source: str, name: str, data: dict[str, Any], line: int, tags: tuple[str, ...] = ()
    ) -> None:
        self._end_text()
        cell = code_cell(source)
        # A line number would change in every cell below an edit, so students' notebooks go without.
        cell.metadata["firstlight"] = {**data, "line": line} if self.solved else data
        if tags:
            cell.metadata["tags"] = list(tags)
        self._add(cell, name or f"code-{_digest(source)}")

    def _add(self, cell: NotebookNode, name: str) -> None:
        """Add a cell under an id of its own, which Colab reads from the cell's metadata."""
        base = unique = _cell_id(name)
        copies = 1
        while unique in self.ids:
            copies += 1
            unique = f"{base}-{copies}"
        self.ids.add(unique)
        cell["id"] = unique
        cell.metadata["id"] = unique
        self.cells.append(cell)


def _sections(text: str) -> Iterator[tuple[Heading | None, str]]:
    """Split Markdown before its title and each section heading."""
    lines = text.splitlines()
    opening = [heading for heading in headings(text) if heading.level in (1, *SECTION_LEVELS)]
    starts = [heading.line - 1 for heading in opening]
    for heading, start, end in zip(
        [None, *opening], [0, *starts], [*starts, len(lines)], strict=True
    ):
        section = "\n".join(lines[start:end]).strip()
        if section:
            yield heading, section


def _exercise_heading(exercise: Exercise) -> str:
    kind = {"clinic": "Bug clinic", "milestone": "Milestone"}.get(exercise.level, "Exercise")
    level = "" if exercise.level in ("clinic", "milestone") else f"{exercise.level} · "
    duration = f"{level}about {exercise.minutes} minutes"
    return (
        f"### {kind}: `{exercise.name}`\n\n*{duration.capitalize()}.* "
        f"Stuck? `hint({exercise.name})` gives one hint at a time."
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
