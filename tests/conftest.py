"""What all tests share: no test touches anybody's progress or workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread each: the tests run side by side, and their tensors are small.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: a worker that waits for a browser or a process computes nothing."""
    affinity = getattr(os, "sched_getaffinity", None)  # which macOS lacks
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what the course records during a test in a folder of its own."""
    home = tmp_path_factory.mktemp("firstlight-home")
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(home))
    return home
