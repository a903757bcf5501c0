"""Measure the promises of the design's speed table, print them, and keep them in results.json."""

from __future__ import annotations

import argparse
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import checking, notebooks, pages, projects, starting
from benchmarks.promise import RECORD, ROOT, Entry, Promise, measure, save

PROMISES = (
    Promise("learn-first", "make learn, first time", 12, "s", starting.first_learn),
    Promise("learn-later", "make learn, afterwards", 3, "s", starting.later_learn),
    Promise("import", "import firstlight beyond torch", 50, "ms", starting.import_beyond_torch),
    Promise("check", "a check, 95th percentile", 300, "ms", checking.check_time),
    Promise("mnist", "MNIST reference, training", 15, "s", projects.mnist_time),
    Promise(
        "mnist-accuracy", "MNIST reference, test", 98.5, "%", projects.mnist_accuracy, at_least=True
    ),
    Promise("fashion", "Fashion-MNIST reference MLP", 30, "s", projects.fashion_time),
    Promise(
        "fashion-accuracy",
        "Fashion-MNIST reference, test",
        90,
        "%",
        projects.fashion_accuracy,
        at_least=True,
    ),
    Promise("stretch", "Fashion-MNIST stretch network", 240, "s", projects.stretch_time),
    Promise(
        "stretch-accuracy",
        "Fashion-MNIST stretch, test",
        92.5,
        "%",
        projects.stretch_accuracy,
        at_least=True,
    ),
    Promise("solutions", "all solutions executed", 480, "s", notebooks.execution_time),
    Promise("memory", "memory of a solution", 2, "GB", notebooks.execution_memory),
    Promise("site-cold", "site from solutions, cold", 8, "s", pages.cold_site),
    Promise("site-changed", "site after a prose change", 4, "s", pages.changed_site),
    Promise("page", "a lesson page, compressed", 400, "kB", pages.page_weight),
)


def main() -> int:
    """Measure what was asked for, or everything."""
    names = [promise.name for promise in PROMISES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}")
    asked = parser.parse_args().names or names
    if unknown := set(asked) - set(names):
        parser.error(f"there is no row {', '.join(unknown)}")
    console = Console()
    entries = []
    for promise in PROMISES:
        if promise.name in asked:
            with console.status(promise.what):
                entries.append(measure(promise))
    console.print(table(entries))
    for entry in entries:
        console.print(f"{entry.what}: {remarks(entry)}", highlight=False)
    save(entries)
    console.print(f"Runs, machine and versions: {RECORD.relative_to(ROOT)}")
    return 0


def table(entries: list[Entry]) -> Table:
    """Draw one line for each promise."""
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("What", no_wrap=True)
    drawn.add_column("Promised", justify="right", no_wrap=True)
    drawn.add_column("Measured", justify="right", no_wrap=True)
    drawn.add_column("Kept", no_wrap=True)
    signs = {True: "yes", False: "NO", None: "—"}
    floors = {promise.name for promise in PROMISES if promise.at_least}
    for one in entries:
        limit = f"{'≥' if one.name in floors else '≤'} {one.limit:g} {one.unit}"
        result = "—" if one.result is None else f"{_short(one.result)} {one.unit}"
        drawn.add_row(one.what, limit, result, signs[one.kept])
    return drawn


def remarks(entry: Entry) -> str:
    """Say how many runs there were and how far apart, then the row's own note."""
    few = 1 < len(entry.runs) < 10
    spread = (
        f"{len(entry.runs)} runs, {_short(min(entry.runs))} to {_short(max(entry.runs))}"
        if few
        else ""
    )
    return "; ".join(filter(None, (spread, entry.note)))


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 100 else f"{number:.0f}"


if __name__ == "__main__":
    sys.exit(main())
