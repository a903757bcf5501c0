"""`explore.graph` in a browser: every number it shows on the way back is PyTorch's own."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from torch import Tensor

from firstlight import explore
from firstlight.explore.frame import Explorer
from firstlight.explore.tensors import cell_texts


class Line:
    """Foundations' graph: loss = (w·x + b − y)², with every gradient as PyTorch gives it."""

    def __init__(self, grad: float | None = None) -> None:
        self.x, self.y = torch.tensor(3.0), torch.tensor(5.0)
        self.w = torch.tensor(2.0, requires_grad=True)
        self.b = torch.tensor(1.0, requires_grad=True)
        self.w.grad = None if grad is None else torch.tensor(grad)
        self.product = self.w * self.x
        self.pred = self.product + self.b
        self.error = self.pred - self.y
        self.loss = self.error**2

    def explorer(self) -> Explorer:
        w, b, x, y, pred, loss = self.w, self.b, self.x, self.y, self.pred, self.loss
        assert (w, b, x, y, pred) is not None
        return explore.graph(loss)

    def gradients(self) -> dict[str, str]:
        """The gradient of the loss with respect to every node, by its label in the picture."""
        parts = {"loss": self.loss, "#2": self.error, "pred": self.pred, "#1": self.product}
        parts |= {"w": self.w, "b": self.b}
        found = torch.autograd.grad(self.loss, list(parts.values()), retain_graph=True)
        return {name: text(grad) for name, grad in zip(parts, found, strict=True)}


def text(value: Tensor) -> str:
    return cell_texts(value)[0]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def page(show, line):
    return show(line.explorer())


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def box(page, label):
    """The box with this label in the drawing."""
    name = page.locator(".name", has_text=re.compile(f"^{re.escape(label)}$"))
    return page.locator(".box").filter(has=name)


def row(page, label, kind):
    return box(page, label).locator(f".row.{kind} .number")


def value(page, label):
    return box(page, label).locator(".row").first.locator(".number")


def panel(page):
    return page.get_by_role("group", name="The chosen node")


def current(page):
    return page.locator('.box[aria-current="true"] .name')


def current_turn(page):
    return page.locator('.box[data-state="now"] .name')


def told(page):
    return page.locator(".told")


# Values and gradients ----------------------------------------------------------------------------


def test_forward_values_are_pytorchs(page, line):
    parts = {"w": line.w, "b": line.b, "x": line.x, "y": line.y, "#1": line.product}
    parts |= {"pred": line.pred, "#2": line.error, "loss": line.loss}
    for label, tensor in parts.items():
        expect(value(page, label)).to_have_text(text(tensor))
    for label in ("loss", "pred", "#1", "#2"):
        expect(row(page, label, "grad")).to_have_text("")
    for label in ("w", "b"):
        expect(row(page, label, "grad")).to_have_text("None")


def test_each_press_takes_one_node_back_in_the_engines_order(page, line):
    due = line.gradients()
    turns = []
    hooked = Line()
    nodes = {"loss": hooked.loss, "#2": hooked.error, "pred": hooked.pred, "#1": hooked.product}
    for label, tensor in nodes.items():
        tensor.grad_fn.register_prehook(lambda grads, label=label: turns.append(label) or None)
    for label in ("w", "b"):
        getattr(hooked, label).register_hook(lambda grad, label=label: turns.append(label) or None)
    hooked.loss.backward()
    assert len(turns) == 6
    for done, label in enumerate(turns, start=1):
        button(page, "Step backward").click()
        expect(current_turn(page)).to_have_text(label)
        expect(current(page)).to_have_text(label)
        expect(told(page)).to_contain_text(f"Step {done} of 6")
        for other in turns[:done]:
            expect(row(page, other, "grad")).to_have_text(due[other])
    expect(button(page, "Second pass")).to_be_visible()


def test_the_panel_calculates_what_pytorch_passes_on(page, line):
    due = line.gradients()
    for _ in range(5):
        button(page, "Step backward").click()
    shown = panel(page)
    expect(shown.locator(".which")).to_have_text("× #1 MulBackward0")
    expect(
        shown.get_by_text("Times gives each factor the gradient times the other")
    ).to_be_visible()
    expect(shown.locator(".formula")).to_have_text(
        f"grad · x = {due['#1']} · {text(line.x)} = {due['w']}"
    )


def test_a_second_pass_adds_the_same_gradients_again(page, line):
    button(page, "To the end").click()
    line.loss.backward(retain_graph=True)
    first = {name: text(getattr(line, name).grad) for name in ("w", "b")}
    for name, grad in first.items():
        expect(row(page, name, "grad")).to_have_text(grad)
    expect(told(page)).to_contain_text("A second one, as after backward(retain_graph=True), adds")
    button(page, "Second pass").click()
    expect(told(page)).to_contain_text("Second pass, step 1 of 6")
    expect(row(page, "pred", "grad")).to_have_text("")
    expect(row(page, "w", "grad")).to_have_text(first["w"])
    button(page, "To the end").click()
    added = text(line.w.grad)
    line.loss.backward()
    for name in ("w", "b"):
        expect(row(page, name, "grad")).to_have_text(text(getattr(line, name).grad))
    expect(panel(page).locator(".formula")).to_have_text(
        f"{first['w']} + {added} = {text(line.w.grad)}"
    )
    expect(button(page, "Step backward")).to_have_attribute("aria-disabled", "true")
    button(page, "Step backward").press("Enter")
    expect(told(page)).to_contain_text("Second pass, step 6 of 6")


def test_a_grad_that_is_there_already_is_added_to(show):
    line = Line(grad=0.5)
    page = show(line.explorer())
    expect(row(page, "w", "grad")).to_have_text("0.5")
    button(page, "To the end").click()
    arriving = line.gradients()["w"]
    line.loss.backward()
    expect(row(page, "w", "grad")).to_have_text(text(line.w.grad))
    expect(panel(page).locator(".formula")).to_have_text(f"0.5 + {arriving} = {text(line.w.grad)}")


def test_back_takes_a_step_away(page):
    for _ in range(3):
        button(page, "Step backward").click()
    button(page, "Back").click()
    expect(told(page)).to_contain_text("Step 2 of 6")
    expect(row(page, "#1", "grad")).to_have_text("")
    button(page, "Back").click()
    button(page, "Back").click()
    expect(told(page)).to_contain_text("Forward: the values.")
    expect(button(page, "Back")).to_have_attribute("aria-disabled", "true")
    expect(row(page, "loss", "grad")).to_have_text("")


def test_gradients_of_two_paths_add_up_where_they_meet(show):
    x = torch.tensor(1.5, requires_grad=True)
    y = x * 2
    left, right = y.exp(), y * y
    loss = left + right
    page = show(explore.graph(loss))
    (exp,) = torch.autograd.grad(left, y, retain_graph=True)
    (due,) = torch.autograd.grad(loss, y, retain_graph=True)
    while "left" not in (current_turn(page).all_text_contents() or [""])[0]:
        button(page, "Step backward").click()
    expect(row(page, "y", "grad")).to_have_text(text(due))
    button(page, "Back").click()
    expect(row(page, "y", "grad")).to_have_text("2 of 3 here")
    box(page, "y").click()
    expect(panel(page)).to_contain_text("2 of 3 have arrived.")
    button(page, "Step backward").click()
    button(page, "Step backward").click()
    expect(current_turn(page)).to_have_text("y")
    parts = panel(page).locator(".parts li code").all_text_contents()
    assert sorted(parts) == sorted([text(exp), text(y), text(y)])


def test_tensors_are_shown_cell_by_cell(show):
    torch.manual_seed(0)
    x, y = torch.randn(4, 3), torch.randn(4, 1)
    w, b = torch.randn(3, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    pred = x @ w + b
    loss = ((pred - y) ** 2).mean()
    page = show(explore.graph(loss))
    names = {"w": w, "b": b, "x": x, "y": y, "pred": pred}
    for name, tensor in names.items():
        box(page, name).click()
        section = panel(page).locator("section.value")
        assert section.locator("td, .single").all_text_contents() == cell_texts(tensor)
    grads = dict(
        zip(
            ("w", "b", "pred"),
            torch.autograd.grad(loss, (w, b, pred), retain_graph=True),
            strict=True,
        )
    )
    for _ in range(4):
        button(page, "Step backward").click()
    arrived = panel(page).locator("section.grad td").all_text_contents()
    assert arrived == cell_texts(grads["pred"])
    expect(panel(page)).to_contain_text("Summed from (4, 1) back to (1,): b was broadcast")
    expect(panel(page).locator(".formula").last).to_have_text(f"sum(grad) = {text(grads['b'])}")
    button(page, "To the end").click()
    box(page, "w").click()
    landed = panel(page).locator("section.grad td").all_text_contents()
    assert landed == cell_texts(grads["w"])


# By keyboard -------------------------------------------------------------------------------------


def test_the_keyboard_alone_takes_every_step(page):
    page.keyboard.press("Tab")
    expect(button(page, "Step backward")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    expect(told(page)).to_contain_text("Step 2 of 6")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(told(page)).to_contain_text("Step 1 of 6")
    slider = page.get_by_role("slider", name="step")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(told(page)).to_contain_text("Step 2 of 6")
    expect(slider).to_have_attribute("aria-valuetext", "step 2 of 6")
    page.keyboard.press("End")
    expect(told(page)).to_contain_text("Second pass, step 6 of 6")
    page.keyboard.press("Home")
    expect(told(page)).to_contain_text("Forward: the values.")


def test_the_arrow_keys_follow_the_edges(page):
    slider = page.get_by_role("slider", name="step")
    slider.focus()
    page.keyboard.press("Tab")
    visited = []
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "Home"):
        visited.append(current(page).text_content())
        page.keyboard.press(key)
    assert visited == ["loss", "#2", "pred", "y", "#2", "pred", "#1"]
    expect(current(page)).to_have_text("loss")


def test_the_drawing_is_one_stop_of_the_tab_key(page):
    page.get_by_role("slider", name="step").focus()
    stops = []
    for _ in range(5):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; "
                "return it.getAttribute('aria-label') ?? it.className.split(' ')[0] ?? it.localName; }"
            )
        )
    assert stops == ["box", "Smaller", "Larger", "The chosen node", ""]


# Unusual graphs ----------------------------------------------------------------------------------


def test_a_freed_graph_shows_its_structure_and_where_it_stops(show, line):
    line.loss.backward()
    page = show(line.explorer())
    expect(page.locator(".warn").first).to_contain_text("freed what autograd had kept")
    assert page.locator(".box").count() == 8
    button(page, "To the end").click()
    with pytest.raises(RuntimeError) as raised:
        line.loss.backward()
    expect(panel(page).locator(".raised")).to_have_text(f"RuntimeError: {raised.value}")
    expect(row(page, "w", "grad")).to_have_text(text(line.w.grad))
    expect(button(page, "Step backward")).to_have_attribute("aria-disabled", "true")


def test_a_value_changed_in_place_is_shown_where_backward_stops(show):
    w = torch.tensor([0.5, 1.0], requires_grad=True)
    hidden = w.exp()
    loss = hidden.sum()
    with torch.no_grad():
        hidden += 1
    page = show(explore.graph(loss))
    button(page, "To the end").click()
    expect(page.locator('.box[data-state="error"] .name')).to_have_text("hidden")
    expect(panel(page).locator(".raised")).to_contain_text("modified by an inplace operation")


def unrolled(steps: int) -> Tensor:
    torch.manual_seed(1)
    inputs = torch.randn(steps)
    w, u, b = (torch.tensor(v, requires_grad=True) for v in (0.9, 0.4, 0.1))
    state = torch.tensor(0.0)
    for step in range(steps):
        state = torch.tanh(w * state + u * inputs[step] + b)
    return (state - 1) ** 2


def test_two_hundred_nodes_stay_usable(show):
    loss = unrolled(48)
    explorer = explore.graph(loss)
    page = show(explorer)
    boxes = page.locator(".box")
    assert boxes.count() > 240
    pane = page.get_by_role("group", name="The graph: inputs above, the result below")
    turns = len(explorer.data["steps"])
    slider = page.get_by_role("slider", name="step")
    for turn in (1, 57, 130, turns):
        slider.fill(str(turn))
        page.wait_for_timeout(600)
        here, frame = page.locator('.box[data-state="now"]').bounding_box(), pane.bounding_box()
        assert here is not None
        assert frame is not None
        assert frame["y"] <= here["y"]
        assert here["y"] + here["height"] <= frame["y"] + frame["height"]
        assert frame["x"] <= here["x"]
        assert here["x"] + here["width"] <= frame["x"] + frame["width"]
    leaves = [node for node in leaves_of(loss)]
    shown = page.locator(".box.leaf .grad .number").all_text_contents()
    assert sorted(shown) == sorted(map(text, torch.autograd.grad(loss, leaves)))


def leaves_of(loss: Tensor) -> list[Tensor]:
    from firstlight.explore.graph_record import read

    return [node.leaf for node in read(loss).nodes if node.leaf is not None]


def test_a_large_graph_can_be_made_smaller_and_searched(show):
    page = show(explore.graph(unrolled(48)))
    before = page.locator(".box").first.bounding_box()
    button(page, "Smaller").click()
    button(page, "Smaller").click()
    after = page.locator(".box").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] < before["width"]
    page.get_by_role("combobox", name="Go to a node").select_option(label="#8 (+)")
    expect(current(page)).to_have_text("#8")
    expect(panel(page).locator(".which")).to_have_text("+ #8 AddBackward0")


def test_a_link_in_the_panel_leads_to_the_node(page):
    button(page, "Step backward").click()
    panel(page).get_by_role("button", name="#2 (−)").click()
    expect(current(page)).to_have_text("#2")
    expect(box(page, "#2")).to_be_focused()
    expect(panel(page)).to_contain_text("All of it has arrived.")


def test_ten_thousand_nodes_are_summarised(show):
    w = torch.tensor(0.5, requires_grad=True)
    total = w * 0
    for _ in range(3333):
        total = total + (w - 1) ** 2
    page = show(explore.graph(total))
    expect(page.locator(".said").first).to_contain_text(
        "It has 10,001 nodes, 10,000 operations and 1 leaf"
    )
    rows = page.get_by_role("table", name="Operations by kind").get_by_role("row")
    assert [row.inner_text().split()[-1] for row in rows.all()] == ["3,333", "3,333", "3,333", "1"]


# The page ----------------------------------------------------------------------------------------


def explorers():
    torch.manual_seed(0)
    x, y = torch.randn(16, 4), torch.randint(0, 3, (16,))
    w1, w2 = torch.randn(4, 8, requires_grad=True), torch.randn(8, 3, requires_grad=True)
    loss = F.cross_entropy(torch.relu(x @ w1) @ w2, y)
    freed = (w1 * 2).square().mean()
    freed.backward()
    with torch.no_grad():
        alone = w1.sum()
    return (
        Line().explorer(),
        explore.graph(loss),
        explore.graph(freed),
        explore.graph(alone),
        explore.graph(w1),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_axe_finds_nothing(show, scheme, width):
    page = show(*explorers())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(300)  # colours change over 120 ms
    for which in range(3):
        page.get_by_role("button", name="Step backward").nth(which).click()
        page.get_by_role("button", name="Step backward").nth(which).click()
    page.wait_for_timeout(300)  # colours change over a moment
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


@pytest.mark.parametrize("width", [390, 360])
def test_a_phone_scrolls_only_inside(show, width):
    page = show(*explorers())
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_boxes_stay_inside_the_drawing_and_apart(show):
    page = show(explorers()[1])
    boxes = [each.bounding_box() for each in page.locator(".box").all()]
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            apart = (
                one["x"] + one["width"] <= other["x"]
                or other["x"] + other["width"] <= one["x"]
                or one["y"] + one["height"] <= other["y"]
                or other["y"] + other["height"] <= one["y"]
            )
            assert apart


def test_reduced_motion_is_honoured(show):
    page = show(explore.graph(unrolled(48)))
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("slider", name="step").fill("120")
    here = page.locator('.box[data-state="now"]').bounding_box()
    frame = page.locator(".pane").bounding_box()
    assert here is not None
    assert frame is not None
    assert frame["y"] <= here["y"] <= frame["y"] + frame["height"]


def test_the_words_are_there_beside_the_picture(show, line):
    explorer = line.explorer()
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text


def test_two_pictures_on_a_page_step_apart(show):
    explorer = Line().explorer()
    page = show(explorer, explorer)
    button(page, "Step backward").nth(1).click()
    expect(told(page).nth(0)).to_contain_text("Forward")
    expect(told(page).nth(1)).to_contain_text("Step 1 of 6")
