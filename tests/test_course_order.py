"""No lesson uses a term or a part of PyTorch before the plan's lesson that introduces it."""

from __future__ import annotations

import re

import pytest

from firstlight.checking import lesson_exercises
from firstlight.course import Lesson, load_course

LESSONS = load_course().lessons
WRITTEN = [lesson for lesson in LESSONS if lesson.exists]
INTRODUCED = [(lesson, name) for lesson in WRITTEN for name in lesson.introduces]
FENCE = re.compile(r"^(`{3,})[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


def text(lesson: Lesson) -> str:
    return (lesson.folder / "lesson.md").read_text(encoding="utf-8")


def code(lesson: Lesson) -> str:
    """All that runs on a page, and what a student is shown of each exercise."""
    cells = [match[2] for match in FENCE.finditer(text(lesson))]
    shown = [
        part
        for exercise in lesson_exercises(lesson).values()
        for part in (exercise.order, exercise.starter, exercise.reference_source)
    ]
    return "\n".join([*cells, *shown])


def paragraphs(lesson: Lesson) -> list[str]:
    """The prose, in pieces that are read together; front matter and code left out."""
    body = text(lesson).split("---\n", 2)[2]
    return re.split(r"\n\s*\n", FENCE.sub("\n\n", body))


def names(name: str) -> re.Pattern[str]:
    """Find a name as a whole: `Subset` is not found in `Subsets of it`, `no_grad` is in `torch.no_grad()`."""
    plain = name.islower() and name.replace(" ", "").isalpha()
    return re.compile(rf"(?<![\w]){re.escape(name)}(?!\w)", re.IGNORECASE if plain else 0)


def points_ahead(paragraph: str, place: Lesson) -> bool:
    """Whether a paragraph says where to read on: `lesson 6`, or a link to a lesson."""
    later = {str(lesson.position) for lesson in LESSONS if lesson.position > place.position}
    numbers = set(re.findall(r"[Ll]essons? (\d+)", paragraph))
    return bool(numbers & later) or "lesson:" in paragraph


def test_every_lesson_introduces_something_and_nothing_twice() -> None:
    everything = [name for lesson in LESSONS for name in lesson.introduces]
    assert all(lesson.introduces for lesson in LESSONS)
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize(
    ("lesson", "name"), INTRODUCED, ids=lambda part: getattr(part, "slug", part)
)
def test_what_a_lesson_introduces_stands_in_it(lesson: Lesson, name: str) -> None:
    assert names(name).search(text(lesson)), name


@pytest.mark.parametrize(
    ("lesson", "name"), INTRODUCED, ids=lambda part: getattr(part, "slug", part)
)
def test_nothing_is_used_before_it_is_introduced(lesson: Lesson, name: str) -> None:
    for earlier in WRITTEN[: WRITTEN.index(lesson)]:
        assert not names(name).search(code(earlier)), f"the code of {earlier.title} uses {name}"
        for paragraph in paragraphs(earlier):
            used = names(name).search(paragraph)
            assert not used or points_ahead(paragraph, earlier), f"{earlier.title}: {paragraph}"
