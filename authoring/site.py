"""Build the site from the committed solutions: nothing is executed, every warning is an error.

`build/site-src` holds what Sphinx reads, `build/doctrees` what it remembers from the last time, so
that only the pages that changed are read again.
"""

from __future__ import annotations

import io
import re
import shutil
import warnings
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from authoring import places
from authoring.notebook_file import write_if_changed
from authoring.pages import write_pages
from firstlight import course

SITE = Path(__file__).resolve().parent.parent / "site"

# What Sphinx, Furo and MyST-NB put beside the pages, and no page loads.
UNUSED = (
    "styles", "scripts", "*.png", "mystnb*.css", "basic.css", "debug.css", "skeleton.css",
    "pygments.css", "doctools.js", "sphinx_highlight.js", "documentation_options.js",
    "language_data.js", "searchtools.js", "*stemmer.js",
)  # fmt: skip

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_WARNING = re.compile(
    r"^(?P<path>(?:[A-Z]:)?[^:\n]+\.(?:md|ipynb)):(?P<line>\d+:)?", re.MULTILINE | re.IGNORECASE
)


class SiteFault(Exception):
    """A site that could not be built without a warning; the message holds all of them."""


def build_site(out: Path | None = None, strict: bool = True) -> None:
    """Write the site to a folder, `build/site` unless another is named.

    Raises:
        SiteFault: if anything is wrong on any page: a broken link, formula, figure or block.
        StaleSolution: if a lesson's solution notebook is missing or older than its code.
    """
    out = out or places.ROOT / "build" / "site"
    doctrees = places.ROOT / "build" / "doctrees"
    source = places.site_source()
    write_pages(source)
    write_plain_pages(source)
    faults = _run_sphinx(source, out, doctrees)
    if faults:
        # Sphinx would not repeat the warnings of pages that it remembers.
        shutil.rmtree(doctrees, ignore_errors=True)
        if strict:
            raise SiteFault(faults)
        print(faults)
    _tidy(out, source)


def write_plain_pages(source: Path) -> None:
    """Write the pages that belong to no lesson, and the one that holds all others together."""
    for page in sorted((SITE / "pages").glob("*.md")):
        write_if_changed(source / page.name, page.read_bytes())
    plan = course.load_course()
    lessons = [lesson.name for lesson in plan.lessons if lesson.exists]
    refreshers = [f"foundations/{f.slug}" for f in plan.foundations if f.exists]
    entries = "\n".join([*lessons, *refreshers])
    tree = f"```{{toctree}}\n:hidden:\n\n{entries}\n```" if entries else ""
    write_if_changed(source / "index.md", f"# {plan.title}\n\n{tree}\n".encode())


def _run_sphinx(source: Path, out: Path, doctrees: Path) -> str:
    """Run Sphinx in this process and return its warnings, placed in the author's own files."""
    told = io.StringIO()
    with patch_docutils(SITE), docutils_namespace(), warnings.catch_warnings():
        # What Sphinx will remove one day is between it and its extensions.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        app = Sphinx(
            srcdir=source,
            confdir=SITE,
            outdir=out,
            doctreedir=doctrees,
            buildername="html",
            confoverrides=_fingerprints(),
            status=None,
            warning=told,
        )
        app.build()
    return placed(_COLOUR.sub("", told.getvalue()).strip(), source)


def _fingerprints() -> dict[str, str]:
    """Tell Sphinx, which watches texts and templates alone, when our own code has changed."""
    here, package = Path(__file__).parent, course.PACKAGE
    readers = [*here.glob("*.py"), package / "blocks.py", *package.glob("checking/*.py")]
    known = [package / "course.toml", *package.glob("lessons/*/exercises.py")]
    exist = [lesson.name for lesson in course.load_course().lessons if lesson.exists]
    return {
        "firstlight_readers": _digest(readers),
        "firstlight_plan": f"{_digest(known)} {' '.join(exist)}",
    }


def _digest(paths: Iterable[Path]) -> str:
    return sha256(b"\0".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def placed(told: str, source: Path) -> str:
    """Name in each warning the file that an author edits, not the page made from it."""

    def rename(found: re.Match[str]) -> str:
        path = author_file(Path(found["path"]), source)
        return f"{places.shown(path)}:{found['line'] or ''}"

    return _WARNING.sub(rename, told)


def author_file(page: Path, source: Path) -> Path:
    """The file from which a page's source was made."""
    if not page.is_relative_to(source):
        return page
    if page.parent.name == "foundations":
        return course.PACKAGE / "foundations" / page.name
    lessons = {lesson.name: lesson for lesson in course.load_course().lessons}
    if page.stem in lessons:
        return lessons[page.stem].folder / "lesson.md"
    return SITE / "pages" / page.name


def _tidy(out: Path, source: Path) -> None:
    """Delete pages whose source is gone, and files that no page loads."""
    for page in [*out.glob("*.html"), *out.glob("foundations/*.html")]:
        sources = [(source / page.relative_to(out)).with_suffix(kind) for kind in (".md", ".ipynb")]
        if page.name != "search.html" and not any(path.is_file() for path in sources):
            page.unlink()
    shutil.rmtree(out / "_sources", ignore_errors=True)
    for pattern in UNUSED:
        for path in (out / "_static").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
