"""How long the site takes to build, and how much a browser loads for a lesson page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.copies import environment, fresh_copy
from benchmarks.promise import ROOT, Measured, Unmeasured
from firstlight.course import Lesson, load_course

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def cold_site(times: int = 3) -> Measured:
    """Time the first build of the site in a fresh clone."""
    runs = []
    for _ in range(times):
        with fresh_copy() as copy:
            runs.append(_build(copy))
    return Measured(tuple(runs), f"{len(_written())} lessons")


def changed_site(times: int = 3) -> Measured:
    """Time the build after one sentence was added to one lesson."""
    if not _written():
        raise Unmeasured("no lesson is written yet")
    runs = []
    with fresh_copy() as copy:
        _build(copy)
        text = copy / _written()[0].folder.relative_to(ROOT) / "lesson.md"
        for number in range(times):
            with text.open("a", encoding="utf-8") as lesson:
                lesson.write(f"\nSentence {number} was added.\n")
            runs.append(_build(copy))
    return Measured(tuple(runs))


def _build(copy: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "authoring", "site"],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Unmeasured(f"the site does not build: {(done.stdout + done.stderr)[-300:].strip()}")
    return time.perf_counter() - began


def _written() -> list[Lesson]:
    return [lesson for lesson in load_course().lessons if lesson.exists]


def page_weight() -> Measured:
    """Load every lesson page in Chromium from the local course, and add up what came, compressed."""
    weights = {}
    strangers: set[str] = set()
    with _served() as url, _browser() as browser:
        root = url.split("?")[0]
        for lesson in _written():
            context = browser.new_context()
            page = context.new_page()
            page.goto(url)  # signs in
            weight, hosts = _load(page, f"{root}{_address(lesson)}")
            weights[lesson.name] = weight
            strangers |= hosts - {"127.0.0.1"}
            context.close()
    each = ", ".join(f"{name} {weight:.0f} kB" for name, weight in weights.items())
    others = f"; requests to {', '.join(sorted(strangers))}" if strangers else "; no other host"
    return Measured((max(weights.values()),), each + others)


def _address(lesson: Lesson) -> str:
    site = ROOT / "build" / "site"
    for found in site.rglob(f"*{lesson.name}*"):
        if found.suffix == ".html" or (found.is_dir() and (found / "index.html").is_file()):
            return found.relative_to(site).as_posix() + ("/" if found.is_dir() else "")
    raise Unmeasured(f"build/site has no page of {lesson.title}: run make site")


def _load(page: Any, address: str) -> tuple[float, set[str]]:
    """Open one page with an empty cache, scroll through it, and return its kB and the hosts asked."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    received: list[float] = []
    hosts: set[str] = set()
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or "127.0.0.1"))
    page.goto(address, wait_until="networkidle")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(1000)
    return sum(received) / 1000, hosts


@contextmanager
def _served() -> Iterator[str]:
    """Serve the built site as `firstlight start` does, and give the address of its home."""
    with tempfile.TemporaryDirectory(prefix="firstlight-bench-") as folder:
        options = ["--no-browser", "--port", "8991", "--workspace", folder]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "firstlight", "start", *options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "FIRSTLIGHT_HOME": folder},
        ) as process:
            try:
                for line in process.stdout or ():
                    if found := re.search(r"http://127\.0\.0\.1:\S+", line):
                        yield found[0]
                        return
                raise Unmeasured("the course did not start")
            finally:
                process.terminate()
                process.communicate()


@contextmanager
def _browser() -> Iterator[Any]:
    names = (os.environ.get("FIRSTLIGHT_CHROMIUM"), *BROWSERS)
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        raise Unmeasured("there is no Chromium or Chrome on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=quiet)
        yield browser
        browser.close()
