"""Turn MyST blocks into Markdown that Colab, JupyterLab and VS Code all show well.

None of the three knows MyST: a `:::{note}` would stand there as it is written. So boxes become
block quotations with a bold title, review cards fold away in `<details>`, and drawings travel
inside the notebook as PNG, which alone shows in all three: Colab shows neither attachments nor
embedded SVG.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authoring.figures import bitmap
from authoring.links import Link, published_url, with_published_links
from authoring.markdown import fenced, quoted
from firstlight.blocks import (
    Block,
    Prose,
    Question,
    parse_cards,
    parse_entries,
    parse_question,
    split_blocks,
)
from firstlight.course import Lesson, load_course

# Lists, fences, formulas, tables and headings begin a paragraph of their own.
_NO_SENTENCE = re.compile(r"([-*+]|\d+[.)])\s|```|~~~|\$\$|\||#")


@dataclass(frozen=True)
class Writer:
    """Writes one lesson's text for its notebooks; `messages` is what each wrong snippet said."""

    lesson: Lesson
    messages: Mapping[str, str]

    def prose(self, text: str) -> str:
        """Write Markdown, which may hold blocks."""
        parts, _ = split_blocks(text)
        return "\n\n".join(self.part(part) for part in parts)

    def part(self, part: Prose | Block) -> str:
        """Write prose or a block; a block of unknown name is written as its body."""
        if isinstance(part, Prose):
            return with_published_links(part.text, self.lesson)
        write = _BLOCKS.get(part.name)
        return write(self, part) if write else self.prose(part.body)

    def _foundations(self, block: Block) -> str:
        foundation = load_course().foundation(block.argument)
        page = published_url(Link("foundation", foundation.number, "", 0), self.lesson)
        title = f"**From Foundations {foundation.number}: [{foundation.title}]({page})**"
        return quoted(f"{title}\n\n{self.prose(block.body)}")

    def _note(self, block: Block) -> str:
        return quoted(_labelled(block.name.capitalize(), self.prose(block.body)))

    def _summary(self, block: Block) -> str:
        return quoted(self.prose(block.body))

    def _figure(self, block: Block) -> str:
        drawn = bitmap(self.lesson.folder / block.argument)
        data = base64.b64encode(drawn.png).decode()
        alt = html.escape(block.option("alt"))
        source = f"data:image/png;base64,{data}"
        picture = f'<img src="{source}" alt="{alt}" width="{drawn.width}">'
        return f"{picture}\n\n{self.prose(block.body)}".rstrip()

    def _predict(self, block: Block) -> str:
        question, _ = parse_question(block.argument, block.body, block.body_line)
        return self.question(question)

    def question(self, question: Question) -> str:
        """Write a prediction's question, code and options; the replies come from `predict`."""
        options = [f"- **{o.letter})** {_continued(self.prose(o.text))}" for o in question.options]
        return "\n\n".join(
            (
                _labelled("Predict", self.prose(question.question)),
                fenced(question.code, "python"),
                "\n".join(options),
                "*Choose first: put your letter in place of `?` below, then run the cell.*",
            )
        )

    def _goes_wrong(self, block: Block) -> str:
        entries, _ = parse_entries(block.body, block.body_line)
        rows = []
        for entry in entries:
            message = self.messages.get(entry.snippet, "")
            rows += [fenced(entry.snippet, "python"), fenced(message, "text")]
            rows.append(_labelled("Cause", self.prose(entry.cause)))
            rows.append(_labelled("Cure", self.prose(entry.cure)) + "\n\n---")
        return "\n\n".join(rows).removesuffix("\n\n---")

    def _cards(self, block: Block) -> str:
        cards, _ = parse_cards(block.body, block.body_line)
        return "\n\n".join(
            f"**{number}.** {self.prose(card.question)}\n\n"
            "<details style='margin-bottom: 1em'><summary>Show the answer</summary>\n\n"
            f"{self.prose(card.answer)}\n\n</details>"
            for number, card in enumerate(cards, start=1)
        )


def _labelled(label: str, text: str) -> str:
    """Put a bold label before a text: on its first line if that is a sentence, else above it."""
    gap = "\n\n" if _NO_SENTENCE.match(text) else " "
    return f"**{label}.**{gap}{text}"


def _continued(text: str) -> str:
    """Indent the further lines of a list item."""
    return text.replace("\n", "\n  ")


_BLOCKS: dict[str, Callable[[Writer, Block], str]] = {
    "from-foundations": Writer._foundations,
    "note": Writer._note,
    "tip": Writer._note,
    "warning": Writer._note,
    "summary": Writer._summary,
    "figure": Writer._figure,
    "predict": Writer._predict,
    "goes-wrong": Writer._goes_wrong,
    "cards": Writer._cards,
}
