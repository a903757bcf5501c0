"""Start the course: find or make the server, print its address, open the browser."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from pathlib import Path

from firstlight.course import PACKAGE
from firstlight.serve.running import Running, announce, find_running, wait_until, withdraw
from firstlight.serve.workspace import Workspace, replace_file

CLONE = PACKAGE.parent
PORT = 8899


def start(
    site: Path | None = None,
    workspace: Path | None = None,
    port: int = PORT,
    browser: bool = True,
) -> int:
    """Serve the course until Ctrl-C; return the exit status of the command.

    Args:
        site: the built pages; those of the clone if None.
        workspace: where the student's copies lie; `workspace` in the clone if None.
        port: the port to take if it is free, else the next free one.
        browser: whether to open the student's browser.
    """
    own = Workspace((workspace or CLONE / "workspace").resolve(), CLONE / "notebooks")
    if not own.originals.is_dir():
        print(
            f"The course's notebooks are not at {own.originals}. "
            "`firstlight start` runs from a clone of the course.",
            file=sys.stderr,
        )
        return 2
    if (running := find_running(own)) is not None:
        print(f"The course is already running at\n\n    {running.url}\n")
        if browser:
            open_browser(running, own)
        return 0
    return serve((site or CLONE / "build" / "site").resolve(), own, port, browser)


def serve(site: Path, workspace: Workspace, port: int, browser: bool) -> int:
    """Run the server in this process until it is stopped."""
    try:
        workspace.private.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(
            f"Your notebooks can't be kept in {workspace.folder} ({error}). "
            "Name another folder with --workspace.",
            file=sys.stderr,
        )
        return 2
    try:
        from firstlight.serve.server import live_apart, make_server
    except ImportError as error:
        print(
            f"The local course needs JupyterLab ({error}). Install it with\n\n"
            f'    {sys.executable} -m pip install "firstlight[app]"\n',
            file=sys.stderr,
        )
        return 2
    live_apart(workspace)
    server = make_server(site, workspace, port)
    running = Running(os.getpid(), server.connection_url, server.identity_provider.token)
    if server.port != port:
        print(f"Port {port} is taken; the course takes {server.port}.")
    threading.Thread(target=welcome, args=(running, workspace, browser), daemon=True).start()
    try:
        server.start()
    finally:
        withdraw(workspace)
    print(f"\nThe course has stopped. Your notebooks are in {workspace.folder}", flush=True)
    os._exit(0)  # the server's idle worker threads would sometimes hold up the end for ever


def welcome(running: Running, workspace: Workspace, browser: bool) -> None:
    """Print the address as soon as it answers, and open it."""
    if not wait_until(running.serves):
        print("The course does not answer.", file=sys.stderr)
        return
    announce(workspace, running)
    print(f"The course is at\n\n    {running.url}\n\nCtrl-C stops it.", flush=True)
    if browser:
        open_browser(running, workspace)


def open_browser(running: Running, workspace: Workspace) -> None:
    """Open the course in the student's browser, if there is one to open."""
    graphical = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not graphical:
        return  # a text browser would take the terminal; the address is printed
    # By way of a private file: on a command line every user of the machine could read the token.
    page = workspace.private / "open.html"
    replace_file(
        page,
        f'<!doctype html><meta charset="utf-8"><title>Firstlight</title>'
        f'<meta http-equiv="refresh" content="0; url={running.url}">'
        f'<a href="{running.url}">Open the course</a>\n'.encode(),
    )
    try:
        webbrowser.open(page.as_uri())
    except webbrowser.Error:
        return
