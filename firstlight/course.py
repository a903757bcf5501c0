"""The plan of the course, read from `course.toml`: modules, lessons and what they build on."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Foundation:
    """A lesson of Series 1 that this course builds on, kept here as a one-page refresher."""

    number: str
    slug: str
    title: str

    @property
    def path(self) -> Path:
        """Where the refresher's text lies, whether or not it is written yet."""
        return PACKAGE / "foundations" / f"{self.slug}.md"

    @property
    def exists(self) -> bool:
        """Whether the refresher is written."""
        return self.path.is_file()


@dataclass(frozen=True)
class Lesson:
    """One lesson of the plan: a folder under `lessons/`, a notebook and a page.

    `introduces` holds the terms and the parts of PyTorch that the lesson is the first to explain.
    """

    series: int
    module: int
    number: int
    position: int
    slug: str
    title: str
    description: str
    minutes: int
    foundations: tuple[str, ...]
    gpu: bool
    repository: str
    introduces: tuple[str, ...]

    @property
    def name(self) -> str:
        """The notebook's and the page's name, such as `2-1-1-tensors`."""
        return f"{self.series}-{self.module}-{self.number}-{self.slug}"

    @property
    def folder(self) -> Path:
        """The one folder that holds all of the lesson."""
        return PACKAGE / "lessons" / self.slug.replace("-", "_")

    @property
    def package(self) -> str:
        """The import name of the lesson's folder."""
        return f"firstlight.lessons.{self.slug.replace('-', '_')}"

    @property
    def exists(self) -> bool:
        """Whether the lesson is written; the others are shown as coming."""
        return (self.folder / "lesson.md").is_file()

    def section_title(self, slug: str) -> str:
        """Return the heading whose link is `#slug`; the slug in words if there is none."""
        text = (self.folder / "lesson.md").read_text(encoding="utf-8") if self.exists else ""
        for title in re.findall(r"^#{2,4} (.+)$", text, re.MULTILINE):
            if re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") == slug:
                return str(title)
        return slug.replace("-", " ")

    @property
    def colab_url(self) -> str:
        """The address that opens the student notebook in Google Colab."""
        return (
            f"https://colab.research.google.com/github/{self.repository}"
            f"/blob/main/notebooks/{self.name}.ipynb"
        )


@dataclass(frozen=True)
class Module:
    """A group of lessons."""

    number: int
    title: str
    lessons: tuple[Lesson, ...]


@dataclass(frozen=True)
class Course:
    """The whole plan."""

    title: str
    subtitle: str
    series: int
    series_title: str
    repository: str
    modules: tuple[Module, ...]
    foundations: tuple[Foundation, ...]

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """All lessons, in the order they are taken."""
        return tuple(lesson for module in self.modules for lesson in module.lessons)

    def lesson(self, slug: str) -> Lesson:
        """Find a lesson by its slug (`tensors`) or its name (`2-1-1-tensors`).

        Raises:
            KeyError: if the plan has no such lesson; the message lists those it has.
        """
        for lesson in self.lessons:
            if slug in (lesson.slug, lesson.name):
                return lesson
        known = ", ".join(lesson.slug for lesson in self.lessons)
        raise KeyError(f"the plan has no lesson {slug!r}; it has {known}")

    def foundation(self, number: str) -> Foundation:
        """Find a Series 1 lesson by its number, such as `1.3.4`.

        Raises:
            KeyError: if the plan names no such lesson.
        """
        for foundation in self.foundations:
            if foundation.number == number:
                return foundation
        raise KeyError(f"the plan has no Foundations lesson {number!r}")


def _read_lesson(entry: dict[str, Any], plan: dict[str, Any], module: int, position: int) -> Lesson:
    return Lesson(
        series=plan["series"],
        module=module,
        number=entry["number"],
        position=position,
        slug=entry["slug"],
        title=entry["title"],
        description=entry["description"],
        minutes=entry["minutes"],
        foundations=tuple(entry["foundations"]),
        gpu=entry.get("gpu", False),
        repository=plan["repository"],
        introduces=tuple(entry["introduces"]),
    )


@cache
def load_course(path: Path = PACKAGE / "course.toml") -> Course:
    """Read the plan; the same object on every call."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    plan = raw["course"]
    modules = []
    position = 0
    for entry in raw["module"]:
        lessons = []
        for lesson in entry["lesson"]:
            position += 1
            lessons.append(_read_lesson(lesson, plan, entry["number"], position))
        modules.append(Module(entry["number"], entry["title"], tuple(lessons)))
    return Course(
        title=plan["title"],
        subtitle=plan["subtitle"],
        series=plan["series"],
        series_title=plan["series_title"],
        repository=plan["repository"],
        modules=tuple(modules),
        foundations=tuple(Foundation(**entry) for entry in raw["foundation"]),
    )
