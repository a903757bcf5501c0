"""The block syntax of a lesson: what is read, and which faults are found on which line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from firstlight.blocks import (
    Block,
    Fault,
    Prose,
    parse_cards,
    parse_entries,
    parse_question,
    split_blocks,
)

QUESTION = """\
What does the last line give?

```python
scores = torch.tensor([3, 5, 10])
scores.mean()
```

a) The number 6
   when: result == 6
   reply: No.
b) An error
   when: error is RuntimeError and
     "dtype" in message
   reply: Right, because
     of the dtype.

     ```python
     scores.float()
     ```
c) None
   when: result is None
   reply: No, when: is a word here.
"""


def faults_of(text: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.sentence) for fault in split_blocks(text)[1]]


def test_prose_and_blocks_come_in_order_with_their_lines():
    text = "One.\n\n:::{note}\nTwo.\n:::\n\nThree.\n"
    parts, faults = split_blocks(text, line=10)
    assert faults == ()
    assert [(type(part), part.line) for part in parts] == [(Prose, 10), (Block, 12), (Prose, 16)]


def test_a_block_keeps_its_name_argument_options_and_text():
    text = "::: {figure} figures/x.svg\n:alt: Two boxes: one red\n\nThe caption.\n:::"
    (block,), _ = split_blocks(text)
    assert isinstance(block, Block)
    assert (block.name, block.argument) == ("figure", "figures/x.svg")
    assert block.option("alt") == "Two boxes: one red"
    assert block.option("width") == ""
    assert (block.body, block.body_line, block.text) == ("The caption.", 4, text)


def test_a_block_with_more_colons_holds_one_with_fewer():
    (outer,), faults = split_blocks("::::{note}\n:::{tip}\nInside.\n:::\n::::")
    assert faults == ()
    assert isinstance(outer, Block)
    assert outer.body == ":::{tip}\nInside.\n:::"


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_fences_inside_code_are_left_alone(fence: str):
    text = f"{fence}text\n:::{{note}}\n```\n:::\n{fence}" if fence != "```" else "```\n:::\n```"
    parts, faults = split_blocks(text)
    assert (len(parts), faults) == (1, ())


def test_an_unclosed_block_is_a_fault_on_its_first_line():
    ((line, sentence),) = faults_of("Text.\n\n::::{cards}\nQ. Why?\n:::\n")
    assert line == 3
    assert "`::::{cards}` is never closed; end it with `::::`" in sentence


def test_an_unclosed_block_does_not_swallow_the_next_one():
    parts, faults = split_blocks(":::{tip}\nOne.\n\n:::{note}\nTwo.\n:::\n")
    assert [part.name for part in parts if isinstance(part, Block)] == ["tip", "note"]
    assert [fault.line for fault in faults] == [1]


@pytest.mark.parametrize("text", [":::{tip}", ":::{tip}\nOne."])
def test_an_unclosed_block_may_end_the_text(text: str):
    (block,), (fault,) = split_blocks(text)
    assert isinstance(block, Block)
    assert (block.body, fault.line) == (text[9:], 1)


def test_a_closing_fence_without_a_block_is_a_fault():
    assert faults_of("Text.\n:::\n") == [(2, "This `:::` closes nothing; delete it.")]


def test_unclosed_code_is_a_fault():
    assert [line for line, _ in faults_of("Text.\n```python\nx = 1\n")] == [2]


def test_a_question_is_read_whole():
    question, faults = parse_question("int_mean", QUESTION, line=20)
    assert faults == ()
    assert question.question == "What does the last line give?"
    assert question.code == "scores = torch.tensor([3, 5, 10])\nscores.mean()"
    assert [option.letter for option in question.options] == ["a", "b", "c"]
    assert [option.line for option in question.options] == [27, 30, 39]


def test_conditions_and_replies_run_over_several_lines():
    question, _ = parse_question("int_mean", QUESTION, line=1)
    _, error, last = question.options
    assert error.when == 'error is RuntimeError and "dtype" in message'
    assert error.reply == "Right, because\nof the dtype.\n\n```python\nscores.float()\n```"
    assert last.reply == "No, when: is a word here."


def broken_question(old: str, new: str) -> list[Fault]:
    assert old in QUESTION
    return list(parse_question("int_mean", QUESTION.replace(old, new, 1), line=1)[1])


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("```python", "```", 1, "no ```python code"),
        ("What does the last line give?\n\n", "", 1, "asks nothing"),
        ("   when: result == 6\n", "", 8, "Option a) of the prediction `int_mean` has no `when:`"),
        ("   reply: No.\n", "", 8, "has no `reply:`"),
        ("b) An error", "a) An error", 11, "an option `a)` where `b)` is due"),
        ("\n\na) The", "\n\nMore text.\n\na) The", 8, "text between code and options"),
    ],
)
def test_a_broken_question_is_a_fault_with_its_line(old: str, new: str, line: int, words: str):
    faults = broken_question(old, new)
    assert any(fault.line == line and words in fault.sentence for fault in faults), faults


def test_two_options_are_too_few():
    text = QUESTION[: QUESTION.index("c) None")]
    (fault,) = parse_question("int_mean", text, line=1)[1]
    assert "has 2 options; give it at least 3" in fault.sentence


ENTRIES = """\
```python
torch.tensor([1, 2]).mean()
```

Cause. Integers have no mean.
It would need halves.

Cure. Convert first: `.float()`.

```python
torch.zeros(2) + torch.zeros(3)
```

Cause. Shapes clash.

Cure. Look at both shapes.
"""


def test_goes_wrong_entries_hold_snippet_cause_and_cure():
    entries, faults = parse_entries(ENTRIES, line=5)
    assert faults == ()
    assert [entry.line for entry in entries] == [5, 14]
    assert entries[0].snippet == "torch.tensor([1, 2]).mean()"
    assert entries[0].cause == "Integers have no mean.\nIt would need halves."
    assert entries[0].cure == "Convert first: `.float()`."


def test_an_entry_without_its_cure_is_a_fault():
    (fault,) = parse_entries(ENTRIES.replace("Cure. Look", "Look"), line=5)[1]
    assert fault == Fault(14, "This goes-wrong entry has no `Cure. …` paragraph.")


def test_entries_must_begin_with_a_snippet():
    assert [fault.line for fault in parse_entries("Words first.\n", line=3)[1]] == [3]


def test_cards_hold_question_and_answer():
    cards, faults = parse_cards("Q. Why?\nA. Because.\n\nQ. And\nthen?\n\nA. So.\n", line=2)
    assert faults == ()
    assert [(card.question, card.answer, card.line) for card in cards] == [
        ("Why?", "Because.", 2),
        ("And\nthen?", "So.", 5),
    ]


def test_a_card_without_an_answer_is_a_fault():
    (fault,) = parse_cards("Q. Why?\n", line=2)[1]
    assert fault == Fault(2, "This card has no `A. …` paragraph.")


def test_the_parser_needs_python_alone():
    """It is loaded by itself, from its file: importing torch or anything else would show."""
    code = (
        "import importlib.util, sys\n"
        "before = set(sys.modules)\n"
        "spec = importlib.util.spec_from_file_location('blocks', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['blocks'] = module\n"
        "spec.loader.exec_module(module)\n"
        "new = {n.partition('.')[0] for n in set(sys.modules) - before} - {'blocks'}\n"
        "sys.exit(', '.join(new - sys.stdlib_module_names) or 0)\n"
    )
    path = sys.modules["firstlight.blocks"].__file__
    assert path
    done = subprocess.run([sys.executable, "-I", "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
