"""Show the site while it is being written: serve it here, rebuild on save, reload the browser.

The page learns of a new build from a stream of server-sent events. The script that listens is added
to a page as it is served, so the built site itself knows nothing of previews.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from watchfiles import watch

from authoring import places

EVENTS = "/__rebuilt"
KEEP_ALIVE = 15.0  # seconds between comments that show whether the browser is still there
SCRIPT = """<script>new EventSource("{address}").onmessage = () => location.reload()</script>"""
WATCHED = ("firstlight", "authoring", "site")


class Builds:
    """Counts the builds, and lets pages wait for the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.number = 0

    def done(self) -> None:
        """Tell all that wait that there is a new build."""
        with self._changed:
            self.number += 1
            self._changed.notify_all()

    def wait(self, number: int, seconds: float) -> bool:
        """Wait until there is a newer build than `number`; false if none came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.number > number, seconds)


class PreviewHandler(SimpleHTTPRequestHandler):
    """Serves the built site; pages get the listening script, `EVENTS` the stream it listens to."""

    protocol_version = "HTTP/1.0"  # the end of an answer is the end of the connection

    def __init__(self, *arguments: object, builds: Builds, **options: object) -> None:
        self.builds = builds
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with the stream, a page with the script, or a file as it is."""
        if urlsplit(self.path).path == EVENTS:
            self._stream()
        elif page := self._page():
            self._send_page(page)
        else:
            super().do_GET()

    def _page(self) -> Path | None:
        path = Path(self.translate_path(self.path))
        if path.is_dir() and urlsplit(self.path).path.endswith("/"):
            path /= "index.html"
        return path if path.suffix == ".html" and path.is_file() else None

    def _send_page(self, page: Path) -> None:
        data = with_script(page.read_text(encoding="utf-8"), self.builds.number).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        shown = int(parse_qs(urlsplit(self.path).query)["after"][0])
        try:
            while not self.builds.wait(shown, KEEP_ALIVE):
                self._send(": still here\n\n")
            self._send("data: rebuilt\n\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the page was closed

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: an author wants to read about the builds."""


def with_script(page: str, build: int) -> str:
    """Add the script that listens for builds newer than the one the page is from."""
    script = SCRIPT.format(address=f"{EVENTS}?after={build}")
    before, end, after = page.rpartition("</body>")
    return before + script + end + after if end else page + script


def make_server(site: Path, builds: Builds, port: int) -> ThreadingHTTPServer:
    """Make a server for this machine alone.

    Raises:
        OSError: if the port is taken.
    """
    handler = partial(PreviewHandler, builds=builds, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server


def rebuild() -> bool:
    """Build notebooks and site in fresh processes, which see every change to code.

    A warning, which fails `authoring site`, is shown here and the page with it.
    """
    for command in (["build"], ["site", "--keep-going"]):
        done = subprocess.run([sys.executable, "-m", "authoring", *command], cwd=places.ROOT)
        if done.returncode:
            print(f"`{command[0]}` failed; the page stays as it was until the next save.")
            return False
    return True


def preview(port: int) -> None:
    """Build, serve, and rebuild on every save, until Ctrl-C."""
    builds = Builds()
    try:
        server = make_server(places.ROOT / "build" / "site", builds, port)
    except OSError as taken:
        sys.exit(f"Port {port} cannot be used ({taken.strerror}); choose another with --port.")
    rebuild()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"Preview: http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)")
    try:
        for _ in watch(*(places.ROOT / name for name in WATCHED)):
            if rebuild():
                builds.done()
    except KeyboardInterrupt:
        print("Preview ended.")
    finally:
        server.shutdown()
        server.server_close()
