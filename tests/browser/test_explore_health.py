"""`explore.health` in a browser: at every step, by keys and by mouse, its numbers are PyTorch's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from firstlight import explore

Show = Callable[..., Page]
STEPS = 30
DEATH = 12
NAMES = ["input", "0", "1", "2", "3", "4"]
PARAMETERS = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(1)
    centres = torch.randn(3, 8, generator=g)
    targets = [torch.randint(3, (32,), generator=g) for _ in range(count)]
    return [(centres[each] + torch.randn(32, 8, generator=g), each) for each in targets]


def kill(model: nn.Sequential) -> None:
    with torch.no_grad():
        model[2].bias[:13] = -1000.0  # type: ignore[operator, index]


class Taken:
    """What PyTorch itself says of the same training, step by step."""

    def __init__(self, dies: bool, steps: int = STEPS) -> None:
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.losses: list[float] = []
        self.std: list[list[float]] = []
        self.dead: list[list[float]] = []
        self.norms: list[list[float]] = []
        self.ratios: list[list[float]] = []
        for step, (inputs, targets) in enumerate(batches(steps)):
            before = copy.deepcopy(list(model.parameters()))  # an update is all that changed
            if dies and step == DEATH:
                kill(model)
            outputs = [inputs]
            for layer in model:
                outputs.append(layer(outputs[-1]))
            loss = F.cross_entropy(outputs[-1], targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.losses.append(loss.item())
            self.std.append([each.detach().std(correction=0).item() for each in outputs])
            self.dead.append([(each == 0).all(0).float().mean().item() for each in outputs])
            pairs = list(zip(model.parameters(), before, strict=True))
            self.norms.append([now.grad.norm().item() for now, _ in pairs])  # type: ignore[union-attr]
            self.ratios.append([((now - old).norm() / old.norm()).item() for now, old in pairs])


def recorded(dies: bool = False, steps: int = STEPS) -> Any:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with explore.record(model) as record:
        for step, (inputs, targets) in enumerate(batches(steps)):
            if dies and step == DEATH:
                kill(model)
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    return record


@pytest.fixture(scope="module")
def healthy() -> Any:
    return explore.health(recorded())


@pytest.fixture(scope="module")
def dying() -> Any:
    return explore.health(recorded(dies=True))


class Broken(nn.Module):
    """One layer takes part, one is frozen, one is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.spare = nn.Linear(8, 8), nn.Linear(8, 3), nn.Linear(2, 2)
        self.head.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(x)))


def broken() -> Any:
    """A training with None, 0 and NaN in it."""
    torch.manual_seed(0)
    model = Broken()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with explore.record(model) as record:
        for step, (inputs, targets) in enumerate(batches(20)):
            scale = 0.0 if step < 8 else 1.0 if step < 15 else float("nan")
            loss = scale * F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    return explore.health(record)


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Step", exact=True)


def go_to(page: Page, step: int) -> None:
    """Walk to a step by keys; all steps are on show."""
    slider(page).focus()
    page.keyboard.press("Home")
    for _ in range(step):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".where b").first).to_have_text(str(step))


def pick(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_role("radio", name=name, exact=True).check()


def value(text: str) -> float:
    text = text.replace("−", "-").replace("inf", "Infinity")
    return float(text.removesuffix(" %")) / 100 if text.endswith("%") else float(text)


def values(page: Page) -> list[float]:
    """The numbers on show, row by row."""
    return [value(text) for text in page.locator(".row .value").all_inner_texts()]


def names(page: Page) -> list[str]:
    return [name.get_attribute("title") or "" for name in page.locator(".row .name").all()]


def four(expected: list[float]) -> Any:
    """What is written with four digits."""
    return pytest.approx(expected, rel=6e-4, abs=1e-9)


def inside(page: Page, script: str) -> Any:
    root = "const root = document.querySelector('[data-explorer=health]').shadowRoot;"
    return page.evaluate(f"() => {{ {root} {script} }}")


# The numbers -----------------------------------------------------------------------------------


def test_every_view_shows_pytorchs_numbers_at_every_step(show: Show, healthy: Any) -> None:
    page = show(healthy)
    taken = Taken(dies=False)
    for step in (0, 1, 7, STEPS - 1):
        go_to(page, step)
        expect(page.locator(".where")).to_contain_text(f"of {STEPS - 1}, loss")
        assert value(page.locator(".where b").nth(1).inner_text()) == four(taken.losses[step])
        pick(page, "activations", "standard deviation")
        assert names(page) == NAMES
        assert values(page) == four(taken.std[step])
        pick(page, "dead units")
        assert values(page) == pytest.approx(taken.dead[step], rel=6e-3)
        pick(page, "gradients", "norm of the gradient")
        assert names(page) == PARAMETERS
        assert values(page) == four(taken.norms[step])
        pick(page, "updates", "update / weight")
        assert values(page) == four(taken.ratios[step])


def test_the_strips_are_as_high_as_the_numbers(show: Show, dying: Any) -> None:
    page = show(dying)
    pick(page, "activations", "dead units")
    page.wait_for_timeout(50)
    taken = Taken(dies=True)
    for row, step in ((4, DEATH - 1), (4, DEATH), (4, STEPS - 1), (1, DEATH)):
        filled = inside(
            page,
            f"const canvas = root.querySelectorAll('canvas')[{row}];"
            f"const x = Math.round(({step} + 0.5) * canvas.width / {STEPS});"
            "const column = canvas.getContext('2d').getImageData(x, 0, 1, canvas.height).data;"
            "let painted = 0;"
            "for (let y = 3; y < column.length; y += 4) painted += column[y] > 0;"
            "return painted / canvas.height;",
        )
        assert filled == pytest.approx(taken.dead[step][row], abs=0.08)


def test_the_chosen_row_shows_all_its_numbers(show: Show, healthy: Any) -> None:
    page = show(healthy)
    record = recorded().history
    go_to(page, 5)
    page.get_by_role("option", name="3:").locator(".name").click()
    expect(page.locator(".chosen .label").first).to_have_text("3 ReLU, 16 units")
    seen = record[5]["layers"]["3"]
    texts = page.locator(".chosen dd").all_inner_texts()
    keys = ("mean", "std", "largest", "zero", "dead")
    for key, text in zip(keys, texts, strict=False):
        assert value(text) == pytest.approx(seen[key], rel=6e-3)
    assert texts[-1] == "0"
    pick(page, "gradients")
    expect(page.locator(".chosen .label").first).to_contain_text("0.weight")
    texts = page.locator(".chosen dd").all_inner_texts()
    seen = record[5]["parameters"]["0.weight"]
    for key, text in zip(("gradient", "largest", "weight", "update", "ratio"), texts, strict=True):
        assert value(text) == pytest.approx(seen[key], rel=6e-4)


def test_a_row_leads_to_its_own_parameters_and_back(show: Show, healthy: Any) -> None:
    page = show(healthy)
    page.get_by_role("option", name="2:").locator(".name").click()
    pick(page, "updates")
    expect(page.get_by_role("option", selected=True)).to_have_attribute(
        "aria-label", _begins("2.weight")
    )
    pick(page, "activations")
    expect(page.get_by_role("option", selected=True)).to_have_attribute("aria-label", _begins("2"))


def _begins(name: str) -> Any:
    import re

    return re.compile(f"^{re.escape(name)}: ")


# What stands out -------------------------------------------------------------------------------


def test_a_healthy_training_is_said_to_be_one(show: Show, healthy: Any) -> None:
    page = show(healthy)
    expect(page.locator(".sound")).to_contain_text(f"Nothing stands out in {STEPS} steps.")
    expect(page.locator(".sound li")).to_have_count(len(healthy.data["facts"]))
    expect(page.locator(".findings")).to_have_count(0)
    expect(page.locator(".where b").first).to_have_text(str(STEPS - 1))


def test_a_finding_leads_to_its_row_and_step(show: Show, dying: Any) -> None:
    page = show(dying)
    finding = page.locator(".findings li", has_text="Dead units")
    expect(finding).to_contain_text(f"from step {DEATH} on")
    expect(finding).to_contain_text("13 of 16 units of 3 give 0 for every example")
    pick(page, "gradients")
    go_to(page, 0)
    finding.get_by_role("button").click()
    expect(page.locator(".where b").first).to_have_text(str(DEATH))
    expect(page.get_by_role("radio", name="dead units")).to_be_checked()
    expect(page.get_by_role("option", selected=True)).to_have_attribute("aria-label", _begins("3"))
    expect(page.get_by_role("option", selected=True).locator(".value")).to_have_text("81.3 %")


def test_none_zero_and_nan_are_told_apart_without_colour(show: Show) -> None:
    page = show(broken())
    pick(page, "gradients", "norm of the gradient")
    for words in ("exactly 0", "no gradient (None)", "NaN or inf"):
        expect(page.locator(".key")).to_contain_text(words)
    go_to(page, 3)
    row = {name: page.locator(".row").nth(place) for place, name in enumerate(names(page))}
    expect(row["body.weight"].locator(".value")).to_have_text("0")
    expect(row["spare.weight"].locator(".value")).to_have_text("None")
    expect(row["head.weight"].locator(".tag")).to_have_text("frozen")
    go_to(page, 17)
    expect(row["body.weight"].locator(".value")).to_have_text("NaN")
    expect(row["body.weight"]).to_have_attribute("aria-label", "body.weight: NaN at step 17")
    expect(page.locator(".findings")).to_contain_text("the loss of step 15 is NaN")


# Keys and pointer ------------------------------------------------------------------------------


def test_the_slider_answers_to_every_key(show: Show, healthy: Any) -> None:
    page = show(healthy)
    slider(page).focus()
    step = page.locator(".where b").first
    for key, expected in (
        ("Home", 0), ("ArrowRight", 1), ("ArrowUp", 2), ("PageUp", 5), ("ArrowLeft", 4),
        ("PageDown", 1), ("ArrowDown", 0), ("ArrowLeft", 0), ("End", STEPS - 1),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect(step).to_have_text(str(expected))
    taken = Taken(dies=False)
    loss = slider(page).get_attribute("aria-valuetext") or ""
    assert value(loss.removeprefix(f"step {STEPS - 1}, loss ")) == four(taken.losses[-1])  # type: ignore[arg-type]


def test_rows_are_walked_by_the_arrow_keys_and_step_too(show: Show, healthy: Any) -> None:
    page = show(healthy)
    chosen = page.get_by_role("option", selected=True)
    chosen.focus()
    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_attribute("aria-label", _begins("1"))
    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_attribute("aria-label", _begins("2"))
    expect(page.locator(".chosen .label").first).to_have_text("2 Linear, 16 units")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".where b").first).to_have_text(str(STEPS - 2))
    page.keyboard.press("ArrowUp")
    expect(chosen).to_have_attribute("aria-label", _begins("1"))


def test_a_press_on_a_strip_goes_to_that_step_and_row(show: Show, healthy: Any) -> None:
    page = show(healthy)
    strip = page.locator(".strip").nth(3)
    box = strip.bounding_box()
    assert box is not None
    strip.click(position={"x": (10 + 0.5) * box["width"] / STEPS, "y": 10})
    expect(page.locator(".where b").first).to_have_text("10")
    expect(page.get_by_role("option", selected=True)).to_have_attribute("aria-label", _begins("2"))


def test_a_press_on_a_chart_goes_to_the_nearest_step(show: Show, healthy: Any) -> None:
    page = show(healthy)
    for chart in page.locator(".chart").all():
        page.keyboard.press("Escape")
        box = chart.bounding_box()
        assert box is not None
        chart.click(position={"x": box["width"] - 12, "y": 60})
        expect(page.locator(".where b").first).to_have_text(str(STEPS - 1))
        chart.click(position={"x": 40, "y": 60})
        assert int(page.locator(".where b").first.inner_text()) <= 1


def test_the_thumb_stands_under_the_marks_of_the_strips(show: Show, healthy: Any) -> None:
    page = show(healthy)
    for width in (1000, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for step in (0, 15, STEPS - 1):
            go_to(page, step)
            mark, thumb = inside(
                page,
                "const strip = root.querySelector('.strip').getBoundingClientRect();"
                "const slider = root.querySelector('.slider');"
                "const box = slider.getBoundingClientRect();"
                "const part = slider.value / slider.max;"
                "const at = parseFloat(getComputedStyle(root.querySelector('.map'))"
                ".getPropertyValue('--at')) / 100;"
                "return [strip.left + at * strip.width, box.left + 8 + part * (box.width - 16)];",
            )
            assert thumb == pytest.approx(mark, abs=1.5)


def test_every_part_is_one_stop_of_the_tab_key(show: Show, healthy: Any) -> None:
    page = show(healthy)
    stops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; "
                "return it.getAttribute('role') ?? it.type ?? it.localName; }"
            )
        )
    assert stops == ["radio", "radio", "radio", "option", "range", "summary"]


# In any page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(scheme: str, width: int, show: Show, healthy: Any, dying: Any) -> None:
    page = show(healthy, dying, broken())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_timeout(300)  # colours change over 120 ms
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_it_fits_the_page(width: int, show: Show, healthy: Any, dying: Any) -> None:
    page = show(healthy, dying, broken())
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for view in ("gradients", "updates"):
        page.locator("[data-explorer=health]").nth(1).get_by_role("radio", name=view).first.check()
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_scrubber_stays_in_sight_on_a_phone(show: Show, healthy: Any) -> None:
    page = show(healthy)
    page.set_viewport_size({"width": 390, "height": 600})
    page.locator(".row").nth(1).scroll_into_view_if_needed()
    box = slider(page).bounding_box()
    assert box is not None
    assert 0 < box["y"] < box["y"] + box["height"] <= 600


def test_the_colours_follow_the_theme(show: Show, dying: Any) -> None:
    page = show(dying)
    pick(page, "activations", "dead units")
    pixel = (
        "const canvas = root.querySelectorAll('canvas')[4];"
        "return [...canvas.getContext('2d').getImageData(canvas.width - 20, canvas.height - 3, 1, 1).data];"
    )
    page.wait_for_timeout(50)
    light = inside(page, pixel)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".firstlight-explorer")).to_have_attribute("data-firstlight-theme", "dark")
    page.wait_for_timeout(200)
    dark = inside(page, pixel)
    assert light[3] > 150 < dark[3]
    assert light[:3] != dark[:3]


def test_without_a_loss_there_is_no_chart_of_it(show: Show) -> None:
    model = mlp()
    with explore.record(model) as record:
        model(torch.ones(4, 8)).sum().backward()
        record.step()
    page = show(explore.health(record))
    expect(page.locator(".where")).to_have_text("step 0 of 0")
    expect(page.locator(".chart")).to_have_count(1)
    expect(slider(page)).to_be_disabled()


def test_two_explorers_keep_apart(show: Show, healthy: Any) -> None:
    page = show(healthy, healthy)
    first, second = page.locator("[data-explorer=health]").all()
    second.get_by_role("slider", name="Step", exact=True).press("Home")
    expect(second.locator(".where b").first).to_have_text("0")
    expect(first.locator(".where b").first).to_have_text(str(STEPS - 1))


def test_the_text_equivalent_is_on_the_page(show: Show, dying: Any) -> None:
    page = show(dying)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == dying.text
