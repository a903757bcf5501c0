"""Draw a lesson's figures as bitmaps for its notebooks.

Colab shows neither SVG inside a notebook nor attachments, so beside each `figures/NAME.svg`, which
the page shows, lies a `NAME.png` for the notebooks. It is drawn by a Chromium when the SVG has
changed, and it is committed: building a lesson elsewhere needs no browser and gives the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firstlight.course import Lesson

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SCALE = 2  # device pixels for each of the drawing's, so that it is sharp on a good screen

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"Source-SHA256"
_AFTER_HEADER = len(_SIGNATURE) + 25  # length, name, 13 bytes and checksum of the IHDR chunk


class FigureFault(Exception):
    """A figure without a bitmap that fits it; the message says what to do."""


@dataclass(frozen=True)
class Bitmap:
    """A figure as PNG, and the width in CSS pixels at which it is as large as its drawing."""

    png: bytes
    width: int


def bitmap(figure: Path) -> Bitmap:
    """Return a figure as a notebook holds it."""
    png = figure.with_suffix(".png").read_bytes()
    (width,) = struct.unpack(">I", png[16:20])  # where every PNG says it
    return Bitmap(png, width // SCALE if figure.suffix == ".svg" else width)


def refresh_bitmaps(lesson: Lesson) -> None:
    """Draw the bitmaps of those figures whose SVG has changed.

    Raises:
        FigureFault: if one must be drawn and there is no browser to do it.
    """
    stale = stale_bitmaps(lesson)
    if stale:
        for svg, png in zip(stale, _drawn(stale), strict=True):
            svg.with_suffix(".png").write_bytes(_labelled(png, _digest(svg)))


def stale_bitmaps(lesson: Lesson) -> list[Path]:
    """List the SVG figures whose bitmap is missing or was drawn from another version."""
    figures = sorted((lesson.folder / "figures").glob("*.svg"))
    return [svg for svg in figures if _label(svg.with_suffix(".png")) != _digest(svg)]


def _digest(svg: Path) -> bytes:
    """Hash a drawing's text, whatever its line endings."""
    text = svg.read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest().encode()


def _labelled(png: bytes, digest: bytes) -> bytes:
    """Add a text chunk after the header that says what the bitmap was drawn from."""
    content = b"tEXt" + _KEYWORD + b"\0" + digest
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:_AFTER_HEADER] + chunk + png[_AFTER_HEADER:]


def _label(path: Path) -> bytes:
    """Read the label back, or nothing."""
    if not path.is_file():
        return b""
    _, found, rest = path.read_bytes().partition(b"tEXt" + _KEYWORD + b"\0")
    return rest[:64] if found else b""


def _drawn(figures: list[Path]) -> list[bytes]:
    """Let a browser draw the figures; in a thread of its own, as Playwright wants no running loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_draw_all, figures).result()


def _draw_all(figures: list[Path]) -> list[bytes]:
    """Draw the figures in light colours on white."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as missing:
        raise FigureFault(_remedy(figures, "playwright")) from missing
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(device_scale_factor=SCALE, color_scheme="light")
            return [_draw(page, figure) for figure in figures]
    except Error as error:
        raise FigureFault(_remedy(figures, "Chromium or Chrome")) from error


def _remedy(figures: list[Path], missing: str) -> str:
    names = ", ".join(figure.name for figure in figures)
    return f"To draw {names} for the notebooks, {missing} is needed; install it and build again."


def _draw(page: Page, figure: Path) -> bytes:
    page.set_content(f"<body style='margin:0;background:#fff'>{figure.read_text('utf-8')}</body>")
    drawing = page.locator("svg").first
    return drawing.screenshot(animations="disabled")
