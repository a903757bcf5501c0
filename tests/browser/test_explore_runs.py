"""`explore.runs` in a browser: what it shows are the numbers given, by mouse and by keys."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from firstlight import explore

Show = Callable[..., Page]
Runs = list[dict[str, Any]]
CLASSES = ["T-shirt/top", "trouser", "shirt"]
NAMES = ["linear", "wide", "deep", "slow"]
EPOCHS = 8


def made(name: str, seed: int, best: float, epochs: int = EPOCHS, **more: Any) -> dict[str, Any]:
    noise = random.Random(f"{name} {seed}")
    return {
        "name": name,
        "seed": seed,
        "history": [
            (2 / (1 + epoch) + noise.random() / 50, 2 / (1 + epoch) + 0.2 + noise.random() / 20)
            for epoch in range(epochs)
        ],
        "accuracy": [
            best - 0.3 / (1 + epoch) ** 2 + noise.random() / 200 for epoch in range(epochs)
        ],
        "per_class": [
            best - 0.05 + noise.random() / 50,
            best + 0.04,
            best - 0.2 + noise.random() / 9,
        ],
        **more,
    }


def experiments() -> Runs:
    small: dict[str, Any] = {"seconds": 6.2, "parameters": 7850, "config": {"lr": 0.1}}
    wide: dict[str, Any] = {
        "seconds": 12.4,
        "parameters": 101770,
        "config": {"lr": 0.1, "hidden": 9},
    }
    deep: dict[str, Any] = {"seconds": 23.9, "parameters": 60000, "config": {"lr": 0.01}}
    return [
        *(made("linear", seed, 0.84, **small) for seed in range(3)),
        *(made("wide", seed, 0.88, EPOCHS - 2 * seed, **wide) for seed in range(2)),
        made("deep", 0, 0.91, **deep),
        {"name": "slow", "seconds": 80.0, "accuracy": 0.5},
    ]


def of(name: str) -> Runs:
    return [run for run in experiments() if run["name"] == name]


def last(run: dict[str, Any]) -> float:
    found = run["accuracy"]
    return float(found[-1] if isinstance(found, list) else found)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.fixture
def page(show: Show) -> Page:
    return show(explore.runs(experiments(), classes=CLASSES))


def rows(page: Page) -> list[list[str]]:
    lines = page.locator("tbody tr").all()
    return [
        [line.locator(".mark b").inner_text(), *line.locator("td").all_inner_texts()]
        for line in lines
    ]


def mark(page: Page, name: str) -> Locator:
    return page.locator(".mark").filter(has_text=name)


def curve(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name=f"Read {name}:", exact=False)


def classes(page: Page) -> Locator:
    return page.get_by_role("group", name="Read the accuracy of the classes", exact=False)


def cost(page: Page) -> Locator:
    return page.get_by_role("group", name="Read cost and accuracy", exact=False)


def numbers(place: Locator) -> list[float]:
    return [float(text) for text in place.locator("b").all_inner_texts()[1:]]


def at(page: Page) -> str | None:
    found = page.locator("tbody tr.at .mark b").all_inner_texts()
    return found[0] if found else None


# The table -------------------------------------------------------------------------------------


def test_the_table_holds_the_numbers_given(page: Page) -> None:
    assert [row[0] for row in rows(page)] == NAMES
    for name, accuracy, span, _, loss, seconds, parameters in rows(page):
        values = [last(run) for run in of(name)]
        assert accuracy == f"{100 * mean(values):.2f}"
        low, high = f"{100 * min(values):.2f}", f"{100 * max(values):.2f}"
        assert span == ("–" if len(values) == 1 else f"{low} to {high}")
        losses = [run["history"][-1][1] for run in of(name) if "history" in run]
        assert loss == "–" if not losses else float(loss) == pytest.approx(mean(losses), rel=6e-4)
        assert seconds == f"{mean([run['seconds'] for run in of(name)]):.1f}"
        assert parameters == (f"{of(name)[0]['parameters']:,}" if name != "slow" else "–")


def test_the_table_says_what_differs_from_the_baseline(page: Page, show: Show) -> None:
    assert [row[3] for row in rows(page)] == ["lr 0.1", "hidden 9", "lr 0.1 → 0.01", "–"]
    other = show(explore.runs(experiments(), baseline="deep"))
    assert [row[3] for row in rows(other)][:3] == [
        "lr 0.01 → 0.1",
        "lr 0.01 → 0.1, hidden 9",
        "lr 0.01",
    ]
    expect(mark(other, "deep")).to_contain_text("baseline")


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("experiment", ["deep", "linear", "slow", "wide"], ["wide", "slow", "linear", "deep"]),
        ("accuracy, %", ["deep", "wide", "linear", "slow"], ["slow", "linear", "wide", "deep"]),
        ("seconds", ["linear", "wide", "deep", "slow"], ["slow", "deep", "wide", "linear"]),
        ("parameters", ["linear", "deep", "wide", "slow"], ["wide", "deep", "linear", "slow"]),
    ],
)
def test_columns_are_sorted_by_keys(
    page: Page, column: str, first: list[str], second: list[str]
) -> None:
    head = page.get_by_role("columnheader", name=column, exact=False)
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert [row[0] for row in rows(page)] == first
    ways = [head.get_attribute("aria-sort")]
    page.keyboard.press("Space")
    assert [row[0] for row in rows(page)] == second
    assert sorted([*ways, head.get_attribute("aria-sort")]) == ["ascending", "descending"]  # type: ignore[type-var]
    assert page.locator("th[aria-sort]").count() == 1


def test_the_rows_are_one_stop_of_the_tab_key_and_moved_through_by_arrows(page: Page) -> None:
    assert page.locator('.mark[tabindex="0"]').count() == 1
    page.get_by_role("button", name="seconds").click()
    page.get_by_role("button", name="seconds").click()  # the slowest first
    page.locator(".mark").first.focus()
    seen = [at(page)]
    for _ in range(3):
        page.keyboard.press("ArrowDown")
        seen.append(at(page))
    assert seen == ["slow", "deep", "wide", "linear"]


# Pointing and marking --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_pointing_at_a_row_says_its_fact(page: Page, name: str) -> None:
    explorer = explore.runs(experiments(), classes=CLASSES)
    facts = {each["name"]: each["fact"] for each in explorer.data["groups"]}
    expect(page.locator(".fact")).to_have_text(facts["deep"])  # the best
    mark(page, name).hover()
    expect(page.locator(".fact")).to_have_text(facts[name])
    assert at(page) == name
    page.mouse.move(5, 5)
    expect(page.locator(".fact")).to_have_text(facts["deep"])
    assert at(page) is None


def test_a_mark_is_taken_away_and_given_back_by_keys(page: Page) -> None:
    lines = page.locator(".cost .still .sign")
    before = lines.count()
    button = mark(page, "wide")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert lines.count() == before - 1
    assert page.locator(".cost .still .dust").count() == 1
    button.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert lines.count() == before


def test_each_mark_has_a_sign_of_its_own(page: Page) -> None:
    signs = page.locator(".mark .sign")
    shapes = {signs.nth(number).get_attribute("d") for number in range(signs.count())}
    assert len(shapes) == len(NAMES)


# The curves ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "wide", "deep"])
@pytest.mark.parametrize("epoch", [0, 3, EPOCHS - 1])
def test_the_arrow_keys_read_the_curves(page: Page, name: str, epoch: int) -> None:
    chart = curve(page, "validation loss")
    chart.press("Home")
    for _ in range(NAMES.index("deep")):
        page.keyboard.press("ArrowUp")
    for _ in range(NAMES.index(name)):
        page.keyboard.press("ArrowDown")
    for _ in range(epoch):
        page.keyboard.press("ArrowRight")
    assert at(page) == name
    reached = [run for run in of(name) if len(run["history"]) > epoch]
    due = [mean([run["history"][epoch][side] for run in reached]) for side in (0, 1)]
    read = page.locator(".curves > .read")
    expect(read).to_contain_text(f"epoch {epoch + 1}, {name}")
    found = numbers(read)
    assert found[:2] == [pytest.approx(value, rel=6e-4) for value in due]
    assert found[2] == pytest.approx(
        100 * mean([run["accuracy"][epoch] for run in reached]), abs=0.006
    )
    assert ("mean of 1 of 2" in read.inner_text()) == (name == "wide" and epoch == EPOCHS - 1)


def test_one_accuracy_of_a_run_is_no_curve(show: Show) -> None:
    longer = made("wide", 0, 0.88) | {"accuracy": 0.88}
    page = show(explore.runs([longer, made("script", 0, 0.8, epochs=1) | {"accuracy": 0.8}]))
    expect(curve(page, "validation loss")).to_be_visible()
    expect(curve(page, "accuracy in %")).to_have_count(0)


def test_pointing_reads_the_nearest_curve(page: Page) -> None:
    area = curve(page, "accuracy in %").locator("svg svg")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 4)
    expect(page.locator(".curves > .read")).to_contain_text(f"epoch {EPOCHS}, deep")
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] - 2)
    expect(page.locator(".curves > .read")).to_contain_text("epoch 1, linear")
    page.mouse.move(2, 2)
    assert at(page) is None


def heights(chart: Locator) -> list[list[float]]:
    """The ends of the marked lines, and the ticks with their places."""
    return chart.evaluate(  # type: ignore[no-any-return]
        """(place) => {
          const area = place.querySelector("svg svg");
          const top = Number(area.getAttribute("y"));
          const ends = [...area.querySelectorAll(".still .run:not(.faint)")].map((line) =>
            top + Number(line.getAttribute("d").split(/[ML]/).pop().split(" ")[1]));
          const texts = [...place.querySelectorAll("svg > text[text-anchor=end]")]
            .filter((text) => text.textContent !== "epoch");
          return [ends, texts.map((text) => Number(text.getAttribute("y")) - 4),
            texts.map((text) => Number(text.textContent))];
        }"""
    )


def test_the_curves_lie_where_their_numbers_are(page: Page) -> None:
    ends, places, values = heights(curve(page, "validation loss"))
    per_pixel = (values[-1] - values[0]) / (places[-1] - places[0])
    found = [values[0] + (end - places[0]) * per_pixel for end in ends]
    shared = {name: min(len(run["history"]) for run in of(name)) - 1 for name in NAMES[:3]}
    due = [mean([run["history"][shared[name]][1] for run in of(name)]) for name in shared]
    assert found == [pytest.approx(value, abs=0.02) for value in due]


def test_losses_can_be_read_on_a_log_scale(page: Page) -> None:
    before = heights(curve(page, "training loss"))[0]
    page.get_by_role("radio", name="log").check()
    after = heights(curve(page, "training loss"))[0]
    assert after != before
    assert heights(curve(page, "accuracy in %"))[0]


def test_a_loss_that_explodes_starts_on_a_log_scale(show: Show) -> None:
    history = [(1.0, 1.0), (0.9, 1.1), (1e6, 1e7), (math.inf, math.nan)]
    page = show(explore.runs([*experiments(), {"name": "lr 10", "history": history}]))
    expect(page.get_by_role("radio", name="log")).to_be_checked()
    expect(page.locator(".warn")).to_contain_text("lr 10 from epoch 4")


# Classes and cost ------------------------------------------------------------------------------


def test_the_arrow_keys_read_the_classes(page: Page) -> None:
    chart = classes(page)
    chart.focus()
    for place, label in enumerate(CLASSES):
        page.keyboard.press("ArrowDown")
        read = page.locator(".classes .read")
        expect(read.locator("b")).to_have_text(label)
        found = dict(
            part.rsplit(" ", 2)[:2] for part in read.inner_text().split(": ")[1].split(", ")
        )
        due = {name: mean([run["per_class"][place] for run in of(name)]) for name in NAMES[:3]}
        assert found == {name: f"{100 * value:.2f}" for name, value in due.items()}
        assert list(found) == sorted(due, key=lambda name: -due[name])


@pytest.mark.parametrize("name", NAMES[:3])
def test_the_classes_of_what_is_pointed_at_stand_at_the_right(page: Page, name: str) -> None:
    mark(page, name).hover()
    texts = page.locator(".classes .over text").all_text_contents()
    due = [mean([run["per_class"][place] for run in of(name)]) for place in range(3)]
    assert texts == [name, *(f"{100 * value:.2f} %" for value in due)]


def test_no_sign_of_a_class_hides_another(page: Page) -> None:
    places = page.locator(".classes .still .sign").evaluate_all(
        "(signs) => signs.map((sign) => sign.getAttribute('transform').match(/[-\\d.]+/g)[1])"
    )
    assert len(set(places)) == len(places) == 3 * len(CLASSES)


@pytest.mark.parametrize("kind", ["seconds", "parameters"])
def test_the_arrow_keys_read_cost_and_accuracy(page: Page, kind: str) -> None:
    page.get_by_role("radio", name=kind).check()
    cost(page).focus()
    named = [name for name in NAMES if kind in of(name)[0]]
    for name in sorted(named, key=lambda name: float(of(name)[0][kind])):
        page.keyboard.press("ArrowRight")
        spent = of(name)[0][kind]
        text = f"{spent:.1f} s" if kind == "seconds" else f"{spent:,} parameters"
        reached = f"{100 * mean([last(run) for run in of(name)]):.2f} %"
        expect(page.locator(".cost .read")).to_contain_text(f"{name}: {text}, {reached}")
        assert at(page) == name


def test_every_marked_point_of_the_cost_is_named(page: Page) -> None:
    assert sorted(page.locator(".cost .still text").all_text_contents()) == sorted(NAMES)


# Little, and much ------------------------------------------------------------------------------


def test_what_is_not_given_is_not_drawn(show: Show) -> None:
    page = show(explore.runs([{"name": "only a name"}]))
    assert page.locator(".chart").count() == 0
    assert rows(page) == [["only a name"]]
    page = show(explore.runs([{"name": "A", "history": [(1.0, 2.0)], "accuracy": 0.5}]))
    expect(page.locator(".chart")).to_have_count(3)
    curve(page, "training loss").press("ArrowRight")
    expect(page.locator(".curves > .read")).to_contain_text("validation loss 2.000")


def test_two_hundred_runs_stay_usable(show: Show) -> None:
    runs = [
        made(f"run {number}", 0, 0.5 + number / 500, 100, seconds=number + 1.0)
        for number in range(200)
    ]
    page = show(explore.runs(runs, classes=CLASSES))
    assert page.locator('.mark[aria-pressed="true"] b').all_inner_texts() == [
        "run 0",  # the baseline, and the best
        *(f"run {number}" for number in range(195, 200)),
    ]
    mark(page, "run 100").click()
    expect(page.locator(".fact")).to_contain_text("unmark one first")
    took = page.locator(".mark").evaluate_all(
        "(marks) => { const start = performance.now();"
        " marks.slice(0, 50).forEach((mark) => mark.focus());"
        " return (performance.now() - start) / 50; }"
    )
    assert took < 250  # milliseconds for each, on a busy machine too
    page.locator(".mark").first.press("Control+Home")
    for _ in range(20):  # the rows scroll under the mouse
        page.keyboard.press("ArrowDown")
    page.wait_for_timeout(200)
    assert at(page) == "run 20"
    page.keyboard.press("Control+End")
    assert at(page) == "run 199"


# In any page -----------------------------------------------------------------------------------


def several() -> list[Any]:
    return [
        explore.runs(experiments(), classes=CLASSES),
        explore.runs([{"name": "A", "history": [(math.nan, 1.0)]}, {"name": "B", "accuracy": 0.5}]),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(scheme: str, width: int, show: Show) -> None:
    page = show(*several())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_timeout(300)  # colours change over 120 ms
    for pointed in (False, True):
        if pointed:
            page.locator(".mark").nth(1).focus()
            page.wait_for_timeout(300)
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_it_fits_the_page(width: int, show: Show) -> None:
    page = show(*several())
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_stay_inside(page: Page) -> None:
    page.evaluate("document.addEventListener('keydown', (e) => { window.heard = e.key; })")
    curve(page, "training loss").press("ArrowRight")
    classes(page).press("ArrowDown")
    cost(page).press("ArrowRight")
    page.locator(".mark").first.press("ArrowDown")
    assert page.evaluate("window.heard") is None


def test_the_text_equivalent_is_on_the_page(page: Page) -> None:
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explore.runs(experiments(), classes=CLASSES).text
