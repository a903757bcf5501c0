"""Answer requests under `/course/`: the site's pages, and "open my notebook"."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from firstlight.course import Lesson, load_course
from firstlight.progress import exercise_states
from firstlight.serve.pages import (
    COMPRESSED,
    Link,
    add_app,
    compress,
    find_file,
    media_type,
    notice,
)
from firstlight.serve.workspace import Workspace


class CourseHandler(JupyterHandler):
    """What the course's handlers share: their place in the server, and how they answer."""

    def initialize(self, site: Path, workspace: Workspace) -> None:
        """Take the folders from the route."""
        self.site = site
        self.workspace = workspace

    def send(self, body: bytes, kind: str, status: int = 200) -> None:
        """Answer with `body`, compressed where the browser takes it; tornado adds the ETag."""
        self.set_status(status)
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-cache")  # ask again; unchanged is a 304
        self.set_header("Vary", "Accept-Encoding")
        accepts_gzip = "gzip" in self.request.headers.get("Accept-Encoding", "")
        if accepts_gzip and kind.startswith(COMPRESSED):
            self.set_header("Content-Encoding", "gzip")
            body = compress(body)
        self.finish(body)

    def send_notice(self, status: int, title: str, sentences: list[str], links: list[Link]) -> None:
        """Answer with a short page of the house."""
        page = notice(title, sentences, [*links, Link("The course's home page", self.course_url())])
        self.send(page.encode(), "text/html; charset=UTF-8", status)

    def course_url(self, rest: str = "") -> str:
        """Give the address of something under `/course/`."""
        return f"{self.base_url}course/{rest}"

    def lab_url(self, path: Path) -> str:
        """Give the address at which JupyterLab opens a file of the workspace."""
        inside = path.relative_to(self.workspace.folder).as_posix()
        return f"{self.base_url}lab/tree/{quote(inside)}"


class PageHandler(CourseHandler):
    """Serve the site, and tell its pages that they are at home: `window.firstlightApp`."""

    @web.authenticated
    def get(self, address: str) -> None:
        """Answer with a file of the site; JavaScript and pictures as they are."""
        path = find_file(self.site, address)
        if path is None:
            self.send_missing(address)
            return
        if path.name == "index.html" and address and not address.endswith(("/", "index.html")):
            self.redirect(self.course_url(f"{address}/"))
            return
        self.send_file(path)

    head = get

    def send_file(self, path: Path, status: int = 200, base: str = "") -> None:
        """Answer with one file; a page is first told about the student."""
        body = path.read_bytes()
        if path.suffix == ".html":
            body = add_app(body, self.describe_app(path), base)
        self.send(body, media_type(path), status)

    def send_missing(self, address: str) -> None:
        """Answer that there is no such page, with the site's own page for it if it has one."""
        if not (self.site / "index.html").is_file():
            sentences = [
                f"There are no pages in {self.site}.",
                "Build them with: python -m authoring site",
            ]
            self.send_notice(404, "The site is not built yet", sentences, [])
        elif (page := find_file(self.site, "404.html")) is not None:
            self.send_file(page, 404, base=self.course_url())
        else:
            sentences = [f"The course has no page “{address}”."]
            self.send_notice(404, "There is no such page", sentences, [])

    def describe_app(self, path: Path) -> dict[str, Any]:
        """Say what a page can offer here: the student's notebooks, JupyterLab, what is done.

        `open` is the address that opens the page's own notebook, or null on a page that has none;
        `notebooks` has that address for every notebook of the course.
        """
        notebooks = {
            lesson.name: self.course_url(f"open/{lesson.name}")
            for lesson in load_course().lessons
            if (self.workspace.originals / f"{lesson.name}.ipynb").is_file()
        }
        return {
            "open": next((notebooks[part] for part in _names(path) if part in notebooks), None),
            "notebooks": notebooks,
            "lab": f"{self.base_url}lab",
            "states": {
                name: {"passed": state.passed, "attempts": state.attempts}
                for name, state in exercise_states().items()
            },
        }


class OpenHandler(CourseHandler):
    """Open the student's own copy of a notebook in JupyterLab."""

    @web.authenticated
    def get(self, name: str) -> None:
        """Copy the notebook on the first opening; never touch the copy again."""
        lesson = next((known for known in load_course().lessons if known.name == name), None)
        if lesson is None:
            self.send_notice(
                404, "There is no such notebook", [f"The course has no notebook “{name}”."], []
            )
            return
        try:
            self.open(lesson)
        except FileNotFoundError:
            sentences = [f"The notebook of “{lesson.title}” is not part of the course yet."]
            self.send_notice(404, "This lesson is still to come", sentences, [])
        except OSError as error:
            sentences = [
                f"Your copy of the notebook could not be made: {error}.",
                f"It belongs in {self.workspace.folder}.",
            ]
            self.send_notice(500, "The notebook could not be copied", sentences, [])

    def open(self, lesson: Lesson) -> None:
        """Lead on to JupyterLab, or ask first which version the student wants."""
        choice = self.get_query_argument("version", "")
        if choice == "mine":
            self.redirect(self.lab_url(self.workspace.keep_mine(lesson.name)))
            return
        if choice == "new":
            self.redirect(self.lab_url(self.workspace.add_newer(lesson.name)))
            return
        opened = self.workspace.open(lesson.name)
        if opened.newer:
            self.offer_newer(lesson, opened.path)
        else:
            self.redirect(self.lab_url(opened.path))

    def offer_newer(self, lesson: Lesson, mine: Path) -> None:
        """Say that the course has another version now, and let the student choose."""
        address = self.course_url(f"open/{lesson.name}")
        sentences = [
            f"The course has another version of the notebook “{lesson.title}” than the one you "
            f"started from. Your work in {mine.name} is as you left it, and stays so.",
            "You can go on in your notebook, or take the new version as a second notebook beside it.",
        ]
        links = [
            Link("Go on in my notebook", f"{address}?version=mine"),
            Link("Open the new version beside it", f"{address}?version=new"),
        ]
        self.send_notice(200, "This notebook has been updated", sentences, links)


def _names(path: Path) -> list[str]:
    """The words of a page's path that may name its notebook, the nearest first."""
    return [path.stem, *(part.name for part in path.parents)]
