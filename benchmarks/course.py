"""Print the whole course as a table, one line a lesson, and execute each solution once for its cost.

    python -m benchmarks.course             # takes some minutes: every solution from nothing
    python -m benchmarks.course --no-runs   # counts only

Words are those of the prose: what stands outside code, links' addresses and exercises' orders.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from authoring.exercise_rules import read_exercises
from authoring.lesson_file import read_lesson
from benchmarks.notebooks import runs
from firstlight.course import Lesson, load_course

CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADER = re.compile(r"\A---.*?^---", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"[^\W\d_][\w'’-]*")
EXPLORER = re.compile(r"\bexplore\.(\w+)\(")


@dataclass(frozen=True)
class Row:
    """What one lesson holds; minutes are those the plan gives a student."""

    lesson: str
    exercises: int
    misconceptions: int
    predictions: int
    explorers: int
    words: int
    minutes: int


def row_of(lesson: Lesson) -> Row:
    """Count what a lesson holds."""
    file = read_lesson(lesson)
    exercises, _ = read_exercises(file)
    prose = re.sub(r"\]\([^)]*\)", "]", CODE.sub("", HEADER.sub("", file.text)))
    code = "\n".join(cell.source for cell in file.code_cells)
    return Row(
        lesson=f"{lesson.position} {lesson.title}",
        exercises=len(exercises),
        misconceptions=sum(len(one.misconceptions) for one in exercises.values()),
        predictions=len(file.blocks("predict")),
        explorers=len(set(EXPLORER.findall(code))),
        words=len(WORD.findall(prose)),
        minutes=lesson.minutes,
    )


def table(rows: Sequence[Row], costs: dict[str, tuple[str, str]]) -> Table:
    """Draw the rows and their sums."""
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("Lesson", no_wrap=True)
    for name in (*Row.__dataclass_fields__, "execution", "memory"):
        if name != "lesson":
            drawn.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        title, *counts = astuple(row)
        drawn.add_row(title, *(f"{n:,}" for n in counts), *costs.get(title, ("", "")))
    sums = [sum(column) for column in zip(*(astuple(row)[1:] for row in rows), strict=True)]
    drawn.add_section()
    drawn.add_row(f"{len(rows)} lessons", *(f"{n:,}" for n in sums), *costs.get("", ("", "")))
    return drawn


def main() -> None:
    """Count, execute if asked, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.course", description=__doc__)
    parser.add_argument("--no-runs", action="store_true", help="do not execute the solutions")
    asked = parser.parse_args()
    lessons = [lesson for lesson in load_course().lessons if lesson.exists]
    rows = [row_of(lesson) for lesson in lessons]
    costs: dict[str, tuple[str, str]] = {}
    if not asked.no_runs:
        found = runs()
        for lesson, row in zip(lessons, rows, strict=True):
            run = found[lesson.name]
            costs[row.lesson] = f"{run.seconds:.1f} s", f"{run.peak_bytes / 1e9:.2f} GB"
        most = max(run.peak_bytes for run in found.values())
        costs[""] = (
            f"{sum(run.seconds for run in found.values()):.1f} s",
            f"{most / 1e9:.2f} GB",
        )
    Console(width=140).print(table(rows, costs))


if __name__ == "__main__":
    main()
