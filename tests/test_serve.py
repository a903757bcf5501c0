"""The local course: one server, the student's copies, and nothing that overwrites work."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from local_course import LocalCourse, fetch, free_port, run, serve

from firstlight.course import load_course
from firstlight.serve.pages import Link, add_app, find_file, media_type, notice
from firstlight.serve.running import LOCAL, Running, announce, find_running, withdraw
from firstlight.serve.start import open_browser
from firstlight.serve.workspace import Workspace, replace_file, write_once

NAME = load_course().lessons[0].name
OTHER = load_course().lessons[1].name
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "first",
            "metadata": {},
            "outputs": [],
            "source": "import firstlight, sys; print(sys.prefix)",
        }
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}
HOME = "<!doctype html><html><head><meta charset=utf-8><title>Home</title></head><body>hi</body>"


def write_originals(folder: Path, text: str = "first version") -> Path:
    folder.mkdir(exist_ok=True)
    notebook = {**NOTEBOOK, "metadata": {**NOTEBOOK["metadata"], "version": text}}
    (folder / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return folder


def write_site(folder: Path) -> Path:
    (folder / "_static").mkdir(parents=True)
    (folder / "lessons").mkdir()
    (folder / "index.html").write_text(HOME, encoding="utf-8")
    (folder / f"{NAME}.html").write_text(HOME.replace("Home", "Tensors"), encoding="utf-8")
    (folder / "404.html").write_text(HOME.replace("Home", "Nothing here"), encoding="utf-8")
    (folder / "_static" / "style.css").write_text("body { color: black; }\n" * 99, encoding="utf-8")
    (folder / "lessons" / "index.html").write_text(HOME, encoding="utf-8")
    (folder / ".hidden.html").write_text("hidden", encoding="utf-8")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work", write_originals(tmp_path / "originals"))


# The copies -------------------------------------------------------------------------------------


def test_first_opening_copies_the_notebook(workspace: Workspace) -> None:
    opened = workspace.open(NAME)
    assert opened.path == workspace.folder / f"{NAME}.ipynb"
    assert opened.path.read_bytes() == (workspace.originals / f"{NAME}.ipynb").read_bytes()
    assert not opened.newer


def test_a_copy_holds_words_in_the_place_of_pictures_from_other_hosts(workspace: Workspace) -> None:
    badge = "[![Open in Colab](https://other.host/badge.svg)](https://other.host/open)"
    own = "![a figure](figures/memory.svg) and ![inline](data:image/png;base64,AAAA)"
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": f'{badge} "so" {own}'}
    original = workspace.originals / f"{NAME}.ipynb"
    original.write_text(json.dumps({**NOTEBOOK, "cells": [cell]}), encoding="utf-8")
    copied = json.loads(workspace.open(NAME).path.read_text(encoding="utf-8"))
    text = copied["cells"][0]["source"]
    assert text == f'[Open in Colab](https://other.host/open) "so" {own}'
    assert not workspace.open(NAME).newer


def test_later_openings_leave_the_work_as_it_is(workspace: Workspace) -> None:
    path = workspace.open(NAME).path
    path.write_text("my work", encoding="utf-8")
    assert workspace.open(NAME).path == path
    assert path.read_text(encoding="utf-8") == "my work"


def test_an_update_of_the_course_is_offered_and_overwrites_nothing(workspace: Workspace) -> None:
    path = workspace.open(NAME).path
    path.write_text("my work", encoding="utf-8")
    write_originals(workspace.originals, "second version")
    assert workspace.open(NAME).newer
    assert path.read_text(encoding="utf-8") == "my work"


def test_keeping_ones_own_notebook_ends_the_offer(workspace: Workspace) -> None:
    path = workspace.open(NAME).path
    path.write_text("my work", encoding="utf-8")
    write_originals(workspace.originals, "second version")
    assert workspace.keep_mine(NAME) == path
    assert not workspace.open(NAME).newer
    assert path.read_text(encoding="utf-8") == "my work"


def test_the_new_version_comes_beside_the_old_one_and_is_opened_from_then_on(
    workspace: Workspace,
) -> None:
    path = workspace.open(NAME).path
    path.write_text("my work", encoding="utf-8")
    write_originals(workspace.originals, "second version")
    newer = workspace.add_newer(NAME)
    assert newer.name == f"{NAME}-version-2.ipynb"
    assert "second version" in newer.read_text(encoding="utf-8")
    assert workspace.open(NAME).path == newer
    assert path.read_text(encoding="utf-8") == "my work"


def test_a_third_version_leaves_the_second_alone(workspace: Workspace) -> None:
    workspace.open(NAME)
    write_originals(workspace.originals, "second version")
    second = workspace.add_newer(NAME)
    second.write_text("more work", encoding="utf-8")
    write_originals(workspace.originals, "third version")
    third = workspace.add_newer(NAME)
    assert third.name == f"{NAME}-version-3.ipynb"
    assert second.read_text(encoding="utf-8") == "more work"


def test_a_deleted_copy_is_made_afresh(workspace: Workspace) -> None:
    workspace.open(NAME).path.unlink()
    assert workspace.open(NAME).path.is_file()


def test_a_file_the_student_put_there_is_left_alone(workspace: Workspace) -> None:
    mine = workspace.folder / f"{NAME}.ipynb"
    mine.parent.mkdir()
    mine.write_text("from somewhere else", encoding="utf-8")
    assert not workspace.open(NAME).newer
    assert mine.read_text(encoding="utf-8") == "from somewhere else"


@pytest.mark.parametrize("record", ["", "[]", '{"x": 1}', '{"x": {"file": "a"}}', "\x00"])
def test_a_damaged_record_costs_no_work(workspace: Workspace, record: str) -> None:
    path = workspace.open(NAME).path
    path.write_text("my work", encoding="utf-8")
    (workspace.private / "copies.json").write_text(record, encoding="utf-8")
    assert workspace.open(NAME).path == path
    assert path.read_text(encoding="utf-8") == "my work"


def test_a_missing_original_makes_nothing(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError):
        workspace.open(OTHER)
    assert not list(workspace.folder.glob("*.ipynb"))


def test_many_openings_at_once_make_one_whole_copy(workspace: Workspace) -> None:
    data = [bytes([number]) * 200_000 for number in range(8)]
    target = workspace.folder / "once.ipynb"
    won: list[bool] = []
    threads = [threading.Thread(target=lambda d=d: won.append(write_once(target, d))) for d in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1
    assert target.read_bytes() in data
    assert [path.name for path in workspace.folder.iterdir()] == ["once.ipynb"]


def test_without_hard_links_a_copy_is_still_made_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    target = workspace.folder / "once.ipynb"
    assert write_once(target, b"first")
    assert not write_once(target, b"second")
    assert target.read_bytes() == b"first"


def test_a_failed_replacement_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: int) -> None:
        raise OSError("No space left on device")

    target = tmp_path / "record.json"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        replace_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


# The pages --------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path / "site")


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("", "index.html"),
        ("index.html", "index.html"),
        ("lessons/", "lessons/index.html"),
        ("_static/style.css", "_static/style.css"),
    ],
)
def test_an_address_finds_its_file(site: Path, address: str, file: str) -> None:
    assert find_file(site, address) == site / file


@pytest.mark.parametrize(
    "address", ["../secret", "/etc/passwd", "_static", ".hidden.html", "nothing.html", "a\x00b"]
)
def test_no_other_address_finds_a_file(site: Path, address: str) -> None:
    (site.parent / "secret").write_text("secret", encoding="utf-8")
    assert find_file(site, address) is None


def test_a_link_out_of_the_site_is_not_followed(site: Path) -> None:
    secret = site.parent / "secret.html"
    secret.write_text("secret", encoding="utf-8")
    (site / "link.html").symlink_to(secret)
    assert find_file(site, "link.html") is None


def test_the_app_is_told_first_in_the_head_and_cannot_end_the_script() -> None:
    page = add_app(b"<html><head><script src=a></script></head>", {"open": "</script><b>"})
    assert page.index(b"window.firstlightApp") < page.index(b"src=a")
    assert page.count(b"</script>") == 2


def test_a_page_without_a_head_is_served_as_it_is() -> None:
    assert add_app(b"<p>bare</p>", {"open": None}) == b"<p>bare</p>"


def test_a_notice_escapes_what_it_is_given() -> None:
    page = notice("A <b>", ["x < y & z"], [Link("go", '"><script>')])
    assert "<b>" not in page
    assert "x &lt; y &amp; z" in page
    assert '"><script>' not in page


def test_scripts_are_served_as_scripts_whatever_the_machine_thinks() -> None:
    assert media_type(Path("frame.js")) == "text/javascript; charset=UTF-8"
    assert media_type(Path("page.html")) == "text/html; charset=UTF-8"
    assert media_type(Path("font.woff2")) == "font/woff2"


# The record of the running server ---------------------------------------------------------------


def test_a_server_that_died_is_not_found(workspace: Workspace) -> None:
    announce(workspace, Running(os.getpid(), f"http://127.0.0.1:{free_port()}/", "token"))
    assert find_running(workspace) is None


def test_the_record_of_another_process_stays(workspace: Workspace) -> None:
    announce(workspace, Running(os.getpid() + 1, "http://127.0.0.1:1/", "token"))
    withdraw(workspace)
    assert (workspace.private / "server.json").is_file()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_the_token_is_readable_by_its_owner_alone(workspace: Workspace) -> None:
    announce(workspace, Running(os.getpid(), "http://127.0.0.1:1/", "token"))
    assert (workspace.private / "server.json").stat().st_mode & 0o077 == 0


# The server -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCourse]:
    folder = tmp_path_factory.mktemp("course")
    site, originals = write_site(folder / "site"), write_originals(folder / "originals")
    server = serve(site, folder / "work", originals, free_port(), folder / "home")
    server.folder = folder  # type: ignore[attr-defined]
    yield server
    server.stop()


def app_of(page: str) -> dict[str, Any]:
    found = re.search(r"window\.firstlightApp = (\{.*?\});", page)
    assert found
    told = json.loads(found[1])
    assert isinstance(told, dict)
    return told


def test_the_printed_address_leads_to_the_course(course: LocalCourse) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/course/\?token=[0-9a-f]{48}", course.url)
    answer = fetch(course.url)
    assert answer.status == 200
    assert "<title>Home</title>" in answer.text


def test_nothing_is_served_without_the_token(course: LocalCourse) -> None:
    for path in ("/course/", "/course/_static/style.css", f"/course/open/{NAME}", "/lab"):
        answer = fetch(course.root + path)
        assert answer.status == 302
        assert answer.headers["Location"].startswith("/login")
    assert not (course.folder / "work" / f"{NAME}.ipynb").exists()  # type: ignore[attr-defined]


def test_the_root_leads_to_the_course(course: LocalCourse) -> None:
    assert course.get("/").headers["Location"].startswith("/course/")
    assert course.get("/course").headers["Location"] == "/course/"


def test_a_lesson_page_is_told_where_its_notebook_opens(course: LocalCourse) -> None:
    app = app_of(course.get(f"/course/{NAME}.html").text)
    assert app["open"] == f"/course/open/{NAME}"
    assert app["lab"] == "/lab"
    assert app_of(course.get("/course/").text)["open"] is None


def test_pages_are_told_what_the_student_has_passed(course: LocalCourse) -> None:
    record = (
        "from firstlight.progress import record_check\n"
        "record_check('flatten_images', 'wrong', [])\n"
        "record_check('flatten_images', 'passed', [])\n"
    )
    home = str(course.folder / "home")  # type: ignore[attr-defined]
    subprocess.run(
        [sys.executable, "-c", record], env={**os.environ, "FIRSTLIGHT_HOME": home}, check=True
    )
    states = app_of(course.get("/course/").text)["states"]
    assert states == {"flatten_images": {"passed": True, "attempts": 2}}


def test_a_missing_page_is_the_sites_own_and_says_404(course: LocalCourse) -> None:
    answer = course.get("/course/deep/below/nothing.html")
    assert answer.status == 404
    assert "Nothing here" in answer.text
    assert '<base href="/course/">' in answer.text


def test_unchanged_files_are_not_sent_again(course: LocalCourse) -> None:
    first = course.get("/course/_static/style.css")
    again = course.get("/course/_static/style.css", If_None_Match=first.headers["ETag"])
    assert again.status == 304
    assert again.body == b""


def test_text_is_compressed(course: LocalCourse) -> None:
    plain = course.get("/course/_static/style.css")
    small = course.get("/course/_static/style.css", Accept_Encoding="gzip")
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body
    assert len(small.body) < len(plain.body) / 10


def test_opening_a_notebook_leads_to_jupyterlab_on_the_students_copy(course: LocalCourse) -> None:
    answer = course.get(f"/course/open/{NAME}")
    assert answer.status == 302
    assert answer.headers["Location"] == f"/lab/tree/{NAME}.ipynb"
    assert (course.folder / "work" / f"{NAME}.ipynb").is_file()  # type: ignore[attr-defined]


def test_a_changed_notebook_is_offered_on_a_page(course: LocalCourse) -> None:
    course.get(f"/course/open/{NAME}")
    write_originals(course.folder / "originals", "second version")  # type: ignore[attr-defined]
    answer = course.get(f"/course/open/{NAME}")
    assert answer.status == 200
    assert f'href="/course/open/{NAME}?version=mine"' in answer.text
    assert f'href="/course/open/{NAME}?version=new"' in answer.text
    mine = course.get(f"/course/open/{NAME}?version=mine")
    assert mine.headers["Location"] == f"/lab/tree/{NAME}.ipynb"
    assert course.get(f"/course/open/{NAME}").status == 302


@pytest.mark.parametrize(
    "name", ["nothing", "..", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "a%00b", f"{NAME}.ipynb"]
)
def test_only_notebooks_of_the_plan_are_opened(course: LocalCourse, name: str) -> None:
    answer = course.get(f"/course/open/{name}")
    assert answer.status in (400, 404)
    assert "Location" not in answer.headers


def test_a_lesson_without_a_notebook_says_that_it_is_to_come(course: LocalCourse) -> None:
    answer = course.get(f"/course/open/{OTHER}")
    assert answer.status == 404
    assert "still to come" in answer.text


def test_the_only_kernel_is_this_environment(course: LocalCourse) -> None:
    specs = json.loads(course.get("/api/kernelspecs").text)
    assert list(specs["kernelspecs"]) == ["python3"]
    assert specs["kernelspecs"]["python3"]["spec"]["argv"][0] == sys.executable


def test_jupyterlab_is_told_to_ask_no_other_host(course: LocalCourse) -> None:
    page = course.get("/lab").text
    config = json.loads(
        re.search(r'type="application/json">\s*(\{.*?\})\s*</script>', page, re.S)[1]
    )  # type: ignore[index]
    assert config["news"] == {"disabled": True}
    assert config["extensionManager"]["can_install"] is False
    settings = course.get("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    notification = json.loads(settings.text)
    assert notification["schema"]["properties"]["fetchNews"]["default"] == "false"
    assert notification["schema"]["properties"]["checkForUpdates"]["default"] is False


def test_the_user_s_own_jupyter_files_are_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "me"
    (home / ".jupyter").mkdir(parents=True)
    config = home / ".jupyter" / "jupyter_server_config.py"
    config.write_text("raise SystemExit('the user has a Jupyter of their own')", encoding="utf-8")
    before = sorted(home.rglob("*"))
    server = run(
        [
            "-m", "firstlight", "start", "--no-browser", "--port", str(free_port()),
            "--site", str(write_site(tmp_path / "site")), "--workspace", str(tmp_path / "work"),
        ],
        HOME=str(home), USERPROFILE=str(home), FIRSTLIGHT_HOME=str(tmp_path / "progress"),
    )  # fmt: skip
    try:
        assert fetch(server.url).status == 200
    finally:
        server.stop()
    assert sorted(home.rglob("*")) == before


def test_a_taken_port_is_said_and_the_next_one_used(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        site, originals = write_site(tmp_path / "site"), write_originals(tmp_path / "originals")
        server = serve(site, tmp_path / "work", originals, port, tmp_path / "home")
        try:
            assert f":{port}/" not in server.url
            assert f"Port {port} is taken" in server.output
        finally:
            server.stop()


def test_a_second_start_finds_the_first(tmp_path: Path) -> None:
    command = [
        "-m", "firstlight", "start", "--no-browser", "--port", str(free_port()),
        "--site", str(write_site(tmp_path / "site")), "--workspace", str(tmp_path / "work"),
    ]  # fmt: skip
    first = run(command, FIRSTLIGHT_HOME=str(tmp_path / "home"))
    try:
        url = first.wait_for_url()
        second = run(command, FIRSTLIGHT_HOME=str(tmp_path / "home"))
        assert second.finish() == 0
        assert second.url == url
        assert "already running" in second.output
    finally:
        first.stop()
    assert not (tmp_path / "work" / ".firstlight" / "server.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals between processes")
def test_a_kernel_that_never_ends_does_not_hold_up_ctrl_c(tmp_path: Path) -> None:
    site, originals = write_site(tmp_path / "site"), write_originals(tmp_path / "originals")
    server = serve(site, tmp_path / "work", originals, free_port(), tmp_path / "home")
    request = urllib.request.Request(
        f"{server.root}/api/kernels", b"{}", {"Authorization": f"token {server.token}"}
    )
    with LOCAL.open(request) as answer:
        kernel = json.load(answer)["id"]
    runtime = tmp_path / "work" / ".firstlight" / "jupyter" / "runtime"
    client = BlockingKernelClient(connection_file=str(runtime / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.execute("print('begun', flush=True)\nwhile True: pass")
    while client.get_iopub_msg(timeout=60)["content"].get("text") != "begun\n":
        pass
    client.stop_channels()
    assert server.stop() < 5
    assert server.process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals between processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_at_once_and_quietly(tmp_path: Path, number: signal.Signals) -> None:
    site, originals = write_site(tmp_path / "site"), write_originals(tmp_path / "originals")
    server = serve(site, tmp_path / "work", originals, free_port(), tmp_path / "home")
    url = server.wait_for_url()
    assert server.stop(number) < 5
    assert server.process.returncode == 0
    after = server.output.split(url)[1]
    assert after.split("\n\n", 2)[1:] == [
        "Ctrl-C stops it.",
        f"The course has stopped. Your notebooks are in {tmp_path / 'work'}\n",
    ]


def test_a_workspace_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    originals = write_originals(tmp_path / "originals")
    server = serve(tmp_path, tmp_path / "file" / "work", originals, free_port(), tmp_path / "home")
    assert server.finish() == 2
    assert "Name another folder with --workspace" in server.output
    assert "Traceback" not in server.output


def test_without_jupyter_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['jupyter_server'] = None; "
        "sys.modules['jupyter_server.serverapp'] = None; "
        "from pathlib import Path; from firstlight.serve.start import start; "
        "sys.exit(start(workspace=Path(sys.argv[1])))"
    )
    server = run(["-c", code, str(tmp_path / "work")])
    assert server.finish() == 2
    assert 'pip install "firstlight[app]"' in server.output


@pytest.mark.parametrize("display", [":0", ""])
def test_the_browser_is_opened_where_there_is_one_and_never_told_the_token(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, display: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    running = Running(1, "http://127.0.0.1:1/", "secret")
    open_browser(running, workspace)
    page = workspace.private / "open.html"
    assert opened == ([page.as_uri()] if display else [])
    if display:
        assert running.url in page.read_text(encoding="utf-8")


def test_a_site_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    originals = write_originals(tmp_path / "originals")
    server = serve(tmp_path / "none", tmp_path / "work", originals, free_port(), tmp_path / "home")
    try:
        answer = fetch(server.url)
        assert answer.status == 404
        assert "python -m authoring site" in answer.text
    finally:
        server.stop()
