"""Check an answer in a file: the file runs in a process of its own, with a time limit."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

SECONDS_TO_START = 120.0  # for Python, torch and the course, before the student's time begins


@dataclass(frozen=True)
class Result:
    """The outcome of a check, as `firstlight check --json` prints it."""

    exercise: str
    outcome: str
    misconceptions: tuple[str, ...]
    message: str


class UnknownExercise(Exception):
    """The course has no exercise of this name; the message suggests the nearest."""


def check_file(exercise: str, path: Path, seconds: float, output: IO[str]) -> Result:
    """Run the file at `path` and check the answer named `exercise` in it.

    Args:
        exercise: the name of the exercise, and of the answer.
        path: the student's file.
        seconds: how long the file and the check may take together.
        output: where to send what the student's code prints.

    Raises:
        UnknownExercise: if the course has no such exercise.
    """
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        result, ready = Path(folder, "result.json"), Path(folder, "ready")
        command = [sys.executable, "-m", "firstlight.answer_file", exercise, str(path), folder]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, start_new_session=os.name != "nt"
        )
        try:
            in_time = _wait(process, ready, seconds)
        finally:
            _end(process)
        if result.is_file():
            return _read(result)
    name = path.name
    if in_time:
        status = process.returncode
        reason = f"signal {-status}" if status < 0 else f"exit status {status}"
        ended = f"The process that ran {name} ended ({reason}) before the check was done."
        return Result(exercise, "error", (), f"✗ {exercise}: stopped with an error\n\n  {ended}")
    late = (
        f"{name} and the check were not done after {seconds:g} s. Look for a loop that never ends."
    )
    return Result(exercise, "timeout", (), f"✗ {exercise}: took too long\n\n  {late}")


def _wait(process: subprocess.Popen[bytes], ready: Path, seconds: float) -> bool:
    """Wait for the process; False if it outran its time, which begins when it is ready."""
    end = time.monotonic() + SECONDS_TO_START
    started = False
    while process.poll() is None:
        if not started and ready.exists():
            started = True
            end = time.monotonic() + seconds
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and, where the platform can, every process it has started."""
    if os.name != "nt":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read(result: Path) -> Result:
    record = json.loads(result.read_text(encoding="utf-8"))
    if "unknown" in record:
        raise UnknownExercise(record["unknown"])
    return Result(**{**record, "misconceptions": tuple(record["misconceptions"])})


# In the other process ---------------------------------------------------------------------------


def _judge(exercise: str, path: Path, ready: Path) -> dict[str, object]:
    """Run the file, check its answer and give the result as JSON can hold it."""
    from firstlight.checking import Verdict, check_fully, find_exercise

    try:
        asked = find_exercise(exercise)
    except KeyError as unknown:
        return {"unknown": unknown.args[0]}
    ready.touch()
    failure, names = _run(path)
    if failure:
        verdict = Verdict(exercise, "error", (), (("", failure),))
    elif exercise not in names:
        verdict = Verdict(exercise, "not-attempted", (), (("", _missing(exercise, path, names)),))
    else:
        verdict = check_fully(asked, names[exercise])
    found = Result(exercise, verdict.outcome, verdict.misconceptions, verdict.message)
    return asdict(found)


def _run(path: Path) -> tuple[str, dict[str, object]]:
    """Run the file as a module; return what went wrong, if anything did, and the names it defines."""
    sys.path.insert(0, str(path.parent))  # so that it can import what lies beside it
    sys.argv = [str(path)]
    spec = importlib.util.spec_from_file_location("student_answer", path)
    if spec is None or spec.loader is None:
        return f"`{path.name}` is no Python file; its name must end in .py.", {}
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return _failure(error, path), {}
    return "", vars(module)


def _failure(error: BaseException, path: Path) -> str:
    """Say which line of the student's file stopped it, and with what."""
    line, text = 0, ""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line, text = error.lineno or 0, (error.text or "").strip()
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path):
            line, text = frame.lineno or 0, frame.line or ""
    told = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    where = f"`{path.name}` stopped at line {line}" if line else f"`{path.name}` could not be run"
    shown = f"\n\n    {text}" if text else ""
    return f"{where}, so nothing could be checked:{shown}\n\n{told}"


def _missing(exercise: str, path: Path, names: dict[str, object]) -> str:
    """Say that the file defines no answer of this name, and which name comes near."""
    near = difflib.get_close_matches(exercise, [n for n in names if not n.startswith("_")], n=1)
    hint = f" It defines `{near[0]}`: is that the one?" if near else ""
    return f"`{path.name}` defines nothing named `{exercise}`.{hint}"


def _main(exercise: str, file: str, folder: str) -> None:
    """Do the work of the other process, and leave at once, whatever the student's code left running."""
    record = _judge(exercise, Path(file).resolve(), Path(folder, "ready"))
    unfinished = Path(folder, "unfinished")
    unfinished.write_text(json.dumps(record), encoding="utf-8")
    unfinished.replace(Path(folder, "result.json"))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
