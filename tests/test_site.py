"""The site: what its pages promise, and that every planted fault fails the build and is placed."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from fixtures.small_course import SmallCourse

from authoring import katex, places
from authoring.lesson_file import read_lesson
from authoring.notebook_file import notebook_bytes
from authoring.notebooks import Measured, solution_notebook
from authoring.page_blocks import marked, spec_lines, without_order
from authoring.page_context import image_size
from authoring.page_transforms import LARGEST_INLINE, plot_words
from authoring.site import SITE, SiteFault, build_site
from firstlight.blocks import parse_entries
from firstlight.checking import find_exercise, lesson_exercises
from firstlight.course import load_course
from firstlight.explore.frame import Explorer

pytest_plugins = ["fixtures.plugin", "fixtures.built_site"]

PAGE_LIMIT = 400_000  # bytes, compressed, with all that a page loads
LESSONS = [lesson for lesson in load_course().lessons if lesson.exists]
REFRESHERS = [foundation for foundation in load_course().foundations if foundation.exists]


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def pages(site: Path) -> list[Path]:
    found = sorted([*site.glob("*.html"), *site.glob("foundations/*.html")])
    assert len(found) >= 4
    return found


def lesson_pages(site: Path) -> list[Path]:
    assert LESSONS
    return [site / f"{lesson.name}.html" for lesson in LESSONS]


# The whole site -----------------------------------------------------------------------------------


def test_every_lesson_and_refresher_has_its_page(built_site: Path) -> None:
    wanted = [f"{lesson.name}.html" for lesson in LESSONS]
    wanted += [f"foundations/{foundation.slug}.html" for foundation in REFRESHERS]
    assert wanted
    assert [name for name in wanted if not (built_site / name).is_file()] == []


def test_the_path_shows_all_lessons_and_links_only_those_that_exist(built_site: Path) -> None:
    home = soup(built_site / "index.html")
    steps = home.select(".way-steps > li")
    assert len(steps) == len(load_course().lessons) == 10
    for step, lesson in zip(steps, load_course().lessons, strict=True):
        link = step.select_one("h3 a")
        assert lesson.title in step.get_text()
        assert (link["href"] if link else None) == (
            f"{lesson.name}.html" if lesson.exists else None
        )


def test_the_answer_on_the_home_page_is_what_the_check_says(built_site: Path) -> None:
    from firstlight.checking import check_object

    configured: dict[str, tuple[str, str]] = {}
    exec((SITE / "conf.py").read_text(encoding="utf-8"), configured)
    name, mistake = configured["home_example"]
    exercise = find_exercise(name)
    verdict = check_object(exercise, exercise.mistake(mistake).answer)
    shown = soup(built_site / "index.html").select_one(".specimen-answer").get_text(" ", strip=True)
    assert verdict.headline in shown
    assert exercise.mistake(mistake).title in shown


def addresses(page: Path) -> Iterator[str]:
    """Every address that the browser itself asks for when it shows a page."""
    loading = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset"}
    for tag, attribute in loading.items():
        for found in soup(page).find_all(tag):
            rel = found.get("rel") or []
            if found.get(attribute) and not {"next", "prev", "search", "index"} & set(rel):
                yield str(found[attribute])


def test_no_page_asks_anything_of_another_host(built_site: Path) -> None:
    asked = {address for page in pages(built_site) for address in addresses(page)}
    assert any(address.endswith("firstlight.css") for address in asked)
    assert [address for address in asked if urlsplit(address).netloc] == []
    used = [*built_site.rglob("*.css"), *built_site.rglob("*.js"), *built_site.rglob("*.svg")]
    outside = re.compile(
        r"url\(\s*['\"]?(?:https?:)?//|@import\s+['\"]?(?:https?:)?//"
        r"|(?:import|fetch|importScripts|EventSource|WebSocket)\(\s*['\"`](?:https?:|wss?:)?//"
        r"|from\s+['\"]https?://|\.src\s*=\s*['\"`](?:https?:)?//"
    )
    found = [path.name for path in used if outside.search(path.read_text(encoding="utf-8"))]
    inline = [path.name for path in pages(built_site) if outside.search(path.read_text("utf-8"))]
    assert found == inline == []


def test_every_link_within_the_site_leads_to_a_place_that_exists(built_site: Path) -> None:
    broken = []
    for page in pages(built_site):
        for link in soup(page).select("a[href], form[action], use[href]"):
            address = urlsplit(str(link.get("href") or link.get("action")))
            if address.scheme or address.netloc or str(link.get("href")) == "#":
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            anchor = unquote(address.fragment)
            if not target.is_file() or (anchor and soup(target).find(id=anchor) is None):
                broken.append(f"{page.name}: {address.geturl()}")
    assert broken == []


def test_no_page_says_an_id_twice(built_site: Path) -> None:
    for page in pages(built_site):
        ids = [found["id"] for found in soup(page).select("[id]")]
        assert [name for name in set(ids) if ids.count(name) > 1] == [], page.name


def test_a_page_and_all_it_loads_stay_below_the_limit(built_site: Path) -> None:
    for page in [*lesson_pages(built_site), built_site / "index.html"]:
        loaded = {(page.parent / urlsplit(a).path).resolve() for a in addresses(page)}
        later = re.findall(r'showWhenNear\("\w+", "([^"]+)"\)', page.read_text(encoding="utf-8"))
        loaded |= {(page.parent / file).resolve() for file in later}
        for sheet in [path for path in loaded if path.suffix == ".css"]:
            inside = re.findall(r"url\(([\w/.-]+\.woff2)\)", sheet.read_text(encoding="utf-8"))
            loaded |= {(sheet.parent / name).resolve() for name in inside if is_used(name, page)}
        total = sum(weight(path) for path in {page.resolve(), *loaded})
        assert total <= PAGE_LIMIT, f"{page.name} weighs {total} bytes"


# A browser loads a font when a letter is set in it. KaTeX names the fonts of its letters by class.
FONT_CLASSES = {
    "KaTeX_AMS": "amsrm|mathbb|textbb",
    "KaTeX_Main-Bold": "mathbf|textbf",
    "KaTeX_Main-Italic": "mathit|textit",
    "KaTeX_Math-BoldItalic": "boldsymbol",
}


def is_used(font: str, page: Path) -> bool:
    """Whether a page sets a letter in a font; all but KaTeX's special ones count as used."""
    marks = next((mark for name, mark in FONT_CLASSES.items() if name in font), "")
    classes = rf'class="[^"]*\b(?:{marks})\b'
    return not marks or bool(re.search(classes, page.read_text(encoding="utf-8")))


def weight(path: Path) -> int:
    """The size of a file as a host sends it."""
    data = path.read_bytes()
    return len(data) if path.suffix in (".png", ".woff2") else len(gzip.compress(data))


def test_every_picture_has_words_and_a_size(built_site: Path) -> None:
    pictures = [image for page in lesson_pages(built_site) for image in soup(page).find_all("img")]
    assert pictures
    for image in pictures:
        assert image.get("alt", "").strip()
        assert not image["alt"].endswith((".png", ".svg")), "the alt text is a file name"
        assert int(image["width"]) > 0
        assert int(image["height"]) > 0


def test_formulas_are_set_at_build_time_and_said_in_mathml(built_site: Path) -> None:
    formulas = [f for page in pages(built_site) for f in soup(page).select(".katex")]
    assert formulas
    assert all(formula.select_one("math annotation") for formula in formulas)
    texts = [soup(page).get_text() for page in pages(built_site)]
    assert not any("ParseError" in text for text in texts)


def test_large_explorer_data_are_files_of_their_own(built_site: Path) -> None:
    inside = [
        data.get_text()
        for page in lesson_pages(built_site)
        for data in soup(page).select(".firstlight-explorer > script")
    ]
    assert inside
    assert max(map(len, inside)) <= LARGEST_INLINE


def test_a_page_without_scripts_holds_every_answer(built_site: Path) -> None:
    for lesson in LESSONS:
        page = soup(built_site / f"{lesson.name}.html")
        exercises = lesson_exercises(lesson)
        assert len(page.select("section.exercise")) == len(exercises)
        text = page.get_text()
        for exercise in exercises.values():
            assert all(plain(hint) in plain(text) for hint in exercise.hints)
            assert code_in(without_order(exercise, solved=True), page)
        for form in page.select("form.predict"):
            replies = form.select("details.reply")
            assert len(replies) == len(form.select("input[type=radio]")) >= 3
            assert [reply["data-right"] for reply in replies].count("yes") == 1


def plain(text: str) -> str:
    """Letters and digits alone, which no typography changes."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).lower())


def code_in(code: str, page: BeautifulSoup) -> bool:
    return any(code.strip() in block.get_text() for block in page.find_all("pre"))


def test_the_replies_say_right_where_the_executed_code_does(built_site: Path) -> None:
    for lesson in LESSONS:
        kept = json.loads((places.ROOT / "solutions" / f"{lesson.name}.ipynb").read_text("utf-8"))
        right = kept["metadata"]["firstlight"]["right"]
        page = soup(built_site / f"{lesson.name}.html")
        shown = {
            form["data-predict"]: form.select_one("[data-right=yes]")["data-option"]
            for form in page.select("form.predict")
        }
        assert shown == right


def test_the_messages_are_those_pytorch_printed(built_site: Path) -> None:
    for lesson in LESSONS:
        kept = json.loads((places.ROOT / "solutions" / f"{lesson.name}.ipynb").read_text("utf-8"))
        messages = kept["metadata"]["firstlight"]["messages"]
        page = soup(built_site / f"{lesson.name}.html")
        shown = [message.get_text() for message in page.select(".fault .message")]
        assert sorted(shown) == sorted(messages.values())
        assert shown


def test_each_section_links_to_its_cell_in_the_notebook(built_site: Path) -> None:
    for lesson in LESSONS:
        text = (places.ROOT / "notebooks" / f"{lesson.name}.ipynb").read_text(encoding="utf-8")
        cells = {cell["id"] for cell in json.loads(text)["cells"]}
        links = soup(built_site / f"{lesson.name}.html").select("a.to-notebook")
        assert len(links) > 10
        for link in links:
            assert link["data-cell"] in cells
            assert str(link["href"]) == f"{lesson.colab_url}#scrollTo={link['data-cell']}"


def test_report_names_page_and_versions(built_site: Path) -> None:
    for lesson in LESSONS:
        link = soup(built_site / f"{lesson.name}.html").select_one("a.report")
        written = unquote(str(link["href"]))
        assert lesson.repository in written
        assert f"Page: {lesson.name}" in written
        assert "torch 2." in written


def test_furos_caption_headings_are_gone(built_site: Path) -> None:
    assert not any(soup(page).select("[role=heading]") for page in pages(built_site))


def test_the_search_index_holds_every_section_and_no_answer(built_site: Path) -> None:
    text = (built_site / "search-index.js").read_text(encoding="utf-8")
    places_found = json.loads(text.removeprefix("const searchIndex = ").rstrip(";\n"))
    for lesson in LESSONS:
        mine = [place for place in places_found if place[0] == f"{lesson.name}.html"]
        titles = [heading.title for heading in read_lesson(lesson).headings]
        assert {title for title in titles} <= {place[3] for place in mine}
        said = " ".join(place[4] for place in mine)
        for exercise in lesson_exercises(lesson).values():
            assert exercise.hints[0] not in said
            assert exercise.order.split(".")[0].replace("`", "") in said


def test_licences_are_shipped_beside_what_they_cover(built_site: Path) -> None:
    static = built_site / "_static"
    assert "MIT" in (static / "katex" / "LICENSE").read_text(encoding="utf-8")
    for family in ("literata", "figtree", "jetbrains-mono"):
        text = (static / "fonts" / f"LICENSE-{family}.txt").read_text(encoding="utf-8")
        assert "SIL Open Font License" in text
    used = re.findall(r"url\(([\w/-]+\.woff2)\)", (static / "firstlight.css").read_text("utf-8"))
    assert len(used) == len(set(used)) <= 5
    assert all((static / name).is_file() for name in used)


# Refreshers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("foundation", REFRESHERS, ids=lambda f: f.slug)
def test_the_code_of_a_refresher_prints_what_stands_beside_it(foundation: object) -> None:
    text = foundation.path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for code in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, {})
        said = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)
        assert printed.getvalue().split() == " ".join(said).split() != []


@pytest.mark.parametrize("foundation", REFRESHERS, ids=lambda f: f.slug)
def test_a_refresher_bears_its_title_and_leads_on(foundation: object) -> None:
    text = foundation.path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert text.startswith(f"# {foundation.title}\n")  # type: ignore[attr-defined]
    assert "](lesson:" in text
    assert "$$" in text


# Faults -------------------------------------------------------------------------------------------


def solved_by_hand(course: SmallCourse) -> None:
    """Write a solution notebook with what executing it would have shown."""
    file = read_lesson(course.lesson)
    entries = [
        entry for b in file.blocks("goes-wrong") for entry in parse_entries(b.body, b.body_line)[0]
    ]
    names = [block.argument for block in file.blocks("predict")]
    measured = Measured(
        source_hash="",
        torch="2.13.0",
        right=dict.fromkeys(names, "b"),
        messages={entry.snippet: "RuntimeError: as it is printed" for entry in entries},
    )
    path = places.solution_notebook(course.lesson)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(notebook_bytes(solution_notebook(file, measured)))


def faults_of(course: SmallCourse) -> str:
    solved_by_hand(course)
    with pytest.raises(SiteFault) as raised:
        build_site()
    return str(raised.value)


def line_of(course: SmallCourse, text: str) -> int:
    lines = course.text.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_a_small_course_builds_without_a_fault(small_course: SmallCourse) -> None:
    solved_by_hand(small_course)
    build_site()
    page = small_course.root / "build" / "site" / f"{small_course.lesson.name}.html"
    assert "RuntimeError" in page.read_text(encoding="utf-8")


def test_every_planted_fault_is_shown_with_the_authors_file_and_line(
    small_course: SmallCourse,
) -> None:
    planted = {
        "$\\frac{1}{n}$": ("$\\frac{1}{n$", "Broken TeX"),
        "[one](#sums-and-means)": ("[one](#no-such-section)", "no-such-section"),
        "A sum keeps integers:": ("A [sum](foundations/none.md) keeps:", "foundations/none.md"),
        "- A sum keeps a dtype": ("- A ![](figures/none.png)", "none.png"),
    }
    text = small_course.text.read_text(encoding="utf-8")
    text = text.replace("\\frac{1}{n} \\sum", "\\frac{1}{n} \\foo \\sum")
    text = text.replace("[one](#sums-and-means)", "[one](#no-such-section)")
    text = text.replace("A sum keeps integers:", "A [sum](foundations/none.md) keeps integers:")
    text = text.replace("- **Add up** a tensor", "- **Add up** ![a drawing](figures/none.png)")
    text = text.replace(":alt: Three boxes, and an arrow to one.\n", "")
    small_course.text.write_text(text, encoding="utf-8")
    said = faults_of(small_course)
    path = places.shown(small_course.text)
    assert planted
    for where, what in (
        ("\\foo", "Broken TeX: Undefined control sequence: \\foo"),
        ("no-such-section", "no-such-section"),
        ("foundations/none.md", "foundations/none.md"),
        ("figures/none.png", "none.png"),
        ("{figure}", "no `:alt:` text"),
    ):
        line = line_of(small_course, where)
        near = rf"{re.escape(path)}:({line}|{line + 1}|{line + 2}): .*{re.escape(what)}"
        assert re.search(near, said), f"{what} near line {line} in:\n{said}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{exercise} tiny_total", "{exercise} tiny_totl", "`tiny_totl` is not defined"),
        ("   when: error is RuntimeError\n", "", "has no `when:`"),
        ("Cure. Use `reshape`.", "Use `reshape`.", "has no `Cure. …`"),
        ("{from-foundations} 1.3.4", "{from-foundations} 9.9.9", "no Foundations lesson '9.9.9'"),
        ("## Summary", "##### Summary", "Non-consecutive header level"),
    ],
    ids=["exercise", "prediction", "goes-wrong", "foundation", "heading"],
)
def test_a_faulty_block_fails_the_build(
    small_course: SmallCourse, old: str, new: str, said: str
) -> None:
    solved_by_hand(small_course)
    small_course.edit(small_course.text, old, new)
    with pytest.raises(SiteFault, match=re.escape(said)):
        build_site()


def test_a_fault_is_shown_again_until_it_is_mended(small_course: SmallCourse) -> None:
    small_course.edit(small_course.text, "[one](#sums-and-means)", "[one](#nowhere)")
    assert "nowhere" in faults_of(small_course)
    assert "nowhere" in faults_of(small_course)
    small_course.edit(small_course.text, "[one](#nowhere)", "[one](#sums-and-means)")
    build_site()


def test_only_the_changed_page_is_written_again(small_course: SmallCourse) -> None:
    solved_by_hand(small_course)
    build_site()
    site = small_course.root / "build" / "site"
    before = {page: page.stat().st_mtime_ns for page in pages(site)}
    small_course.edit(small_course.text, "A mean divides", "The mean divides")
    build_site()
    written = {page.name for page in pages(site) if page.stat().st_mtime_ns != before[page]}
    assert f"{small_course.lesson.name}.html" in written
    assert not any("foundations" in str(page) for page in before if page.name in written)


# Parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tex", [r"\frac{1}{n", r"\foo", "x_1_2", r"\mathfrak{g}"])
def test_broken_tex_and_unshipped_fonts_are_faults(tex: str) -> None:
    with pytest.raises(katex.TexFault, match=re.escape(tex)):
        katex.render(tex, display=False)


def test_a_formula_is_html_with_its_mathml() -> None:
    formula = BeautifulSoup(katex.render(r"\hat{x}^2", display=True), "html.parser")
    assert formula.select_one("math mover")
    assert formula.select_one(".katex-html")["aria-hidden"] == "true"


def test_the_order_is_set_without_its_docstring() -> None:
    for exercise in lesson_exercises(LESSONS[0]).values():
        code = without_order(exercise)
        assert '"""' not in code
        assert exercise.name in code
        compile(code, exercise.name, "exec")


def test_what_is_given_and_due_stands_on_lines_of_its_own() -> None:
    lines = spec_lines("x: (N, D),\nin any order.\nReturns (N,):\none per row.")
    assert lines == ["x: (N, D), in any order.", "Returns (N,): one per row."]
    assert marked(lines[0]) == "`x`: (N, D), in any order."
    assert marked(lines[1]) == lines[1]


def test_a_plot_is_said_by_its_words() -> None:
    assert plot_words('ax.set_title("Loss")\nplt.xlabel("step")').endswith("Loss; step.")
    assert plot_words("plt.imshow(image)") == "Picture drawn by the code above."


def test_image_sizes_are_read_from_the_file(tmp_path: Path) -> None:
    drawing = tmp_path / "a.svg"
    drawing.write_text('<svg viewBox="0 0 120 40.4"></svg>', encoding="utf-8")
    assert image_size(drawing) == (120, 40)
    header = (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (7).to_bytes(4, "big") + (5).to_bytes(4, "big")
    )
    bitmap = tmp_path / "a.png"
    bitmap.write_bytes(header)
    assert image_size(bitmap) == (7, 5)


def test_explorers_keep_the_form_that_the_site_takes_apart() -> None:
    from authoring.page_transforms import EXPLORER_CODE, EXPLORER_DATA, EXPLORER_NAME

    html = Explorer("broadcast", "A title", {}, "In words.")._repr_html_()
    assert EXPLORER_CODE.search(html)
    assert EXPLORER_DATA.search(html)
    assert isinstance(EXPLORER_NAME.search(html), re.Match)
    assert isinstance(BeautifulSoup(html, "html.parser").div, Tag)
