"""The site in a real browser: it can be read by everybody, everywhere, and asks nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from firstlight.course import load_course

pytest_plugins = ["fixtures.built_site"]

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}
LESSONS = [lesson.name for lesson in load_course().lessons if lesson.exists]
REFRESHER = next(f.slug for f in load_course().foundations if f.exists)
PAGES = ["index", *LESSONS, f"foundations/{REFRESHER}", "search", "404", "licences"]
SEVERE = {"moderate", "serious", "critical"}


class Visitor:
    """Opens pages, and keeps every error and every request to another host."""

    def __init__(self, chromium: Browser, site: str) -> None:
        self.chromium = chromium
        self.site = site
        self.faults: list[str] = []
        self.contexts: list[BrowserContext] = []

    def open(self, name: str, script: str = "", **options: Any) -> Page:
        """Open a page of the site in a window of its own; `script` runs before any of its own."""
        context = self.chromium.new_context(**{"viewport": WIDE, **options})
        self.contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("request", lambda request: self.meet(name, request.url))
        page.on("pageerror", lambda error: self.faults.append(f"{name}: {error}"))
        page.goto(f"{self.site}{name}.html")
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-settled]", state="attached")
        return page

    def meet(self, name: str, url: str) -> None:
        """Keep a request to anywhere but the site."""
        if not url.startswith((self.site, "data:", "blob:")):
            self.faults.append(f"{name} asks {url}")


@pytest.fixture
def visitor(chromium: Browser, site_address: str) -> Iterator[Visitor]:
    """A visitor of the site who meets no error and no other host."""
    made = Visitor(chromium, site_address)
    yield made
    for context in made.contexts:
        context.close()
        assert made.faults == []


@pytest.fixture
def lesson(visitor: Visitor) -> Page:
    """The first lesson's page on a wide screen."""
    return visitor.open(LESSONS[0])


def shown(page: Page, selector: str) -> int:
    """How many elements of the page itself, not of its explorers, can be seen."""
    seen = "(selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility()).length"
    return int(page.evaluate(seen, selector))


LOOKS = [  # both widths and both schemes of every lesson, and all four pairs of one
    *((name, WIDE, "light") for name in PAGES),
    *((name, PHONE, "dark") for name in PAGES[:-3]),
    (LESSONS[0], WIDE, "dark"),
    (LESSONS[0], PHONE, "light"),
]


@pytest.mark.parametrize(
    ("name", "size", "scheme"), LOOKS, ids=[f"{n}-{s['width']}-{c}" for n, s, c in LOOKS]
)
def test_axe_finds_nothing_of_weight(visitor: Visitor, name: str, size: Any, scheme: Any) -> None:
    page = visitor.open(name, viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    page.wait_for_timeout(200)
    violations = [
        (found["id"], found["impact"], [node["html"][:160] for node in found["nodes"][:3]])
        for found in Axe().run(page).response["violations"]
        if found["impact"] in SEVERE
    ]
    assert violations == []


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_never_scrolls_sideways(visitor: Visitor, name: str) -> None:
    page = visitor.open(name, viewport=PHONE, has_touch=True, is_mobile=True)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    page.wait_for_timeout(200)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]


def test_a_page_opened_from_the_disk_works(chromium: Browser, built_site: Path) -> None:
    page = chromium.new_page(viewport=WIDE)
    page.goto((built_site / f"{LESSONS[0]}.html").as_uri())
    drawn = page.locator(".firstlight-explorer").first
    drawn.scroll_into_view_if_needed()
    page.wait_for_function(
        "(host) => host.shadowRoot !== null", arg=drawn.element_handle(), timeout=5000
    )
    form = page.locator("form.predict").first
    expect(form.get_by_role("button", name="Answer")).to_be_visible()
    page.close()


def test_without_scripts_every_answer_can_be_opened(visitor: Visitor) -> None:
    page = visitor.open(LESSONS[0], java_script_enabled=False)
    reply = page.locator("details.reply").first
    reply.locator("summary").click()
    expect(reply.locator(".said")).to_be_visible()
    hints = page.locator("section.exercise").first.locator("details.hint")
    expect(hints.nth(1)).to_be_hidden()
    hints.nth(0).locator("summary").click()
    expect(hints.nth(1)).to_be_visible()
    solution = page.locator("details.solution").first
    solution.locator("summary").click()
    expect(solution.locator("pre").first).to_be_visible()
    words = page.locator(".firstlight-explorer details").first
    words.locator("summary").click()
    expect(words.locator("pre")).to_be_visible()
    assert shown(page, ".predict .button, .copy, .theme") == 0


def test_a_prediction_answers_the_chosen_option_in_words(lesson: Page) -> None:
    form = lesson.locator("form.predict").first
    status = form.get_by_role("status")
    form.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text("Choose an option first")
    for reply in form.locator("details.reply").all():
        letter = reply.get_attribute("data-option")
        right = reply.get_attribute("data-right") == "yes"
        form.locator(f"input[value={letter}]").check()
        form.get_by_role("button", name="Answer").click()
        said = f"{letter}) is right." if right else f"{letter}) is not what happens."
        expect(status).to_contain_text(said)
        text = " ".join(reply.locator(".reply-text > p:not(.said)").first.text_content().split())
        assert text[:40] in " ".join(status.text_content().split())


def test_a_prediction_can_be_answered_with_the_keyboard_alone(lesson: Page) -> None:
    form = lesson.locator("form.predict").first
    form.locator("input").first.focus()
    lesson.keyboard.press("ArrowDown")
    lesson.keyboard.press("Enter")
    expect(form.get_by_role("status")).to_contain_text("b) is")


def test_the_keyboard_reaches_the_text_first_and_focus_is_seen(lesson: Page) -> None:
    lesson.keyboard.press("Tab")
    skip = lesson.locator(":focus")
    expect(skip).to_have_text("Skip to the text")
    expect(skip).to_be_in_viewport()
    lesson.keyboard.press("Enter")
    assert lesson.evaluate("document.activeElement.id") == "text"
    for _ in range(12):
        lesson.keyboard.press("Tab")
        style = lesson.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle + ' ' +"
            "document.activeElement.checkVisibility()"
        )
        assert style == "solid true"


def test_copying_a_starter_takes_the_order_along(visitor: Visitor) -> None:
    page = visitor.open(LESSONS[0], permissions=["clipboard-read", "clipboard-write"])
    starter = page.locator(".starter").first
    starter.hover()
    starter.get_by_role("button").click()
    expect(starter.get_by_role("button")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == starter.get_attribute("data-copy")
    assert '"""' in copied


def test_reading_is_remembered(lesson: Page) -> None:
    expect(lesson.locator(".contents a.read")).to_have_count(0)
    for _ in range(12):
        lesson.mouse.wheel(0, 500)
        lesson.wait_for_timeout(30)
    expect(lesson.locator(".contents a.read").first).to_be_visible()
    assert (
        float(
            lesson.locator(".reading-bar span").evaluate("e => e.style.getPropertyValue('--read')")
        )
        > 0
    )
    lesson.reload()
    expect(lesson.locator(".contents a.read").first).to_contain_text("(read)")


def test_without_storage_the_page_still_works(visitor: Visitor) -> None:
    denied = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    page = visitor.open(LESSONS[0], script=denied)
    page.locator(".theme").click()
    assert page.evaluate("document.body.dataset.theme") == "light"
    expect(page.locator("form.predict").first.get_by_role("button", name="Answer")).to_be_visible()


def test_the_theme_is_kept_from_page_to_page(lesson: Page) -> None:
    lesson.locator(".theme").click()
    lesson.locator(".theme").click()
    expect(lesson.locator(".theme")).to_contain_text("dark")
    lesson.goto(lesson.url.replace(LESSONS[0], "index"))
    assert lesson.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_the_local_app_shows_states_and_opens_the_students_own_notebook(
    visitor: Visitor,
) -> None:
    app = f"""window.firstlightApp = {{
          open: location.pathname.includes("{LESSONS[0]}") ? "/course/open/{LESSONS[0]}" : null,
          notebooks: {{ "{LESSONS[0]}": "/course/open/{LESSONS[0]}" }},
          states: {{ flatten_images: {{ passed: true, attempts: 3 }}, brighten: {{ passed: false, attempts: 1 }} }},
        }};"""
    page = visitor.open(LESSONS[0], script=app)
    expect(page.get_by_role("link", name="Open my notebook")).to_have_attribute(
        "href", f"/course/open/{LESSONS[0]}"
    )
    state = page.locator("[data-exercise=flatten_images] .state")
    expect(state).to_have_text("✓ Passed, 3 attempts")
    expect(page.locator("[data-exercise=brighten] .state")).to_have_text(
        "Not passed yet, 1 attempt"
    )
    link = page.locator("#exercise-flatten_images .exercise-facts .to-notebook")
    expect(link).to_have_attribute(
        "href", f"/course/open/{LESSONS[0]}#cell-id=exercise-flatten_images"
    )
    home = visitor.open("index", script=app)
    expect(home.get_by_role("link", name="Open my notebook")).to_be_visible()
    expect(home.locator(".way-steps > li").first).to_contain_text("1 of ")


def test_without_the_local_app_nothing_of_it_shows(lesson: Page) -> None:
    expect(lesson.get_by_role("link", name="Open my notebook")).to_be_hidden()
    assert shown(lesson, ".state") == 0


def test_the_search_finds_the_section_and_hides_the_answers(lesson: Page) -> None:
    lesson.get_by_role("searchbox").first.fill("broadcasting")
    lesson.keyboard.press("Enter")
    first = lesson.locator("#search-results a").first
    expect(first).to_have_attribute("href", f"{LESSONS[0]}.html#broadcasting")
    field = lesson.get_by_role("searchbox", name="Search for")
    field.fill("must match the size")
    expect(lesson.get_by_role("status")).to_contain_text("found")
    expect(lesson.locator("#search-results mark").first).to_be_visible()
    field.fill("shifted.exp()")  # a line of a solution
    expect(lesson.get_by_role("status")).to_contain_text("Nothing found")
    field.fill("broadcasting")
    first.click()
    expect(lesson.locator("#broadcasting h2")).to_be_in_viewport()


def test_on_a_phone_the_drawers_open_and_close(visitor: Visitor) -> None:
    page = visitor.open(LESSONS[0], viewport=PHONE)
    expect(page.get_by_role("navigation", name="The course")).to_be_hidden()
    page.get_by_role("button", name="The course").click()
    expect(page.get_by_role("navigation", name="The course")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="The course")).to_be_hidden()
    page.get_by_role("button", name="On this page").click()
    page.locator(".contents a", has_text="Summary").click()
    expect(page.locator(".contents")).to_be_hidden()
    expect(page.locator("#summary h2")).to_be_in_viewport()


def test_what_is_wide_scrolls_by_keyboard_under_a_name(visitor: Visitor) -> None:
    page = visitor.open(LESSONS[0], viewport=PHONE)
    page.wait_for_timeout(200)
    regions = page.get_by_role("group", name="scrolls sideways")
    assert regions.count() > 0
    for region in regions.all():
        assert region.get_attribute("tabindex") == "0"


def test_print_shows_the_text_and_not_the_frame(lesson: Page) -> None:
    lesson.emulate_media(media="print", color_scheme="dark")
    for selector in (".side", ".contents", ".foot", ".ways", ".copy"):
        assert shown(lesson, selector) == 0
    expect(lesson.locator("h1")).to_be_visible()
    assert (
        lesson.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
