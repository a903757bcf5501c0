"""In the browser, `explore.predictions` shows PyTorch's counts and the very images behind them."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from firstlight.datasets import load_mnist
from firstlight.explore.frame import Explorer
from firstlight.explore.predictions import predictions

Show = Callable[..., Page]
FASHION = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"]
FASHION += ["Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """3,000 test images in 0..1."""
    return load_mnist(train=False)[0][:3000].float() / 255


@pytest.fixture(scope="module")
def labels() -> Tensor:
    return load_mnist(train=False)[1][:3000]


@pytest.fixture(scope="module")
def model(images: Tensor, labels: Tensor) -> nn.Module:
    """The nearest mean image, as a linear layer: right about eight times in ten."""
    linear = nn.Linear(784, 10)
    with torch.no_grad():
        means = torch.stack([images[labels == digit].mean(0).flatten() for digit in range(10)])
        linear.weight.copy_(means)
        linear.bias.copy_(-0.5 * means.square().sum(1))
    return nn.Sequential(nn.Flatten(), linear).eval()


@pytest.fixture(scope="module")
def chances(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).double().softmax(1)


@pytest.fixture(scope="module")
def explorer(model: nn.Module, images: Tensor, labels: Tensor) -> Explorer:
    return predictions(model, (images, labels))


def cell(page: Page, label: int, said: int) -> Locator:
    return page.get_by_role("button", name=f"True {label}, answered {said}")


def shown(page: Page) -> list[int]:
    """The numbers of the images on display, in order."""
    texts = page.locator(".images li p:last-child").all_inner_texts()
    return [int(text.removeprefix("image ")) for text in texts]


def show_all(page: Page) -> None:
    more = page.get_by_role("button", name="Show more")
    while more.is_visible():
        more.click()


def test_every_number_of_the_matrix_is_pytorchs(
    show: Show, explorer: Explorer, chances: Tensor, labels: Tensor
) -> None:
    page = show(explorer)
    said = chances.argmax(1)
    for label in range(10):
        for answer in range(10):
            count = int(((labels == label) & (said == answer)).sum())
            expect(cell(page, label, answer)).to_have_text(str(count) if count else "·")


def test_accuracy_recall_and_precision_are_pytorchs(
    show: Show, explorer: Explorer, chances: Tensor, labels: Tensor
) -> None:
    page = show(explorer)
    said = chances.argmax(1)
    right = int((said == labels).sum())
    expect(page.locator(".score")).to_have_text(
        f"{right / 30:.2f} % accuracy: {right:,} of 3,000 right, {3000 - right} mistakes."
    )
    table = page.get_by_role("table", name="Class by class")
    for digit in range(10):
        hits = ((said == digit) & (labels == digit)).sum()
        recall, precision = hits / (labels == digit).sum(), hits / (said == digit).sum()
        row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=str(digit)))
        texts = row.get_by_role("cell").all_inner_texts()
        count, *shares = (float(text.removesuffix(" %")) for text in texts)
        assert count == (labels == digit).sum()
        assert shares == pytest.approx([100 * float(recall), 100 * float(precision)], abs=0.0501)


def test_the_mistakes_come_most_confident_first(
    show: Show, explorer: Explorer, chances: Tensor, labels: Tensor
) -> None:
    page = show(explorer)
    confidences, said = chances.max(1)
    wrong = (said != labels).nonzero()[:, 0].tolist()
    due = sorted(wrong, key=lambda number: -confidences[number])
    assert shown(page) == due[:24]
    expect(page.get_by_role("status")).to_have_text(f"{len(wrong)} mistakes")
    card = page.get_by_role("listitem").nth(0)
    number = due[0]
    expect(card).to_contain_text(f"{labels[number]} → {said[number]}")
    expect(card.get_by_role("img")).to_have_accessible_name(
        f"Image {number}: a {labels[number]}, answered {said[number]} with "
        f"{percent(float(confidences[number]))}; the true class got "
        f"{percent(float(chances[number, labels[number]]))}"
    )
    page.get_by_role("button", name="Show more").click()
    assert shown(page) == due[:48]


def percent(chance: float) -> str:
    if chance < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if chance >= 0.9995 else f"{100 * chance:.1f} %"


def test_a_cell_opens_the_very_images(
    show: Show, explorer: Explorer, chances: Tensor, labels: Tensor, images: Tensor
) -> None:
    page = show(explorer)
    said = chances.argmax(1)
    cell(page, 4, 9).click()
    expect(cell(page, 4, 9)).to_have_attribute("aria-pressed", "true")
    due = ((labels == 4) & (said == 9)).nonzero()[:, 0].tolist()
    expect(page.get_by_role("status")).to_have_text(f"True 4, answered 9: {len(due)} images")
    show_all(page)
    numbers = shown(page)
    assert set(numbers) <= set(due)
    assert len(numbers) >= min(len(due), 10)
    for place, number in enumerate(numbers[:6]):
        pixels = (
            page.locator(".images canvas")
            .nth(place)
            .evaluate(
                """canvas => Array.from(canvas.getContext("2d").getImageData(0, 0, 28, 28).data)
                 .filter((_, place) => place % 4 === 0)"""
            )
        )
        assert np.array_equal(np.reshape(pixels, (28, 28)), (images[number] * 255).round())


def test_what_is_not_kept_is_said(show: Show, explorer: Explorer, labels: Tensor) -> None:
    page = show(explorer)
    cell(page, 1, 1).click()
    show_all(page)
    kept = len(shown(page))
    assert 0 < kept <= 24
    expect(page.locator(".note").last).to_have_text(
        f"The images of {kept} of them are kept here, the least sure first."
    )


def test_an_empty_cell_says_none(show: Show) -> None:
    page = show(predictions(nn.Flatten(), (torch.eye(3).reshape(3, 1, 1, 3), torch.arange(3))))
    cell(page, 0, 1).click()
    expect(page.get_by_role("status")).to_have_text("True 0, answered 1: 0 images")
    expect(page.get_by_text("There are none.")).to_be_visible()


def test_the_filter_keeps_mistakes_of_one_class(
    show: Show, explorer: Explorer, chances: Tensor, labels: Tensor
) -> None:
    page = show(explorer)
    said = chances.argmax(1)
    involved = ((labels == 7) | (said == 7)) & (labels != said)
    page.get_by_role("combobox", name="Mistakes in").select_option("class 7")
    expect(page.get_by_role("status")).to_have_text(
        f"{int(involved.sum())} mistakes that involve 7"
    )
    show_all(page)
    assert all(involved[number] for number in shown(page))
    page.get_by_role("combobox", name="Mistakes in").select_option("all classes")
    expect(page.get_by_role("status")).to_have_text(f"{int((labels != said).sum())} mistakes")


def test_the_keyboard_reaches_every_cell_and_opens_it(show: Show, explorer: Explorer) -> None:
    page = show(explorer)
    page.keyboard.press("Tab")
    expect(cell(page, 0, 0)).to_be_focused()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "End", "ArrowLeft"):
        page.keyboard.press(key)
    expect(cell(page, 2, 8)).to_be_focused()
    expect(page.locator(".pointed")).to_contain_text("True 2, answered 8")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("True 2, answered 8")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="All mistakes")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("mistakes")
    expect(cell(page, 2, 8)).to_have_attribute("aria-pressed", "false")


def test_a_network_without_mistakes_shows_none(show: Show) -> None:
    page = show(predictions(nn.Flatten(), (torch.eye(3).reshape(3, 1, 1, 3), torch.arange(3))))
    expect(page.get_by_role("status")).to_have_text("0 mistakes")
    expect(page.get_by_text("There are none.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("classes", [None, FASHION])
def test_axe_finds_nothing(
    scheme: str,
    classes: list[str] | None,
    show: Show,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
) -> None:
    page = show(predictions(model, (images, labels), classes=classes))
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.locator(".cell").nth(42).click()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", [320, 360, 1000])
@pytest.mark.parametrize("classes", [None, FASHION])
def test_it_fits_the_page(
    width: int,
    classes: list[str] | None,
    show: Show,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
) -> None:
    page = show(predictions(model, (images, labels), classes=classes))
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_number_runs_out_of_its_cell_on_a_phone(show: Show) -> None:
    images, labels = load_mnist(train=False)
    perfect = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.zeros_(perfect[1].weight)
    page = show(predictions(perfect, (images.float() / 255, labels)))
    page.set_viewport_size({"width": 360, "height": 800})
    overflows = page.locator(".cell").evaluate_all(
        "cells => cells.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length"
    )
    assert overflows == 0


def test_two_explorers_keep_apart(show: Show, explorer: Explorer) -> None:
    page = show(explorer, explorer)
    first, second = page.locator("[data-explorer=predictions]").all()
    second.get_by_role("button", name="True 4, answered 9").click()
    expect(second.get_by_role("status")).to_contain_text("True 4, answered 9")
    expect(first.get_by_role("status")).to_contain_text("mistakes")


def test_the_text_equivalent_is_on_the_page(show: Show, explorer: Explorer) -> None:
    page = show(explorer)
    page.get_by_text("in words").click()
    expect(page.get_by_text("Confusion matrix: a row for each true class")).to_be_visible()
    assert page.locator("pre").text_content() == explorer.text
