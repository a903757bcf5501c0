"""The data sets: what is embedded is what it should be, and a download is sound or not there."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from firstlight import datasets
from firstlight.course import load_course
from firstlight.datasets import DownloadError, copies, sources
from firstlight.datasets.sources import SOURCES, IdxFile, Source

DATA = Path(__file__).parents[1] / "data"
ALL_FILES = [
    pytest.param(source, file, id=f"{source.name}/{file.name}")
    for source in SOURCES.values()
    for file in source.train + source.test
]


# --- What is embedded ---------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "file"), ALL_FILES)
def test_table_list_and_file_agree(source: Source, file: IdxFile) -> None:
    listed = dict(
        reversed(line.split("  ")) for line in (DATA / "SHA256SUMS").read_text().splitlines()
    )
    assert len(listed) == 2 * len(ALL_FILES)
    name = f"{source.name}/{file.name}"
    packed = (DATA / name).read_bytes()
    content = gzip.decompress(packed)
    assert len(content) == file.size
    assert hashlib.sha256(packed).hexdigest() == listed[name]
    assert hashlib.sha256(content).hexdigest() == listed[name.removesuffix(".gz")] == file.sha256


@pytest.mark.parametrize(("source", "file"), ALL_FILES)
def test_embedded_files_carry_no_name_and_no_time(source: Source, file: IdxFile) -> None:
    with (DATA / source.name / file.name).open("rb") as stream:
        assert stream.read(10)[3:8] == bytes(5)  # flags, then the time of modification


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_every_data_set_comes_with_its_licence_and_creators(source: Source) -> None:
    assert "icen" in (DATA / source.name / "LICENSE").read_text()
    assert "Creators" in (DATA / source.name / "README.md").read_text()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("load", [datasets.load_mnist, datasets.load_fashion_mnist])
def test_images_and_labels_have_the_promised_shapes_and_dtypes(
    load: Callable[[bool], tuple[torch.Tensor, torch.Tensor]], train: bool
) -> None:
    count = 60_000 if train else 10_000
    images, labels = load(train)
    assert images.shape == (count, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.shape == (count,)
    assert labels.dtype == torch.int64


def test_mnist_has_its_known_statistics() -> None:
    images, labels = datasets.load_mnist()
    pixels = images.double() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=1e-4)  # the values everyone
    assert pixels.std().item() == pytest.approx(0.3081, abs=1e-4)  # normalises MNIST by
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert labels.bincount().tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]


def test_fashion_mnist_has_its_known_statistics() -> None:
    images, labels = datasets.load_fashion_mnist()
    pixels = images.double() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)
    assert labels.bincount().tolist() == [6000] * 10


def test_every_load_has_its_own_memory() -> None:
    spoiled, _ = datasets.load_mnist(train=False)
    spoiled.zero_()
    fresh, _ = datasets.load_mnist(train=False)
    assert fresh.any()


def test_files_in_a_clone_are_the_embedded_ones() -> None:
    folder = DATA / "fashion-mnist"
    images, labels = datasets.files("fashion-mnist", train=False)
    assert images == folder / "t10k-images-idx3-ubyte.gz"
    assert labels == folder / "t10k-labels-idx1-ubyte.gz"


def test_an_unknown_data_set_gets_the_list_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="no data set 'cifar'; there are mnist, fashion-mnist"):
        datasets.files("cifar", train=True)


def test_importing_and_loading_in_a_clone_never_touch_the_network_modules() -> None:
    code = (
        "import sys; from firstlight import datasets, progress; datasets.load_mnist(train=False);"
        "print(*({'pooch', 'requests', 'urllib3', 'platformdirs'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_the_courses_own_repository_is_asked_first() -> None:
    first = sources.MNIST.addresses(sources.MNIST.test[1])[0]
    repository = load_course().repository
    base = "https://raw.githubusercontent.com"
    assert first == f"{base}/{repository}/main/data/mnist/t10k-labels-idx1-ubyte.gz"


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_every_data_set_has_several_sources(source: Source) -> None:
    addresses = source.addresses(source.train[0])
    assert len(set(addresses)) == len(addresses) >= 3
    assert not any("{" in address or "}" in address for address in addresses)


# --- Downloads ----------------------------------------------------------------------------------

CONTENT = b"\0\0\x08\x01" + struct.pack(">I", 300_000) + random.Random(0).randbytes(300_000)
WRONG = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
GOOD_GZIP = gzip.compress(CONTENT, 1)  # not the bytes of any other mirror, and as good
HANG = 30.0  # seconds; far beyond the timeout the tests set
FILE = IdxFile("good.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@dataclass
class Mirror:
    """A real HTTP server whose first path element says how it behaves."""

    base: str
    asked: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    crowd: threading.Barrier = field(default_factory=lambda: threading.Barrier(3, timeout=60))

    def source(self, *behaviours: str) -> Source:
        """Make a data set served by these mirrors, tried in this order."""
        bases = tuple(self.base + behaviour + "/" for behaviour in behaviours)
        return Source("sample", bases, train=(FILE, FILE), test=(FILE, FILE))


class Handler(BaseHTTPRequestHandler):
    """Answers as the behaviour in the path demands."""

    mirror: Mirror

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        self.mirror.asked.append(behaviour)
        getattr(self, f"be_{behaviour}")()

    def be_good(self) -> None:
        self.answer(GOOD_GZIP)

    def be_crowded(self) -> None:
        self.mirror.crowd.wait()  # answers only when everyone is here: truly at once
        self.answer(GOOD_GZIP)

    def be_missing(self) -> None:
        self.send_error(404)

    def be_broken(self) -> None:
        self.send_error(500)

    def be_cut(self) -> None:
        self.answer(GOOD_GZIP[: len(GOOD_GZIP) // 2], promised=len(GOOD_GZIP))

    def be_cut_unnoticed(self) -> None:
        self.answer(GOOD_GZIP[: len(GOOD_GZIP) // 2], promised=None)

    def be_empty(self) -> None:
        self.answer(b"")

    def be_wrong(self) -> None:
        self.answer(gzip.compress(WRONG))

    def be_shorter(self) -> None:
        self.answer(gzip.compress(CONTENT[:-1]))

    def be_flipped(self) -> None:
        middle = len(GOOD_GZIP) // 2
        flipped = bytes([GOOD_GZIP[middle] ^ 0xFF])
        self.answer(GOOD_GZIP[:middle] + flipped + GOOD_GZIP[middle + 1 :])

    def be_page(self) -> None:
        self.answer(b"<!DOCTYPE html><title>Sign in to the wireless network</title>")

    def be_unpacked(self) -> None:
        self.answer(CONTENT)

    def be_nonsense(self) -> None:
        self.wfile.write(b"\0\1\2 no HTTP at all\r\n\r\n")

    def be_circle(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def be_silent(self) -> None:
        self.mirror.stopped.wait(HANG)

    def be_stalled(self) -> None:
        self.answer(GOOD_GZIP[: len(GOOD_GZIP) // 2], promised=len(GOOD_GZIP))
        self.wfile.flush()
        self.mirror.stopped.wait(HANG)

    def be_closed(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, body: bytes, promised: int | None = -1) -> None:
        self.send_response(200)
        if promised is not None:
            self.send_header("Content-Length", str(len(body) if promised < 0 else promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Stay quiet."""


FAULTS = sorted(
    name.removeprefix("be_")
    for name in vars(Handler)
    if name.startswith("be_") and name not in ("be_good", "be_crowded")
)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    mirror = Handler.mirror = Mirror(f"http://127.0.0.1:{server.server_port}/")
    yield mirror
    mirror.stopped.set()
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outside a clone, with an empty cache and little patience; returns the data set's folder."""
    monkeypatch.setattr(copies, "EMBEDDED", tmp_path / "no clone")
    monkeypatch.setattr(copies, "TIMEOUT", 0.5)
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home" / "data" / "sample"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_kept_and_not_asked_for_again(mirror: Mirror, cache: Path) -> None:
    source = mirror.source("good")
    assert copies.sound_copy(source, FILE) == (cache / "good.gz", CONTENT)
    assert copies.sound_copy(source, FILE) == (cache / "good.gz", CONTENT)
    assert mirror.asked == ["good"]
    assert names(cache) == ["good.gz"]
    assert (cache / "good.gz").read_bytes() == GOOD_GZIP


@pytest.mark.parametrize("fault", FAULTS)
def test_a_good_source_wins_after_a_bad_one(mirror: Mirror, cache: Path, fault: str) -> None:
    _, content = copies.sound_copy(mirror.source(fault, "good"), FILE)
    assert content == CONTENT
    assert set(mirror.asked) == {fault, "good"}
    assert names(cache) == ["good.gz"]
    assert (cache / "good.gz").read_bytes() == GOOD_GZIP


def test_a_good_source_wins_after_every_bad_one(mirror: Mirror, cache: Path) -> None:
    _, content = copies.sound_copy(mirror.source(*FAULTS, "good"), FILE)
    assert content == CONTENT
    assert list(dict.fromkeys(mirror.asked)) == [*FAULTS, "good"]
    assert names(cache) == ["good.gz"]


def test_a_source_that_refuses_or_has_no_address_is_passed_over(
    mirror: Mirror, cache: Path
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening
        refusing = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        source = mirror.source("good")
        source = replace(
            source, mirrors=(refusing, "http://no.such.host.invalid/", *source.mirrors)
        )
        _, content = copies.sound_copy(source, FILE)
    assert content == CONTENT


def test_when_all_fail_the_error_lists_what_each_said(mirror: Mirror, cache: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        copies.sound_copy(
            mirror.source("missing", "cut_unnoticed", "wrong", "silent", "page"), FILE
        )
    lines = str(caught.value).splitlines()
    said = dict(zip(lines[1:11:2], lines[2:11:2], strict=True))
    assert lines[0] == "No source gave good.gz of sample:"
    for behaviour, reason in {
        "missing": "404",
        "cut_unnoticed": "cut off",
        "wrong": f"{hashlib.sha256(WRONG).hexdigest()[:12]}… is due".split("…")[0],
        "silent": "timed out",
        "page": "not gzip data",
    }.items():
        assert reason in said[f"  {mirror.base}{behaviour}/good.gz"]
    assert str(cache / "good.gz") in lines[-1]
    assert names(cache) == []


def test_a_damaged_copy_in_the_cache_is_replaced(mirror: Mirror, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "good.gz").write_bytes(GOOD_GZIP[:-1])
    with pytest.warns(UserWarning, match=r"good.gz is not used: the gzip data is cut off"):
        _, content = copies.sound_copy(mirror.source("good"), FILE)
    assert content == CONTENT
    assert (cache / "good.gz").read_bytes() == GOOD_GZIP


def test_a_wrong_copy_in_the_cache_is_never_used(mirror: Mirror, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "good.gz").write_bytes(gzip.compress(WRONG))
    with pytest.warns(UserWarning, match="SHA-256"), pytest.raises(DownloadError):
        copies.sound_copy(mirror.source("missing"), FILE)


def test_a_damaged_embedded_file_is_passed_over_and_left_alone(mirror: Mirror, cache: Path) -> None:
    embedded = copies.EMBEDDED / "sample" / "good.gz"
    embedded.parent.mkdir(parents=True)
    embedded.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.warns(UserWarning, match="not gzip data"):
        path, content = copies.sound_copy(mirror.source("good"), FILE)
    assert (path, content) == (cache / "good.gz", CONTENT)
    assert embedded.read_bytes().startswith(b"version")


def test_a_cache_that_cant_be_made_is_explained(
    mirror: Mirror, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file where a folder is due")
    with pytest.raises(DownloadError, match="environment variable FIRSTLIGHT_HOME"):
        copies.sound_copy(mirror.source("good"), FILE)
    assert mirror.asked == []


def test_an_interrupt_leaves_nothing_behind(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(data: bytes, file: IdxFile) -> bytes:
        assert [name.rsplit(".", 1)[1] for name in names(cache)] == ["part"]
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        copies.sound_copy(mirror.source("good"), FILE)
    assert names(cache) == []


def test_a_copy_held_open_by_another_process_counts(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(part: Path, target: Path) -> None:  # what Windows does while the target is read
        target.write_bytes(gzip.compress(CONTENT))
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(Path, "replace", refuse)
    assert copies.sound_copy(mirror.source("good"), FILE)[1] == CONTENT
    assert names(cache) == ["good.gz"]


def test_the_progress_bar_names_the_file(
    mirror: Mirror, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies.sound_copy(mirror.source("good"), FILE)
    shown = capsys.readouterr()
    assert "sample/good.gz" in shown.err
    assert shown.out == ""


# --- Several processes --------------------------------------------------------------------------

FETCH = """
import hashlib, json, sys
from pathlib import Path
from firstlight.datasets import copies
from firstlight.datasets.sources import IdxFile, Source

base, name, size, sha256 = json.loads(sys.argv[1])
copies.EMBEDDED = Path("no clone")
file = IdxFile(name, size, sha256)
path, content = copies.sound_copy(Source("sample", (base,), (file, file), (file, file)), file)
print(hashlib.sha256(content).hexdigest())
"""


def fetch_elsewhere(base: str) -> subprocess.Popen[str]:
    """Start another process that wants the file from `base`."""
    arguments = json.dumps([base, FILE.name, FILE.size, FILE.sha256])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FETCH, arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_download_at_once_all_get_the_file(mirror: Mirror, cache: Path) -> None:
    processes = [fetch_elsewhere(mirror.base + "crowded/") for _ in range(mirror.crowd.parties)]
    for process in processes:
        output, errors = process.communicate(timeout=100)
        assert output.strip() == FILE.sha256, errors
    assert mirror.asked == ["crowded"] * mirror.crowd.parties
    assert names(cache) == ["good.gz"]
    assert (cache / "good.gz").read_bytes() == GOOD_GZIP


def test_a_killed_download_is_never_used_and_swept_up_later(mirror: Mirror, cache: Path) -> None:
    process = fetch_elsewhere(mirror.base + "stalled/")
    deadline = time.monotonic() + 60
    while not (cache.is_dir() and any(cache.iterdir())):
        assert time.monotonic() < deadline, "the download never started"
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (part,) = cache.iterdir()
    assert part.name.endswith(".part")

    copies.sound_copy(mirror.source("good"), FILE)
    assert names(cache) == ["good.gz", part.name]  # it might be a living process's

    os.utime(part, (0, 0))
    (cache / "good.gz").unlink()
    copies.sound_copy(mirror.source("good"), FILE)
    assert names(cache) == ["good.gz"]


# --- The whole way ------------------------------------------------------------------------------


def test_without_a_clone_mnist_comes_over_http(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(handler: Handler) -> None:
        handler.answer((DATA / "mnist" / handler.path.rsplit("/", 1)[1]).read_bytes())

    monkeypatch.setattr(Handler, "be_mnist", serve, raising=False)
    mirrors = (f"{mirror.base}missing/", f"{mirror.base}mnist/")
    monkeypatch.setitem(SOURCES, "mnist", replace(sources.MNIST, mirrors=mirrors))
    images, labels = datasets.load_mnist(train=False)
    assert mirror.asked == ["missing", "mnist"] * 2
    assert images.shape == (10_000, 28, 28)
    assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    kept = cache.parent / "mnist"
    assert datasets.files("mnist", train=False) == (
        kept / "t10k-images-idx3-ubyte.gz",
        kept / "t10k-labels-idx1-ubyte.gz",
    )
