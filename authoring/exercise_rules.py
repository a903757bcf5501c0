"""The rules for a lesson's exercises, each a function that yields what breaks it.

To add a rule, write such a function and name it in `EXERCISE_RULES`.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from authoring.faults import FileFault
from authoring.lesson_file import LessonFile
from authoring.text_rules import banned_word, is_project
from firstlight.checking import Exercise, ExerciseFault, Misconception, lesson_exercises, source

Exercises = Mapping[str, Exercise]
Rule = Callable[[LessonFile, Exercises], Iterator[FileFault]]

MIN_HINTS = 2
TELLING = 20  # characters: a solution line this long gives the answer away wherever it stands

_PLACE = re.compile(r"(?P<path>.*?):(?P<line>\d+): (?P<sentence>.*)", re.DOTALL)


def read_exercises(file: LessonFile) -> tuple[Exercises, list[FileFault]]:
    """Import a lesson's exercises; what prevents it becomes a fault with its line."""
    path = file.lesson.folder / "exercises.py"
    if not path.is_file():
        return {}, [FileFault(path, 1, "The lesson has no exercises.py.")]
    try:
        return lesson_exercises(file.lesson), []
    except ExerciseFault as fault:
        return {}, [_placed(str(fault), path, fault)]
    except Exception as error:  # whatever a module may raise when it is imported
        sentence = f"Importing it raises {type(error).__name__}: {error}"
        return {}, [FileFault(path, _line_in(path, error), sentence)]


def _placed(message: str, path: Path, error: BaseException) -> FileFault:
    """Take a message that begins with file and line apart."""
    found = _PLACE.fullmatch(message)
    if not found:
        return FileFault(path, _line_in(path, error), _sentence(message))
    return FileFault(path, int(found["line"]), _sentence(found["sentence"]))


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _line_in(path: Path, error: BaseException) -> int:
    """The last line of the file that an error's traceback passes through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    return max((f.lineno or 1 for f in frames if Path(f.filename) == path), default=1)


def each_is_placed_once(file: LessonFile, exercises: Exercises) -> Iterator[FileFault]:
    """What is defined stands in the lesson, once, and what stands there is defined."""
    blocks = file.blocks("exercise")
    counts = Counter(block.argument for block in blocks)
    for block in blocks:
        if block.argument not in exercises:
            sentence = f"The exercise `{block.argument}` is not defined in exercises.py."
            yield FileFault(file.path, block.line, sentence)
        if counts[block.argument] > 1:
            counts[block.argument] = 0
            sentence = f"The exercise `{block.argument}` is placed more than once."
            yield FileFault(file.path, block.line, sentence)
    for exercise in exercises.values():
        if exercise.name not in counts:
            sentence = (
                f"`{exercise.name}` is placed nowhere; add `:::{{exercise}} {exercise.name}`."
            )
            yield _at(exercise, sentence)


def levels_fit_the_lesson(file: LessonFile, exercises: Exercises) -> Iterator[FileFault]:
    """A lesson has a bug clinic, a project has milestones."""
    levels = {exercise.level for exercise in exercises.values()}
    if is_project(file.lesson):
        if "milestone" not in levels:
            yield FileFault(file.path, 1, "The project has no milestone; add one to exercises.py.")
    elif "clinic" not in levels:
        yield FileFault(file.path, 1, "The lesson has no bug clinic; add one to exercises.py.")


def each_teaches(file: LessonFile, exercises: Exercises) -> Iterator[FileFault]:
    """An exercise says what is due, helps, and knows how people get it wrong."""
    for exercise in exercises.values():
        name = exercise.name
        if not exercise.order:
            yield _at(exercise, f"`{name}` has no docstring, which is the order to the student.")
        if len(exercise.hints) < MIN_HINTS:
            sentence = f"`{name}` has {len(exercise.hints)} hints; it needs at least {MIN_HINTS}."
            yield _at(exercise, sentence)
        if not exercise.misconceptions:
            yield _at(exercise, f"`{name}` has no misconception; add the mistakes people make.")
        if exercise.level == "clinic" and not any(m.starter for m in exercise.misconceptions):
            sentence = f"The bug clinic `{name}` has no misconception with `starter=True`."
            yield _at(exercise, sentence)


def misconceptions_refute(file: LessonFile, exercises: Exercises) -> Iterator[FileFault]:
    """A misconception has a name, says why the idea fails and what to try, and links to a section."""
    sections = {heading.anchor for heading in file.headings}
    for exercise in exercises.values():
        for mistake in exercise.misconceptions:
            for field in ("title", "why", "next"):
                if not getattr(mistake, field).strip():
                    sentence = f"The misconception `{mistake.id}` has no `{field}`."
                    yield _at_mistake(mistake, exercise, sentence)
            if mistake.link and mistake.link not in sections:
                sentence = (
                    f"The misconception `{mistake.id}` links to `{mistake.link}`, no section."
                )
                yield _at_mistake(mistake, exercise, sentence)


def no_word_belittles(file: LessonFile, exercises: Exercises) -> Iterator[FileFault]:
    """What a student reads after a mistake is held to the rules of the lesson's prose."""
    for exercise in exercises.values():
        texts = [exercise.order, exercise.why, *exercise.hints]
        texts += [a.note for a in exercise.alternatives]
        texts += [text for m in exercise.misconceptions for text in (m.title, m.why, m.next)]
        for word in filter(None, map(banned_word, texts)):
            sentence = f"The word “{word}” in `{exercise.name}` tells the reader nothing."
            yield _at(exercise, sentence)


def no_solution_survives(file: LessonFile, exercises: Exercises) -> Iterator[FileFault]:
    """No line of a solution stands in the student's notebook: not in its starter, nor elsewhere."""
    starters = {f"starter of {e.name}": e.starter for e in exercises.values()}
    cells = {f"cell at line {cell.line}": cell.source for cell in file.code_cells}
    for exercise in exercises.values():
        answer = solution_lines(exercise)
        for name, code in (starters | cells).items():
            lines = set(map(str.strip, code.splitlines()))
            for line in sorted(answer & lines):
                if name == f"starter of {exercise.name}" or len(line) >= TELLING:
                    sentence = f"This line of the solution is given away by the {name}: `{line}`."
                    yield _at(exercise, sentence)


def solution_lines(exercise: Exercise) -> set[str]:
    """The lines that a student must find: marked ones, or in a bug clinic those that mend it."""
    if exercise.level != "clinic":
        return set(source.solution_lines(source.plain(exercise.reference)))
    mended = set(map(str.strip, exercise.reference_source.splitlines()))
    shown = set(map(str.strip, exercise.starter.splitlines()))
    return {line for line in mended - shown if line and not line.startswith(("def ", "class "))}


def _at(exercise: Exercise, sentence: str) -> FileFault:
    return FileFault(exercise.path, exercise.line, sentence)


def _at_mistake(mistake: Misconception, exercise: Exercise, sentence: str) -> FileFault:
    return FileFault(exercise.path, inspect.getsourcelines(mistake.answer)[1], sentence)


EXERCISE_RULES: tuple[Rule, ...] = (
    each_is_placed_once,
    levels_fit_the_lesson,
    each_teaches,
    misconceptions_refute,
    no_word_belittles,
    no_solution_survives,
)
