"""Build the site from the committed solutions: `build/site-src` in, `build/site` out, nothing run.

Every warning is an error, and all of them are shown, with the line of the author's own file.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docutils.utils.math import math2html
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from authoring import places
from authoring.notebook_file import write_if_changed
from authoring.pages import write_pages
from firstlight.course import load_course

SITE = Path(__file__).resolve().parent.parent / "site"

# What Furo and MyST-NB add and no page of ours loads.
UNUSED = ("_static/styles", "_static/scripts", "_static/mystnb*.css", "_static/basic.css")

_PLACE = re.compile(r"^(?P<path>/?[^:\n]+?\.(?:ipynb|md)):(?P<rest>(?:\d+:)?)", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
