"""Progress: whatever the disk does, nothing raises, checks go on and recorded attempts survive."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from firstlight import progress
from firstlight.progress import ExerciseState, PredictionState


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for each test, and a process that has recorded nothing yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(folder))
    forget()
    yield folder
    forget()


def forget() -> None:
    """Be as a process that has just started."""
    progress._say.cache_clear()
    progress._examine.cache_clear()
    progress._unsaved.clear()
    progress._known.clear()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


def saved_attempts(path: Path) -> list[str]:
    """The exercises of the recorded checks, read past our own code."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [name for (name,) in db.execute("SELECT name FROM events WHERE kind = 'check'")]


# --- What is recorded ---------------------------------------------------------------------------


def test_nothing_recorded_means_no_states_and_no_file(home: Path) -> None:
    assert progress.exercise_states() == {}
    assert progress.prediction_states() == {}
    assert not home.exists()


def test_attempts_add_up_and_a_pass_is_kept() -> None:
    progress.record_check("center", "known-mistake", ["summed_over_columns"])
    progress.record_check("center", "wrong", [])
    progress.record_check("center", "passed", [])
    progress.record_check("center", "known-mistake", ["forgot_keepdim", "summed_over_columns"])
    progress.record_check("flatten", "error", [])
    assert progress.exercise_states() == {
        "center": ExerciseState(
            attempts=4,
            passed=True,
            last_outcome="known-mistake",
            misconceptions=("summed_over_columns", "forgot_keepdim"),
        ),
        "flatten": ExerciseState(attempts=1, last_outcome="error"),
    }


def test_an_exercise_not_attempted_leaves_no_record() -> None:
    progress.record_check("center", "not-attempted", [])
    assert progress.exercise_states() == {}


def test_predictions_keep_every_option_and_whether_the_first_was_right() -> None:
    progress.record_prediction("int_mean", "a", False)
    progress.record_prediction("int_mean", "b", True)
    progress.record_prediction("views", "c", True)
    progress.record_prediction("views", "a", False)
    assert progress.prediction_states() == {
        "int_mean": PredictionState(options=("a", "b"), right=True, right_at_first=False),
        "views": PredictionState(options=("c", "a"), right=True, right_at_first=True),
    }


def test_hints_come_one_rung_at_a_time_and_stop_at_the_last() -> None:
    assert [progress.take_hint("center", 3) for _ in range(5)] == [1, 2, 3, 3, 3]
    assert progress.exercise_states() == {"center": ExerciseState(hints=3)}
    assert progress.take_hint("flatten", 3) == 1


def test_hints_taken_stay_within_a_ladder_that_got_shorter() -> None:
    assert [progress.take_hint("center", 3) for _ in range(3)] == [1, 2, 3]
    assert progress.take_hint("center", 2) == 2
    assert progress.take_hint("none", 0) == 0


def test_what_one_process_records_another_reads() -> None:
    code = "from firstlight import progress; progress.record_check('center', 'passed', [])"
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert progress.exercise_states()["center"].passed


def test_odd_text_is_recorded_and_holds_nothing_up() -> None:
    progress.record_prediction("int_mean", "\ud800 é\0'\"", False)
    progress.record_prediction("int_mean", 3, False)  # type: ignore[arg-type]
    assert progress._unsaved == []
    assert progress.prediction_states()["int_mean"].options == ("? é\0'\"", "3")


def test_the_file_lies_in_the_platforms_data_folder_unless_told_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    assert progress.database_path() == home / "progress.sqlite3"
    monkeypatch.delenv("FIRSTLIGHT_HOME")
    folder = platformdirs.user_data_path("firstlight", appauthor=False)
    assert progress.database_path() == folder / "progress.sqlite3"


# --- Killed -------------------------------------------------------------------------------------

HAMMER = """
import itertools, sys
from firstlight import progress
for number in itertools.count():
    progress.record_check(f"exercise_{number}", "passed", ["a_mistake"] * 20)
    print(number, flush=True)
"""


@pytest.mark.parametrize("milliseconds", [50, 83, 131, 190])
def test_attempts_recorded_before_a_kill_survive_it(home: Path, milliseconds: int) -> None:
    command = [sys.executable, "-c", HAMMER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        time.sleep(milliseconds / 1000)
        process.kill()  # SIGKILL; TerminateProcess on Windows
        reported = 1 + len(process.stdout.readlines())
    progress.record_check("after", "passed", [])
    found = saved_attempts(progress.database_path())
    assert found[:reported] == [f"exercise_{number}" for number in range(reported)]
    assert len(found) in (reported + 1, reported + 2)  # the last may not have been reported
    assert progress.exercise_states()["after"].passed


KILLED_IN_MID_WRITE = """
import os, sqlite3
from firstlight import progress

class Connection(sqlite3.Connection):
    def execute(self, sql, *parameters):
        if sql == "COMMIT":
            os.kill(os.getpid(), 9)  # on Windows, TerminateProcess
        return super().execute(sql, *parameters)

plain = sqlite3.connect
def connect(*arguments, **options):
    db = plain(*arguments, factory=Connection, **options)
    db.execute("PRAGMA cache_spill = 1")
    db.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
    return db
progress.sqlite3.connect = connect
progress._unsaved.extend([progress.Event("check", "torn" * 500, "passed", "", "")] * 500)
progress.record_check("torn", "passed", [])
"""


def test_a_write_cut_in_half_by_a_kill_is_rolled_back(home: Path) -> None:
    progress.record_check("before", "passed", [])
    small = progress.database_path().stat().st_size
    assert run(KILLED_IN_MID_WRITE).returncode in (-9, 9)
    assert progress.database_path().stat().st_size > 10 * small  # it was in the middle of writing
    assert (home / "progress.sqlite3-journal").exists()
    progress.record_check("after", "passed", [])
    assert saved_attempts(progress.database_path()) == ["before", "after"]
    assert list(progress.exercise_states()) == ["before", "after"]


# --- No place to write --------------------------------------------------------------------------


def test_a_home_that_cant_be_made_stops_nothing(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.write_text("a file where a folder is due")
    progress.record_check("center", "passed", [])
    progress.record_prediction("int_mean", "b", True)
    assert [progress.take_hint("center", 3) for _ in range(4)] == [1, 2, 3, 3]
    assert progress.exercise_states()["center"] == ExerciseState(1, True, "passed", (), 3)
    assert progress.prediction_states()["int_mean"].right
    assert [record.levelno for record in caplog.records] == [logging.WARNING]  # said once
    assert "can't be saved" in caplog.text
    assert home.read_text() == "a file where a folder is due"


def test_what_was_kept_in_memory_is_saved_once_that_is_possible(home: Path) -> None:
    home.write_text("a file where a folder is due")
    progress.record_check("first", "wrong", [])
    home.unlink()
    progress.record_check("second", "passed", [])
    assert saved_attempts(progress.database_path()) == ["first", "second"]
    assert progress.exercise_states()["first"].attempts == 1


def test_what_was_kept_in_memory_is_saved_at_the_end(home: Path) -> None:
    home.write_text("a file where a folder is due")
    code = (
        "import os; from firstlight import progress; progress.record_check('center', 'wrong', []);"
        "os.unlink(os.environ['FIRSTLIGHT_HOME'])"
    )
    assert run(code).returncode == 0
    assert saved_attempts(progress.database_path()) == ["center"]


READ_ONLY = """
import json, os
from dataclasses import asdict
from firstlight import progress
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
progress.record_check("center", "passed", [])
hints = [progress.take_hint("center", 3) for _ in range(4)]
print(json.dumps([hints, {name: asdict(s) for name, s in progress.exercise_states().items()}]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permission on Windows")
@pytest.mark.parametrize("exists", [True, False], ids=["old file", "no file"])
def test_a_read_only_home_stops_nothing_and_still_shows_what_is_there(exists: bool) -> None:
    # Not under tmp_path, into which the other user could not look.
    outer = Path(os.path.realpath("/tmp")) / f"firstlight-test-{os.getpid()}-{exists}"
    folder = outer / "home"
    folder.mkdir(parents=True)
    try:
        if exists:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("FIRSTLIGHT_HOME", str(folder))
                progress.record_check("old", "passed", [])
            (folder / "progress.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        done = run(READ_ONLY, FIRSTLIGHT_HOME=str(folder))
        assert done.returncode == 0, done.stderr
        hints, states = json.loads(done.stdout)
        assert hints == [1, 2, 3, 3]
        assert list(states) == (["old", "center"] if exists else ["center"])
        assert states["center"]["passed"]
        assert "can't be saved" in done.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    finally:
        folder.chmod(0o755)
        shutil.rmtree(outer)


FILL = """
import json, os, sys
from firstlight import progress
limit = int(sys.argv[1]) if len(sys.argv) > 1 else 0
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for number in range(120):
    progress.record_check(f"exercise_{number}" + "x" * 800, "passed", [])
assert len(progress.exercise_states()) == 120  # the file's and those in memory
assert [progress.take_hint("center", 3) for _ in range(4)] == [1, 2, 3, 3]
print(len(progress._unsaved), flush=True)
if not limit:
    os._exit(0)  # no last try: the disk stays full
"""


def fill(home: Path, *arguments: str) -> None:
    """Record until the disk is full and beyond, and see that what went in is sound."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FILL, *arguments],
        env={**os.environ, "FIRSTLIGHT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    unsaved = int(done.stdout)
    assert 20 < unsaved < 120, "the disk was not full, or never took anything"
    found = saved_attempts(home / "progress.sqlite3")
    assert len(found) == 120 + 3 - unsaved  # three hints came last
    assert all(name.startswith(f"exercise_{number}x") for number, name in enumerate(found))


def test_a_full_disk_stops_nothing_and_spoils_nothing(home: Path) -> None:
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(home)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted on Linux, by root")
    try:
        fill(home)
    finally:
        subprocess.run(["umount", str(home)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are POSIX")
def test_a_file_that_may_not_grow_stops_nothing_and_spoils_nothing(home: Path) -> None:
    fill(home, "50000")


# --- Damaged ------------------------------------------------------------------------------------


def damaged_files(home: Path) -> list[Path]:
    return sorted(home.glob("progress.damaged-*.sqlite3"))


@pytest.mark.parametrize(
    "content",
    [b"no database at all" * 100, bytes(4096), random.Random(0).randbytes(8192)],
    ids=["text", "zeros", "noise"],
)
def test_a_file_that_is_no_database_is_set_aside_and_kept(
    home: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    (home / "progress.sqlite3").write_bytes(content)
    progress.record_check("center", "passed", [])
    assert saved_attempts(progress.database_path()) == ["center"]
    (kept,) = damaged_files(home)
    assert kept.read_bytes() == content
    assert str(kept) in caplog.text


def test_reading_a_damaged_file_sets_it_aside_too(home: Path) -> None:
    home.mkdir()
    (home / "progress.sqlite3").write_bytes(b"no database at all" * 100)
    assert progress.exercise_states() == {}
    assert progress.take_hint("center", 3) == 1
    assert len(damaged_files(home)) == 1


def test_a_file_damaged_inside_is_set_aside_and_kept(home: Path) -> None:
    for number in range(300):
        progress._unsaved.append(progress.Event("check", f"e{number}", "wrong", "", ""))
    progress.record_check("center", "wrong", [])
    path = progress.database_path()
    spoiled = bytearray(path.read_bytes())
    spoiled[4096:] = bytes(byte ^ 0xA5 for byte in spoiled[4096:])
    path.write_bytes(spoiled)
    progress.record_check("center", "passed", [])
    assert saved_attempts(path)[-1] == "center"
    assert [kept.read_bytes() for kept in damaged_files(home)] == [bytes(spoiled)]


def spoil_one_page(home: Path) -> bytes:
    """Record 900 attempts, then overwrite a page in the middle of the file; return the bytes."""
    for number in range(900):
        progress._unsaved.append(progress.Event("check", f"e{number}", "wrong", "a_mistake", ""))
    progress.record_prediction("int_mean", "b", True)
    path = progress.database_path()
    spoiled = bytearray(path.read_bytes())
    middle = len(spoiled) // 4096 // 2 * 4096
    spoiled[middle : middle + 4096] = bytes(4096)
    path.write_bytes(spoiled)
    forget()
    return bytes(spoiled)


def test_what_a_damaged_file_still_yields_is_carried_over(home: Path) -> None:
    spoiled = spoil_one_page(home)
    states = progress.exercise_states()  # reading alone sets aside and saves what it rescued
    assert 700 < len(states) < 900
    assert next(iter(states)) == "e0"
    assert next(reversed(states)) == "e899"
    assert progress._unsaved == []
    assert saved_attempts(progress.database_path()) == list(states)
    assert progress.prediction_states()["int_mean"].right
    assert [kept.read_bytes() for kept in damaged_files(home)] == [spoiled]


def test_damage_is_found_before_anything_is_written(home: Path) -> None:
    spoiled = spoil_one_page(home)
    progress.record_check("center", "passed", [])
    assert [kept.read_bytes() for kept in damaged_files(home)] == [spoiled]
    assert saved_attempts(progress.database_path())[-1] == "center"


def test_a_sound_file_is_never_set_aside(home: Path) -> None:
    progress.record_check("center", "passed", [])
    progress._set_aside_if_damaged()  # as when another notebook was first to put a fresh file
    assert damaged_files(home) == []
    assert saved_attempts(progress.database_path()) == ["center"]


def test_only_one_notebook_at_a_time_sets_a_file_aside(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    home.mkdir()
    (home / "progress.sqlite3").write_bytes(b"no database at all" * 100)
    with closing(sqlite3.connect(home / "progress.lock", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        progress.record_check("first", "passed", [])
        assert damaged_files(home) == []
        assert progress.exercise_states()["first"].passed
    progress.record_check("second", "passed", [])
    assert len(damaged_files(home)) == 1
    assert saved_attempts(progress.database_path()) == ["first", "second"]


def test_an_old_journal_does_not_spoil_the_fresh_file(home: Path) -> None:
    progress.record_check("before", "passed", [])
    assert run(KILLED_IN_MID_WRITE).returncode in (-9, 9)
    assert (home / "progress.sqlite3-journal").exists()
    progress.database_path().write_bytes(b"no database at all" * 100)
    for number in range(20):
        progress.record_check(f"exercise_{number}", "passed", [])
    found = saved_attempts(progress.database_path())
    assert found[-20:] == [f"exercise_{number}" for number in range(20)]


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_anywhere_never_raise(home: Path, seed: int) -> None:
    for name in ("center", "flatten", "a" * 3000):
        progress.record_check(name, "known-mistake", ["a_mistake", "another"])
        progress.record_prediction(name, "b", True)
        progress.take_hint(name, 3)
    path = progress.database_path()
    spoiled = bytearray(path.read_bytes())
    chance = random.Random(seed)
    version = range(60, 64)  # spoiled, it reads as that of a newer course
    used = [place for place, byte in enumerate(spoiled) if byte and place not in version]
    for position in chance.sample(used, chance.choice([1, 3, 30])):
        spoiled[position] = chance.randrange(256)
    path.write_bytes(spoiled)
    forget()
    progress.record_check("after", "passed", [])
    progress.record_prediction("after", "b", True)
    assert progress.take_hint("after", 3) == 1
    assert progress.take_hint("after", 3) == 2
    assert progress.exercise_states()["after"] == ExerciseState(1, True, "passed", (), 2)
    assert progress.prediction_states()["after"].right
    assert progress._unsaved == []
    assert all(kept.stat().st_size for kept in damaged_files(home))


def test_an_empty_file_is_a_fresh_start(home: Path) -> None:
    home.mkdir()
    (home / "progress.sqlite3").touch()
    assert progress.exercise_states() == {}
    progress.record_check("center", "passed", [])
    assert progress.exercise_states()["center"].passed
    assert damaged_files(home) == []


def test_a_file_of_a_newer_course_is_left_alone(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    with closing(sqlite3.connect(home / "progress.sqlite3")) as db:
        db.execute("CREATE TABLE events (everything TEXT)")
        db.execute(f"PRAGMA user_version = {progress.VERSION + 1}")
    before = (home / "progress.sqlite3").read_bytes()
    progress.record_check("center", "passed", [])
    assert progress.take_hint("center", 3) == 1
    assert progress.take_hint("center", 3) == 2
    assert progress.exercise_states()["center"].passed  # in memory, for this session
    assert (home / "progress.sqlite3").read_bytes() == before
    assert [path.name for path in home.iterdir()] == ["progress.sqlite3"]
    assert "newer version of Firstlight" in caplog.text


# --- Several at once ----------------------------------------------------------------------------

TWO_NOTEBOOKS = """
import sys
from firstlight import progress
print("ready", flush=True)
sys.stdin.readline()  # start together
for number in range(60):
    progress.record_check(f"{sys.argv[1]}_{number}", "passed", ["a_mistake"])
    if number % 10 == 0:  # even while the other notebook has the file locked
        assert f"{sys.argv[1]}_{number}" in progress.exercise_states()
"""


def hammer_together(*names: str) -> None:
    """Let several processes record 60 attempts each, all at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", TWO_NOTEBOOKS, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors


def test_two_notebooks_at_once_lose_nothing() -> None:
    hammer_together("left", "right")
    found = saved_attempts(progress.database_path())
    assert len(found) == 120
    for name in ("left", "right"):
        own = [exercise for exercise in found if exercise.startswith(name)]
        assert own == [f"{name}_{number}" for number in range(60)]  # each once, in order


def test_notebooks_that_find_the_damage_together_set_aside_once_and_lose_nothing(
    home: Path,
) -> None:
    home.mkdir()
    (home / "progress.sqlite3").write_bytes(b"no database at all" * 100)
    hammer_together("one", "two", "three")
    assert len(damaged_files(home)) == 1
    assert len(set(saved_attempts(progress.database_path()))) == 180


def test_threads_lose_nothing() -> None:
    def record(name: str) -> None:
        for number in range(25):
            progress.record_check(f"{name}_{number}", "passed", [])

    threads = [threading.Thread(target=record, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(saved_attempts(progress.database_path()))) == 100


def test_a_file_locked_by_another_program_delays_nothing_for_long_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    progress.record_check("before", "passed", [])
    with closing(sqlite3.connect(progress.database_path(), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        progress.record_check("meanwhile", "wrong", [])
        assert [progress.take_hint("meanwhile", 3) for _ in range(2)] == [1, 2]
        assert list(progress.exercise_states()) == ["before", "meanwhile"]
        other.execute("ROLLBACK")
    assert progress.exercise_states()["meanwhile"] == ExerciseState(1, False, "wrong", (), 2)
    progress.record_check("after", "passed", [])
    assert saved_attempts(progress.database_path()) == ["before", "meanwhile", "after"]
