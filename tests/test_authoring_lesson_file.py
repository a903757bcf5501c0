"""Reading a lesson.md: every part with its line, and Markdown handled without touching code."""

from __future__ import annotations

import pytest
from fixtures.small_course import SmallCourse
from myst_parser.mdit_to_docutils.base import default_slugify

from authoring.lesson_file import CodeCell, LessonFile, parse_lesson, read_lesson
from authoring.links import Link, links, with_page_links, with_published_links
from authoring.markdown import Heading, fenced, headings, outside_code, quoted, without_code
from firstlight.blocks import Block, Prose

pytest_plugins = ["fixtures.plugin"]

SITE = "https://firstlight-course.github.io/firstlight/"


def parsed(small_course: SmallCourse, text: str) -> LessonFile:
    return parse_lesson(small_course.lesson, small_course.text, text)


def test_every_part_knows_its_line(small_course: SmallCourse):
    file = read_lesson(small_course.lesson)
    lines = small_course.text.read_text(encoding="utf-8").splitlines()
    assert file.faults == ()
    assert {type(part) for part in file.parts} == {Prose, Block, CodeCell}
    for part in file.parts:
        first = part.source if isinstance(part, CodeCell) else part.text
        assert lines[part.line - 1] == first.splitlines()[0]


def test_code_cells_keep_their_tags(small_course: SmallCourse):
    tags = [cell.tags for cell in read_lesson(small_course.lesson).code_cells]
    assert tags == [(), ("hide-input",), ()]


@pytest.mark.parametrize(
    "options",
    ["", ":tags: [a]\n", ":tags: [a]\n\n", "---\ntags: [a]\n---\n", "---\ntags: [a]\n---\n\n"],
)
def test_options_of_a_cell_do_not_shift_its_line(small_course: SmallCourse, options: str):
    text = f"# Tensors\n\n```{{code-cell}} python\n{options}x = 1\nx\n```\n"
    (cell,) = parsed(small_course, text).code_cells
    assert text.splitlines()[cell.line - 1] == "x = 1"


def test_a_block_that_a_code_cell_cuts_is_unclosed(small_course: SmallCourse):
    text = "# Tensors\n\n:::{note}\nText.\n\n```{code-cell} python\nx = 1\n```\n:::\n"
    assert [fault.line for fault in parsed(small_course, text).faults] == [3, 9]


def test_an_unclosed_cell_is_a_fault(small_course: SmallCourse):
    text = "```{code-cell} python\nx = 1\n\nText.\n\n```{code-cell} python\ny = 1\n```\n"
    (fault,) = parsed(small_course, text).faults
    assert fault.line == 6
    assert "never closed" in fault.sentence


def test_options_that_are_no_yaml_are_a_fault(small_course: SmallCourse):
    text = "# Tensors\n\n```{code-cell} python\n:tags: [a\nx = 1\n```\n"
    (fault,) = parsed(small_course, text).faults
    assert fault.line == 3


def test_headings_are_found_outside_code_alone():
    text = "# One\n\n```python\n# no heading\n```\n\n## The `keepdim` rule\n"
    found = list(headings(text, line=5))
    assert [(h.level, h.title, h.line) for h in found] == [
        (1, "One", 5),
        (2, "The keepdim rule", 11),
    ]


@pytest.mark.parametrize(
    "title",
    ["Sums and means", "The (N, 1) trap", "nn.Module", "view or reshape?", "uint8: 250 + 10 = 4"],
)
def test_a_slug_is_what_myst_makes_of_the_title(title: str):
    assert Heading(2, title, 1).slug == default_slugify(title)


def test_a_change_to_prose_leaves_code_alone():
    text = "a `a` a\n\n```text\na\n```\n\na ``a ` a`` a\n"
    changed = "b `a` b\n\n```text\na\n```\n\nb ``a ` a`` b\n"
    assert outside_code(text, lambda prose: prose.replace("a", "b")) == changed


def test_blanking_code_keeps_every_line():
    text = "a `code` b\n```\ncode\n```\nlast"
    blank = without_code(text)
    assert "code" not in blank
    assert blank.splitlines()[4] == "last"
    assert len(blank) == len(text)


def test_a_fence_is_longer_than_any_inside():
    assert fenced("```\nx\n```", "text").splitlines()[0] == "````text"


def test_a_formula_in_a_quotation_stands_on_one_line():
    assert quoted("A:\n\n$$\nx\n= 1\n$$") == "> A:\n>\n> $$ x = 1 $$"


def test_links_are_found_with_their_lines():
    text = "See [a](lesson:autograd#leaf).\n`[no](lesson:x)`\n[b](foundation:1.3.4) [c](#here)"
    assert list(links(text, line=3)) == [
        Link("lesson", "autograd", "leaf", 3),
        Link("foundation", "1.3.4", "", 5),
        Link("", "", "here", 5),
    ]


def test_published_links_lead_to_the_site(small_course: SmallCourse):
    text = (
        "[a](lesson:tensors#sums-and-means) [b](lesson:autograd) [c](foundation:1.3.4) "
        "[d](#sums-and-means) [e](https://example.org/x)"
    )
    assert with_published_links(text, small_course.lesson) == (
        f"[a]({SITE}2-1-1-tensors.html#sums-and-means) [b]({SITE}) "
        f"[c]({SITE}foundations/stochastic-gradient-descent.html) "
        f"[d]({SITE}2-1-1-tensors.html#sums-and-means) [e](https://example.org/x)"
    )


@pytest.mark.usefixtures("small_course")
def test_page_links_lead_to_sources_of_pages():
    text = "[a](lesson:tensors#means) [b](lesson:autograd) [c](foundation:1.3.4) [d](#means)"
    assert with_page_links(text, up="../") == (
        "[a](../2-1-1-tensors.ipynb#means) [b](../index.md) "
        "[c](../foundations/stochastic-gradient-descent.md) [d](#means)"
    )
