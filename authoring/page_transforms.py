"""Finish a page's doctree: its header, the way from a section to the notebook, outputs that fit."""

from __future__ import annotations

import gzip
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from authoring.page_blocks import element, icon
from firstlight.course import Foundation, Lesson, load_course

logger = logging.getLogger(__name__)

# An explorer's data beyond this many characters goes into a file that loads when it is scrolled
# to, and a file beyond this many compressed bytes loads only when the reader asks for it.
LARGEST_INLINE = 50_000
LARGEST_UNASKED = 25_000

EXPLORER_DATA = re.compile(
    r'(?P<open><script type="application/json">)(?P<json>.*?)</script>', re.S
)
EXPLORER_CODE = re.compile(
    r'<script type="module">\n(?P<code>.*)\nmount\("(?P<key>\w+)", render\);\n</script>', re.S
)
EXPLORER_NAME = re.compile(r'data-explorer="(?P<name>\w+)"')
# Calls that give a plot its words: ax.set_title("loss"), plt.xlabel("step").
PLOT_WORDS = re.compile(r'\.(?:set_)?(?:sup|fig_?)?(?:title|xlabel|ylabel)\(\s*f?"([^"{}]+)"')


ERROR_LINE = re.compile(r"^\w*(?:Error|Exception|Warning): \S", re.MULTILINE)


def lesson_of(docname: str) -> Lesson | None:
    """The lesson that a page belongs to."""
    return next((lesson for lesson in load_course().lessons if lesson.name == docname), None)


def refresher_of(docname: str) -> Foundation | None:
    """The refresher that a page holds."""
    slug = docname.removeprefix("foundations/")
    if slug == docname:
        return None
    return next((f for f in load_course().foundations if f.slug == slug), None)


class LessonTop(SphinxPostTransform):
    """Put a page's place in the course above its title, and the ways to its notebook below."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Add both."""
        lesson = lesson_of(self.env.docname)
        refresher = refresher_of(self.env.docname)
        title = next(self.document.findall(nodes.title), None)
        if title is None:
            return
        section = title.parent
        if lesson is not None:
            section.insert(section.index(title) + 1, _below(lesson))
            section.insert(section.index(title), _above(lesson))
        elif refresher is not None:
            section.insert(section.index(title), _above_refresher(refresher))


def _above(lesson: Lesson) -> nodes.Node:
    course = load_course()
    module = next(m for m in course.modules if m.number == lesson.module)
    place = f"Lesson {lesson.position} of {len(course.lessons)}"
    return element(
        "p",
        element("span", place),
        " ",
        element("span", f"Module {module.number}: {module.title}"),
        " ",
        element("span", f"{lesson.minutes} minutes"),
        class_="eyebrow",
    )


def _above_refresher(refresher: Foundation) -> nodes.Node:
    return element(
        "p",
        element("span", f"From Foundations {refresher.number}"),
        element("span", "A refresher on one page"),
        class_="eyebrow",
    )


def _below(lesson: Lesson) -> nodes.Node:
    notebook = f"https://github.com/{lesson.repository}/raw/main/notebooks/{lesson.name}.ipynb"
    return element(
        "div",
        element("p", lesson.description, class_="lede"),
        element(
            "ul",
            element(
                "li",
                element("a", icon("notebook"), "Open my notebook", class_="open-mine", href="#"),
                class_="mine", hidden=True,
            ),
            element("li", element("a", icon("colab"), "Open in Colab", href=lesson.colab_url)),
            element("li", element("a", icon("download"), "Download notebook", href=notebook)),
            class_="ways",
        ),
        class_="lesson-top",
    )  # fmt: skip


class NotebookLinks(SphinxPostTransform):
    """Give every section of a lesson a link to its cell in the notebook."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Add the links."""
        path = Path(self.env.doc2path(self.env.docname)).with_suffix(".json")
        if lesson_of(self.env.docname) is None or not path.is_file():
            return
        kept = json.loads(path.read_text(encoding="utf-8"))["sections"]
        sections = {section["anchor"]: section for section in kept}
        for title in self.document.findall(nodes.title):
            facts = next((sections[i] for i in title.parent["ids"] if i in sections), None)
            if facts is not None:
                title += element(
                    "a", icon("notebook"), href=facts["colab"], class_="to-notebook",
                    data_cell=facts["cell"], title="This section in Colab",
                    aria_label=f"Open “{facts['title']}” in Colab",
                )  # fmt: skip


class PicturesInWords(SphinxPostTransform):
    """Give the pictures that cells drew a text, and demand one of all others."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Fill in the texts."""
        for image in self.document.findall(nodes.image):
            cell = _enclosing_cell(image)
            if cell is not None and not image.get("alt"):
                image["alt"] = plot_words("".join(code.astext() for code in _sources(cell)))
            elif not image.get("alt"):
                logger.warning(
                    "This figure has no `:alt:` text.", location=image, type="firstlight"
                )


def _enclosing_cell(node: nodes.Node) -> nodes.Element | None:
    parent = node.parent
    while parent is not None and "cell" not in parent.get("classes", ()):
        parent = parent.parent
    return parent


def _sources(cell: nodes.Element) -> list[nodes.literal_block]:
    inputs = (part for part in cell.children if "cell_input" in part.get("classes", ()))
    return [code for part in inputs for code in part.findall(nodes.literal_block)]


def plot_words(source: str) -> str:
    """Describe a plot by the words that its code put on it.

    >>> plot_words('ax.set_title("Loss")')
    'Picture drawn by the code above, with the words: Loss.'
    """
    words = list(dict.fromkeys(PLOT_WORDS.findall(source)))
    said = f", with the words: {'; '.join(words)}" if words else ""
    return f"Picture drawn by the code above{said}."


class LinksToCome(SphinxPostTransform):
    """Say of a link to a lesson that is not written yet, which leads home, that it is to come."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Add a word to each."""
        titles = {lesson.title for lesson in load_course().lessons if not lesson.exists}
        for link in list(self.document.findall(nodes.reference)):
            home = link.get("refuri", "").rpartition("/")[2].startswith("index.html")
            if home and link.astext() in titles:
                link.parent.insert(link.parent.index(link) + 1, nodes.Text(" (still to come)"))


class ErrorsInOutputs(SphinxPostTransform):
    """Mark outputs that hold an error message: it is one long line, and it wraps."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Mark them."""
        for block in self.document.findall(nodes.literal_block):
            if "output" in block.get("classes", ()) and ERROR_LINE.search(block.astext()):
                block["classes"].append("says-error")


class SharedExplorers(SphinxPostTransform):
    """Move the code of explorers, and data that are large, into files that pages share.

    The files are plain scripts, not modules, so that a page opened from the disk works, too.
    """

    default_priority = 20
    formats = ("html",)
    out: ClassVar[Path]  # the site's folder

    def run(self, **kwargs: Any) -> None:
        """Rewrite every explorer on the page."""
        self.loaded: set[str] = set()
        for raw in list(self.document.findall(nodes.raw)):
            found = EXPLORER_CODE.search(raw.astext()) if "html" in raw["format"] else None
            if found:
                text = self.rewritten(raw.astext(), found)
                raw.children = [nodes.Text(text)]
                raw.rawsource = text

    def rewritten(self, html: str, found: re.Match[str]) -> str:
        """Put references where the code and large data were."""
        named = EXPLORER_NAME.search(html)
        name = named["name"] if named else "explorer"
        script = self.write(name, explorer_script(found["code"]))
        load = "" if script in self.loaded else f'<script src="{script}" defer></script>\n'
        self.loaded.add(script)
        key, data = found["key"], EXPLORER_DATA.search(html)
        call = f'firstlightExplorers["{script}"].showWhenNear("{key}");'
        # A `src` can be told only by the script itself, so it registers under its own address.
        if data and len(data["json"]) > LARGEST_INLINE:
            file = self.write(name, data_script(key, data["json"]))
            size = len(gzip.compress(data["json"].encode()))
            how = (
                f'showWhenNear("{key}", "{file}")'
                if size <= LARGEST_UNASKED
                else f'showOnRequest("{key}", "{file}", "{size / 1e6:.1f} MB")'
            )
            call = f'firstlightExplorers["{script}"].{how};'
            html = html.replace(data[0], f"{data['open']}</script>", 1)
        return html.replace(found[0], f'{load}<script type="module">{call}</script>', 1)

    def write(self, name: str, text: str) -> str:
        """Write a file named by its content and return its address as the page sees it."""
        digest = sha256(text.encode()).hexdigest()[:10]
        path = self.out / "_explorers" / f"{name}-{digest}.js"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return f"{'../' * self.env.docname.count('/')}_explorers/{path.name}"


def explorer_script(code: str) -> str:
    """Wrap an explorer's module into a script that registers it under its own address."""
    return f"""\
(() => {{
"use strict";
const address = document.currentScript.getAttribute("src");
{code}
const show = (key) => mount(key, render);
const place = (key) => document.querySelector(`[data-firstlight="${{key}}"]`);
function load(file, done, failed) {{
  const script = document.createElement("script");
  Object.assign(script, {{ src: file, onload: done, onerror: failed }});
  document.head.append(script);
}}
function showWhenNear(key, file = null) {{
  new IntersectionObserver((entries, observer) => {{
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    if (file) load(file, () => show(key)); else show(key);
  }}, {{ rootMargin: "800px" }}).observe(place(key));
}}
function showOnRequest(key, file, size) {{
  const host = place(key), button = document.createElement("button");
  Object.assign(button, {{ type: "button", className: "button", textContent: `Show it here (loads ${{size}})` }});
  button.onclick = () => {{
    button.disabled = true;
    const done = () => {{ button.remove(); show(key); host.tabIndex = -1; host.focus(); }};
    load(file, done, () => {{ button.textContent = "It could not be loaded"; }});
  }};
  host.prepend(button);
}}
(window.firstlightExplorers ??= {{}})[address] = {{ showWhenNear, showOnRequest }};
}})();
"""


def data_script(key: str, data: str) -> str:
    """Make a script that puts an explorer's data back to where it looks for them."""
    return (
        f"document.querySelectorAll('[data-firstlight=\"{key}\"] > script').forEach("
        f"(place) => {{ place.textContent = {json.dumps(data, ensure_ascii=False)}; }});\n"
    )


TRANSFORMS = (
    LessonTop, NotebookLinks, LinksToCome, PicturesInWords, ErrorsInOutputs, SharedExplorers,
)  # fmt: skip


def set_up(app: Any) -> None:
    """Register the transforms with Sphinx."""
    SharedExplorers.out = Path(app.outdir)
    for transform in TRANSFORMS:
        app.add_post_transform(transform)
