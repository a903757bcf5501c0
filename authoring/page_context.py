"""What the templates know beside a page's text: the path through the course, and where one is."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bs4 import BeautifulSoup

from firstlight import __version__
from firstlight.checking import check_object, lesson_exercises
from firstlight.checking.exercise import Exercise
from firstlight.course import Course, Foundation, Lesson, load_course

IMAGE = re.compile(r'<img (?P<rest>[^>]*?src="(?P<src>[^"]+)"[^>]*)>')
VIEW_BOX = re.compile(r'viewBox="[\d.-]+ [\d.-]+ (?P<width>[\d.]+) (?P<height>[\d.]+)"')
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

PathTo = Callable[[str], str]


@dataclass(frozen=True)
class Step:
    """A lesson or refresher as the navigation shows it; `href` is empty while it is to come."""

    label: str
    title: str
    href: str
    here: bool
    dawn: int = 0
    description: str = ""
    minutes: int = 0
    exercises: str = ""
    name: str = ""


@dataclass(frozen=True)
class Example:
    """A real answer of a real check, for the home page."""

    exercise: str
    lesson: int
    code: str
    headline: str
    sections: tuple[tuple[str, str], ...]


def page_context(docname: str, path_to: PathTo, torch_version: str = "") -> dict[str, Any]:
    """Gather what the templates show on one page."""
    course = load_course()
    modules = [
        (module, [lesson_step(lesson, docname, path_to) for lesson in module.lessons])
        for module in course.modules
    ]
    refreshers = [
        foundation_step(foundation, docname, path_to)
        for foundation in course.foundations
        if foundation.exists
    ]
    steps = [step for _, steps in modules for step in steps]
    before, after = neighbours(steps) or neighbours(refreshers) or (None, None)
    here = next((step for step in steps if step.here), None)
    return {
        "course": course,
        "modules": modules,
        "steps": steps,
        "refreshers": refreshers,
        "here": here,
        "before": before,
        "after": after,
        "report_url": report_url(course, docname, torch_version),
        "repository_url": f"https://github.com/{course.repository}",
        "course_version": __version__,
    }


def lesson_step(lesson: Lesson, docname: str, path_to: PathTo) -> Step:
    """Make a lesson's step on the path; its place in the course is its place in the dawn."""
    exercises = " ".join(lesson_exercises(lesson)) if lesson.exists else ""
    return Step(
        label=str(lesson.position),
        title=lesson.title,
        href=path_to(lesson.name) if lesson.exists else "",
        here=lesson.name == docname,
        dawn=lesson.position,
        description=lesson.description,
        minutes=lesson.minutes,
        exercises=exercises,
        name=lesson.name,
    )


def foundation_step(foundation: Foundation, docname: str, path_to: PathTo) -> Step:
    """Make a refresher's step."""
    page = f"foundations/{foundation.slug}"
    return Step(foundation.number, foundation.title, path_to(page), page == docname)


def neighbours(steps: list[Step]) -> tuple[Step | None, Step | None] | None:
    """What comes before and after the page among these steps; None if it is not among them."""
    for position, step in enumerate(steps):
        if step.here:
            before = steps[position - 1] if position else None
            after = steps[position + 1] if position + 1 < len(steps) else None
            return before, after
    return None


def report_url(course: Course, docname: str, torch_version: str = "") -> str:
    """The address of a GitHub issue that already says where the mistake is and which versions."""
    versions = f"Firstlight {__version__}" + (f", torch {torch_version}" if torch_version else "")
    body = f"Page: {docname}\nSection: \nVersions: {versions}\n\nWhat is wrong, and what should it say?\n"
    title = f"Mistake on {docname}"
    return (
        f"https://github.com/{course.repository}/issues/new?title={quote(title)}&body={quote(body)}"
    )


@cache
def example(exercise_name: str, mistake_name: str) -> Example | None:
    """Run a check on one of its known mistakes; None where the exercise is not written yet."""
    for lesson in load_course().lessons:
        exercise = lesson_exercises(lesson).get(exercise_name) if lesson.exists else None
        if exercise and any(mistake.id == mistake_name for mistake in exercise.misconceptions):
            return _example(exercise, mistake_name)
    return None


def _example(exercise: Exercise, mistake_name: str) -> Example:
    mistake = exercise.mistake(mistake_name)
    verdict = check_object(exercise, mistake.answer)
    code = mistake.source.replace(f"def {mistake.id}(", f"def {exercise.name}(").strip()
    sections = tuple(part for part in verdict.sections if part[0] != "Read again")
    return Example(exercise.name, exercise.lesson.position, code, verdict.headline, sections)


def contents(toc: str) -> str:
    """Reduce Sphinx's table of contents to the page's sections, without the title around them.

    An exercise goes by its name alone.
    """
    soup = BeautifulSoup(toc, "html.parser")
    inner = soup.select_one("li > ul")
    for link in soup.select("a[href^='#exercise-']"):
        name = link.code
        if name is not None:
            link["class"] = "todo"
            link.contents[0].replace_with("")
    return str(inner) if inner else ""


def with_image_sizes(body: str, folder: Path, sources: dict[str, str]) -> str:
    """Say how large each picture is, so that the page does not jump while it loads.

    `sources` maps the file names of the site's pictures to their places in `folder`.
    """

    def sized(found: re.Match[str]) -> str:
        source = folder / sources.get(Path(found["src"]).name, "")
        size = image_size(source) if source.is_file() else None
        if size is None or "width=" in found["rest"]:
            return found[0]
        return f'<img width="{size[0]}" height="{size[1]}" loading="lazy" {found["rest"]}>'

    return IMAGE.sub(sized, body)


def image_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG or SVG file in CSS pixels; None where they are not told."""
    data = path.read_bytes()
    if data.startswith(PNG_SIGNATURE):
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    found = VIEW_BOX.search(data.decode("utf-8", "replace"))
    return (round(float(found["width"])), round(float(found["height"]))) if found else None
