"""Teach Sphinx what a page of the course is: its blocks, its mathematics, its frame.

`site/conf.py` loads this extension. What it is made of: `page_blocks` draws the blocks of a lesson,
`page_transforms` finishes a page's text, `page_context` tells the templates where one is, `page_search`
gathers what the search looks in, `katex` sets formulas.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import myst_nb.sphinx_ as myst_nb_sphinx
from docutils import nodes
from markupsafe import Markup, escape
from sphinx.application import Sphinx
from sphinx.util import logging

from authoring import page_blocks, page_search, page_transforms
from authoring.katex import TexFault, render
from authoring.lesson_file import read_lesson
from authoring.page_context import contents, example, page_context, with_image_sizes
from authoring.page_transforms import lesson_of

logger = logging.getLogger(__name__)

_notebook_to_tokens = myst_nb_sphinx.notebook_to_tokens


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    page_blocks.set_up(app)
    page_transforms.set_up(app)
    page_search.set_up(app)
    app.add_html_math_renderer("katex", (set_inline, None), (set_display, None))
    app.add_config_value("home_example", ("", ""), "html", types=(tuple,))
    app.add_config_value("firstlight_readers", "", "env", types=(str,))
    app.add_config_value("firstlight_plan", "", "html", types=(str,))
    app.connect("builder-inited", add_filters)
    app.connect("html-page-context", frame_page)
    myst_nb_sphinx.notebook_to_tokens = tokens_with_lesson_lines
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# Mathematics ------------------------------------------------------------------------------------


def set_inline(translator: Any, node: nodes.math) -> None:
    """Set a formula within a line."""
    translator.body.append(_set(node, display=False))
    raise nodes.SkipNode


def set_display(translator: Any, node: nodes.math_block) -> None:
    """Set a formula on a line of its own."""
    translator.body.append(f'<div class="math">{_set(node, display=True)}</div>')
    raise nodes.SkipNode


def _set(node: nodes.Element, *, display: bool) -> str:
    try:
        return render(node.astext(), display=display)
    except TexFault as fault:
        logger.warning(f"Broken TeX: {fault}", location=node, type="firstlight")
        return ""


# Lines ------------------------------------------------------------------------------------------


def tokens_with_lesson_lines(notebook: Any, parser: Any, env: Any, log: Any) -> list[Any]:
    """Number the lines of a page's source as in the `lesson.md` that it was made from.

    MyST-NB would count within each cell, and a warning could not say which line is meant.
    """
    lesson = lesson_of(Path(str(parser.options["document"]["source"])).stem)
    if lesson is not None:
        notebook.metadata["source_map"] = [part.line - 1 for part in read_lesson(lesson).parts]
    tokens: list[Any] = _notebook_to_tokens(notebook, parser, env, log)
    return tokens


# The frame of a page ----------------------------------------------------------------------------


def add_filters(app: Sphinx) -> None:
    """Give the templates what the answer of a check needs to be set as HTML."""
    builder: Any = app.builder
    builder.templates.environment.filters |= {"dedent": dedent, "inline_code": inline_code}


def inline_code(text: str) -> Markup:
    """Escape a text for HTML and set what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def frame_page(
    app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> str | None:
    """Give the templates what they show around the text; the home page has one of its own."""
    builder: Any = app.builder
    facts = Path(app.srcdir) / f"{docname}.json"
    kept = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    context |= page_context(docname, context["pathto"], kept.get("torch", ""))
    context["torch_version"] = kept.get("torch", "")
    body = context.get("body", "")
    context["has_math"] = 'class="katex' in body
    context["contents"] = contents(context.get("toc", "")) if doctree else ""
    if body:
        sources = {name: uri for uri, name in builder.images.items()}
        context["body"] = with_image_sizes(body, Path(app.srcdir), sources)
    if docname == app.config.root_doc:
        context["example"] = example(*app.config.home_example)
        return "home.html"
    return None
