"""The notebooks made from a lesson: what a student sees, in every place that opens notebooks."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from fixtures.small_course import SmallCourse
from nbformat import NotebookNode

from authoring.build import is_stale
from authoring.execution import execute
from authoring.exercise_rules import solution_lines
from authoring.figures import refresh_bitmaps
from authoring.lesson_file import read_lesson
from authoring.notebook_file import notebook_bytes, read_notebook
from authoring.notebooks import INSTALL, Measured, solution_notebook, student_notebook
from authoring.places import solution_notebook as solution_path
from authoring.places import student_notebook as student_path
from firstlight.checking import lesson_exercises
from firstlight.course import Lesson, load_course

pytest_plugins = ["fixtures.plugin"]

EXISTING = [lesson for lesson in load_course().lessons if lesson.exists]
SNIPPET = "torch.tensor([1, 2]).mean()"
MEASURED = Measured(right={"small_int_mean": "b"}, messages={SNIPPET: "RuntimeError: no mean"})
SIGNATURE = b"\x89PNG"


def made(small_course: SmallCourse, measured: Measured = MEASURED) -> NotebookNode:
    return student_notebook(read_lesson(small_course.lesson), measured)


def solved(small_course: SmallCourse) -> NotebookNode:
    return solution_notebook(read_lesson(small_course.lesson), MEASURED)


def sources(notebook: NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    (found,) = [cell for cell in notebook.cells if cell.id == name]
    return found


# The student's notebook -------------------------------------------------------------------------


def test_the_first_cells_hold_title_badge_and_install(small_course: SmallCourse):
    title, install = made(small_course).cells[:2]
    assert title.source.startswith("# Tensors\n")
    assert f"({small_course.lesson.colab_url})" in title.source
    assert f"lesson 1 of 10 · about {small_course.lesson.minutes} minutes" in title.source
    assert "https://firstlight-course.github.io/firstlight/2-1-1-tensors.html" in title.source
    assert install.source == INSTALL.format(repository="firstlight-course/firstlight")


def test_an_exercise_is_a_heading_its_starter_and_its_check(small_course: SmallCourse):
    notebook = made(small_course)
    heading = cell(notebook, "exercise-tiny_total").source
    assert heading.startswith("### Exercise: `tiny_total`\n\n*Guided · about 2 minutes.*")
    assert heading.endswith("Write it in one line.")
    starter = cell(notebook, "starter-tiny_total").source
    assert starter == lesson_exercises(small_course.lesson)["tiny_total"].starter.rstrip()
    assert starter.endswith("    ...")
    assert cell(notebook, "check-tiny_total").source == "check(tiny_total)"


def test_a_bug_clinic_shows_its_bug(small_course: SmallCourse):
    notebook = made(small_course)
    assert "### Bug clinic: `tiny_clinic`" in cell(notebook, "exercise-tiny_clinic").source
    assert "scores.min()" in cell(notebook, "starter-tiny_clinic").source


def test_a_prediction_is_a_question_and_a_call_to_answer_it(small_course: SmallCourse):
    notebook = made(small_course)
    question = cell(notebook, "question-small_int_mean").source
    assert "scores.mean()" in question
    assert "- **b)** A `RuntimeError`" in question
    assert "Right. PyTorch" not in question
    assert cell(notebook, "predict-small_int_mean").source == 'predict("small_int_mean", "?")'


def test_no_line_of_a_solution_survives(small_course: SmallCourse):
    code = "\n".join(sources(made(small_course), "code"))
    exercises = lesson_exercises(small_course.lesson).values()
    lines = [line for exercise in exercises for line in solution_lines(exercise)]
    assert len(lines) == 4
    assert [line for line in lines if line in code] == []


def assert_plain(notebook: NotebookNode) -> None:
    """No MyST is left: no fence of colons, no role, no link that only a page understands."""
    for text in sources(notebook, "markdown"):
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"^\s*>?\s*:::", prose, re.MULTILINE), text
        assert not re.search(r"\{[\w:-]+\}`", prose), text
        assert not re.search(r"\]\((lesson|foundation):|\]\(#", prose), text
        assert not re.search(r"^\s*(:alt:|when:|reply:)", prose, re.MULTILINE), text


def test_no_myst_is_left(small_course: SmallCourse):
    refresh_bitmaps(small_course.lesson)
    assert_plain(made(small_course))


def test_boxes_become_quotations_with_a_bold_title(small_course: SmallCourse):
    text = "\n\n".join(sources(made(small_course), "markdown"))
    assert "> **From Foundations 1.3.4: [Stochastic" in text
    assert "> **Note.** A sum keeps integers:\n>\n> $$ \\sum_i x_i $$" in text


def test_a_box_that_begins_with_a_list_has_its_title_above(small_course: SmallCourse):
    small_course.edit(small_course.text, "A sum keeps integers:", "- A sum keeps integers:")
    text = "\n\n".join(sources(made(small_course), "markdown"))
    assert "> **Note.**\n>\n> - A sum keeps integers:" in text


def test_what_goes_wrong_shows_the_executed_message(small_course: SmallCourse):
    text = cell(made(small_course), "section-when-it-goes-wrong").source
    assert f"```python\n{SNIPPET}\n```\n\n```text\nRuntimeError: no mean\n```" in text
    assert "**Cause.** The tensor holds integers." in text
    assert "**Cure.** Convert it: `.float()`." in text


def test_review_cards_fold_their_answers(small_course: SmallCourse):
    text = cell(made(small_course), "section-review-cards").source
    assert text.count("<details") == text.count("</details>") == 2
    before, _, after = text.partition("<summary>Show the answer</summary>\n\n")
    assert "What does `torch.tensor([1]).mean()` do?" in before
    assert after.startswith("It raises a `RuntimeError`.\n\n</details>")


def test_a_figure_travels_as_png_with_its_text_equivalent(small_course: SmallCourse):
    text = "\n".join(sources(made(small_course), "markdown"))
    found = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="(.*?)" width="(.*?)">', text)
    assert found
    assert base64.b64decode(found[1]).startswith(SIGNATURE)
    assert found[2] == "Three boxes, and an arrow to one."
    assert found[3] == "120"


# The file ---------------------------------------------------------------------------------------


def test_the_notebook_is_valid_and_without_outputs(small_course: SmallCourse):
    notebook = made(small_course)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert all(c.outputs == [] and c.execution_count is None for c in code)
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_bytes_are_always_the_same_and_end_in_a_newline(small_course: SmallCourse):
    first, second = notebook_bytes(made(small_course)), notebook_bytes(made(small_course))
    assert first == second
    assert first.endswith(b"}\n")


def test_cell_ids_are_unique_and_colab_finds_them_in_the_metadata(small_course: SmallCourse):
    cells = made(small_course).cells
    ids = [c.id for c in cells]
    assert len(set(ids)) == len(ids)
    assert [c.metadata["id"] for c in cells] == ids
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", name) for name in ids)


def test_an_edit_changes_no_other_cells_id(small_course: SmallCourse):
    before = [c.id for c in made(small_course).cells]
    small_course.edit(small_course.text, "scores.sum()\n```", "scores.sum()\n```\n\nNew words.\n")
    small_course.edit(small_course.text, "halves:", "halves at all:")
    after = [c.id for c in made(small_course).cells]
    changed = {name for name in before if name not in after}
    assert len(after) == len(before) + 1
    assert len(changed) == 1
    assert changed.pop().startswith("text-")


def test_equal_cells_get_different_ids(small_course: SmallCourse):
    again = "scores.sum()\n```\n\n```{code-cell} python\nscores.sum()\n```"
    small_course.edit(small_course.text, "scores.sum()\n```", again)
    ids = [c.id for c in made(small_course).cells if c.source == "scores.sum()"]
    assert ids == [ids[0], f"{ids[0]}-2"]


def test_a_gpu_is_asked_for_where_the_plan_says_so(small_course: SmallCourse):
    file = read_lesson(small_course.lesson)
    plain = student_notebook(file, MEASURED).metadata
    assert "accelerator" not in plain
    gpu = Lesson(**{**vars(small_course.lesson), "gpu": True})
    wanted = student_notebook(type(file)(**{**vars(file), "lesson": gpu}), MEASURED).metadata
    assert wanted["accelerator"] == "GPU"
    assert wanted["colab"]["gpuType"] == "T4"


# The solution notebook --------------------------------------------------------------------------


def test_the_solution_has_the_same_cells(small_course: SmallCourse):
    ids = [c.id for c in made(small_course).cells]
    assert [c.id for c in solved(small_course).cells] == ids


def test_the_solution_holds_references_and_right_letters(small_course: SmallCourse):
    notebook = solved(small_course)
    assert "every_score = scores.flatten()" in cell(notebook, "starter-tiny_total").source
    assert "# solution" not in cell(notebook, "starter-tiny_total").source
    assert cell(notebook, "predict-small_int_mean").source == 'predict("small_int_mean", "b")'


def test_cells_of_the_solution_know_what_they_are_and_their_line(small_course: SmallCourse):
    notebook = solved(small_course)
    lines = small_course.text.read_text(encoding="utf-8").splitlines()
    starter = cell(notebook, "starter-tiny_total").metadata["firstlight"]
    assert starter["role"] == "starter"
    assert starter["exercise"] == "tiny_total"
    assert lines[starter["line"] - 1] == ":::{exercise} tiny_total"
    roles = [c.metadata["firstlight"]["role"] for c in notebook.cells if c.cell_type == "code"]
    assert roles == [
        "install", "code", "predict", "code", "code", "starter", "check", "starter", "check",
    ]  # fmt: skip


# The install cell -------------------------------------------------------------------------------


def run_install(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the install cell twice in a Python without the course, with a pip that only tells."""
    cell = INSTALL.format(repository="user/repo")
    told = "import subprocess; subprocess.run = lambda command, **_: print(command[1:])\n"
    hide = "import sys; sys.modules.pop('firstlight', None)\n"
    code = f"{told}{hide}{cell}\n{cell}\nprint('done')"
    return subprocess.run(
        [sys.executable, "-I", "-S", *flags, "-c", code], cwd=folder, capture_output=True, text=True
    )


def test_where_the_course_is_missing_it_is_installed_quietly(tmp_path: Path):
    done = run_install(tmp_path)
    command = "['-m', 'pip', 'install', '--quiet', 'firstlight @ git+https://github.com/user/repo']"
    assert done.stdout.splitlines() == [command, command, "done"]
    assert done.stderr == ""


def test_in_a_clone_the_clone_is_used(small_course: SmallCourse):
    notebooks = small_course.root / "notebooks"
    notebooks.mkdir()
    done = run_install(notebooks)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_where_the_course_is_installed_nothing_happens(capsys: pytest.CaptureFixture[str]):
    for _ in range(2):
        exec(INSTALL.format(repository="user/repo"), {})
    assert capsys.readouterr() == ("", "")


# The committed notebooks ------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", EXISTING, ids=lambda lesson: lesson.slug)
def test_committed_notebooks_are_up_to_date(lesson: Lesson):
    assert not is_stale(lesson), f"run `python -m authoring build {lesson.slug}`"


@pytest.mark.parametrize("lesson", EXISTING, ids=lambda lesson: lesson.slug)
def test_committed_notebooks_are_plain_and_valid(lesson: Lesson):
    for path in (student_path(lesson), solution_path(lesson)):
        notebook = read_notebook(path)
        nbformat.validate(notebook)
        assert_plain(notebook)


@pytest.mark.parametrize("lesson", EXISTING, ids=lambda lesson: lesson.slug)
def test_no_line_of_a_solution_survives_in_a_committed_notebook(lesson: Lesson):
    cells = {c.id: c for c in read_notebook(student_path(lesson)).cells}
    exercises = lesson_exercises(lesson)
    assert exercises
    for name, exercise in exercises.items():
        shown = [line.strip() for line in cells[f"starter-{name}"].source.splitlines()]
        answer = solution_lines(exercise)
        assert answer or exercise.level == "clinic"  # a repair may only move or delete lines
        assert not answer & set(shown), name


@pytest.mark.slow
@pytest.mark.parametrize("lesson", EXISTING, ids=lambda lesson: lesson.slug)
def test_running_all_of_an_unsolved_notebook_raises_nothing(lesson: Lesson):
    notebook = read_notebook(student_path(lesson))
    execute(notebook)
    checks = [c for c in notebook.cells if c.metadata.get("firstlight", {}).get("role") == "check"]
    outcomes = {check.outputs[0].metadata["firstlight"]["outcome"] for check in checks}
    assert outcomes == {"not-attempted"}


@pytest.mark.parametrize("lesson", EXISTING, ids=lambda lesson: lesson.slug)
def test_all_checks_pass_in_the_committed_solution(lesson: Lesson):
    cells = read_notebook(solution_path(lesson)).cells
    checks = [c for c in cells if c.metadata.get("firstlight", {}).get("role") == "check"]
    assert len(checks) == len(lesson_exercises(lesson))
    for check in checks:
        told = [output.get("metadata", {}).get("firstlight", {}) for output in check.outputs]
        assert [t["outcome"] for t in told if "outcome" in t] == ["passed"]
