"""Begin a lesson: its folder, with a text and exercises that build, and a list of what to write."""

from __future__ import annotations

from pathlib import Path

from authoring import places
from authoring.text_rules import is_project
from firstlight.course import Lesson, load_course

SKELETON = Path(__file__).parent / "skeleton"

_BOX = """\
:::{{from-foundations}} {number}
TODO: what the student knows from “{title}”, and where it comes back here.
:::

"""


class LessonExists(Exception):
    """The lesson's folder holds work already; nothing was written."""


def make_lesson(lesson: Lesson) -> list[Path]:
    """Write a lesson's first files and return their paths.

    The lesson checks and builds as it is; what is left to write is marked TODO, and `check` lists
    each one.

    Raises:
        LessonExists: if one of the files is there; nothing is ever overwritten.
    """
    files = {
        lesson.folder / "__init__.py": f'"""Lesson {lesson.position}: {lesson.title}."""\n',
        lesson.folder / "lesson.md": _filled("lesson.md.txt", lesson),
        lesson.folder / "exercises.py": _filled("exercises.py.txt", lesson),
    }
    for path in (lesson.folder / "lesson.md", lesson.folder / "exercises.py"):
        if path.exists():
            raise LessonExists(f"{places.shown(path)} exists already; nothing was written.")
    (lesson.folder / "figures").mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def _filled(name: str, lesson: Lesson) -> str:
    text = (SKELETON / name).read_text(encoding="utf-8")
    for key, value in _values(lesson).items():
        text = text.replace("{{" + key + "}}", value)
    return text


def _values(lesson: Lesson) -> dict[str, str]:
    """What differs from lesson to lesson; a project has milestones and no bug clinic."""
    project = is_project(lesson)
    foundations = [load_course().foundation(number) for number in lesson.foundations]
    return {
        "title": lesson.title,
        "name": lesson.folder.name,
        "foundations": "".join(_BOX.format(number=f.number, title=f.title) for f in foundations),
        "second_heading": "Milestones" if project else "Bug clinic",
        "first_level": "milestone" if project else "guided",
        "second_level": "milestone" if project else "clinic",
        "starter": "" if project else "\n    starter=True,",
    }
