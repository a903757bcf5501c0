"""Start the local course as a student does: a real Jupyter server in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

SERVE = """
import sys
from pathlib import Path
from firstlight.serve.start import serve
from firstlight.serve.workspace import Workspace
site, workspace, originals, port = sys.argv[1:]
sys.exit(serve(Path(site), Workspace(Path(workspace), Path(originals)), int(port), False))
"""


class KeepRedirect(urllib.request.HTTPRedirectHandler):
    """Answer with the redirect itself instead of following it."""

    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class LocalCourse:
    """A server process, what it printed, and the address it printed."""

    process: subprocess.Popen[str]
    printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.printed.append(line)

    def finish(self) -> int:
        """Wait for the process to end by itself, and return its exit status."""
        self.process.wait(timeout=60)
        self.reader.join(timeout=30)
        return self.process.returncode

    @property
    def output(self) -> str:
        return "".join(self.printed)

    def wait_for_url(self, seconds: float = 60) -> str:
        """Return the address once the server has printed it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := re.search(r"http://127\.0\.0\.1:\S+", self.output):
                return found[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no address was printed, only: {self.output}")

    @property
    def url(self) -> str:
        return self.wait_for_url()

    @property
    def root(self) -> str:
        return self.url.split("/course/")[0]

    @property
    def token(self) -> str:
        return self.url.split("token=")[1]

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path with the token, following no redirect."""
        return fetch(self.root + path, Authorization=f"token {self.token}", **headers)

    def stop(self, number: int = signal.SIGINT) -> float:
        """Send a signal, wait for the end, and return how many seconds it took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=30)
        seconds = time.monotonic() - began
        self.reader.join(timeout=30)
        return seconds


def fetch(url: str, **headers: str) -> Answer:
    """Ask for an address, following no redirect; an error status is an answer, too."""
    request = urllib.request.Request(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), KeepRedirect())
    try:
        with opener.open(request, timeout=20) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def run(command: list[str], **environment: str) -> LocalCourse:
    """Start a command of this Python in the background; its output is read all the time."""
    process = subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    return LocalCourse(process)


def serve(site: Path, workspace: Path, originals: Path, port: int, home: Path) -> LocalCourse:
    """Serve a site and notebooks of the test's own; progress is kept in `home`."""
    folders = [str(site), str(workspace), str(originals), str(port)]
    return run(["-c", SERVE, *folders], FIRSTLIGHT_HOME=str(home))


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
