"""Execute a solution notebook in a kernel of this environment, far from the author's own files."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from authoring.notebook_file import code_cell, role
from firstlight import course

COLOURS = 128  # of a picture on a page
LAST_LINES = 12  # of a traceback, shown to the author

_MEASURE = """\
import json, pathlib, sys
status = pathlib.Path("/proc/self/status")
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:
    import psutil
    peak = psutil.Process().memory_info().peak_wset
if status.exists():  # on Linux, ru_maxrss is at least what the process held that started the kernel
    peak = 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
import torch
print(json.dumps({"peak": peak, "torch": torch.__version__.partition("+")[0]}))
"""
_CELL_FILE = re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py")  # in warnings
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"(?:Cell In\[\d+\], line |<ipython-input-[^>]*>:)(\d+)")


class FailedCell(Exception):
    """A cell that raised, or whose check or prediction was not right.

    `cell` is the cell, `line` counts from 1 in it, and the message is what it printed last.
    """

    def __init__(self, cell: NotebookNode, line: int, message: str) -> None:
        super().__init__(message)
        self.cell = cell
        self.line = line


@dataclass(frozen=True)
class Run:
    """What an execution took, and with which torch."""

    seconds: float
    peak_bytes: int
    torch: str


def execute(notebook: NotebookNode, advance: Callable[[], None] = lambda: None) -> Run:
    """Execute a notebook in place, in a neutral folder and with a progress file of its own.

    Outputs are made stable: no times, and of a progress bar the last state alone. `advance` is
    called after each cell.

    Raises:
        FailedCell: if a cell raises.
    """
    measure = code_cell(_MEASURE)
    notebook.cells.append(measure)
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="firstlight-", ignore_cleanup_errors=True) as home:
            _run(notebook, Path(home), advance)
    finally:
        notebook.cells.remove(measure)
    seconds = time.perf_counter() - began
    _settle(notebook)
    measured = json.loads(measure.outputs[0]["text"])
    return Run(seconds, measured["peak"], measured["torch"])


def _run(notebook: NotebookNode, home: Path, advance: Callable[[], None]) -> None:
    client = NotebookClient(
        notebook,
        km=_kernel_manager(),
        resources={"metadata": {"path": str(home)}},
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # a kernel warns of TCP, which here is this machine
        on_cell_executed=lambda **_: advance(),
    )
    client.owns_km = True  # so that the kernel is shut down with the client
    try:
        client.execute(env=_environment(home))
    except CellExecutionError as error:
        cell = next(cell for cell in notebook.cells if _raised(cell))
        raise FailedCell(cell, _line(cell), _last_lines(cell)) from error
    except DeadKernelError as error:
        raise FailedCell(notebook.cells[0], 1, "The kernel died; was memory short?") from error


def _kernel_manager() -> AsyncKernelManager:
    """A manager that knows one kernel: the ipykernel beside this very Python."""
    return AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
    )


def _environment(home: Path) -> dict[str, str]:
    """The kernel sees this checkout first and writes its progress into `home`."""
    package = str(course.PACKAGE.parent)
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "FIRSTLIGHT_HOME": str(home / "firstlight")}


def _settle(notebook: NotebookNode) -> None:
    """Drop what varies from run to run."""
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_settled, cell.outputs) if output]


def _settled(output: NotebookNode) -> NotebookNode | None:
    """Name a cell's temporary file plainly; None for a stream on which nothing is left."""
    if output["output_type"] == "stream":
        output["text"] = _CELL_FILE.sub("this cell", output["text"])
        return output if output["text"].strip() else None
    picture = output.get("data", {}).get("image/png")
    if picture:
        output["data"]["image/png"] = _smaller(picture)
    return output


def _smaller(picture: str) -> str:
    """Keep the 128 colours that a plot or a grey image needs: a page then loads a third of it."""
    given = base64.b64decode(picture)
    kept = io.BytesIO()
    image = Image.open(io.BytesIO(given))
    colours = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    colours.save(kept, "PNG", optimize=True)
    return base64.b64encode(min(given, kept.getvalue(), key=len)).decode()


def _raised(cell: NotebookNode) -> bool:
    return any(output["output_type"] == "error" for output in cell.get("outputs", ()))


def _line(cell: NotebookNode) -> int:
    """The line of the cell that the traceback names; its first frame is the cell's own."""
    frame = _FRAME.search(_traceback(cell))
    return int(frame[1]) if frame else 1


def _traceback(cell: NotebookNode) -> str:
    lines = (o["traceback"] for o in cell.outputs if o["output_type"] == "error")
    return _ESCAPES.sub("", "\n".join(next(lines)))


def _last_lines(cell: NotebookNode) -> str:
    return "\n".join(_traceback(cell).rstrip().splitlines()[-LAST_LINES:])


def verify(notebook: NotebookNode) -> None:
    """Make sure that an executed notebook passes all its checks and predicts all right.

    Raises:
        FailedCell: if a check did not pass or a prediction was not right.
    """
    for cell in notebook.cells:
        told = _told(cell)
        fine = {"check": told.get("outcome") == "passed", "predict": told.get("right") is True}
        if not fine.get(role(cell), True):
            raise FailedCell(cell, 1, _shown_text(cell) or "The cell showed nothing.")


def _told(cell: NotebookNode) -> dict[str, Any]:
    for output in cell.get("outputs", ()):
        if told := output.get("metadata", {}).get("firstlight"):
            return dict(told)
    return {}


def _shown_text(cell: NotebookNode) -> str:
    shown = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(shown).strip()
