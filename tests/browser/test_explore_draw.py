"""In the browser, `explore.draw` answers as PyTorch does, and prepares a drawing as MNIST was made."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor, nn

from firstlight.datasets import load_mnist
from firstlight.explore.draw import draw

Show = Callable[..., Page]
Gray = npt.NDArray[np.float64]
HOST = "document.querySelector('[data-explorer=draw]').firstlight"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def test_images() -> Tensor:
    """All test images, uint8 (10000, 28, 28)."""
    return load_mnist(train=False)[0]


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A small MLP that saw 12,000 images four times, with pixels in 0..1."""
    images, labels = load_mnist()
    images, labels = images[:12_000, None].float() / 255, labels[:12_000]
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(4):
            for batch in torch.randperm(len(images), generator=generator).split(200):
                optimizer.zero_grad()
                F.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
    return model.eval()


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(784, 48)
        self.hidden = nn.Linear(48, 48)
        self.norm = nn.BatchNorm1d(48)
        self.last = nn.Linear(96, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = (images.view(len(images), -1) - 0.1307) / 0.3081
        first = F.relu(self.first(x))
        second = first + F.gelu(self.norm(self.hidden(first)))
        logits: Tensor = self.last(torch.cat([first, second], dim=1))
        return logits


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(72, 10),
    )


class Zoo(nn.Module):
    """Whatever else the browser knows, in odd shapes and with the settings that are easy to miss."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Conv2d(1, 6, (3, 5), stride=(2, 3), padding=(1, 2), dilation=(2, 1))
        self.grouped = nn.Conv2d(6, 6, 3, groups=3, padding="same", bias=False)
        self.group_norm = nn.GroupNorm(3, 6)
        self.layer_norm = nn.LayerNorm([5, 4])
        self.prelu = nn.PReLU(6)
        self.last = nn.Linear(6 * 5 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.group_norm(self.grouped(self.spread(images)))
        x = F.pad(self.prelu(x), (1, 0, 2, 1), value=-0.3)
        x = F.max_pool2d(x, 3, stride=2, padding=1, dilation=1, ceil_mode=True)
        x = F.avg_pool2d(x, (2, 3), stride=1, padding=(1, 1), count_include_pad=False)
        x = F.avg_pool2d(x, 3, stride=(2, 1), padding=1, ceil_mode=True)
        x = F.adaptive_avg_pool2d(x, (5, 4)) + F.adaptive_max_pool2d(x, (5, 4))
        x = self.layer_norm(x).transpose(2, 3).permute(0, 2, 1, 3)
        x = self.curves(x) + self.numbers(x)
        x = torch.stack([x[:, 1:], x[:, :-1]], 1).mean((1, 2), keepdim=True).squeeze(1) + x
        logits: Tensor = self.last(x.flatten(1))
        return logits

    def curves(self, x: Tensor) -> Tensor:
        smooth = F.elu(x, 0.7) + F.celu(x, 1.3) + F.selu(x) + F.mish(x) + F.softplus(x, 2, 1)
        smooth = smooth + F.silu(x) + F.gelu(x) + F.gelu(x, approximate="tanh") + torch.tanh(x)
        hard = F.hardswish(x) + F.hardsigmoid(x) + F.relu6(x) + F.leaky_relu(x, 0.2)
        return smooth + hard + torch.sigmoid(x) + x.clamp(max=0.5) + x.clamp_min(-0.1)

    def numbers(self, x: Tensor) -> Tensor:
        size = x.abs() + 0.5
        x = (1 - x) / size + size.log() + (-x).exp() + size.sqrt() + size.rsqrt() + 1 / size
        x = (
            torch.tanh(x)
            + size**1.5
            + 2 ** torch.tanh(x)
            + torch.maximum(x, size)
            + torch.minimum(x, size)
        )
        x = torch.tanh(x)
        x = x * (x > 0.1) + (x >= 0.2).float() + (x < 0.3).float() - (x <= 0.4).float()
        x = x + x.std((1, 2), keepdim=True) + x.var(3, keepdim=True) + x.amax(1, keepdim=True)
        x = torch.tanh(x)
        x = x + x.max(2, keepdim=True).values + x.sum(3, keepdim=True) - x.max() + x.mean()
        x = x + x.softmax(2) - x.log_softmax(1) + x[0, 0, 0, 0].expand(6, 5)
        first, second = x.flatten(0, 1).chunk(2, dim=1)
        return x + (first @ second.transpose(1, 2)).mean() * 0.01


def with_random_statistics(model: nn.Module) -> nn.Module:
    """Give every batch norm running statistics that matter, as training would."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean, std=0.3)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model.eval()


def answers(page: Page, images: Tensor) -> Tensor:
    """Return what the network in the page says to images (N, 28, 28): logits (N, 10)."""
    pixels = images.flatten(1).tolist()
    rows = page.evaluate(f"all => all.map(pixels => Array.from({HOST}.run(pixels)))", pixels)
    return torch.tensor(rows, dtype=torch.float64)


def host(page: Page) -> Locator:
    return page.locator("[data-explorer=draw]")


# The network -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [mlp, Skip, cnn, Zoo])
def test_on_200_test_images_the_logits_are_pytorchs(
    make: Callable[[], nn.Module], show: Show, test_images: Tensor
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = with_random_statistics(make())
    images = test_images[:200]
    page = show(draw(model))
    with torch.no_grad():
        due = model(images[:, None].float() / 255).double()
    assert (answers(page, images) - due).abs().max() <= 1e-4


def test_the_trained_network_answers_as_in_pytorch(
    trained: nn.Module, show: Show, test_images: Tensor
) -> None:
    page = show(draw(trained, mean=0.1, std=0.5))
    images = test_images[:200]
    with torch.no_grad():
        due = trained((images[:, None].float() / 255 - 0.1) / 0.5).double()
    assert (answers(page, images) - due).abs().max() <= 1e-4


def test_together_these_networks_use_every_operation_the_browser_knows(show: Show) -> None:
    used: set[str] = set()
    for make in (mlp, Skip, cnn, Zoo):
        page = show(draw(make().eval()))
        used |= {step["op"] for step in draw(make()).data["network"]["steps"]}
    assert used == set(page.evaluate(f"{HOST}.operations"))


def test_nan_weights_are_named(show: Show) -> None:
    model = mlp()
    nn.init.constant_(model[1].weight, float("nan"))  # type: ignore[arg-type]
    page = show(draw(model))
    page.get_by_role("button", name="Image 3, a 0").click()
    expect(page.get_by_text("Your network answers NaN.")).to_be_visible()


# Preparing a drawing ---------------------------------------------------------------------------


def prepared(gray: Gray) -> Gray:
    """The rule of MNIST in NumPy: ink's box to 20 x 20 by mean, centre of mass to the middle."""
    rows, columns = np.nonzero(gray.any(1))[0], np.nonzero(gray.any(0))[0]
    ink = gray[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    high, wide = (max(1, int(np.floor(side * 20 / max(ink.shape) + 0.5))) for side in ink.shape)
    small = means(ink.shape[0], high) @ ink @ means(ink.shape[1], wide).T
    y, x = (
        np.arange(side) @ small.sum(1 - axis) / small.sum()
        for axis, side in enumerate((high, wide))
    )
    top, left = np.clip(np.floor(14 - np.array([y, x]) + 0.5), 0, [28 - high, 28 - wide]).astype(
        int
    )
    picture = np.zeros((28, 28))
    picture[top : top + high, left : left + wide] = small
    return picture


def means(before: int, after: int) -> Gray:
    """The matrix (after, before) that replaces `before` values by means of equal stretches."""
    size = before / after
    starts, pixels = np.arange(after)[:, None] * size, np.arange(before)
    shared = np.minimum(starts + size, pixels + 1) - np.maximum(starts, pixels)
    return np.clip(shared, 0, None) / size


def scribble(generator: np.random.Generator) -> Gray:
    """A few soft dots along a random walk on a canvas of 90 x 70."""
    rows, columns = np.mgrid[:90, :70]
    gray = np.zeros((90, 70))
    y, x = generator.uniform(25, 60), generator.uniform(20, 50)
    for _ in range(40):
        y, x = np.clip(np.array([y, x]) + generator.normal(0, 4, 2), 8, [82, 62])
        distance = np.hypot(rows - y, columns - x)
        gray = np.maximum(gray, np.clip(5 - distance, 0, 1) * 255)
    return np.round(gray)


def test_preprocessing_is_the_rule_of_mnist(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    generator = np.random.default_rng(0)
    for _ in range(20):
        gray = scribble(generator)
        found = page.evaluate(
            f"gray => Array.from({HOST}.preprocess(gray, 70, 90))", gray.flatten().tolist()
        )
        assert np.abs(np.reshape(found, (28, 28)) - prepared(gray)).max() <= 0.5 + 1e-6


def test_an_empty_pad_gives_no_picture(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    assert page.evaluate(f"{HOST}.preprocess(new Uint8Array(100), 10, 10)") is None


def test_test_images_drawn_large_and_prepared_again_keep_their_answers(
    show: Show, trained: nn.Module, test_images: Tensor
) -> None:
    """A test image, drawn 20 times as large at a random place, is prepared into nearly itself."""
    page = show(draw(trained))
    images = test_images[:300]
    agreed = page.evaluate(
        f"""all => {{
          const {{ run, preprocess }} = {HOST};
          const best = (values) => values.indexOf(Math.max(...values));
          const small = new OffscreenCanvas(28, 28), large = new OffscreenCanvas(560, 560);
          const context = large.getContext("2d", {{ willReadFrequently: true }});
          return all.filter((pixels, number) => {{
            const image = new ImageData(28, 28);
            pixels.forEach((pixel, place) => image.data.set([pixel, pixel, pixel, 255], 4 * place));
            small.getContext("2d").putImageData(image, 0, 0);
            context.fillRect(0, 0, 560, 560);
            context.imageSmoothingEnabled = number % 2 === 0;
            context.drawImage(small, number % 50 - 25, number % 30 - 15, 560, 560);
            const {{ data }} = context.getImageData(0, 0, 560, 560);
            const gray = Float32Array.from({{ length: 560 * 560 }}, (_, place) => data[4 * place]);
            return best(run(pixels)) === best(run(preprocess(gray, 560, 560)));
          }}).length;
        }}""",
        images.flatten(1).tolist(),
    )
    assert agreed >= 0.97 * len(images)


# Drawing ---------------------------------------------------------------------------------------


def stroke(page: Page, points: list[tuple[float, float]]) -> None:
    """Draw through points in 0..1 with the mouse."""
    box = page.get_by_role("application").bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


ONE = [(0.52, 0.15), (0.48, 0.85)]
ZERO = [
    (0.5 + 0.2 * float(np.sin(angle)), 0.5 - 0.3 * float(np.cos(angle)))
    for angle in np.linspace(0, 2 * np.pi, 25)
]
SEVEN = [(0.28, 0.2), (0.7, 0.2), (0.45, 0.85)]


@pytest.mark.parametrize(("points", "digit"), [(ONE, 1), (ZERO, 0), (SEVEN, 7)])
def test_a_digit_drawn_with_the_mouse_is_recognised(
    points: list[tuple[float, float]], digit: int, show: Show, trained: nn.Module
) -> None:
    page = show(draw(trained))
    stroke(page, points)
    expect(page.get_by_text(f"Your network says {digit}.", exact=True)).to_be_visible()


def test_the_bars_are_the_softmax_of_the_network(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    page.get_by_role("button", name="Image 18, a 3").click()
    image = load_mnist(train=False)[0][18]
    with torch.no_grad():
        logits = trained(image[None, None].float() / 255)[0]
    chances = logits.softmax(0)
    for digit in range(10):
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=str(digit)))
        percent = f"{100 * chances[digit]:.1f} %"
        percent = "< 0.1 %" if chances[digit] < 0.0005 else percent
        percent = "> 99.9 %" if chances[digit] >= 0.9995 else percent
        expect(row.get_by_role("cell").nth(0)).to_have_text(percent)
        expect(row.get_by_role("cell").nth(1)).to_have_text(
            f"{logits[digit]:.2f}".replace("-", "−")
        )


def test_a_network_that_ends_in_a_softmax_is_not_squeezed_twice(
    show: Show, trained: nn.Module
) -> None:
    page = show(draw(nn.Sequential(trained, nn.Softmax(1)).eval()))
    page.get_by_role("button", name="Image 1, a 2").click()
    with torch.no_grad():
        chance = trained(load_mnist(train=False)[0][1:2, None].float() / 255).softmax(1).max()
    expect(page.get_by_text(f"Probability {100 * chance:.1f} %; next")).to_be_visible()


def test_undo_and_clear_take_ink_back(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    expect(undo).to_be_disabled()
    stroke(page, ONE)
    stroke(page, ZERO)
    undo.click()
    expect(page.get_by_text("Your network says 1.", exact=True)).to_be_visible()
    clear.click()
    expect(page.get_by_text("Your network is waiting.")).to_be_visible()
    expect(clear).to_be_disabled()


def test_a_bolder_pen_leaves_more_ink(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    ink = "document.querySelector('[data-explorer=draw]').shadowRoot.querySelector('.seen')"
    count = f"""(() => {{ const {{ data }} = {ink}.getContext('2d').getImageData(0, 0, 28, 28);
      return data.filter((value, place) => place % 4 === 0).reduce((a, b) => a + b, 0); }})()"""
    seen = []
    for width in ("fine", "medium", "bold"):
        page.get_by_role("radio", name=width).check(force=True)
        stroke(page, ONE)
        expect(page.get_by_text("Your network says")).to_be_visible()
        page.wait_for_timeout(50)
        seen.append(page.evaluate(count))
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("Your network is waiting.")).to_be_visible()
    assert seen == sorted(seen)
    assert len(set(seen)) == 3


def test_a_digit_can_be_drawn_with_the_keyboard_alone(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    page.keyboard.press("Tab")
    expect(page.get_by_role("application")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("Pen down")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Your network says 1.", exact=True)).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.get_by_text("Your network is waiting.")).to_be_visible()


def test_a_test_image_can_be_chosen_with_the_keyboard(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    first = page.get_by_role("button", name="Image 3, a 0")
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    second = page.get_by_role("button", name="Image 2, a 1")
    expect(second).to_be_focused()
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Image 2 is a 1: right.")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text(
        "Your network says 1. Image 2 is a 1: right."
    )


def test_drawing_over_a_test_image_starts_afresh(show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    sample = page.get_by_role("button", name="Image 3, a 0")
    sample.click()
    stroke(page, ONE)
    expect(page.get_by_text("Your network says 1.", exact=True)).to_be_visible()
    expect(sample).to_have_attribute("aria-pressed", "false")


def test_a_finger_draws_and_does_not_scroll(chromium: Browser, trained: nn.Module) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    page.set_content(f"<!doctype html><main>{draw(trained)._repr_html_()}</main>")
    session = context.new_cdp_session(page)
    box = page.get_by_role("application").bounding_box()
    assert box
    for kind, part in (
        ("touchStart", 0.15),
        *(("touchMove", 0.15 + step / 20) for step in range(14)),
    ):
        touch = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] * part}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [touch]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.get_by_text("Your network says 1.", exact=True)).to_be_visible()
    assert page.evaluate("scrollY") == 0
    context.close()


# The page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.get_by_role("button", name="Image 1, a 2").click()
    page.get_by_text("What runs here").click()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", [320, 360, 1000])
def test_it_fits_the_page(width: int, show: Show, trained: nn.Module) -> None:
    page = show(draw(trained))
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_shown_twice_each_draws_for_itself(show: Show, trained: nn.Module) -> None:
    explorer = draw(trained)
    page = show(explorer, explorer)
    host(page).nth(1).get_by_role("button", name="Image 1, a 2").click()
    expect(host(page).nth(1).get_by_text("Your network says 2.")).to_be_visible()
    expect(host(page).nth(0).get_by_text("Your network is waiting.")).to_be_visible()


def test_the_text_equivalent_is_on_the_page(show: Show, trained: nn.Module) -> None:
    explorer = draw(trained)
    page = show(explorer)
    page.get_by_text("in words").click()
    expect(page.get_by_text("What it says to the example images:")).to_be_visible()
    assert page.locator("pre").text_content() == explorer.text
