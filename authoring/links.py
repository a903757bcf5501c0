"""Follow a lesson's own links: `lesson:autograd`, `foundation:1.3.4` and `#section`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from authoring.lesson_file import read_lesson
from authoring.markdown import outside_code, without_code
from firstlight.course import Course, Lesson, load_course

_LINK = re.compile(
    r"\]\((?:(?P<kind>lesson|foundation):(?P<target>[^)#\s]+))?(?:#(?P<section>[^)\s]+))?\)"
)


@dataclass(frozen=True)
class Link:
    """A link to a lesson, a refresher, or, with an empty kind, a section of the same page."""

    kind: str
    target: str
    section: str
    line: int


def links(text: str, line: int = 1) -> Iterator[Link]:
    """Yield the course's own links in a Markdown text that begins on `line`."""
    plain = without_code(text)
    for found in _LINK.finditer(plain):
        if found["kind"] or found["section"]:
            at = line + plain.count("\n", 0, found.start())
            yield _link(found, at)


def published_site(course: Course) -> str:
    """The address of the published site, ending in a slash."""
    user, repository = course.repository.split("/")
    return f"https://{user}.github.io/{repository}/"


def with_published_links(text: str, lesson: Lesson) -> str:
    """Point the links at the published site, where a notebook's reader finds them from anywhere."""
    return _with_links(text, lambda link: published_url(link, lesson))


def published_url(link: Link, lesson: Lesson) -> str:
    """The address of a link's target; a section of the lesson itself is on its published page.

    A lesson that is still to come is linked to the home page.
    """
    course = load_course()
    site = published_site(course)
    if link.kind == "foundation":
        return f"{site}foundations/{course.foundation(link.target).slug}.html"
    if link.kind == "lesson":
        lesson = course.lesson(link.target)
    return f"{site}{lesson.name}.html{_anchor(lesson, link.section)}" if lesson.exists else site


def with_page_links(text: str, up: str = "") -> str:
    """Point the links at the sources of the site's pages, for Sphinx to follow and to check.

    A lesson that is still to come is linked to the home page. `up` leads from the page's folder to
    the site's root, such as `../`.
    """
    return _with_links(text, lambda link: _page_source(link, up))


def _page_source(link: Link, up: str) -> str:
    section = f"#{link.section}" if link.section else ""
    if not link.kind:
        return section
    course = load_course()
    if link.kind == "foundation":
        return f"{up}foundations/{course.foundation(link.target).slug}.md{section}"
    lesson = course.lesson(link.target)
    return f"{up}{lesson.name}.ipynb{section}" if lesson.exists else f"{up}index.md"


def _with_links(text: str, target: Callable[[Link], str]) -> str:
    def change(found: re.Match[str]) -> str:
        if not (found["kind"] or found["section"]):
            return found[0]
        return f"]({target(_link(found, 0))})"

    return outside_code(text, lambda prose: _LINK.sub(change, prose))


def _link(found: re.Match[str], line: int) -> Link:
    return Link(found["kind"] or "", found["target"] or "", found["section"] or "", line)


def _anchor(lesson: Lesson, section: str) -> str:
    """The section's place in the page's HTML, which docutils spells in its own way."""
    for heading in read_lesson(lesson).headings if section else ():
        if heading.slug == section:
            return f"#{heading.anchor}"
    return ""
