"""Make the search: what every section says, gathered while pages are read, for a script to look in.

Sphinx's own search finds pages, and a lesson is a long page; this one finds the section. Hints,
solutions and replies are left out, so that no answer shows among the results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector

from authoring.page_blocks import html_element

HIDDEN_CLASSES = {"fold", "replies", "cell_output"}
INDEX = "search-index.js"
STRAIGHT = str.maketrans("‘’“”", "''\"\"")  # as a keyboard writes them

Place = tuple[str, str, str]  # anchor, title, text


class SearchTexts(EnvironmentCollector):
    """Keeps the sections of every page in Sphinx's memory, renewed when a page is read again."""

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        """Forget a page."""
        texts(env).pop(docname, None)

    def merge_other(
        self,
        app: Sphinx,
        env: BuildEnvironment,
        docnames: AbstractSet[str],
        other: BuildEnvironment,
    ) -> None:
        """Take over what another process has read."""
        texts(env).update({name: texts(other)[name] for name in docnames if name in texts(other)})

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Keep a page's sections."""
        env = app.env
        if "orphan" not in env.metadata[env.docname]:
            texts(env)[env.docname] = list(sections(doctree))


def texts(env: BuildEnvironment) -> dict[str, list[Place]]:
    """The sections by page, as Sphinx remembers them from build to build."""
    kept: dict[str, list[Place]] = vars(env).setdefault("firstlight_texts", {})
    return kept


def sections(doctree: nodes.document) -> Iterator[Place]:
    """Yield each section's anchor, title, and text without that of the sections inside it."""
    for section in doctree.findall(nodes.section):
        first = section.children[0]
        title = first.astext() if isinstance(first, nodes.title) else ""
        words = " ".join(said for child in section.children[1:] for said in visible(child))
        yield section["ids"][0], title, " ".join(words.split()).translate(STRAIGHT)


def visible(node: nodes.Node) -> Iterator[str]:
    """Yield the texts of a node that a reader sees without opening anything."""
    if isinstance(node, nodes.Text):
        yield node.astext()
    if isinstance(node, nodes.section | nodes.raw | nodes.math | nodes.math_block):
        return
    button = isinstance(node, html_element) and node["tag"] == "button"
    if button or HIDDEN_CLASSES & class_names(node):
        return
    for child in node.children:
        yield from visible(child)
        yield "" if isinstance(child, nodes.Text) else " "


def class_names(node: nodes.Node) -> set[str]:
    """The classes of a node, of docutils' kind or of ours."""
    if isinstance(node, html_element):
        return set(str(node["html"].get("class", "")).split())
    return set(node.get("classes", ())) if isinstance(node, nodes.Element) else set()


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Write the index as a script, which works for a site opened from the disk, too."""
    if error is not None:
        return
    places = [
        [f"{docname}.html", title_of(kept), anchor if number else "", title, text]
        for docname, kept in sorted(texts(app.env).items())
        if docname != app.config.root_doc
        for number, (anchor, title, text) in enumerate(kept)
    ]
    data = json.dumps(places, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, INDEX).write_text(f"const searchIndex = {data};\n", encoding="utf-8")


def title_of(kept: list[Place]) -> str:
    """A page's title is that of its first section."""
    return kept[0][1] if kept else ""


def set_up(app: Any) -> None:
    """Register the search with Sphinx, in place of its own."""
    app.add_env_collector(SearchTexts)
    app.connect("builder-inited", lambda app: setattr(app.builder, "search", False))
    app.connect("build-finished", write_index)
