"""The frame every explorer stands in: data and text in, one self-contained piece of HTML out.

To add an explorer `loader`, write two files and one name:

- `explore/loader.py` with a function `loader(...)` that turns the student's objects into plain
  data (dicts, lists, strings, finite numbers: JSON has no NaN, so tensor values travel as strings)
  and a text that says the same facts, and returns `Explorer("loader", title, data, text)`.
  It raises `TypeError` in a full sentence for a wrong argument, and leaves the student's objects
  as they were.
- `explore/loader.js` with one `export default function render(root, data, tools)` that draws into
  the element `root`. `tools` is the vocabulary of `frame.js` (`el`, `svg`, `style`, `choice`,
  `rove`, `status`, `onTheme`, ...), described there. The other top-level names are its own. What
  several explorers share is a module beside them (`import { tensorGrid } from "./grid.js";`).
- `"loader"` in `explore.__all__`.

In the page the drawing lives in a shadow root, so ids and styles never clash. The text equivalent
stays in the light DOM, where it is read wherever scripts do not run.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

_DEFAULT_EXPORT = re.compile(r"^export default (?=function render\()", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";$', re.MULTILINE)


@dataclass(frozen=True)
class Explorer:
    """An interactive picture: a notebook shows its HTML, a terminal its text.

    `name` is the explorer's module, `title` one line of plain text, `data` what `NAME.js` draws
    (`title` is added to it), and `text` the same facts in words.
    """

    name: str
    title: str
    data: Mapping[str, Any]
    text: str

    def __repr__(self) -> str:
        return f"{self.title}\n\n{self.text}"

    def _repr_html_(self) -> str:
        """Return HTML that asks for nothing from anywhere; the same data give the same HTML."""
        facts = {"title": self.title, **self.data}
        data = _script_safe(json.dumps(facts, ensure_ascii=False, allow_nan=False))
        key = sha256(f"{self.name}\0{data}\0{self.text}".encode()).hexdigest()[:12]
        # JupyterLab leaves the arrow keys to us where `data-lm-suppress-shortcuts` stands.
        return (
            f'<div class="firstlight-explorer" data-firstlight="{key}" data-explorer="{self.name}"'
            ' data-lm-suppress-shortcuts="true">'
            f"<details><summary>{html.escape(self.title)}, in words</summary>"
            f'<pre tabindex="0" style="overflow-x: auto">{html.escape(self.text)}</pre></details>'
            f'<script type="application/json">{data}</script></div>\n'
            '<script type="module">\n'
            f'{module_source(self.name)}\nmount("{key}", render);\n</script>'
        )


@cache
def module_source(name: str) -> str:
    """Return one ES module made of `frame.js`, what `NAME.js` imports, and `NAME.js` itself.

    It defines `mount` and `render`. The explorer's code stands in a function of its own, so that its
    names and the frame's never meet.
    """
    explorer, found = _DEFAULT_EXPORT.subn("", _read(f"{name}.js"))
    if found != 1:
        raise ValueError(f"{name}.js needs one line `export default function render(...) {{`.")
    shared = dict.fromkeys(["frame", *_IMPORT.findall(explorer)])
    parts = [_EXPORT.sub("", _IMPORT.sub("", _read(f"{part}.js"))) for part in shared]
    body = _IMPORT.sub("", explorer)
    source = "\n".join([*parts, "const render = (() => {", body, "return render;", "})();"])
    if "</script" in source.lower():
        raise ValueError(f"{name}.js holds `</script`, which would end the page's script early.")
    return source


def _read(file_name: str) -> str:
    return Path(__file__).with_name(file_name).read_text(encoding="utf-8")


def _script_safe(json_text: str) -> str:
    """Escape what could end the `<script>` around the JSON (`</script>`, `<!--`)."""
    return json_text.replace("<", "\\u003c")
