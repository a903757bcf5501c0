"""How the house is built: which way imports go, what a student may call, what the README promises."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import firstlight
from firstlight.checking import check_object, find_exercise
from firstlight.course import load_course

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "firstlight"
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Every part of the student's package, and the other parts it may import. What stands further down
# may use what stands above it; never the other way.
MAY_IMPORT: dict[str, set[str]] = {
    "course": set(),
    "blocks": set(),
    "progress": set(),
    "datasets": {"course"},
    "explore": {"datasets"},
    "own_code": {"progress"},
    "checking": {"course", "own_code", "progress"},
    "mine": {"checking", "own_code"},
    "predictions": {"blocks", "checking", "course", "progress"},
    "lessons": {"checking", "datasets", "explore", "mine"},
    "status": {"checking", "course", "predictions", "progress"},
    "answer_file": {"checking"},
    "serve": {"course", "progress"},
    "cli": {"answer_file", "progress", "serve", "status"},
    "__main__": {"cli"},
    "__init__": set(),  # loads by name, on first use
}
VOCABULARY = [
    "check",
    "expected_error",
    "explore",
    "hint",
    "load_fashion_mnist",
    "load_mnist",
    "predict",
    "solution",
]
HEAVY = {
    "torch",
    "numpy",
    "matplotlib",
    "pooch",
    "rich",
    "tqdm",
    "IPython",
    "jupyter_server",
    "sphinx",
}
LAZY = HEAVY - {"torch", "numpy", "tqdm"}  # what even a check does without


def sources(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "skeleton" not in p.parts)


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the package"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after this code."""
    script = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


# Imports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources(PACKAGE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    for name in imported(path):
        top, _, rest = name.partition(".")
        assert top not in {"authoring", "benchmarks", "tests"}, f"{path} imports {name}"
        if top == "firstlight":
            other = rest.split(".")[0]
            allowed = other in MAY_IMPORT[part] | {part} or other in {"__version__", *VOCABULARY}
            assert allowed, f"{part} must not import {other}: {path}"


@pytest.mark.parametrize(
    "path",
    [path for path in sources(PACKAGE) if part_of(path) != "lessons"],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_the_package_names_no_lesson(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose = {ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, documented)}
    strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    code = " ".join(
        [*(s for s in strings if isinstance(s, str) and s not in prose), *imported(path)]
    )
    for lesson in load_course().lessons:
        assert lesson.name not in code
        assert lesson.package not in code


def test_importing_the_course_loads_nothing_heavy() -> None:
    assert loaded_after("import firstlight") & HEAVY == set()


def test_a_check_loads_no_plots_downloads_or_jupyter() -> None:
    assert loaded_after("from firstlight import check, hint, predict, solution") & LAZY == set()


# The vocabulary ---------------------------------------------------------------------------------


def test_the_student_s_vocabulary_is_this() -> None:
    assert firstlight.__all__ == VOCABULARY
    assert dir(firstlight) == VOCABULARY


@pytest.mark.parametrize("name", VOCABULARY)
def test_every_word_of_the_vocabulary_is_there_and_explained(name: str) -> None:
    assert getattr(firstlight, name).__doc__


def test_another_word_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        getattr(firstlight, "chek")  # noqa: B009


# The files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [p for f in ("firstlight", "authoring", "benchmarks") for p in sources(ROOT / f)],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_a_module_opens_with_a_sentence_and_has_a_telling_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py" and not text.strip():
        return
    first = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].strip()
    assert first.endswith((".", "?", "!", ":", "`")), f"{path} opens with: {first!r}"
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "core", "manager"}


def readme_tree() -> list[str]:
    """The paths that the README's annotated tree names."""
    block = re.search(r"^## The house\n\n((?:    .*\n)+)", README, re.MULTILINE)
    assert block
    paths, folder = [], ""
    for line in block[1].splitlines():
        name = line.split()[0]
        if line.startswith("      "):
            paths.append(folder + name)
        else:
            paths.append(name)
            folder = name
    return paths


def test_the_readme_s_tree_is_the_repository() -> None:
    tree = readme_tree()
    assert len(tree) > 20
    assert [path for path in tree if not (ROOT / path).exists()] == []


def test_the_readme_leaves_out_no_part_of_the_package() -> None:
    named = {Path(path).name.removesuffix(".py") for path in readme_tree()}
    assert set(MAY_IMPORT) - {"__main__"} <= named


def test_the_readme_s_example_is_what_the_check_says() -> None:
    code, shown = re.search(r"```python\n(.*?)```.*?```text\n(.*?)\n```", README, re.S).groups()  # type: ignore[union-attr]
    namespace: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    verdict = check_object(find_exercise("mean_squared_error"), namespace["mean_squared_error"])
    assert verdict.message.rstrip() == shown


def test_the_readme_says_which_lessons_are_written() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (written|to come) \|$", README, re.MULTILINE)
    plan = [
        (str(lesson.position), lesson.title, "written" if lesson.exists else "to come")
        for lesson in load_course().lessons
    ]
    assert rows == plan


def test_every_make_target_of_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    used = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", README + contributing, re.MULTILINE))
    assert {"help", "learn", "test", "lessons", "site", "bench", "clean"} == targets
    assert used <= targets


def test_ci_runs_the_command_that_people_run() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


# The packages -----------------------------------------------------------------------------------


def project() -> dict[str, object]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(settings["project"])


def pins() -> dict[str, str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.split("==")[0]: line.split("==")[1] for line in lines}


def test_development_pins_every_package_it_names() -> None:
    settings = project()
    extras = settings["optional-dependencies"]
    assert isinstance(settings["dependencies"], list)
    assert isinstance(extras, dict)
    wanted = [*settings["dependencies"], *(name for extra in extras.values() for name in extra)]
    names = {re.split(r"[\[<>=;! ]", requirement)[0] for requirement in wanted}
    assert names - set(pins()) == {"firstlight"}
    assert pins()["torch"] == "2.13.0"


def test_colab_is_asked_for_no_jupyter_and_no_site_tools() -> None:
    dependencies = " ".join(map(str, project()["dependencies"]))  # type: ignore[call-overload]
    assert not re.search("jupyter|sphinx|myst|furo|torchvision", dependencies)


def test_the_package_holds_what_the_local_course_needs() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["firstlight"]
    held = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    others = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}}
    assert {p for p in others if not any(part.startswith(".") for part in p.parts)} <= held
    assert {p for p in PACKAGE.glob("lessons/*/challenge/*") if p.is_file()} <= held
