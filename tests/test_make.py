"""The commands around the course: `make` and what CI calls, on machines that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_POSIX = os.name == "nt" or shutil.which("make") is None
MAC_BROWSER = Path("/Applications/Google Chrome.app").exists()
pytestmark = pytest.mark.skipif(NO_POSIX, reason="make is for Linux and macOS")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs to be the whole PATH: a shell, and no browser, no apt, no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "bash", "env"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def add(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def test_help_is_what_make_does_by_itself_and_lists_every_target() -> None:
    shown = run("make", PATH=os.environ["PATH"]).stdout
    for target in ("help", "learn", "test", "lessons", "site", "bench", "clean"):
        assert f"  make {target} " in shown


def test_learn_passes_its_arguments_on() -> None:
    command = ("make", "-n", "learn", "ARGS=--no-browser --port 8899")
    assert (
        "firstlight start --no-browser --port 8899" in run(*command, PATH=os.environ["PATH"]).stdout
    )


def test_a_python_too_old_is_passed_over(programs: Path) -> None:
    add(programs, "python3", "exit 1")  # the version test fails in it
    add(programs, "python3.12", "exit 0")
    assert run(ROOT / ".ci" / "python", PATH=str(programs)).stdout == "python3.12\n"


def test_without_a_python_it_says_what_to_install(programs: Path) -> None:
    done = run(ROOT / ".ci" / "python", PATH=str(programs))
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_an_installed_browser_is_found(programs: Path) -> None:
    add(programs, "google-chrome", "exit 0")
    done = run(ROOT / ".ci" / "browser", PATH=str(programs))
    assert done.stdout == f"{programs / 'google-chrome'}\n"


@pytest.mark.skipif(MAC_BROWSER, reason="there is a browser")
def test_root_installs_debian_s_browser(programs: Path) -> None:
    browser = programs / "chromium"
    add(programs, "id", "echo 0")
    (programs / "ln").symlink_to(shutil.which("ln") or "")
    add(programs, "apt-get", f'echo "$@"; if [ "$1" = install ]; then ln -s /bin/sh {browser}; fi')
    done = run(ROOT / ".ci" / "browser", PATH=str(programs))
    assert done.stdout == f"{browser}\n"
    assert "--no-install-recommends chromium" in done.stderr


@pytest.mark.skipif(MAC_BROWSER, reason="there is a browser")
@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_without_a_browser_it_ends_by_saying_so_and_ci_fails(
    programs: Path, tmp_path: Path, ci: str, status: int
) -> None:
    tools = tmp_path / "venv"
    tools.mkdir()
    for name in ("ruff", "mypy", "python"):
        add(tools, name, f'echo "{name} $@"')
    add(programs, "id", "echo 1000")
    done = run(ROOT / ".ci" / "checks", tools, PATH=str(programs), CI=ci)
    assert done.returncode == status
    assert done.stdout.rstrip().endswith(
        "The browser tests did NOT run: there is no Chromium or Chrome on this machine."
    )
    for step in (
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "-m authoring check",
        "-m pytest",
    ):
        assert step in done.stdout


@pytest.mark.parametrize("failing", ["ruff", "mypy", "python"])
def test_one_failing_step_fails_the_whole(programs: Path, tmp_path: Path, failing: str) -> None:
    tools = tmp_path / "venv"
    tools.mkdir()
    for name in ("ruff", "mypy", "python"):
        add(tools, name, "exit 1" if name == failing else "exit 0")
    add(programs, "chromium", "exit 0")
    assert run(ROOT / ".ci" / "checks", tools, PATH=str(programs)).returncode == 1
