"""The `firstlight` command: start the course, see how far you are, check an answer in a file."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 good, 1 not passed, 2 used wrongly."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe on Windows may have no sign for ✓
            stream.reconfigure(errors="replace")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "start":
        return _start(options)
    if options.command == "status":
        return _status()
    if options.command == "check":
        return _check(options)
    parser.print_help()
    return 2


def _parser() -> argparse.ArgumentParser:
    from firstlight import __version__

    parser = argparse.ArgumentParser(prog="firstlight", description=__doc__)
    parser.add_argument("--version", action="version", version=f"firstlight {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    start = commands.add_parser("start", help="open the course: its pages and JupyterLab")
    start.add_argument("--no-browser", action="store_true", help="only print the address")
    start.add_argument("--port", type=_port, default=8899, help="the port to use (8899)")
    start.add_argument("--workspace", type=Path, metavar="DIR", help="where your notebooks lie")
    start.add_argument("--site", type=Path, metavar="DIR", help="the built pages to serve")

    commands.add_parser("status", help="show how far you are")

    check = commands.add_parser("check", help="check the answer to an exercise in a Python file")
    check.add_argument("exercise", metavar="EXERCISE", help="its name, such as flatten_images")
    check.add_argument("file", metavar="FILE", type=Path, help="the file that defines it")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="seconds it may take (60)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port; use a number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")


def _start(options: argparse.Namespace) -> int:
    from firstlight.serve.start import start

    return start(options.site, options.workspace, options.port, not options.no_browser)


def _status() -> int:
    from firstlight.status import print_status

    print_status()
    return 0


def _check(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from firstlight import progress
    from firstlight.answer_file import UnknownExercise, check_file

    if not options.file.is_file():
        print(f"There is no file {options.file}.", file=sys.stderr)
        return 2
    output = sys.stderr if options.json else sys.stdout
    try:
        result = check_file(options.exercise, options.file, options.timeout, output)
    except UnknownExercise as unknown:
        print(unknown, file=sys.stderr)
        return 2
    progress.record_check(result.exercise, result.outcome, result.misconceptions)
    print(json.dumps(asdict(result)) if options.json else result.message)
    return 0 if result.outcome == "passed" else 1
