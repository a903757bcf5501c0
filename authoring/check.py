"""Say in full sentences what is missing from the lessons or wrong with them; static and quick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from authoring import places
from authoring.exercise_rules import EXERCISE_RULES, read_exercises
from authoring.faults import FileFault
from authoring.lesson_file import LessonFile, read_lesson
from authoring.text_rules import TEXT_RULES
from firstlight import course
from firstlight.course import Lesson, load_course

_TODO = "TODO"


@dataclass(frozen=True)
class Report:
    """What a check has found."""

    lessons: int
    exercises: int
    misconceptions: int
    faults: tuple[FileFault, ...]

    def __str__(self) -> str:
        counts = (
            (self.lessons, "lesson"),
            (self.exercises, "exercise"),
            (self.misconceptions, "misconception"),
            (len(self.faults), "fault"),
        )
        line = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
        return "\n".join([*map(str, self.faults), line])


def check_lessons(lessons: Sequence[Lesson]) -> Report:
    """Check lessons that exist, and the plan as a whole."""
    faults = list(_plan_faults())
    exercises = misconceptions = 0
    for lesson in lessons:
        file = read_lesson(lesson)
        found, wrong = read_exercises(file)
        exercises += len(found)
        misconceptions += sum(len(e.misconceptions) for e in found.values())
        faults += [*_text_faults(file), *wrong, *_left_to_do(lesson)]
        if not wrong and not file.faults:
            for rule in EXERCISE_RULES:
                faults += rule(file, found)
    faults += _clashes(lessons)
    return Report(len(lessons), exercises, misconceptions, tuple(sorted(set(faults))))


def _text_faults(file: LessonFile) -> Iterator[FileFault]:
    for rule in TEXT_RULES:
        for fault in rule(file):
            yield FileFault(file.path, fault.line, fault.sentence)


def _plan_faults() -> Iterator[FileFault]:
    """Every folder of a lesson is in the plan and has its text."""
    planned = {lesson.folder.name: lesson for lesson in load_course().lessons}
    for folder in sorted((course.PACKAGE / "lessons").iterdir()):
        if not folder.is_dir() or folder.name.startswith(("_", ".")):
            continue
        if folder.name not in planned:
            yield FileFault(folder, 1, "No lesson in course.toml has this folder.")
        elif not planned[folder.name].exists:
            yield FileFault(folder / "lesson.md", 1, "The lesson's folder has no lesson.md.")


def _clashes(lessons: Sequence[Lesson]) -> Iterator[FileFault]:
    """Names of predictions and of exercises are unique over the course."""
    first: dict[tuple[str, str], FileFault] = {}
    for lesson in filter(lambda lesson: lesson.exists, load_course().lessons):
        file = read_lesson(lesson)
        for block in (*file.blocks("predict"), *file.blocks("exercise")):
            here = FileFault(file.path, block.line, "")
            there = first.setdefault((block.name, block.argument), here)
            twice_here = block.name == "exercise" and there.path == here.path  # a rule of its own
            if there != here and not twice_here and lesson in lessons:
                place = f"{places.shown(there.path)}:{there.line}"
                sentence = f"The name `{block.argument}` is taken at {place}; choose another."
                yield FileFault(file.path, block.line, sentence)


def _left_to_do(lesson: Lesson) -> Iterator[FileFault]:
    """What `authoring new` left for the author to write."""
    for path in (lesson.folder / "lesson.md", lesson.folder / "exercises.py"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, start=1):
                if _TODO in line:
                    rest = line.partition(_TODO)[2].strip(" :\"',") or "write this part"
                    yield FileFault(path, number, f"Still to do: {rest.rstrip('.')}.")
