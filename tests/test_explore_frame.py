"""The frame of the explorers: self-contained HTML, loaded lazily, the same every time."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from firstlight import explore
from firstlight.explore.frame import Explorer, module_source

LIMIT = 60_000  # bytes of script and style beside an explorer's data


def frame(**data: object) -> Explorer:
    return Explorer("memory", "A <title>", data, "1 < 2 & </pre>")


def test_every_explorer_is_listed():
    assert dir(explore) == sorted([*explore.__all__, "record"])  # which draws nothing
    assert explore.__all__ == [
        "broadcast",
        "checkpoint",
        "draw",
        "floats",
        "graph",
        "health",
        "loader",
        "memory",
        "module",
        "predictions",
        "runs",
        "training",
    ]


def test_importing_explore_loads_no_explorer():
    code = (
        "import sys, firstlight.explore as e;"
        "loaded = [n for n in e.__all__ if f'firstlight.explore.{n}' in sys.modules];"
        "print(loaded, 'torch' in sys.modules)"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["[]", "False"]


def test_an_explorers_name_stays_the_function_after_its_module_is_imported():
    code = (
        "from firstlight.explore.memory import find_storages;"
        "from firstlight import explore; print(explore.memory.__name__, callable(explore.memory))"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["memory", "True"]


def test_an_unknown_explorer_is_refused_with_the_names_there_are():
    with pytest.raises(AttributeError, match="no 'brodcast'; it has broadcast, checkpoint, draw"):
        _ = explore.brodcast


@pytest.mark.parametrize("name", explore.__all__)
def test_script_and_style_weigh_at_most_60_kilobytes(name):
    assert len(module_source(name).encode()) <= LIMIT


@pytest.mark.parametrize("name", explore.__all__)
def test_the_script_is_one_module_that_imports_nothing(name):
    source = module_source(name)
    assert not re.search(r"^\s*(import|export)\b", source, re.MULTILINE)
    assert "import(" not in source
    assert source.count("function mount(") == 1


@pytest.mark.parametrize("name", explore.__all__)
def test_the_script_names_no_other_host(name):
    addresses = re.findall(r"\bhttps?://[^\s\"'`)]+", module_source(name))
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_the_same_data_give_the_same_html():
    assert frame(a=[1, 2])._repr_html_() == frame(a=[1, 2])._repr_html_()
    assert frame(a=[1, 2])._repr_html_() != frame(a=[1, 3])._repr_html_()


def test_data_cannot_end_the_script_they_stand_in():
    page = frame(text="</script><!-- <script>")._repr_html_()
    data = re.search(r'<script type="application/json">(.*?)</script>', page)
    assert data is not None
    assert json.loads(data[1]) == {"title": "A <title>", "text": "</script><!-- <script>"}


def test_title_and_text_are_escaped():
    page = frame()._repr_html_()
    assert "A &lt;title&gt;" in page
    assert "1 &lt; 2 &amp; &lt;/pre&gt;" in page


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        frame(value=float("nan"))._repr_html_()


def test_a_terminal_shows_the_text():
    assert repr(frame()) == "A <title>\n\n1 < 2 & </pre>"
