"""Remember the server of a workspace, so that a second start finds it instead of starting another."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from firstlight.serve.workspace import Workspace, replace_file

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # 127.0.0.1 needs no proxy


@dataclass(frozen=True)
class Running:
    """A server of the course: its process, its address and the token that opens it."""

    pid: int
    base: str
    token: str

    @property
    def url(self) -> str:
        """The address that a student opens."""
        return f"{self.base}course/?token={self.token}"

    def answers(self, seconds: float = 2.0) -> bool:
        """Ask the server whether it is there and knows the token."""
        request = urllib.request.Request(
            f"{self.base}api/status", headers={"Authorization": f"token {self.token}"}
        )
        try:
            with LOCAL.open(request, timeout=seconds) as answer:
                return "started" in json.load(answer)
        except (OSError, ValueError):  # nobody there, somebody else, or not JSON
            return False

    def serves(self) -> bool:
        """Ask for the course's home page."""
        try:
            with LOCAL.open(self.url, timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return True  # it answers; what it answers is shown in the browser
        except OSError:
            return False


def find_running(workspace: Workspace) -> Running | None:
    """Find the server that now serves the workspace; None if there is none."""
    try:
        running = Running(**json.loads(_record(workspace).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none was started, or the record is damaged
        return None
    return running if running.answers() else None


def announce(workspace: Workspace, running: Running) -> None:
    """Write down a server that has just started; the file is readable by its owner alone."""
    replace_file(_record(workspace), json.dumps(asdict(running)).encode())


def withdraw(workspace: Workspace) -> None:
    """Forget this process's server; the record of another stays."""
    try:
        pid = json.loads(_record(workspace).read_text(encoding="utf-8"))["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if pid == os.getpid():
        _record(workspace).unlink(missing_ok=True)


def wait_until(ready: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Ask again and again until `ready` says yes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.02)
    return False


def _record(workspace: Workspace) -> Path:
    return workspace.private / "server.json"
