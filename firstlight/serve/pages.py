"""What the server answers for an address under `/course/`: a file of the site, or a short notice."""

from __future__ import annotations

import gzip
import html
import json
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FORGET_TOKEN = """
{ const page = new URL(location); if (page.searchParams.has("token")) {
  page.searchParams.delete("token"); history.replaceState(null, "", page); } }
"""
COMPRESSED = ("text/", "application/javascript", "application/json", "image/svg+xml")


@dataclass(frozen=True)
class Link:
    """Where a notice leads on."""

    text: str
    url: str


def find_file(site: Path, address: str) -> Path | None:
    """Find the site's file for an address such as `tensors.html`, `_static/` or nothing at all.

    Returns:
        The file; None if there is none, if it is hidden, or if it lies outside the site.
    """
    root = site.resolve()
    try:
        path = (root / address).resolve()
        if path.is_dir():
            path = path / "index.html"
        inside = path.relative_to(root)
        found = path.is_file()
    except (OSError, ValueError):  # outside the site, or no path at all, as with a null byte
        return None
    hidden = any(part.startswith(".") for part in inside.parts)
    return path if found and not hidden else None


def media_type(path: Path) -> str:
    """Give the Content-Type of a file, with its character set where it is text."""
    known = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2"}
    kind = (
        known.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    )
    return f"{kind}; charset=UTF-8" if kind.startswith("text/") else kind


def add_app(page: bytes, app: Mapping[str, Any], base: str = "") -> bytes:
    """Put `window.firstlightApp` into a page, before any script of the page runs.

    The token leaves the address bar, so that nobody copies it along with a link. With `base`, the
    page's relative links start there whatever its own address is.
    """
    data = json.dumps(app, sort_keys=True).replace("<", "\\u003c")  # no "</script>" within
    parts = [f"<script>window.firstlightApp = {data};{FORGET_TOKEN}</script>"]
    if base:
        parts.insert(0, f'<base href="{html.escape(base)}">')
    start = page.find(b"<head")
    end = page.find(b">", start) + 1
    if start < 0 or end == 0:
        return page
    return page[:end] + "".join(parts).encode() + page[end:]


@lru_cache(maxsize=256)
def compress(body: bytes) -> bytes:
    """Gzip `body`; the same bytes give the same answer, so an ETag made of it holds."""
    return gzip.compress(body, compresslevel=6, mtime=0)


def notice(title: str, sentences: Sequence[str], links: Sequence[Link]) -> str:
    """Write a short page of the house: what is the matter, and where to go on."""
    text = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    ways = "".join(
        f'<li><a href="{html.escape(link.url)}">{html.escape(link.text)}</a></li>' for link in links
    )
    return NOTICE.replace("{title}", html.escape(title)).replace("{body}", f"{text}<ul>{ways}</ul>")


NOTICE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Firstlight</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fbfaf7; --link: #8a3b12; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --paper: #16181d; --link: #ffb380; } }
body { margin: 0; padding: 12vh 1.5rem 3rem; background: var(--paper); color: var(--ink);
       font: 1.125rem/1.6 system-ui, sans-serif; }
main { max-width: 36rem; margin: 0 auto; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; }
ul { list-style: none; margin: 2rem 0 0; padding: 0; }
li { margin: 0.75rem 0; }
a { color: var(--link); text-underline-offset: 0.2em; }
a:focus-visible { outline: 3px solid currentColor; outline-offset: 3px; }
</style>
</head>
<body><main><h1>{title}</h1>{body}</main>
<script>for (const link of document.links) link.hash = location.hash;</script></body>
</html>
"""
