"""`explore.loader` in a browser: the batches on show are those that iterating the loader gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch.utils.data import DataLoader, RandomSampler, TensorDataset, WeightedRandomSampler

from firstlight import explore
from firstlight.explore.loader_story import SHOWN

Show = Callable[..., Page]
Epochs = list[list[list[int]]]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, classes: int = 5) -> TensorDataset:
    """A data set whose first part is the example's own number."""
    return TensorDataset(torch.arange(count), torch.arange(count) * classes // count)


def drawn(loader: DataLoader[Any], epochs: int = 2) -> Epochs:
    """What iterating over the loader gives: the oracle of these tests."""
    return [[batch[0].tolist() for batch in loader] for _ in range(epochs)]


def card(page: Page, epoch: int, batch: int) -> Locator:
    return page.get_by_role("group", name=f"epoch {epoch}, batch {batch:,}", exact=True)


def cells(place: Locator) -> list[int]:
    return [int(text) for text in place.locator(".cell").all_inner_texts()]


def walked(page: Page, epochs: int = 2) -> list[dict[int, list[int]]]:
    """Turn every page, and return the batches that were on them."""
    found: list[dict[int, list[int]]] = [{} for _ in range(epochs)]
    while True:
        for section in page.locator(".card").all():
            name = section.get_attribute("aria-label") or ""
            if told := re.fullmatch(r"epoch (\d+), batch ([\d,]+)", name):
                found[int(told[1]) - 1][int(told[2].replace(",", ""))] = cells(section)
        if page.get_by_role("button", name="Batches after").is_disabled():
            return found
        page.get_by_role("button", name="Batches after").click()


def spots(page: Page) -> str:
    return page.get_by_role("status").inner_text()


@pytest.fixture
def loader() -> DataLoader[Any]:
    return DataLoader(numbered(50), 8, shuffle=True, generator=seeded())


@pytest.fixture
def opened(show: Show, loader: DataLoader[Any]) -> tuple[Page, Epochs]:
    """50 examples in batches of 8, shuffled, and what the loader then gives."""
    return show(explore.loader(loader)), drawn(loader)


# The batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("generator", [True, False])
def test_the_batches_on_show_are_those_that_the_loader_gives(
    show: Show, generator: bool, drop_last: bool
) -> None:
    own = seeded(1) if generator else None
    loader = DataLoader(numbered(250), 32, shuffle=True, drop_last=drop_last, generator=own)
    torch.manual_seed(11)
    explorer = explore.loader(loader)
    expected = drawn(loader)
    found = walked(show(explorer))
    for number, batches in enumerate(expected):
        assert [found[number][at] for at in range(1, len(batches) + 1)] == batches


@pytest.mark.parametrize(
    "sampler",
    [
        WeightedRandomSampler([1.0] * 40 + [9.0] * 10, 60, generator=seeded(4)),
        RandomSampler(range(50), replacement=True, generator=seeded(5)),
        list(range(49, 20, -1)),
    ],
)
def test_so_are_those_of_other_samplers(show: Show, sampler: Any) -> None:
    loader = DataLoader(numbered(50), 8, sampler=sampler)
    explorer = explore.loader(loader, epochs=3)
    expected = drawn(loader, 3)
    assert walked(show(explorer), 3) == [dict(enumerate(batches, 1)) for batches in expected]


def test_the_short_last_batch_is_named(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    page.get_by_label("go to batch").fill("7")
    page.keyboard.press("Enter")
    for epoch in (1, 2):
        expect(card(page, epoch, 7)).to_contain_text("short last batch: 2 examples")
        assert len(cells(card(page, epoch, 7))) == 2
    expect(page.get_by_role("table").locator("tbody tr").first).to_contain_text("2 of 8")


def test_what_drop_last_drops_stands_after_the_last_batch(show: Show) -> None:
    loader = DataLoader(numbered(50), 8, shuffle=True, drop_last=True, generator=seeded())
    page = show(explore.loader(loader))
    page.get_by_label("go to batch").fill("6")
    page.keyboard.press("Enter")
    for number, batches in enumerate(drawn(loader), 1):
        place = page.get_by_role("group", name=f"epoch {number}, dropped")
        held = {index for batch in batches for index in batch}
        assert set(cells(place)) == set(range(50)) - held


def test_the_classes_of_a_batch_are_counted(opened: tuple[Page, Epochs]) -> None:
    page, expected = opened
    for epoch in (1, 2):
        labels = torch.tensor(expected[epoch - 1][1]) * 5 // 50
        counts = torch.bincount(labels, minlength=5).tolist()
        items = card(page, epoch, 2).get_by_role("listitem")
        told = [item.get_attribute("aria-label") for item in items.all()]
        assert told == [f"class {label}: {count}" for label, count in enumerate(counts)]
        assert [
            int(number) for number in items.locator("span:first-child").all_inner_texts()
        ] == counts


def test_bars_are_as_high_as_their_numbers(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    bars = page.locator(".classes li").evaluate_all(
        """(items) => items.map((item) => [Number(item.querySelector("span").textContent),
          item.querySelector(".fill").getBoundingClientRect().height])"""
    )
    unit = max(height / number for number, height in bars if number)
    for number, height in bars:
        assert height == pytest.approx(unit * number, abs=0.6)


# Following an example --------------------------------------------------------------------------


def told(expected: Epochs, index: int) -> str:
    parts = []
    for number, batches in enumerate(expected, 1):
        at = next(at for at, batch in enumerate(batches) if index in batch)
        parts.append(f"epoch {number}: batch {at + 1}, place {batches[at].index(index) + 1}")
    return " ".join([f"Example {index}, class {index * 5 // 50}", *parts])


def test_a_pointed_example_is_told_in_every_epoch(opened: tuple[Page, Epochs]) -> None:
    page, expected = opened
    for epoch, batch, place in ((1, 1, 0), (1, 2, 5), (2, 1, 7), (2, 3, 2)):
        index = expected[epoch - 1][batch - 1][place]
        card(page, epoch, batch).locator(".cell").nth(place).hover()
        assert " ".join(spots(page).split()) == told(expected, index)


def test_the_same_by_keys(opened: tuple[Page, Epochs]) -> None:
    page, expected = opened
    card(page, 1, 1).locator(".cell").first.focus()
    for key, index in (
        ("ArrowRight", expected[0][0][1]),
        ("End", expected[0][0][7]),
        ("ArrowDown", expected[1][0][7]),
        ("ArrowDown", expected[0][1][7]),
        ("Home", expected[0][1][0]),
        ("ArrowUp", expected[1][0][0]),
    ):
        page.keyboard.press(key)
        assert " ".join(spots(page).split()) == told(expected, index)


@pytest.mark.parametrize("press", ["Enter", "mouse"])
def test_a_pressed_example_is_followed_into_the_next_epoch_and_back(
    opened: tuple[Page, Epochs], press: str
) -> None:
    page, expected = opened
    index = expected[0][0][3]
    start = card(page, 1, 1).locator(".cell").nth(3)
    if press == "mouse":
        start.click()
    else:
        start.press("Enter")
    focused = page.locator(".cell:focus")
    expect(focused).to_have_text(str(index))
    at = next(at for at, batch in enumerate(expected[1], 1) if index in batch)
    expect(card(page, 2, at).locator(".cell:focus")).to_have_count(1)
    expect(focused).to_have_attribute("data-mark", "here")
    focused.press("Enter")
    expect(card(page, 1, 1).locator(".cell:focus")).to_have_text(str(index))


def test_the_example_is_marked_wherever_it_is_on_the_page(show: Show) -> None:
    page = show(explore.loader(DataLoader(numbered(10), 4, shuffle=True, generator=seeded())))
    card(page, 1, 1).locator(".cell").first.hover()
    marked = page.locator('.cell[data-mark="here"], .cell[data-mark="kin"]')
    expect(marked).to_have_count(2)
    assert len(set(marked.all_inner_texts())) == 1


def test_any_example_is_found_by_its_number(opened: tuple[Page, Epochs]) -> None:
    page, expected = opened
    for index in (0, 17, 49):
        page.get_by_label("go to example").fill(str(index))
        page.keyboard.press("Enter")
        assert " ".join(spots(page).split()) == told(expected, index)
        expect(page.locator('.cell[data-mark="here"]')).to_have_text(str(index))
    page.get_by_label("go to example").fill("50")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("There is no example 50: they go from 0 to 49.")


# The rails -------------------------------------------------------------------------------------


def rails(page: Page) -> dict[str, Any]:
    """Where the signs stand on the rails, as shares of the first rail, and the filled block."""
    return page.locator(".rails").evaluate(
        """(holder) => {
          const box = (element) => ["x", "width"].map((name) => Number(element.getAttribute(name)));
          const [left, width] = box(holder.querySelector(".rail"));
          const share = (at) => (at - left) / width;
          return {
            stops: [...holder.querySelectorAll(".stop")].map((stop) => share(Number(stop.getAttribute("cx")))),
            block: [...holder.querySelectorAll(".shown")].map(box).map(([x, w]) => [share(x), share(x + w)])[0],
            ways: holder.querySelectorAll(".way.batch").length,
            cuts: holder.querySelectorAll(".cut").length,
          };
        }"""
    )


def test_the_rails_show_where_an_example_goes(opened: tuple[Page, Epochs]) -> None:
    page, expected = opened
    card(page, 2, 2).locator(".cell").nth(4).hover()
    index = expected[1][1][4]
    orders = [[at for batch in batches for at in batch] for batches in expected]
    drawing = rails(page)
    due = [index, orders[0].index(index), orders[1].index(index)]
    assert drawing["stops"] == pytest.approx([(at + 0.5) / 50 for at in due], abs=1e-3)
    assert drawing["block"] == pytest.approx([8 / 50, 16 / 50], abs=1e-3)
    assert drawing["ways"] == 16  # eight examples, over two gaps
    assert drawing["cuts"] == 4 + 12  # five classes, and seven batches in two epochs


def test_the_data_set_s_rail_names_its_classes(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    names = page.locator(".rails text.end").all_text_contents()
    assert names == ["example 0", "49", *(f"class {label}" for label in range(5))]


def test_a_press_on_a_rail_opens_the_batch_there(opened: tuple[Page, Epochs]) -> None:
    page, expected = opened
    box = page.locator(".rails .rail").nth(2).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 26.5 / 50, box["y"] + 5)
    assert cells(card(page, 2, 4)) == expected[1][3]
    expect(card(page, 2, 4)).to_have_attribute("data-here", "")
    first = page.locator(".rails .rail").first.bounding_box()
    assert first is not None
    page.mouse.click(first["x"] + first["width"] * 12.5 / 50, first["y"] + 5)
    assert " ".join(spots(page).split()) == told(expected, 12)


# A large data set ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large() -> tuple[Any, Epochs]:
    loader = DataLoader(numbered(60_000, 10), 32, shuffle=True, generator=seeded())
    explorer = explore.loader(loader)
    return explorer, drawn(loader)


def test_a_large_loader_s_batches_are_right_wherever_one_jumps(
    show: Show, large: tuple[Any, Epochs]
) -> None:
    explorer, expected = large
    page = show(explorer)
    for wanted in (1, 20, 700, 1500, 1875):
        page.get_by_label("go to batch").fill(str(wanted))
        page.keyboard.press("Enter")
        name = page.locator(".card[data-here]").get_attribute("aria-label") or ""
        at = int(name.split(" ")[-1].replace(",", ""))
        for epoch in (1, 2):
            assert cells(card(page, epoch, at)) == expected[epoch - 1][at - 1]
        kept = at - 1 in explorer.data["kept"]
        assert kept
        assert (at == wanted) or f"Batch {wanted:,} is not kept" in spots(page)


def test_of_a_large_loader_the_nearest_known_example_is_told(
    show: Show, large: tuple[Any, Epochs]
) -> None:
    explorer, expected = large
    page = show(explorer)
    page.get_by_label("go to example").fill("4711")
    page.keyboard.press("Enter")
    words = " ".join(spots(page).split())
    index = int(re.findall(r"Example (\d+), class", words)[0])
    for number, batches in enumerate(expected, 1):
        at = next(at for at, batch in enumerate(batches) if index in batch)
        place = batches[at].index(index)
        assert f"epoch {number}: batch {at + 1:,}, place {place + 1}" in words
    assert index == 4711 or words.startswith("Example 4,711 is not kept in this picture")


def test_of_a_large_batch_the_first_examples_are_cells(show: Show) -> None:
    loader = DataLoader(numbered(600), 256, shuffle=True, generator=seeded())
    page = show(explore.loader(loader))
    batches = drawn(loader)[0]
    assert cells(card(page, 1, 1)) == batches[0][:SHOWN]
    expect(card(page, 1, 1)).to_contain_text("and 192 more")


# Odd loaders -----------------------------------------------------------------------------------


def odd() -> dict[str, DataLoader[Any]]:
    ten = numbered(10)
    return {
        "no batch": DataLoader(ten, 32, drop_last=True),
        "one example": DataLoader(numbered(1, 1), 4),
        "each alone": DataLoader(ten, batch_size=None),
        "used up": DataLoader(ten, 4, sampler=iter([1, 2, 3])),
        "nothing": DataLoader(ten, 4, sampler=[]),
        "empty batches": DataLoader(ten, batch_sampler=[[], [1], []]),
        "from the end": DataLoader(ten, 2, sampler=[-1, -10, 3]),
        "outside": DataLoader(ten, batch_sampler=[[1, 99]]),
        "without pairs": DataLoader([None] * 5, 2),  # type: ignore[arg-type]
        "no length": DataLoader(type("Open", (), {"__getitem__": None})(), 2, sampler=[7, 1]),
    }


@pytest.mark.parametrize("name", odd())
def test_odd_loaders_draw_without_an_error(show: Show, name: str) -> None:
    explorer = explore.loader(odd()[name])
    page = show(explorer)  # an error on the page's console fails the test
    for cell in page.locator(".cell").all()[:6]:
        cell.hover()
        cell.press("Enter")
    page.get_by_label("go to example").fill("0")
    page.keyboard.press("Enter")
    expect(page.locator(".rails svg")).to_have_count(1)
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(2)


def test_a_mistake_is_told_above_everything(show: Show) -> None:
    page = show(explore.loader(DataLoader(numbered(10), 32, drop_last=True)))
    expect(page.locator(".warn")).to_contain_text("There is no batch at all")


# In any page -----------------------------------------------------------------------------------


def several() -> list[Any]:
    return [
        explore.loader(DataLoader(numbered(10, 3), 4, shuffle=True, generator=seeded())),
        explore.loader(DataLoader(numbered(1000), 32, drop_last=True)),
        explore.loader(DataLoader(numbered(9000, 10), 512, shuffle=True, generator=seeded())),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(scheme: str, width: int, show: Show) -> None:
    page = show(*several())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.locator(".cell").nth(1).focus()
    page.wait_for_timeout(300)  # colours change over 120 ms
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_it_fits_the_page(width: int, show: Show) -> None:
    page = show(*several())
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_what_is_told_stays_in_sight(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    page.set_viewport_size({"width": 390, "height": 700})
    cell = card(page, 1, 1).locator(".cell").first
    cell.scroll_into_view_if_needed()
    cell.focus()
    box = page.get_by_role("status").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < box["y"] + box["height"] <= 700


def test_arrow_keys_stay_inside(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    page.evaluate("document.addEventListener('keydown', (e) => { window.heard = e.key; })")
    for place in (page.locator(".cell").first, page.get_by_label("go to batch")):
        place.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    assert page.evaluate("window.heard") is None


def test_every_part_is_one_stop_of_the_tab_key(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    stops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; return it.getAttribute('aria-label') ?? it.localName; }"
            )
        )
    assert stops[:4] == ["Each epoch in numbers", "Batches after", "go to batch", "go to example"]
    assert re.fullmatch(r"example \d+", stops[4])
    assert stops[5] == "summary"


def test_the_colours_follow_the_theme(opened: tuple[Page, Epochs]) -> None:
    page, _ = opened
    fill = "() => getComputedStyle(document.querySelector('.firstlight-explorer').shadowRoot"
    fill += ".querySelector('.shown')).fill"
    light = page.evaluate(fill)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".firstlight-explorer")).to_have_attribute("data-firstlight-theme", "dark")
    page.wait_for_timeout(200)
    assert page.evaluate(fill) != light


def test_two_explorers_keep_apart(show: Show, loader: DataLoader[Any]) -> None:
    explorer = explore.loader(loader)
    page = show(explorer, explorer)
    first, second = page.locator("[data-explorer=loader]").all()
    second.get_by_role("button", name="Batches after").click()
    expect(second.get_by_text("of 7", exact=False).first).not_to_contain_text("batches 1")
    expect(first.get_by_text("of 7", exact=False).first).to_contain_text("batches 1")


def test_the_text_equivalent_is_on_the_page(show: Show, loader: DataLoader[Any]) -> None:
    explorer = explore.loader(loader)
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text
