"""Build a lesson's notebooks, executing again only what has changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nbformat import NotebookNode
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from authoring import places
from authoring.execution import FailedCell, execute, verify
from authoring.figures import FigureFault, refresh_bitmaps
from authoring.lesson_file import LessonFile, read_lesson
from authoring.notebook_file import notebook_bytes, read_notebook, role, write_if_changed
from authoring.notebooks import Measured, solution_notebook, student_notebook
from authoring.sources import source_hash
from firstlight.blocks import Entry
from firstlight.checking import ExerciseFault, lesson_exercises
from firstlight.course import Lesson
from firstlight.predictions import Outcome, PredictionFault, lesson_predictions, run_code

Advance = Callable[[int, int], None]  # cells done, cells in all

_COLOUR = re.compile(r"\x1b\[[\d;]*m")  # a terminal's, as torch.load puts into its messages
_INTERNAL = re.compile(r"\s*\(Triggered internally at [^)]*\)")


class BuildFault(Exception):
    """A lesson that cannot be built; the message says where and why."""


@dataclass(frozen=True)
class Notebooks:
    """Both notebooks of a lesson, as they are committed."""

    student: bytes
    solution: bytes


# Building ---------------------------------------------------------------------------------------


def build_lessons(lessons: Sequence[Lesson], *, force: bool, console: Console) -> bool:
    """Build lessons one after another and show how far each is; whether all were built."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    failures = []
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for lesson in lessons:
            task = progress.add_task(lesson.name, total=None)
            try:
                told = build_lesson(lesson, force=force, advance=partial(_show, progress, task))
            except BuildFault as error:
                told = "failed"
                failures.append(error)
            if not progress.tasks[-1].total:  # no cell was run
                _show(progress, task, 1, 1)
            progress.update(task, description=f"{lesson.name}: {told}")
    for failure in failures:
        console.print(f"\n{failure}", markup=False, highlight=False, soft_wrap=True)
    return not failures


def _show(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def build_lesson(
    lesson: Lesson, *, force: bool = False, advance: Advance = lambda done, total: None
) -> str:
    """Write both notebooks of a lesson and tell in a few words what was done.

    Nothing is executed when only prose has changed since the last time.

    Raises:
        BuildFault: if the lesson cannot be read, a cell fails or a check in it does not pass.
    """
    file = _readable(lesson)
    notebooks = None if force else _renewed(file)
    told = "prose renewed, nothing to execute"
    if notebooks is None:
        notebooks, told = _executed(file, advance)
    changed = [
        write_if_changed(places.student_notebook(lesson), notebooks.student),
        write_if_changed(places.solution_notebook(lesson), notebooks.solution),
    ]
    return told if any(changed) or "executed" in told.split() else "up to date"


def is_stale(lesson: Lesson) -> bool:
    """Whether the committed notebooks differ from what the lesson's sources give."""
    notebooks = _renewed(_readable(lesson))
    paths = places.student_notebook(lesson), places.solution_notebook(lesson)
    if notebooks is None or not all(path.is_file() for path in paths):
        return True
    return [path.read_bytes() for path in paths] != [notebooks.student, notebooks.solution]


def _readable(lesson: Lesson) -> LessonFile:
    """Read the lesson, import its exercises and draw its figures, or say what prevents it."""
    file = read_lesson(lesson)
    if file.faults:
        first = file.faults[0]
        raise BuildFault(_at(file.path, first.line, first.sentence))
    try:
        exercises = lesson_exercises(lesson)
        refresh_bitmaps(lesson)
    except ExerciseFault as fault:
        raise BuildFault(str(fault)) from fault
    except FigureFault as error:
        raise BuildFault(_at(file.path, 1, str(error))) from error
    for block in file.blocks("exercise"):
        if block.argument not in exercises:
            sentence = f"The exercise `{block.argument}` is not defined in exercises.py."
            raise BuildFault(_at(file.path, block.line, sentence))
    return file


def _at(path: Path, line: int, sentence: str) -> str:
    return f"{places.shown(path)}:{line}: {sentence}"


# Without executing ------------------------------------------------------------------------------


def _renewed(file: LessonFile) -> Notebooks | None:
    """Make the notebooks from today's prose and the outputs kept; None if code has changed."""
    path = places.solution_notebook(file.lesson)
    if not path.is_file():
        return None
    kept = read_notebook(path)
    measured = Measured.of(kept)
    if measured.source_hash != source_hash(file):
        return None
    solution = solution_notebook(file, measured)
    ran, cells = _code(kept), _code(solution)
    if [cell.source for cell in ran] != [cell.source for cell in cells]:
        return None
    for old, new in zip(ran, cells, strict=True):
        new["outputs"], new["execution_count"] = old["outputs"], old["execution_count"]
    return _notebooks(file, measured, solution)


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _notebooks(file: LessonFile, measured: Measured, solution: NotebookNode) -> Notebooks:
    student = student_notebook(file, measured)
    return Notebooks(notebook_bytes(student), notebook_bytes(solution))


# Executing --------------------------------------------------------------------------------------


def _executed(file: LessonFile, advance: Advance) -> tuple[Notebooks, str]:
    """Run everything in the lesson: its predictions, its wrong snippets and its solution."""
    measured = Measured(source_hash(file), "", _right_letters(file), _messages(file))
    solution = solution_notebook(file, measured)
    total = len(_code(solution))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        advance(min(done, total), total)

    try:
        run = execute(solution, step)
        verify(solution)
    except FailedCell as failed:
        raise BuildFault(_failure(file, failed)) from failed
    measured = replace(measured, torch=run.torch)
    solution.metadata["firstlight"] = measured.metadata()
    told = f"executed in {run.seconds:.1f} s, {run.peak_bytes / 1e6:.0f} MB at most"
    return _notebooks(file, measured, solution), told


def _failure(file: LessonFile, failed: FailedCell) -> str:
    """Say where in the author's files a cell failed, and show what it said last."""
    data = failed.cell.metadata.get("firstlight", {})
    path, line = file.path, data.get("line", 1)
    what = "This cell raised an error:"
    if role(failed.cell) == "code":
        line += failed.line - 1
    elif role(failed.cell) == "starter":
        exercise = lesson_exercises(file.lesson)[data["exercise"]]
        path, line = exercise.path, exercise.line
    elif role(failed.cell) in ("check", "predict"):
        what = f"`{failed.cell.source}` is not passed by the solution:"
    return f"{_at(path, line, what)}\n{failed}"


def _right_letters(file: LessonFile) -> dict[str, str]:
    """Find the right option of every prediction by running its code."""
    letters = {}
    for name, prediction in lesson_predictions(file.lesson).items():
        try:
            letters[name] = prediction.right()
        except (PredictionFault, SyntaxError) as error:
            sentence = f"The prediction `{name}` cannot be decided: {error}"
            raise BuildFault(_at(file.path, prediction.line, sentence)) from error
    return letters


def _messages(file: LessonFile) -> dict[str, str]:
    """Run every goes-wrong snippet and keep what it said."""
    return {entry.snippet: _message(file, entry) for entries in file.entries() for entry in entries}


def _message(file: LessonFile, entry: Entry) -> str:
    try:
        said = message(run_code(entry.snippet))
    except SyntaxError as error:
        raise BuildFault(
            _at(file.path, entry.line, f"This snippet is no Python: {error}")
        ) from error
    if not said:
        sentence = "This goes-wrong snippet neither raises, nor warns, nor prints anything."
        raise BuildFault(_at(file.path, entry.line, sentence))
    return said


def message(outcome: Outcome) -> str:
    """What a reader would see: the error, or else the warnings, or else what was printed."""
    if outcome.error:
        return _COLOUR.sub("", f"{outcome.error.__name__}: {outcome.message}".strip())
    warned = [_INTERNAL.sub("", text) for text in outcome.warnings]
    return "\n".join(warned) or outcome.printed.strip()
