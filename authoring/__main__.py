"""The author's commands: `python -m authoring new | check | build | preview | site`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from firstlight.course import Lesson, load_course


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    asked = _parser().parse_args(arguments)
    _leave_out_grammar()
    try:
        return int(asked.run(asked))
    except KeyboardInterrupt:
        return 130


def _leave_out_grammar() -> None:
    """Spare each command 0.8 s: a grammar of addresses that no notebook of ours holds.

    nbformat imports jsonschema, and jsonschema compiles the grammar where the package is installed.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: not installed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m authoring", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    new = commands.add_parser("new", help="begin a lesson of the plan")
    new.add_argument("lesson", metavar="SLUG", type=_lesson)
    new.set_defaults(run=_new)

    check = commands.add_parser("check", help="say what is missing or wrong; static and quick")
    check.add_argument("lesson", metavar="SLUG", type=_lesson, nargs="?")
    check.set_defaults(run=_check)

    build = commands.add_parser("build", help="make the notebooks; execute what has changed")
    build.add_argument("lesson", metavar="SLUG", type=_lesson, nargs="?")
    build.add_argument("--force", action="store_true", help="execute even if nothing has changed")
    build.set_defaults(run=_build)

    preview = commands.add_parser("preview", help="serve the site, rebuild on save, reload")
    preview.add_argument("--port", type=int, default=8765)
    preview.set_defaults(run=_preview)

    site = commands.add_parser("site", help="build the site from the committed solutions")
    site.add_argument("--keep-going", action="store_true", help="build despite warnings")
    site.set_defaults(run=_site)
    return parser


def _lesson(slug: str) -> Lesson:
    try:
        return load_course().lesson(slug)
    except KeyError as unknown:
        raise argparse.ArgumentTypeError(unknown.args[0]) from unknown


def _written(asked: argparse.Namespace) -> list[Lesson]:
    """The lesson that was named, or all that exist."""
    lessons = [asked.lesson] if asked.lesson else load_course().lessons
    for lesson in lessons:
        if asked.lesson and not lesson.exists:
            hint = f"Begin it with `python -m authoring new {lesson.slug}`."
            sys.exit(f"{lesson.title} is not written yet. {hint}")
    return [lesson for lesson in lessons if lesson.exists]


def _new(asked: argparse.Namespace) -> int:
    from authoring import places
    from authoring.new import LessonExists, make_lesson

    try:
        written = make_lesson(asked.lesson)
    except LessonExists as exists:
        sys.exit(str(exists))
    for path in written:
        print(f"wrote {places.shown(path)}")
    print(f"What is left to write: python -m authoring check {asked.lesson.slug}")
    return 0


def _check(asked: argparse.Namespace) -> int:
    from authoring.check import check_lessons

    report = check_lessons(_written(asked))
    print(report)
    return 1 if report.faults else 0


def _build(asked: argparse.Namespace) -> int:
    from rich.console import Console

    from authoring.build import build_lessons

    return 0 if build_lessons(_written(asked), force=asked.force, console=Console()) else 1


def _preview(asked: argparse.Namespace) -> int:
    from authoring.preview import preview

    preview(asked.port)
    return 0


def _site(asked: argparse.Namespace) -> int:
    from authoring.pages import StaleSolution
    from authoring.site import SiteFault, build_site

    try:
        build_site(strict=not asked.keep_going)
    except (SiteFault, StaleSolution) as fault:
        sys.exit(str(fault))
    return 0


if __name__ == "__main__":
    sys.exit(main())
