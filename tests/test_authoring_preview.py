"""`authoring preview`: pages are served with a script that reloads them after the next build."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from authoring import preview
from authoring.preview import EVENTS, Builds, make_server, with_script

PAGE = "<!doctype html><html><body><p>Hello</p></body></html>"


@pytest.fixture
def builds() -> Builds:
    return Builds()


@pytest.fixture
def server(tmp_path: Path, builds: Builds) -> Iterator[ThreadingHTTPServer]:
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "style.css").write_text("p {}", encoding="utf-8")
    made = make_server(tmp_path, builds, 0)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def get(server: ThreadingHTTPServer, path: str) -> HTTPResponse:
    answer = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=10)
    assert isinstance(answer, HTTPResponse)
    return answer


def test_a_page_is_served_with_the_script_and_its_file_is_not_touched(
    server: ThreadingHTTPServer, tmp_path: Path
):
    for path in ("/", "/index.html", "/index.html?x=1"):
        with get(server, path) as answer:
            text = answer.read().decode()
        assert text == with_script(PAGE, 0)
        assert text.endswith("</script></body></html>")
        assert answer.headers["Cache-Control"] == "no-store"
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == PAGE


def test_other_files_are_served_as_they_are(server: ThreadingHTTPServer):
    with get(server, "/style.css") as answer:
        assert answer.read() == b"p {}"
    with pytest.raises(urllib.error.HTTPError, match="404") as missing:
        get(server, "/no.html")
    missing.value.close()


def test_the_server_answers_this_machine_alone(server: ThreadingHTTPServer):
    assert server.server_address[0] == "127.0.0.1"


def test_a_page_hears_of_the_next_build(server: ThreadingHTTPServer, builds: Builds):
    with get(server, f"{EVENTS}?after=0") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        builds.done()
        assert stream.read() == b"data: rebuilt\n\n"


def test_a_page_that_missed_a_build_hears_of_it_at_once(
    server: ThreadingHTTPServer, builds: Builds
):
    builds.done()
    with get(server, f"{EVENTS}?after=0") as stream:
        assert stream.read() == b"data: rebuilt\n\n"


def test_a_page_that_waits_long_is_kept_company(
    server: ThreadingHTTPServer, builds: Builds, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(preview, "KEEP_ALIVE", 0.01)
    with get(server, f"{EVENTS}?after=0") as stream:
        assert stream.readline() == b": still here\n"
        builds.done()
        assert stream.read().endswith(b"data: rebuilt\n\n")


def test_a_taken_port_is_said_plainly(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preview, "rebuild", lambda: pytest.fail("nothing should be built"))
    with pytest.raises(SystemExit, match=f"Port {server.server_port} cannot be used"):
        preview.preview(server.server_port)


def test_every_save_rebuilds_and_only_a_good_build_reloads(monkeypatch: pytest.MonkeyPatch):
    outcomes = iter([True, False, True])
    done: list[str] = []
    monkeypatch.setattr(preview, "rebuild", lambda: next(outcomes))
    monkeypatch.setattr(preview, "watch", lambda *_, **__: iter([{"first"}, {"second"}]))
    monkeypatch.setattr(Builds, "done", lambda self: done.append("reload"))
    preview.preview(0)
    assert done == ["reload"]
    assert next(outcomes, "none left") == "none left"
