"""How long the solution notebooks take to execute from nothing, and how much memory."""

from __future__ import annotations

from functools import cache

from authoring.execution import Run, execute
from authoring.notebook_file import read_notebook
from benchmarks.promise import ROOT, Measured, Unmeasured
from firstlight.course import load_course


@cache
def runs() -> dict[str, Run]:
    """Execute a copy of every committed solution; the files stay as they are."""
    found = {}
    for lesson in load_course().lessons:
        path = ROOT / "solutions" / f"{lesson.name}.ipynb"
        if path.is_file():
            notebook = read_notebook(path)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
            found[lesson.name] = execute(notebook)
    if not found:
        raise Unmeasured("there are no solutions yet")
    return found


def execution_time() -> Measured:
    """Add up the seconds of all solutions."""
    each = ", ".join(f"{name} {run.seconds:.1f} s" for name, run in runs().items())
    total = sum(run.seconds for run in runs().values())
    return Measured((total,), f"{_how_many()}: {each}")


def execution_memory() -> Measured:
    """Take the largest peak of any solution's kernel."""
    each = ", ".join(f"{name} {run.peak_bytes / 1e9:.2f} GB" for name, run in runs().items())
    return Measured((max(run.peak_bytes for run in runs().values()) / 1e9,), each)


def _how_many() -> str:
    return f"{len(runs())} of {len(load_course().lessons)} lessons exist"
