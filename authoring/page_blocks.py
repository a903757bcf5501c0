"""Draw a lesson's blocks on its page: questions, exercises, error entries, summaries, cards.

Every block is HTML that reads well without JavaScript; `site/_static/firstlight.js` only makes it
quicker to use. To add a block `name`, write a `PageBlock` and enter it in `DIRECTIVES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxTranslator

from authoring.links import with_page_links
from firstlight.blocks import Fault, Option, parse_cards, parse_entries, parse_question
from firstlight.checking import Exercise, lesson_exercises
from firstlight.course import load_course

logger = logging.getLogger(__name__)

KINDS = {"clinic": "Bug clinic", "milestone": "Milestone"}
SPEC_LINE = re.compile(r"(?P<name>\w+): |(?:Returns?|Raises?|Yields?)\b")


# HTML in a doctree ------------------------------------------------------------------------------


class html_element(nodes.General, nodes.TextElement):  # type: ignore[misc]  # noqa: N801
    """Any HTML element; what it holds are ordinary nodes."""


def element(tag: str, *children: nodes.Node | str, **attributes: str | bool) -> html_element:
    """Make an HTML element: `element("p", "text", class_="note", data_name="x", hidden=True)`."""
    spelled = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    made = html_element(tag=tag, html=spelled)
    for child in children:
        made += nodes.Text(child) if isinstance(child, str) else child
    return made


def icon(name: str) -> nodes.raw:
    """Make a drawing of the sprite in `_templates/icons.html`, hidden from those who listen."""
    drawing = f'<svg class="icon" aria-hidden="true"><use href="#icon-{name}"></use></svg>'
    return nodes.raw("", drawing, format="html")


def visit_html_element(translator: SphinxTranslator, node: html_element) -> None:
    """Open the element."""
    written = "".join(
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in node["html"].items()
        if value is not False
    )
    translator.body.append(f"<{node['tag']}{written}>")


def depart_html_element(translator: SphinxTranslator, node: html_element) -> None:
    """Close the element."""
    translator.body.append(f"</{node['tag']}>")


# Blocks -----------------------------------------------------------------------------------------


class PageBlock(SphinxDirective):
    """What all blocks share: their text as Markdown, and the facts beside their page."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    @property
    def argument(self) -> str:
        """What stands behind the block's name."""
        return str(self.arguments[0]) if self.arguments else ""

    @property
    def body(self) -> str:
        """The block's text."""
        return "\n".join(self.content)

    def markdown(self, text: str, line: int | None = None) -> list[nodes.Node]:
        """Parse Markdown that begins on a line of the page's source."""
        offset = self.content_offset if line is None else line - 1
        source = str(self.state.document.current_source or "")
        holder = nodes.Element()
        holder.document = self.state.document
        self.state.nested_parse(StringList(text.splitlines(), source=source), offset, holder)
        return list(holder.children)

    def inline(self, text: str, line: int | None = None) -> list[nodes.Node]:
        """Parse Markdown that is one paragraph, and give what stands in it."""
        parsed = self.markdown(text, line)
        if len(parsed) == 1 and isinstance(parsed[0], nodes.paragraph):
            return list(parsed[0].children)
        return parsed

    def code(self, source: str, language: str = "python") -> nodes.literal_block:
        """Make a code block."""
        block = nodes.literal_block(source.rstrip("\n"), source.rstrip("\n"), language=language)
        self.set_source_info(block)
        return block

    def facts(self) -> dict[str, Any]:
        """Read what was measured for this page; empty where nothing was."""
        path = Path(self.env.doc2path(self.env.docname)).with_suffix(".json")
        if not path.is_file():
            return {}
        self.env.note_dependency(str(path))
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return facts

    def complain(self, sentence: str) -> None:
        """Report a fault at the block, which fails the build."""
        logger.warning(sentence, location=self.get_location(), type="firstlight")

    def complain_of(self, faults: Iterable[Fault]) -> None:
        """Report faults of the block's syntax."""
        for fault in faults:
            self.complain(fault.sentence)


class FromFoundations(PageBlock):
    """The box that says what of Series 1 a lesson builds on; it links to the refresher."""

    def run(self) -> list[nodes.Node]:
        """Draw the box."""
        numbers = self.argument.split()
        try:
            found = [load_course().foundation(number) for number in numbers]
        except KeyError as error:
            self.complain(str(error.args[0]))
            return []
        up = "../" * self.env.docname.count("/")
        links = ", ".join(f"[{f.number} {f.title}]({up}foundations/{f.slug}.md)" for f in found)
        title = element("p", "From Foundations", class_="box-label")
        target = element("p", *self.inline(links), class_="foundation-link")
        body = self.markdown(self.body)
        return [
            element("aside", title, *body, target, class_="box from-foundations",
                    aria_label=f"From Foundations {self.argument}")
        ]  # fmt: skip


class Predict(PageBlock):
    """A multiple-choice question, answered before the cell that shows the answer is run."""

    def run(self) -> list[nodes.Node]:
        """Draw the question as a form, and below it the reply to each option."""
        question, faults = parse_question(self.argument, self.body, self.content_offset + 1)
        self.complain_of(faults)
        right = self.facts().get("right", {}).get(question.name, "")
        if not right:
            self.complain(f"The prediction `{question.name}` has no right option on record.")
        asked, *more = self.markdown(question.question)
        legend = element(
            "legend",
            element("span", "Predict", class_="box-label"),
            element("span", *asked.children, class_="question"),
        )
        options = [self.option(question.name, option) for option in question.options]
        button = element("button", "Answer", type="submit", class_="button", hidden=True)
        fieldset = element(
            "fieldset", legend, *more, self.code(question.code),
            element("div", *options, class_="options"), button,
        )  # fmt: skip
        replies = [self.reply(option, right=option.letter == right) for option in question.options]
        return [
            element(
                "form", fieldset, element("div", class_="verdict", role="status"),
                element("div", *replies, class_="replies"),
                class_="box predict", id=f"predict-{question.name}", data_predict=question.name,
            )
        ]  # fmt: skip

    def option(self, name: str, option: Option) -> html_element:
        """Draw an option as a radio button with its label."""
        radio = element("input", type="radio", name=name, value=option.letter)
        letter = element("span", f"{option.letter})", class_="letter")
        text = element("span", *self.inline(option.text), class_="option-text")
        return element("label", radio, letter, text, class_="option")

    def reply(self, option: Option, *, right: bool) -> html_element:
        """Draw the reply to one option, which says in words whether it is right."""
        said = f"{option.letter}) is right." if right else f"{option.letter}) is not what happens."
        verdict = element("p", icon("right" if right else "wrong"), said, class_="said")
        return element(
            "details",
            element("summary", f"The reply to {option.letter})"),
            element("div", verdict, *self.markdown(option.reply), class_="reply-text"),
            class_="reply", data_option=option.letter, data_right="yes" if right else "no",
        )  # fmt: skip


class ExercisePlace(PageBlock):
    """The place of an exercise: the order, the starter, and on request hints and the solution."""

    def run(self) -> list[nodes.Node]:
        """Draw the exercise as a section of its own, so that the page's contents list it."""
        exercise = self.exercise()
        if exercise is None:
            return []
        self.env.note_dependency(str(exercise.path))
        kind = KINDS.get(exercise.level, "Exercise")
        anchor = f"exercise-{exercise.name}"
        title = nodes.title("", f"{kind}: ", nodes.literal("", exercise.name))
        section = nodes.section("", title, ids=[anchor], names=[anchor], classes=["exercise"])
        self.set_source_info(section)
        section += [
            self.facts_line(exercise),
            *self.markdown(self.body),
            *self.order(exercise.order),
            element(
                "div",
                self.code(without_order(exercise)),
                class_="starter",
                data_copy=exercise.starter,
            ),
            self.known_mistakes(exercise),
            *self.ladder(exercise),
            self.solution(exercise),
        ]
        return [section]

    def exercise(self) -> Exercise | None:
        """Find the exercise in the lesson of this page."""
        slug = self.facts().get("lesson", "")
        if not slug:
            self.complain("An exercise needs a lesson; this page belongs to none.")
            return None
        exercises = lesson_exercises(load_course().lesson(slug))
        if self.argument not in exercises:
            known = ", ".join(exercises) or "none"
            self.complain(f"The exercise `{self.argument}` is not defined; there are: {known}.")
        return exercises.get(self.argument)

    def facts_line(self, exercise: Exercise) -> html_element:
        """Say how hard and how long it is, and whether it is passed where that is known."""
        level = "" if exercise.level in KINDS else f"{exercise.level.capitalize()} · "
        cell = f"exercise-{exercise.name}"
        colab = f"{self.facts().get('colab', '')}#scrollTo={cell}"
        return element(
            "p",
            element("span", f"{level}about {exercise.minutes} minutes"),
            element("span", class_="state", hidden=True),
            element("a", "Solve it in Colab", href=colab, class_="to-notebook", data_cell=cell),
            class_="exercise-facts", data_exercise=exercise.name,
        )  # fmt: skip

    def order(self, order: str) -> list[nodes.Node]:
        """Draw the order: its prose, and one line for each thing given or due."""
        up = "../" * self.env.docname.count("/")
        drawn: list[nodes.Node] = []
        for paragraph in with_page_links(order, up).split("\n\n"):
            lines = spec_lines(paragraph)
            if any(SPEC_LINE.match(line) for line in lines):
                items = [element("li", *self.inline(marked(line))) for line in lines]
                drawn.append(element("ul", *items, class_="spec"))
            else:
                drawn += self.markdown(paragraph)
        return drawn

    def known_mistakes(self, exercise: Exercise) -> html_element:
        """Say what the check can do here, without giving anything away."""
        count = len(exercise.misconceptions)
        known = f", and knows {count} mistakes by name" if count > 1 else ""
        call = nodes.literal("", f"check({exercise.name})")
        return element("p", call, f" looks at what your code does{known}.", class_="check-line")

    def ladder(self, exercise: Exercise) -> list[nodes.Node]:
        """Draw the hints; each is closed, and the next shows once this one is open."""
        total = len(exercise.hints)
        return [
            element(
                "details", element("summary", f"Hint {number} of {total}"), *self.markdown(hint),
                class_="fold hint",
            )
            for number, hint in enumerate(exercise.hints, start=1)
        ]  # fmt: skip

    def solution(self, exercise: Exercise) -> html_element:
        """Draw the solution, closed: the code, why it works, and other right answers."""
        others: list[nodes.Node] = []
        for alternative in exercise.alternatives:
            others += [*self.markdown(alternative.note), self.code(alternative.source)]
        if others:
            others.insert(0, element("p", "Also right", class_="fold-label"))
        return element(
            "details",
            element("summary", "Solution, and why it works"),
            self.code(without_order(exercise, solved=True)),
            *self.markdown(exercise.why),
            *others,
            class_="fold solution",
        )


class GoesWrong(PageBlock):
    """The messages PyTorch prints, each with its cause and its cure."""

    def run(self) -> list[nodes.Node]:
        """Draw the entries."""
        entries, faults = parse_entries(self.body, self.content_offset + 1)
        self.complain_of(faults)
        messages = self.facts().get("messages", {})
        drawn = []
        for entry in entries:
            message = messages.get(entry.snippet, "")
            if not message:
                self.complain("A goes-wrong snippet has no message on record.")
            drawn.append(self.entry(entry.snippet, message, entry.cause, entry.cure))
        return [element("div", *drawn, class_="goes-wrong")]

    def entry(self, snippet: str, message: str, cause: str, cure: str) -> html_element:
        """Draw one: what is printed above, what was written below, then why and what to do."""
        kind, colon, text = message.partition(":")
        # As it was printed: straight quotes stay straight.
        said = element("p", element("strong", kind), f"{colon}{text}", class_="message")
        said["support_smartquotes"] = False
        reasons = element(
            "dl",
            element("dt", "Cause"), element("dd", *self.markdown(cause)),
            element("dt", "Cure"), element("dd", *self.markdown(cure)),
        )  # fmt: skip
        return element("article", said, self.code(snippet), reasons, class_="fault")


class Summary(PageBlock):
    """The lesson on one screen."""

    def run(self) -> list[nodes.Node]:
        """Draw the box."""
        return [element("div", *self.markdown(self.body), class_="box summary-box")]


class Cards(PageBlock):
    """Review cards: a question, and its answer on the other side."""

    def run(self) -> list[nodes.Node]:
        """Draw the cards."""
        cards, faults = parse_cards(self.body, self.content_offset + 1)
        self.complain_of(faults)
        drawn = [
            element(
                "details",
                element("summary", element("span", *self.inline(card.question))),
                element("div", *self.markdown(card.answer), class_="answer"),
                class_="card",
            )
            for card in cards
        ]
        return [element("div", *drawn, class_="cards")]


DIRECTIVES: dict[str, type[PageBlock]] = {
    "from-foundations": FromFoundations,
    "predict": Predict,
    "exercise": ExercisePlace,
    "goes-wrong": GoesWrong,
    "summary": Summary,
    "cards": Cards,
}


# Texts ------------------------------------------------------------------------------------------


def spec_lines(paragraph: str) -> list[str]:
    """Join a paragraph's lines, but let each thing given or due begin a line of its own."""
    lines: list[str] = []
    for line in paragraph.splitlines():
        if lines and not SPEC_LINE.match(line):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.strip())
    return lines


def marked(line: str) -> str:
    """Set the name at the start of a line as code."""
    found = SPEC_LINE.match(line)
    return f"`{found['name']}`: {line[found.end() :]}" if found and found["name"] else line


def without_order(exercise: Exercise, *, solved: bool = False) -> str:
    """The exercise's code without its docstring, which the page sets as text."""
    source = exercise.reference_source if solved else exercise.starter
    lines = source.rstrip("\n").splitlines()
    start = next((n for n, line in enumerate(lines) if line.lstrip().startswith('"""')), None)
    if start is None or exercise.order.splitlines()[0].strip() not in lines[start]:
        return "\n".join(lines)
    end = start
    while not _closes(lines[end], first=end == start):
        end += 1
    rest = lines[end + 1 :]
    return "\n".join([*lines[:start], *(rest[1:] if rest and not rest[0].strip() else rest)])


def _closes(line: str, *, first: bool) -> bool:
    """Whether a docstring ends on this line."""
    return line.count('"""') > (1 if first else 0)


def set_up(app: Any) -> None:
    """Register the blocks and their node with Sphinx."""
    app.add_node(html_element, html=(visit_html_element, depart_html_element))
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
