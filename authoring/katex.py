"""Turn TeX into HTML and MathML while the site is built: KaTeX, run inside Python, without Node.js.

The script lies in `site/vendor/katex`, its style sheet and those of its fonts that are shipped in
`site/_static/katex`. To change the version, see `site/vendor/README.md`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).resolve().parent.parent / "site" / "vendor" / "katex" / "katex.min.js"

# Fonts of KaTeX that the site leaves out, by the class that asks for them.
UNSHIPPED = re.compile(r'class="[^"]*\b(mathfrak|textfrak|mathscr|textscr|mathsf|textsf|mathtt)\b')

_RENDER = """
function render(tex, display) {
  try {
    return "+" + katex.renderToString(tex, {displayMode: display, strict: "error", trust: false});
  } catch (error) {
    return "-" + (error.rawMessage || error.message) +
      (error.position === undefined ? "" : " (character " + (error.position + 1) + ")");
  }
}
"""


class TexFault(Exception):
    """A formula that KaTeX cannot set; the message says what is wrong and where in it."""


def render(tex: str, *, display: bool) -> str:
    """Set a formula as HTML, with the same formula in MathML for those who listen.

    Raises:
        TexFault: if the TeX is broken, or needs a font that the site does not ship.
    """
    answer = str(_engine().call("render", tex.strip(), display))
    found, text = answer[0], answer[1:]
    if found == "-":
        raise TexFault(f"{text.rstrip('.')}: {tex.strip()}")
    unshipped = UNSHIPPED.search(text)
    if unshipped:
        raise TexFault(f"\\{unshipped[1]} needs a font that the site does not ship: {tex.strip()}")
    return text


@cache
def _engine() -> MiniRacer:
    """Start V8 with KaTeX in it; it takes a quarter of a second, once."""
    engine = MiniRacer()
    engine.eval(SCRIPT.read_text(encoding="utf-8"))
    engine.eval(_RENDER)
    return engine
