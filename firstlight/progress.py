"""What the student has done, kept in SQLite on this machine alone: attempts, predictions, hints.

Nothing here raises and nothing waits long, for a check has to answer whatever the disk does. An
event that can't be written counts in this session all the same, and goes in with the next write
that succeeds. Nothing leaves the machine.

The journal is SQLite's default, a rollback journal: write-ahead logging needs memory shared between
processes, which network drives, where university homes often lie, do not give.
"""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

PATIENCE = 0.5  # seconds a call may wait for another notebook's write; a write takes a few ms
VERSION = 1  # of the schema. To change it, raise it and let `_flush` lift older tables first.
CREATE = """
    CREATE TABLE IF NOT EXISTS events (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,   -- check, prediction or hint
        name TEXT NOT NULL,   -- of the exercise or the prediction
        result TEXT NOT NULL, -- a check's outcome; the option chosen
        detail TEXT NOT NULL, -- a check's misconceptions, separated by spaces; right or wrong
        at TEXT NOT NULL      -- UTC, ISO 8601
    )
"""
INSERT = "INSERT INTO events (kind, name, result, detail, at) VALUES (?, ?, ?, ?, ?)"
SELECT = "SELECT id, kind, name, result, detail, at FROM events"


@dataclass(frozen=True)
class ExerciseState:
    """How far the student is with one exercise."""

    attempts: int = 0
    passed: bool = False  # ever, so that trying on never takes it back
    last_outcome: str = "not-attempted"
    misconceptions: tuple[str, ...] = ()  # all that were ever named, in the order they came up
    hints: int = 0  # rungs shown


@dataclass(frozen=True)
class PredictionState:
    """How the student answered one prediction."""

    options: tuple[str, ...] = ()  # every option chosen, in order
    right: bool = False  # ever
    right_at_first: bool = False


@dataclass(frozen=True)
class Event:
    """One line of the record."""

    kind: str
    name: str
    result: str
    detail: str
    at: str


class NewerSchemaError(RuntimeError):
    """The file was written by a later version of the course, so this one leaves it alone."""


_lock = threading.RLock()  # for the two lists below
_unsaved: list[Event] = []  # what could not be written yet
_known: list[Event] = []  # what the file held when last read or written, for while it is busy


def database_path() -> Path:
    """Where progress is kept: in `FIRSTLIGHT_HOME` if that is set, else in the data folder."""
    if home := os.environ.get("FIRSTLIGHT_HOME"):
        folder = os.path.expanduser(home)  # noqa: PTH111 - the method raises where there is no home
        return Path(folder) / "progress.sqlite3"
    from platformdirs import user_data_path  # kept off the path of `import firstlight`

    return user_data_path("firstlight", appauthor=False) / "progress.sqlite3"


def record_check(exercise: str, outcome: str, misconceptions: Sequence[str]) -> None:
    """Record what a check found; an exercise that was not attempted leaves no record."""
    if outcome != "not-attempted":
        _record("check", exercise, outcome, " ".join(map(str, misconceptions)))


def record_prediction(name: str, option: str, right: bool) -> None:
    """Record the option a student chose."""
    _record("prediction", name, option, "right" if right else "wrong")


def take_hint(exercise: str, available: int) -> int:
    """Go one rung further and return how many are shown now, at most `available`."""
    with _lock:
        shown = exercise_states().get(exercise, ExerciseState()).hints
        if shown < available:
            _record("hint", exercise)
    return min(shown + 1, available)


def exercise_states() -> dict[str, ExerciseState]:
    """Tell how far the student is with every exercise that was tried or hinted at."""
    states: dict[str, ExerciseState] = {}
    for event in _events():
        state = states.get(event.name, ExerciseState())
        if event.kind == "hint":
            states[event.name] = replace(state, hints=state.hints + 1)
        if event.kind == "check":
            named = dict.fromkeys([*state.misconceptions, *event.detail.split()])
            states[event.name] = replace(
                state,
                attempts=state.attempts + 1,
                passed=state.passed or event.result == "passed",
                last_outcome=event.result,
                misconceptions=tuple(named),
            )
    return states


def prediction_states() -> dict[str, PredictionState]:
    """Tell how the student answered every prediction that was answered."""
    states: dict[str, PredictionState] = {}
    for event in _events():
        if event.kind == "prediction":
            state = states.get(event.name, PredictionState())
            right = event.detail == "right"
            states[event.name] = PredictionState(
                options=(*state.options, event.result),
                right=state.right or right,
                right_at_first=state.right_at_first if state.options else right,
            )
    return states


def _record(kind: str, name: str, result: str = "", detail: str = "") -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    fields = (kind, name, result, detail, now)
    with _lock:
        _unsaved.append(_event(fields))
        _save()


def _text(field: object) -> str:
    """Make what SQLite can store of anything, or one odd event would hold up all later ones."""
    return str(field).encode("utf-8", "replace").decode()


def _save() -> None:
    with _lock:
        if _unsaved:
            _carefully(_flush)


@cache
def _save_at_exit() -> None:
    atexit.register(_save_at_last)


def _save_at_last() -> None:
    for _ in range(10):  # no check is waiting now, so other notebooks may take their time
        _save()


def _events() -> list[Event]:
    with _lock:
        saved = _carefully(_read)
        if saved is not None:
            _known[:] = saved
        return [*_known, *_unsaved]


def _flush() -> None:
    """Write what is not saved yet, all of it or nothing."""
    with _connection() as db:
        db.execute("BEGIN IMMEDIATE")
        if _version(db) < VERSION:
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute(CREATE)
        db.executemany(INSERT, [astuple(event) for event in _unsaved])
        db.execute("COMMIT")
    _known.extend(_unsaved)
    _unsaved.clear()


def _read() -> list[Event]:
    if not database_path().exists():
        return []
    with _connection() as db:
        if _version(db) == 0:
            return []  # an empty file: nothing was ever written
        return [_event(row) for _, *row in db.execute(f"{SELECT} ORDER BY id")]


def _event(row: Sequence[object]) -> Event:
    return Event(*(_text(field) for field in row))


def _version(db: sqlite3.Connection) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise NewerSchemaError("a newer version of Firstlight has written it, so it is left alone")
    return version


def _carefully(work: Callable[[], Result]) -> Result | None:
    """Do the work on the progress file, or on a fresh one if it is damaged; None if it fails."""
    try:
        try:
            _examine(database_path())
            return work()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not _means_damage(error):
                raise
            _set_aside_if_damaged()
            _flush()  # what was rescued, even where the work is only to read
            return work()
    except (sqlite3.Error, OSError, ValueError, NewerSchemaError) as error:
        _say(
            f"Your progress can't be saved in {database_path()}: {error}. Checks go on working, "
            "and what you do is kept in memory until it can be."
        )
        _save_at_exit()
        return None


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    path = database_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
        db.text_factory = lambda text: text.decode("utf-8", "replace")
        yield db


@cache
def _examine(path: Path) -> None:
    """Look through the file once in a process, or attempts might go where none can be read again.

    A failure is not cached, so the fresh file is looked at too.
    """
    if path.exists() and _is_damaged():
        raise sqlite3.DatabaseError("the progress file is damaged")


def _is_damaged() -> bool:
    with _connection() as db:
        try:
            if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
                return True
            if _version(db) == VERSION:
                db.execute(f"{SELECT} LIMIT 0")  # the table's own description may be damaged
            return False
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return _means_damage(error)


def _means_damage(error: Exception) -> bool:
    """Tell damage from a file that is busy, full or read-only."""
    if isinstance(error, sqlite3.OperationalError):  # mostly the disk; these are the exceptions
        return str(error).startswith(("no such column", "no such table", "unsupported file format"))
    return True  # other kinds: not a database, malformed, or damaged text quoted in a message


def _set_aside_if_damaged() -> None:
    """Rename a damaged file, which is never deleted; what it yields waits to be saved afresh.

    Another notebook may have found the damage too. Only the holder of the lock renames, and only
    what is damaged still: never the fresh file. The lock is a second, empty database, because
    SQLite's own locks work everywhere and end with the process that holds them.
    """
    path = database_path()
    lock_path = path.with_suffix(".lock")
    with closing(sqlite3.connect(lock_path, timeout=PATIENCE, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        if path.exists() and _is_damaged():
            rescued = _rescue()
            kept = _set_aside(path)
            _unsaved[:0] = rescued
            _known.clear()
            _say(
                f"Your progress file was damaged. It is kept as {kept}, and a new one is started, "
                f"with {len(rescued)} records that could still be read."
            )


def _rescue() -> list[Event]:
    """Read a damaged file from both ends, each time until it breaks off."""
    rows: dict[int, Event] = {}
    for order in ("ASC", "DESC"):
        with _connection() as db, suppress(sqlite3.Error, UnicodeDecodeError):
            for number, *row in db.execute(f"{SELECT} ORDER BY id {order}"):
                rows[number] = _event(row)
    return [rows[number] for number in sorted(rows)]


def _set_aside(path: Path) -> Path:
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ")
    return path.rename(path.with_name(f"{path.stem}.damaged-{now}{path.suffix}"))


@cache
def _say(sentence: str) -> None:
    """Tell the student once; logging, unlike a warning, can't turn into an exception."""
    logging.getLogger(__name__).warning(sentence)
