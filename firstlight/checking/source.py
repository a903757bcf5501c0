"""Read answers as text: derive the starter from the reference, and see whether it was touched.

One rule derives the starter: the lines from `# solution:` to `# end solution` become `...`.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

BEGIN = "# solution:"
END = "# end solution"
BLANK = "..."


class MarkerFault(Exception):
    """Solution markers that do not pair up; `line` counts from the definition's first line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@functools.cache
def plain(definition: Callable[..., Any]) -> str:
    """Return the source of a function or class, dedented, without its decorators.

    Raises:
        OSError: if the source cannot be found, as for a function made by `exec`.
    """
    text = textwrap.dedent(_lines_of(definition))
    node = ast.parse(text).body[0]
    lines = text.splitlines()[node.lineno - 1 :]
    return "\n".join(lines).rstrip() + "\n"


@functools.cache
def _classes(text: str) -> tuple[tuple[str, int, int | None], ...]:
    """List the classes of a file: name, first and last line."""
    nodes = ast.walk(ast.parse(text))
    return tuple((n.name, n.lineno, n.end_lineno) for n in nodes if isinstance(n, ast.ClassDef))


def _lines_of(definition: Callable[..., Any]) -> str:
    """Return the lines of a definition.

    Classes are found through their methods: `inspect` finds none in a notebook, and parses a whole
    file anew for each.

    Raises:
        OSError: if the source cannot be found.
    """
    if not inspect.isclass(definition):
        return inspect.getsource(definition)
    for method in _methods(definition).values():
        lines = linecache.getlines(method.__code__.co_filename)
        at = method.__code__.co_firstlineno
        for name, first, last in _classes("".join(lines)):
            if name == definition.__name__ and first <= at <= (last or 0):
                return "".join(inspect.getblock(lines[first - 1 :]))
    return inspect.getsource(definition)


def own_text(answer: Any, name: str) -> str | None:
    """Return the text that defines `name` as the student wrote it; None if it cannot be had."""
    try:
        text = plain(answer)
        defined = ast.parse(text).body
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    own = isinstance(defined[0], ast.FunctionDef | ast.ClassDef) and defined[0].name == name
    return text if own else None


def decorator_lines(definition: Callable[..., Any]) -> int:
    """Count the lines of decorators that stand above a definition."""
    whole = inspect.getsource(definition).rstrip()
    return len(whole.splitlines()) - len(plain(definition).splitlines())


def _marked(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line number, line and whether it stands inside a solution; markers are left out."""
    opened = 0
    for number, line in enumerate(text.splitlines(), start=1):
        mark = line.strip()
        if mark == BEGIN:
            if opened:
                raise MarkerFault(f"opens a second `{BEGIN}` before `{END}`", number)
            opened = number
        elif mark == END:
            if not opened:
                raise MarkerFault(f"has `{END}` without `{BEGIN}`", number)
            opened = 0
        else:
            yield number, line, bool(opened)
    if opened:
        raise MarkerFault(f"has a `{BEGIN}` that is never closed with `{END}`", opened)


def starter(reference: str) -> str:
    """Replace every marked solution by `...`.

    Raises:
        MarkerFault: if a marker is missing, unclosed, or surrounds nothing.
    """
    kept: list[str] = []
    solved_before = False
    holes = 0
    for _, line, inside in _marked(reference):
        if inside and not solved_before:
            indent = line[: len(line) - len(line.lstrip())]
            kept.append(indent + BLANK)
            holes += 1
        elif not inside:
            kept.append(line)
        solved_before = inside
    if not holes:
        raise MarkerFault(f"has no `{BEGIN}` … `{END}`, so its starter would be the answer", 1)
    return "\n".join(kept).rstrip() + "\n"


def solved(reference: str) -> str:
    """Return the reference without its markers."""
    return "\n".join(line for _, line, _ in _marked(reference)).rstrip() + "\n"


def solution_lines(reference: str) -> list[str]:
    """List the stripped lines that stand between markers."""
    return [line.strip() for _, line, inside in _marked(reference) if inside and line.strip()]


def as_starter(wrong: str, name: str, exercise: str, order: str) -> str:
    """Turn a misconception into a bug clinic's starter: the exercise's name and docstring."""
    renamed = re.sub(rf"\b(def|class) {name}\b", rf"\1 {exercise}", wrong, count=1)
    node = ast.parse(renamed).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    lines = renamed.splitlines()
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        del lines[first.lineno - 1 : first.end_lineno]
    doc = textwrap.indent(f'"""{order}\n"""' if "\n" in order else f'"""{order}"""', "    ")
    lines.insert(first.lineno - 1, doc)
    if isinstance(node, ast.ClassDef) and "".join(lines[first.lineno : first.lineno + 1]).strip():
        lines.insert(first.lineno, "")  # as between the docstring and the methods of every class
    return "\n".join(lines).rstrip() + "\n"


def namespace(definition: Any) -> dict[str, Any]:
    """Give the module-level names that a function or class was written among."""
    functions = [definition, *getattr(definition, "__dict__", {}).values()]
    scopes = (getattr(function, "__globals__", None) for function in functions)
    return next(scope for scope in scopes if scope is not None)


def compiled(text: str, name: str, namespace: dict[str, Any]) -> Any:
    """Run a definition's source in a copy of `namespace` and return what it defines as `name`.

    The text is registered with `linecache`, so that tracebacks and `inspect` can show it.
    """
    filename = f"<firstlight {name} {hash(text):x}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope = dict(namespace)
    exec(compile(text, filename, "exec", dont_inherit=True), scope)  # our own text
    return scope[name]


# Whether an answer was touched ----------------------------------------------------------------


def _instructions(code: CodeType) -> list[tuple[str, Any]]:
    """List what the code does, without positions; nested functions are opened."""
    steps: list[tuple[str, Any]] = []
    for step in dis.get_instructions(code):
        if step.opname in ("RESUME", "NOP", "CACHE"):
            continue
        if isinstance(step.argval, CodeType):
            steps.append((step.opname, _instructions(step.argval)))
        else:
            steps.append((step.opname, step.argrepr if step.argval is not None else ""))
    return steps


def _methods(answer: Any) -> dict[str, FunctionType]:
    return {n: v for n, v in vars(answer).items() if isinstance(v, FunctionType)}


def same_code(one: Any, other: Any) -> bool:
    """Whether two functions, or the methods of two classes, do the same instructions."""
    if isinstance(one, FunctionType) and isinstance(other, FunctionType):
        return _instructions(one.__code__) == _instructions(other.__code__)
    if inspect.isclass(one) and inspect.isclass(other):
        ours, theirs = _methods(one), _methods(other)
        return ours.keys() == theirs.keys() and all(same_code(ours[n], theirs[n]) for n in ours)
    return False


def _nothing() -> None: ...


def _unwritten() -> None:
    raise NotImplementedError


def does_nothing(answer: Any) -> bool:
    """Whether a body is only a docstring, `...`, `pass` or `raise NotImplementedError`."""
    return isinstance(answer, FunctionType) and (
        same_code(answer, _nothing) or same_code(answer, _unwritten)
    )


def blank_line(answer: Any) -> int | None:
    """Find the first line, counted from the definition, where the starter's `...` still stands."""
    try:
        tree = ast.parse(plain(answer))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and ast.unparse(node) == BLANK:
            return node.lineno
    return None


def outside_names(answer: Any) -> list[str]:
    """List the module-level names that a function reads, in the order it reads them."""
    functions = [answer] if isinstance(answer, FunctionType) else []
    if inspect.isclass(answer):
        functions = list(_methods(answer).values())
    names: list[str] = []
    for function in functions:
        for step in dis.get_instructions(function.__code__):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval not in names:
                names.append(step.argval)
    return names
