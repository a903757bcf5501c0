"""The `firstlight` command, run as a student runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firstlight import progress, status
from firstlight.checking import all_exercises
from firstlight.course import load_course
from firstlight.progress import ExerciseState, PredictionState

EXERCISE = next(iter(all_exercises().values()))
REFERENCE = f"import numpy as np\nimport torch\n{EXERCISE.reference_source}\n"
MISTAKE = next(m for m in EXERCISE.misconceptions if not m.ambiguous_with)
MISTAKEN = f"import numpy as np\nimport torch\n{MISTAKE.source}\n{EXERCISE.name} = {MISTAKE.id}\n"


def firstlight(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firstlight", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=120,
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def answer(tmp_path: Path, home: Path) -> Path:
    return tmp_path / "answer.py"


def check_json(answer: Path, text: str, *options: str) -> tuple[int, dict[str, object], str]:
    """Check a file with this text; give the exit status, the JSON object and standard error."""
    answer.write_text(text, encoding="utf-8")
    done = firstlight("check", EXERCISE.name, str(answer), "--json", *options)
    told = json.loads(done.stdout)
    assert list(told) == ["exercise", "outcome", "misconceptions", "message"]
    return done.returncode, told, done.stderr


def test_the_right_answer_passes_with_exit_status_0(answer: Path) -> None:
    code, told, _ = check_json(answer, REFERENCE)
    assert (code, told["outcome"]) == (0, "passed")
    assert told["misconceptions"] == []


def test_a_known_mistake_is_named_with_exit_status_1(answer: Path) -> None:
    code, told, _ = check_json(answer, MISTAKEN)
    assert (code, told["outcome"]) == (1, "known-mistake")
    assert told["misconceptions"] == [MISTAKE.id]
    assert MISTAKE.title in str(told["message"])


def test_what_the_file_prints_goes_elsewhere_than_the_json(answer: Path) -> None:
    noise = "import os\nprint('{noise')\nos.write(1, b'more noise')\n"
    code, told, errors = check_json(answer, noise + REFERENCE)
    assert (code, told["outcome"]) == (0, "passed")
    assert "{noise" in errors
    assert "more noise" in errors


def test_without_json_the_verdict_is_text(answer: Path) -> None:
    answer.write_text(MISTAKEN, encoding="utf-8")
    done = firstlight("check", EXERCISE.name, str(answer))
    assert done.returncode == 1
    assert done.stdout.startswith(f"✗ {EXERCISE.name}: a known mistake")


def test_a_file_that_fails_names_the_students_line(answer: Path) -> None:
    text = "import torch\n\ndef helper():\n    return torch.ones(2) + torch.ones(3)\n\nhelper()\n"
    code, told, _ = check_json(answer, text)
    assert (code, told["outcome"]) == (1, "error")
    assert "`answer.py` stopped at line 4" in str(told["message"])
    assert "torch.ones(2) + torch.ones(3)" in str(told["message"])
    assert "RuntimeError: The size of tensor a (2)" in str(told["message"])


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("x = 1\ndef f(:\n", 2, "SyntaxError"),
        ("import sys\nsys.exit('done')\n", 2, "SystemExit: done"),
        ("name = input('Who? ')\n", 1, "EOFError"),
        ("raise KeyboardInterrupt\n", 1, "KeyboardInterrupt"),
    ],
)
def test_whatever_ends_the_file_is_an_error_at_its_line(
    answer: Path, text: str, line: int, named: str
) -> None:
    _, told, _ = check_json(answer, text)
    assert told["outcome"] == "error"
    assert f"stopped at line {line}" in str(told["message"])
    assert named in str(told["message"])


def test_a_file_that_kills_its_process_is_an_error(answer: Path) -> None:
    code, told, _ = check_json(answer, "import os\nos.abort()\n")
    assert (code, told["outcome"]) == (1, "error")
    assert "ended" in str(told["message"])


def test_a_missing_answer_is_not_attempted(answer: Path) -> None:
    near = f"{EXERCISE.name}s"
    code, told, _ = check_json(answer, f"def {near}(): ...\n")
    assert (code, told["outcome"]) == (1, "not-attempted")
    assert f"defines nothing named `{EXERCISE.name}`" in str(told["message"])
    assert near in str(told["message"])


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass\n",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])\n",
    ],
)
def test_a_file_that_never_ends_is_stopped(answer: Path, text: str) -> None:
    began = time.monotonic()
    code, told, _ = check_json(answer, text, "--timeout", "1")
    assert (code, told["outcome"]) == (1, "timeout")
    assert time.monotonic() - began < 60


def test_a_thread_left_running_does_not_hold_up_the_verdict(answer: Path) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    code, told, _ = check_json(answer, thread + REFERENCE)
    assert (code, told["outcome"]) == (0, "passed")


def test_a_file_can_import_what_lies_beside_it(answer: Path) -> None:
    (answer.parent / "my_tools.py").write_text("LIMIT = 3\n", encoding="utf-8")
    code, _, _ = check_json(answer, "from my_tools import LIMIT\n" + REFERENCE)
    assert code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", EXERCISE.name, "no-such-file.py"],
        ["check", EXERCISE.name, "."],
        ["check", "no_such_exercise", __file__],
        ["check", EXERCISE.name, __file__, "--timeout", "0"],
        ["check", EXERCISE.name, __file__, "--timeout", "soon"],
        ["start", "--port", "99999"],
        ["unknown"],
        [],
    ],
)
def test_wrong_use_is_said_with_exit_status_2(home: Path, arguments: list[str]) -> None:
    done = firstlight(*arguments)
    assert done.returncode == 2
    assert done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_said_in_a_sentence(home: Path) -> None:
    done = firstlight("check", EXERCISE.name, "no-such-file.py", "--json")
    assert done.stdout == ""
    assert done.stderr == "There is no file no-such-file.py.\n"


def test_an_unknown_exercise_suggests_the_nearest(answer: Path) -> None:
    answer.write_text(REFERENCE, encoding="utf-8")
    done = firstlight("check", EXERCISE.name[:-1], str(answer))
    assert f"`{EXERCISE.name}`" in done.stderr


def test_a_check_from_the_terminal_counts_as_an_attempt(answer: Path) -> None:
    check_json(answer, MISTAKEN)
    check_json(answer, REFERENCE)
    state = progress.exercise_states()[EXERCISE.name]
    assert (state.attempts, state.passed) == (2, True)
    assert state.misconceptions == (MISTAKE.id,)


def test_status_shows_every_lesson_and_the_mistakes_met(answer: Path) -> None:
    progress.record_check(EXERCISE.name, "known-mistake", [MISTAKE.id])
    shown = firstlight("status", COLUMNS="120").stdout
    for lesson in load_course().lessons:
        assert lesson.title in shown
    assert EXERCISE.name in shown
    assert MISTAKE.title in shown
    assert "still open" in shown


def test_status_fits_80_columns(home: Path) -> None:
    lines = firstlight("status", COLUMNS="80").stdout.splitlines()
    assert "Predicted" in "".join(lines)
    assert all(len(line) <= 80 for line in lines[:-1])  # the last is a path
    assert "…" not in "".join(lines)


def test_a_row_counts_what_was_done_in_its_lesson_alone() -> None:
    lesson = EXERCISE.lesson
    done = {
        EXERCISE.name: ExerciseState(3, True, "passed", (MISTAKE.id,)),
        "another_lessons_exercise": ExerciseState(1, True, "passed"),
    }
    told = {"another_lessons_prediction": PredictionState(("a",), True, True)}
    row = status.row(lesson, done, told)
    assert (row.passed, row.attempted, row.mistakes, row.right) == (1, 1, 1, 0)
    assert row.exercises > 1


def test_help_lists_the_commands(home: Path) -> None:
    shown = firstlight("--help").stdout
    assert all(command in shown for command in ("start", "status", "check"))


def test_the_command_line_starts_without_torch_or_jupyter(home: Path) -> None:
    code = (
        "import sys, firstlight.cli\n"
        "print(sorted({'torch', 'jupyter_server', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
