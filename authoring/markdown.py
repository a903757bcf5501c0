"""Handle Markdown as text, minding what is code: headings, quoting, changes to prose alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from docutils.nodes import make_id

# A fenced block, or a code span of any number of backticks. Both are left alone.
_CODE = re.compile(
    r"(?P<fenced>^[ \t]*(?P<ticks>`{3,}|~{3,})[^\n]*\n(?:.*?\n)?[ \t]*(?P=ticks)[`~]*[ \t]*$)"
    r"|(?P<span>(?<!`)(?P<tick>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=tick)(?!`))",
    re.MULTILINE | re.DOTALL,
)
_FORMULA = re.compile(r"\$\$.+?\$\$", re.DOTALL)
_HEADING = re.compile(r"(?P<marks>#{1,6})\s+(?P<title>.+?)\s*#*\s*")


@dataclass(frozen=True)
class Heading:
    """A heading; `slug` is what `#links` name, `anchor` the id it has on the page."""

    level: int
    title: str
    line: int

    @property
    def slug(self) -> str:
        """The title as GitHub and MyST write it in a link."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).strip().replace(" ", "-")

    @property
    def anchor(self) -> str:
        """The title as docutils writes it in the page's HTML."""
        return str(make_id(self.title))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to all of a Markdown text but its fenced code and code spans."""
    done = []
    position = 0
    for code in _CODE.finditer(text):
        done += [change(text[position : code.start()]), code[0]]
        position = code.end()
    return "".join([*done, change(text[position:])])


def without_code(text: str) -> str:
    """Blank out the code, keeping every line where it is."""
    return _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)


def without_fences(text: str) -> str:
    """Blank out fenced code and keep the code spans, and every line where it is."""
    return _CODE.sub(_blank_fence, text)


def headings(text: str, line: int = 1) -> Iterator[Heading]:
    """Yield the headings of a Markdown text that begins on `line`."""
    for number, content in enumerate(without_fences(text).splitlines(), start=line):
        heading = _HEADING.fullmatch(content)
        if heading:
            title = re.sub(r"[`*]", "", heading["title"])
            yield Heading(len(heading["marks"]), title, number)


def _blank_fence(code: re.Match[str]) -> str:
    """Blank out fenced code; a code span may stand in a heading and stays."""
    return re.sub(r"[^\n]", " ", code[0]) if code["fenced"] else code[0]


def quoted(text: str) -> str:
    """Turn Markdown into a block quotation.

    Display mathematics goes on one line: Jupyter takes it out before it reads the `>` of a
    quotation, and would set those as formulas.
    """
    text = outside_code(text, _with_formulas_on_one_line)
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _with_formulas_on_one_line(text: str) -> str:
    return _FORMULA.sub(lambda formula: " ".join(formula[0].split()), text)


def fenced(code: str, language: str) -> str:
    """Put code into a fence that is longer than any inside it."""
    inside = [len(ticks) for ticks in re.findall(r"`{3,}", code)]
    fence = "`" * max([3, *(length + 1 for length in inside)])
    return f"{fence}{language}\n{code}\n{fence}"
