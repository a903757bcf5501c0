"""Make, read and write notebook files: nbformat, with types, and bytes that never vary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, from_dict, v4
from nbformat.corpus.words import generate_corpus_id


def markdown_cell(text: str) -> NotebookNode:
    """Make a Markdown cell."""
    return _cell("markdown", text)


def code_cell(source: str, outputs: Sequence[NotebookNode] = ()) -> NotebookNode:
    """Make a code cell that was not executed."""
    return _cell("code", source, execution_count=None, outputs=list(outputs))


def _cell(kind: str, source: str, **more: Any) -> NotebookNode:
    """Make a cell without validating it, as nbformat's own functions do: the notebook is, whole."""
    name = generate_corpus_id()  # type: ignore[no-untyped-call]
    cell = {"id": name, "cell_type": kind, "metadata": {}, "source": source, **more}
    made: NotebookNode = from_dict(cell)  # type: ignore[no-untyped-call]
    return made


def new_notebook(cells: Sequence[NotebookNode], metadata: dict[str, Any]) -> NotebookNode:
    """Make a notebook of the newest format."""
    made: NotebookNode = v4.new_notebook(cells=list(cells), metadata=metadata)  # type: ignore[no-untyped-call]
    return made


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file."""
    read: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return read


def notebook_bytes(notebook: NotebookNode) -> bytes:
    """Write a notebook as it is committed: keys sorted, a newline at the end.

    Raises:
        nbformat.ValidationError: if it is no valid notebook.
    """
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return (text.rstrip("\n") + "\n").encode()


def role(cell: NotebookNode) -> str:
    """What a code cell is for: code, starter, check, predict or install; empty for others."""
    return str(cell.metadata.get("firstlight", {}).get("role", ""))


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a generated file unless it is already so; say whether it was written."""
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return True
