"""`explore.training` in a browser: at every step, by keys and by mouse, its numbers are PyTorch's."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from firstlight import explore
from firstlight.explore.training_model import SIDE

Show = Callable[..., Page]
Histories = dict[str, list[tuple[float, dict[str, Tensor]]]]
STEPS = 40
MSE = nn.MSELoss()
MAKE: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.15),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    inputs = torch.rand(30, 1, generator=g) * 4 - 1
    return inputs, 1.7 * inputs + 0.6 + 0.3 * torch.randn(30, 1, generator=g)


def line() -> nn.Linear:
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(-1.2)
        model.bias.fill_(2.6)
    return model


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def train(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    make: Callable[[Any], torch.optim.Optimizer],
    steps: int = STEPS,
) -> list[tuple[float, dict[str, Tensor]]]:
    inputs, targets = data
    optimizer = make(model.parameters())
    history = []
    for _ in range(steps):
        loss = MSE(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # recorded after it: two losses are told apart
        history.append((loss.item(), copy.deepcopy(model.state_dict())))
    return history


@pytest.fixture(scope="module")
def histories(data: tuple[Tensor, Tensor]) -> Histories:
    return {label: train(line(), data, make) for label, make in MAKE.items()}


@pytest.fixture
def lines(show: Show, histories: Histories, data: tuple[Tensor, Tensor]) -> Page:
    """Three optimizers on a line: fit, loss surface, loss."""
    return show(explore.training(histories, line(), MSE, *data))


def slider(page: Page, unit: str = "Step") -> Locator:
    return page.get_by_role("slider", name=unit, exact=True)


def go_to(page: Page, step: int) -> None:
    """Walk to a step by keys; the steps before it are all on show."""
    slider(page).focus()
    page.keyboard.press("Home")
    for _ in range(step):
        page.keyboard.press("ArrowRight")
    expect(slider(page)).to_have_value(str(step))


def value(text: str) -> float:
    return float(text.replace("−", "-").replace("inf", "Infinity"))


def table(page: Page) -> list[list[float]]:
    """The numbers on show: a row for each run."""
    rows = page.get_by_role("table").locator("tbody tr").all()
    return [[value(text) for text in row.locator("td").all_inner_texts()] for row in rows]


def four(expected: float) -> Any:
    """What is written with four digits."""
    return pytest.approx(expected, rel=6e-4, abs=1e-9)


def loaded(model: nn.Module, record: dict[str, Tensor]) -> nn.Module:
    model.load_state_dict(record)
    return model


def bold(place: Locator) -> list[float]:
    return [value(text) for text in place.locator("b").all_inner_texts()]


# The numbers of a step -------------------------------------------------------------------------


def test_it_opens_at_the_last_step(lines: Page) -> None:
    expect(slider(lines)).to_have_value(str(STEPS - 1))
    expect(lines.locator(".where")).to_have_text(f"step {STEPS - 1} of {STEPS - 1}")


@pytest.mark.parametrize("step", [0, 1, 7, 20, STEPS - 1])
def test_the_numbers_of_a_step_are_pytorchs(
    lines: Page, histories: Histories, data: tuple[Tensor, Tensor], step: int
) -> None:
    go_to(lines, step)
    for row, history in zip(table(lines), histories.values(), strict=True):
        loss, record = history[step]
        again = MSE(loaded(line(), record)(data[0]), data[1]).item()
        assert row == [four(loss), four(again), four(record["weight"]), four(record["bias"])]


def test_the_keys_of_a_slider_move_through_the_steps(lines: Page) -> None:
    slider(lines).focus()
    seen = []
    for key in ("Home", "ArrowRight", "ArrowUp", "ArrowLeft", "PageUp", "PageDown", "End"):
        lines.keyboard.press(key)
        seen.append(int(slider(lines).input_value()))
    assert seen == [0, 1, 2, 1, 5, 1, STEPS - 1]


def test_a_screen_reader_hears_step_and_losses(lines: Page, histories: Histories) -> None:
    go_to(lines, 3)
    losses = ", ".join(f"{label} loss {h[3][0]:.4g}" for label, h in histories.items())
    assert slider(lines).get_attribute("aria-valuetext") == f"step 3, {losses}"


def test_arrow_keys_stay_inside(lines: Page) -> None:
    lines.evaluate("document.addEventListener('keydown', (e) => { window.heard = e.key; })")
    for place in (slider(lines), lines.get_by_role("application"), probe(lines)):
        place.focus()
        lines.keyboard.press("ArrowRight")
    assert lines.evaluate("window.heard") is None


# The loss --------------------------------------------------------------------------------------


def drawn(page: Page, chart: str) -> dict[str, Any]:
    """Where the signs of a chart stand, as shares of its width and height, and its lines."""
    return page.get_by_role("img", name=chart).evaluate(
        """(picture) => {
          const area = picture.querySelector("svg");
          const size = [area.width.baseVal.value, area.height.baseVal.value];
          const signs = [...area.querySelectorAll(".sign")].map((sign) =>
            sign.getAttribute("transform").match(/-?[\\d.]+/g).map((part, axis) => part / size[axis]));
          const lines = [...area.querySelectorAll("path.run")].map((path) => path.getAttribute("d"));
          return { signs, lines };
        }"""
    )


def test_the_signs_stand_on_the_losses(lines: Page, histories: Histories) -> None:
    lines.get_by_role("radio", name="linear").check()
    go_to(lines, 10)
    signs = drawn(lines, "The loss at every step")["signs"]
    every = [loss for history in histories.values() for loss, _ in history]
    air = 0.06 * (max(every) - min(every))
    low, high = min(every) - air, max(every) + air
    for (x, y), history in zip(signs, histories.values(), strict=True):
        assert x == pytest.approx(10 / (STEPS - 1), abs=0.002)
        assert y == pytest.approx((high - history[10][0]) / (high - low), abs=0.002)


def test_the_scale_follows_the_readers_choice(lines: Page, histories: Histories) -> None:
    expect(lines.get_by_role("radio", name="log")).to_be_checked()  # the losses spread widely
    go_to(lines, 10)
    logs = [math.log10(loss) for history in histories.values() for loss, _ in history]
    air = 0.06 * (max(logs) - min(logs))
    low, high = min(logs) - air, max(logs) + air
    signs = drawn(lines, "The loss at every step")["signs"]
    for (_, y), history in zip(signs, histories.values(), strict=True):
        assert y == pytest.approx((high - math.log10(history[10][0])) / (high - low), abs=0.002)


def test_a_click_on_the_loss_goes_to_that_step(lines: Page) -> None:
    picture = lines.get_by_role("img", name="The loss at every step")
    picture.scroll_into_view_if_needed()
    area = picture.locator("rect.rim").bounding_box()
    assert area is not None
    x, y = area["x"] + area["width"] * 12 / (STEPS - 1), area["y"] + 20
    lines.mouse.click(x, y)
    expect(slider(lines)).to_have_value("12")
    lines.mouse.down()
    lines.mouse.move(x + area["width"] * 5 / (STEPS - 1), y)
    lines.mouse.up()
    expect(slider(lines)).to_have_value("17")


def test_the_thumb_stands_under_the_step(lines: Page) -> None:
    rim = lines.locator(".loss rect.rim").bounding_box()
    track = slider(lines).bounding_box()
    assert rim is not None
    assert track is not None
    assert track["x"] + 8 == pytest.approx(rim["x"], abs=1)
    assert track["x"] + track["width"] - 8 == pytest.approx(rim["x"] + rim["width"], abs=1)


def test_negative_losses_have_no_log_scale(show: Show) -> None:
    page = show(explore.training([1.0, 0.1, -0.5]))
    expect(page.get_by_role("radio")).to_have_count(0)
    assert table(page) == [[-0.5]]


def test_a_loss_of_zero_stands_at_the_edge_of_a_log_scale(show: Show) -> None:
    page = show(explore.training([100.0, 1.0, 0.01, 0.0]))
    page.get_by_role("radio", name="log").check()
    ((x, y),) = drawn(page, "The loss at every step")["signs"]
    assert (x, y) == (pytest.approx(1), pytest.approx(1, abs=0.01))
    expect(page.get_by_text("A loss of 0 has no place on a log scale")).to_be_visible()


# The fit ---------------------------------------------------------------------------------------


def probe(page: Page) -> Locator:
    return page.get_by_role("slider", name="Read the fit at an input")


@pytest.mark.parametrize("step", [0, 9, STEPS - 1])
def test_the_fit_read_by_keys_is_the_models_output(
    lines: Page, histories: Histories, step: int
) -> None:
    go_to(lines, step)
    probe(lines).focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight"):
        lines.keyboard.press(key)
    for _ in range(2):
        lines.keyboard.press("ArrowRight")
        x, *outputs = bold(lines.locator(".read").first)
        for output, history in zip(outputs, histories.values(), strict=True):
            record = history[step][1]
            expected = record["weight"].item() * x + record["bias"].item()
            assert output == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_a_networks_curve_read_by_mouse_is_its_output(
    show: Show, data: tuple[Tensor, Tensor]
) -> None:
    history = train(mlp(), data, MAKE["Adam"])
    page = show(explore.training(history, mlp(), MSE, *data))
    for step in (0, 5, STEPS - 1):
        go_to(page, step)
        model = loaded(mlp(), history[step][1])
        area = probe(page).locator("rect.rim").bounding_box()
        assert area is not None
        for share in (0.1, 0.5, 0.83):
            page.mouse.move(area["x"] + share * area["width"], area["y"] + 30)
            x, output = bold(page.locator(".read").first)
            low, high = data[0].min().item(), data[0].max().item()
            edge = 0.04 * (high - low)
            assert x == pytest.approx(low - edge + share * (high - low + 2 * edge), abs=0.06)
            assert output == pytest.approx(model(torch.tensor([[x]])).item(), abs=2e-3)


def test_a_curve_that_is_not_in_the_picture_is_named(
    show: Show, data: tuple[Tensor, Tensor]
) -> None:
    def record(weight: float, bias: float) -> dict[str, Tensor]:
        return {"weight": torch.tensor([[weight]]), "bias": torch.tensor([bias])}

    histories = {
        "near": [(1.0, record(1.7, 0.6)), (1.0, record(1.7, 0.5)), (1.0, record(1.7, 0.4))],
        "far": [(1.0, record(1.7, 0.6)), (9.0, record(0.0, 99.0)), (math.nan, record(math.nan, 1))],
    }
    page = show(explore.training(histories, line(), MSE, *data))
    hint = page.locator(".read").first
    expect(hint).to_have_text("far gives no finite number.")
    go_to(page, 1)
    expect(hint).to_have_text("far runs outside the picture.")
    go_to(page, 0)
    expect(hint).to_have_text("Point at the picture to read the curve.")


def test_every_data_point_is_drawn(lines: Page, data: tuple[Tensor, Tensor]) -> None:
    expect(probe(lines).locator("circle.datum")).to_have_count(len(data[0]))


def test_a_screen_reader_hears_what_is_read(lines: Page) -> None:
    probe(lines).focus()
    lines.keyboard.press("End")
    x, *outputs = bold(lines.locator(".read").first)
    heard = probe(lines).get_attribute("aria-valuetext")
    assert heard is not None
    texts = [f"{label} {output:#.4g}" for label, output in zip(MAKE, outputs, strict=True)]
    assert heard.replace("−", "-") == f"input {x:#.4g}, output {', '.join(texts)}"


def test_a_mouse_that_leaves_takes_its_reading_along(lines: Page) -> None:
    probe(lines).hover()
    expect(lines.locator(".read").first).to_contain_text("input")
    lines.mouse.move(2, 2)
    expect(lines.locator(".read").first).to_have_text("Point at the picture to read the curve.")


# The loss surface ------------------------------------------------------------------------------


def surface_loss(weight: float, bias: float, data: tuple[Tensor, Tensor]) -> float:
    model = line()
    with torch.no_grad():
        model.weight.fill_(weight)
        model.bias.fill_(bias)
        return MSE(model(data[0]), data[1]).item()


def test_the_surface_read_by_keys_is_the_loss_there(
    lines: Page, data: tuple[Tensor, Tensor]
) -> None:
    lines.get_by_role("application").focus()
    lines.keyboard.press("Home")
    _, _, lowest = bold(lines.get_by_role("status"))
    for key in ["ArrowRight"] * 4 + ["ArrowUp"] * 5 + ["ArrowLeft"] * 7 + ["ArrowDown"] * 9:
        lines.keyboard.press(key)
        weight, bias, loss = bold(lines.get_by_role("status"))
        assert loss == pytest.approx(surface_loss(weight, bias, data), rel=5e-3)
        assert loss >= lowest


def test_the_surface_read_by_mouse_is_the_loss_there(
    lines: Page, data: tuple[Tensor, Tensor]
) -> None:
    area = lines.get_by_role("application").locator("rect.rim").bounding_box()
    assert area is not None
    seen = set()
    for across, down in ((0.1, 0.1), (0.9, 0.2), (0.4, 0.7), (0.55, 0.5)):
        lines.mouse.move(area["x"] + across * area["width"], area["y"] + down * area["height"])
        weight, bias, loss = bold(lines.get_by_role("status"))
        assert loss == pytest.approx(surface_loss(weight, bias, data), rel=5e-3)
        seen.add((weight, bias))
    assert len(seen) == 4


def test_each_path_ends_at_the_parameters_of_the_step(
    show: Show, histories: Histories, data: tuple[Tensor, Tensor]
) -> None:
    explorer = explore.training(histories, line(), MSE, *data)
    page = show(explorer)
    ends = explorer.data["surface"]
    for step in (0, 6, STEPS - 1):
        go_to(page, step)
        picture = drawn(page, "The loss surface with each run's path so far")
        for (x, y), path, history in zip(
            picture["signs"], picture["lines"], histories.values(), strict=True
        ):
            record = history[step][1]
            across = (record["weight"].item() - ends["x"][0]) / (ends["x"][1] - ends["x"][0])
            down = (ends["y"][1] - record["bias"].item()) / (ends["y"][1] - ends["y"][0])
            assert (x, y) == (pytest.approx(across, abs=1e-4), pytest.approx(down, abs=1e-4))
            assert path.count("L") == step  # the path so far, and no further


def test_rings_lie_where_the_surface_has_their_loss(
    lines: Page, data: tuple[Tensor, Tensor]
) -> None:
    explorer_box = lines.evaluate(
        """() => {
          const host = document.querySelector(".firstlight-explorer");
          const data = JSON.parse(host.querySelector("script[type='application/json']").textContent);
          const area = host.shadowRoot.querySelector("[role=application] svg svg");
          const rings = [...area.querySelectorAll(".ring")].map((ring) =>
            ring.getAttribute("d").match(/-?[\\d.]+/g).map(Number));
          return { ...data.surface, rings, width: area.width.baseVal.value,
                   height: area.height.baseVal.value };
        }"""
    )
    box = explorer_box
    assert len(box["rings"]) == 10
    for ring in box["rings"][5:]:  # far from the lowest, where straight pieces follow the curve
        losses = []
        for x, y in zip(ring[::2], ring[1::2], strict=True):
            weight = box["x"][0] + x / box["width"] * (box["x"][1] - box["x"][0])
            bias = box["y"][1] - y / box["height"] * (box["y"][1] - box["y"][0])
            losses.append(surface_loss(weight, bias, data))
        assert max(losses) == pytest.approx(min(losses), rel=0.1)


def test_the_lowest_point_is_marked_with_its_loss(lines: Page, data: tuple[Tensor, Tensor]) -> None:
    hint = lines.get_by_role("status")
    expect(hint).to_contain_text("Cross: the lowest computed loss")
    (marked,) = bold(hint)
    lines.get_by_role("application").focus()
    lines.keyboard.press("Home")
    weight, bias, loss = bold(hint)
    assert marked == loss == pytest.approx(surface_loss(weight, bias, data), rel=5e-3)
    assert SIDE * SIDE == 1681


# Runs side by side -----------------------------------------------------------------------------


def test_runs_differ_in_more_than_colour(lines: Page) -> None:
    looks = lines.locator(".numbers .sample").evaluate_all(
        """(samples) => samples.map((sample) => [
          sample.querySelector(".run").getAttribute("stroke-dasharray"),
          sample.querySelector(".sign").getAttribute("d"),
          getComputedStyle(sample.querySelector(".sign")).fill])"""
    )
    assert len(looks) == 3
    for part in range(3):
        assert len({look[part] for look in looks}) == 3


def test_a_run_that_ended_stays_at_its_end(show: Show) -> None:
    page = show(explore.training({"long": [4.0, 3.0, 2.0, 1.0], "short": [4.0, 3.5]}))
    assert table(page) == [[1.0], [3.5]]
    expect(page.get_by_role("rowheader", name="short")).to_contain_text("ended at step 1")
    go_to(page, 1)
    assert table(page) == [[3.0], [3.5]]
    expect(page.get_by_role("rowheader", name="short")).not_to_contain_text("ended")


def test_divergence_stands_in_the_chart_where_it_happens(
    show: Show, data: tuple[Tensor, Tensor]
) -> None:
    histories = {
        "fine": train(line(), data, MAKE["SGD"], 60),
        "wild": train(line(), data, lambda p: torch.optim.SGD(p, lr=0.9), 60),
    }
    losses = [loss for loss, _ in histories["wild"]]
    at = next(step for step, loss in enumerate(losses) if not math.isfinite(loss))
    page = show(explore.training(histories, line(), MSE, *data))
    expect(page.locator(".warn")).to_contain_text(f"wild: the loss is inf at step {at}")
    expect(page.locator(".loss .lost")).to_have_text(f"wild: inf at step {at}")
    rim = page.locator(".loss rect.rim").bounding_box()
    cross = page.locator(".loss .cross").bounding_box()
    assert rim is not None
    assert cross is not None
    middle = cross["x"] + cross["width"] / 2
    assert middle == pytest.approx(rim["x"] + rim["width"] * at / 59, abs=2)
    assert table(page)[1][0] == math.inf
    expect(page.locator("td.loud").first).to_have_text("inf")
    go_to(page, at - 1)
    assert table(page)[1][0] == four(losses[at - 1])
    expect(page.get_by_role("row", name="wild").locator("td").first).not_to_have_class("loud")


# Networks: the sizes of the parameters ---------------------------------------------------------


def test_sizes_and_updates_of_each_tensor_are_pytorchs(
    show: Show, data: tuple[Tensor, Tensor]
) -> None:
    histories = {label: train(mlp(), data, make) for label, make in MAKE.items()}
    page = show(explore.training(histories))
    for step in (1, 14, STEPS - 1):
        go_to(page, step)
        for choice in ("norm", "update per step"):
            page.get_by_role("radio", name=choice).check()
            for number, name in enumerate(["0.weight", "0.bias", "2.weight"]):
                shown = page.locator(".tensor").nth(number)
                expect(shown.locator("code")).to_have_text(name)
                texts = shown.locator(".now > span").all_inner_texts()
                for text, history in zip(texts, histories.values(), strict=True):
                    now, before = history[step][1][name], history[step - 1][1][name]
                    tensor = now if choice == "norm" else now - before
                    assert value(text) == four(tensor.norm().item())


def test_before_the_first_step_there_is_no_update(show: Show, data: tuple[Tensor, Tensor]) -> None:
    page = show(explore.training(train(mlp(), data, MAKE["SGD"], 3)))
    page.get_by_role("radio", name="update per step").check()
    go_to(page, 0)
    expect(page.locator(".tensor .now").first).to_have_text("–")
    expect(page.get_by_role("table").locator("td").last).to_have_text("–")


# Playing ---------------------------------------------------------------------------------------


def stop_the_clock(page: Page) -> None:
    """Let the page's time pass only where a test says so, however slow the machine is."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)


def test_playing_runs_to_the_end_and_stops(lines: Page) -> None:
    stop_the_clock(lines)
    lines.get_by_role("button", name="Play").click()
    expect(slider(lines)).to_have_value("0")
    lines.clock.run_for(1000)
    assert int(slider(lines).input_value()) == 5  # 40 steps in 8 seconds
    lines.get_by_role("button", name="Pause").click()
    lines.clock.run_for(1000)
    assert int(slider(lines).input_value()) == 5
    lines.get_by_role("button", name="Play").click()
    lines.clock.run_for(9000)
    expect(slider(lines)).to_have_value(str(STEPS - 1))
    expect(lines.get_by_role("button", name="Play")).to_be_visible()


def test_with_reduced_motion_playing_is_ten_still_pictures(lines: Page) -> None:
    lines.emulate_media(reduced_motion="reduce")
    stop_the_clock(lines)
    lines.get_by_role("button", name="Play").click()
    seen = []
    for _ in range(11):
        seen.append(int(slider(lines).input_value()))
        lines.clock.run_for(1000)
    assert seen == [*range(0, STEPS, 4), STEPS - 1]


def test_touching_the_slider_stops_the_play(lines: Page) -> None:
    stop_the_clock(lines)
    lines.get_by_role("button", name="Play").click()
    lines.clock.run_for(1000)
    slider(lines).press("ArrowRight")
    lines.clock.run_for(2000)
    expect(slider(lines)).to_have_value("6")
    expect(lines.get_by_role("button", name="Play")).to_be_visible()


# Long histories --------------------------------------------------------------------------------


def test_a_long_history_is_walked_by_the_steps_shown(show: Show) -> None:
    losses = [2 * math.exp(-step / 900) + 0.1 for step in range(5000)]
    page = show(explore.training(losses))
    slider(page).focus()
    page.keyboard.press("Home")
    for step in (25, 50, 75):
        page.keyboard.press("ArrowRight")
        expect(slider(page)).to_have_value(str(step))
        assert table(page) == [[four(losses[step])]]
    slider(page).fill("1234")  # as a mouse may drop it: the nearest step on show
    expect(slider(page)).to_have_value("1225")
    expect(page.locator(".note")).to_contain_text("Of 5,000 entries 201 are shown: one in 25")


def test_a_single_step_is_shown(show: Show) -> None:
    page = show(explore.training([0.5]))
    assert table(page) == [[0.5]]
    expect(page.get_by_role("button", name="Play")).to_be_disabled()


@pytest.mark.parametrize(
    "history",
    [
        [math.nan, math.nan],
        [0.0, 0.0],
        [1e308, 1e300, 1.0],
        [1e-300, 1e-310],
        [-1.0, -5.0, math.inf],
        {"": [1.0], "<b>&": [2.0, 1.0]},
    ],
)
def test_odd_losses_draw_without_an_error(show: Show, history: Any) -> None:
    page = show(explore.training(history))  # an error on the page's console fails the test
    slider(page).press("Home")
    for radio in page.get_by_role("radio").all():
        radio.check()
    losses = list(history.values()) if isinstance(history, dict) else [history]
    for row, run in zip(table(page), losses, strict=True):
        assert row == [pytest.approx(run[0], rel=6e-4, nan_ok=True)]


def test_epochs_are_called_so(show: Show) -> None:
    page = show(explore.training([2.0, 1.0, 0.5], unit="epoch"))
    expect(page.locator(".where")).to_have_text("epoch 2 of 2")
    expect(slider(page, "Epoch")).to_have_attribute("aria-valuetext", "epoch 2, loss 0.5000")


# In any page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(
    scheme: str, width: int, show: Show, histories: Histories, data: tuple[Tensor, Tensor]
) -> None:
    network = train(mlp(), data, MAKE["Adam"], 5)
    page = show(
        explore.training(histories, line(), MSE, *data),
        explore.training(network, mlp(), MSE, *data),
        explore.training({"fine": [1.0, 0.5], "wild": [1.0, math.nan]}),
    )
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_timeout(300)  # colours change over 120 ms
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_it_fits_the_page(
    width: int, show: Show, histories: Histories, data: tuple[Tensor, Tensor]
) -> None:
    network = {label: train(mlp(), data, make, 5) for label, make in MAKE.items()}
    page = show(
        explore.training(histories, line(), MSE, *data),
        explore.training(network, mlp(), MSE, *data),
    )
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_scrubber_stays_in_sight_on_a_phone(lines: Page) -> None:
    lines.set_viewport_size({"width": 390, "height": 700})
    lines.get_by_text("The fit", exact=True).scroll_into_view_if_needed()
    box = slider(lines).bounding_box()
    assert box is not None
    assert 0 < box["y"] < box["y"] + box["height"] <= 700


def test_the_colours_follow_the_theme(lines: Page) -> None:
    fill = "() => getComputedStyle(document.querySelector('.firstlight-explorer').shadowRoot"
    fill += ".querySelector('.sign')).fill"
    light = lines.evaluate(fill)
    lines.emulate_media(color_scheme="dark")
    expect(lines.locator(".firstlight-explorer")).to_have_attribute("data-firstlight-theme", "dark")
    assert lines.evaluate(fill) != light


def test_every_part_is_one_stop_of_the_tab_key(lines: Page) -> None:
    stops = []
    for _ in range(7):
        lines.keyboard.press("Tab")
        stops.append(
            lines.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; return it.getAttribute('role') ?? it.localName; }"
            )
        )
    assert stops == ["group", "slider", "application", "input", "input", "button", "summary"]


def test_two_explorers_keep_apart(
    show: Show, histories: Histories, data: tuple[Tensor, Tensor]
) -> None:
    explorer = explore.training(histories, line(), MSE, *data)
    page = show(explorer, explorer)
    first, second = page.locator("[data-explorer=training]").all()
    second.get_by_role("slider", name="Step", exact=True).press("Home")
    expect(second.locator(".where")).to_contain_text("step 0")
    expect(first.locator(".where")).to_contain_text(f"step {STEPS - 1}")


def test_the_text_equivalent_is_on_the_page(
    show: Show, histories: Histories, data: tuple[Tensor, Tensor]
) -> None:
    explorer = explore.training(histories, line(), MSE, *data)
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text
