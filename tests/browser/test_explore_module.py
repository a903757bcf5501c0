"""`explore.module` in a browser: what it shows is PyTorch's, by mouse and by the keys of a tree."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from torch import nn

from firstlight import explore


class Mlp(nn.Module):
    """Normalisation, dropout, functions and a skip between its layers."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.norm = nn.BatchNorm1d(128)
        self.fc2 = nn.Linear(128, 128)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(128, 10)

    def forward(self, images):
        x = images.flatten(1)
        h = F.relu(self.norm(self.fc1(x)))
        h = h + F.relu(self.fc2(h))
        return self.head(self.drop(h))


class Hidden(nn.Module):
    """Layers in a plain list, a plain tensor, a parameter in a list, a layer that is never called."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(32, 32) for _ in range(3)]
        self.mean = torch.zeros(32)
        self.scales = [nn.Parameter(torch.ones(32))]
        self.head = nn.Linear(32, 4)
        self.spare = nn.Linear(32, 4)

    def forward(self, x):
        x = x - self.mean
        for layer in self.layers:
            x = F.relu(layer(x)) * self.scales[0]
        return self.head(x)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return F.relu(x + self.norm(self.conv(x)))


def deep():
    """A network of 66 modules, four levels deep."""
    stages = [nn.Sequential(*(Block() for _ in range(5))) for _ in range(4)]
    return nn.Sequential(*stages, nn.Flatten())


def broken():
    features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    return nn.Sequential(features, head)


IMAGES = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
MAPS = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def tree(page, name="What is registered"):
    return page.get_by_role("tree", name=name)


def run(page):
    """Switch to the run, and return its tree."""
    page.get_by_role("radio", name="the run").check()
    return tree(page, "What forward ran")


def rows(there):
    return there.get_by_role("treeitem")


def row(there, name):
    """The first row of a tree with this name."""
    return rows(there).filter(has=there.page.locator(f'.name:text-is("{name}")')).first


def names(there):
    """The names of the rows that are seen, in order."""
    return there.locator("[role=treeitem]:visible .name").all_inner_texts()


def detail(page):
    return page.get_by_role("group", name="The line selected")


def shapes(line):
    return line.locator(".shapes").inner_text()


def counted(line):
    return int(line.locator(".many").inner_text().strip("()").replace(",", ""))


def selected(there):
    return there.locator("[aria-selected=true] .name").inner_text()


def hooked(model, x):
    """The calls that PyTorch's own hooks see: per call name, shape in and shape out, by entry."""
    paths = {module: name or "model" for name, module in model.named_modules()}
    seen, handles = [], []

    def after(module, args, output):
        entry = next(e for e in reversed(seen) if e[0] == paths[module] and len(e) == 2)
        entry.append(str(tuple(output.shape)))

    for module in paths:
        handles.append(
            module.register_forward_pre_hook(
                lambda m, args: seen.append([paths[m], str(tuple(args[0].shape))])
            )
        )
        handles.append(module.register_forward_hook(after))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize(("make", "x"), [(Mlp, IMAGES), (deep, MAPS)], ids=["mlp", "deep"])
def test_every_number_of_the_tree_is_pytorchs(show, make, x):
    model = make()
    page = show(explore.module(model, x))
    calls = {name: f"{given} → {gives}" for name, given, gives in hooked(model, x)}
    if page.get_by_role("button", name="open all").count():
        page.get_by_role("button", name="open all").click()
    modules = list(model.named_modules())
    lines = rows(tree(page))
    assert lines.count() == len(modules)
    for number, (name, module) in enumerate(modules):
        line = lines.nth(number)
        assert line.locator(".name").inner_text() == (name.rpartition(".")[2] or "model")
        assert line.locator(".type").inner_text() == type(module).__name__
        assert counted(line) == sum(p.numel() for p in module.parameters())
        assert shapes(line) == calls.get(name or "model")


@pytest.mark.parametrize(("make", "x"), [(Mlp, IMAGES), (deep, MAPS)], ids=["mlp", "deep"])
def test_the_run_has_every_call_in_order_with_its_shapes(show, make, x):
    model = make()
    page = show(explore.module(model, x))
    there = run(page)
    if page.get_by_role("button", name="open all").count():
        page.get_by_role("button", name="open all").click()
    shown = [
        [line.locator(".name").text_content(), line.locator(".shapes").text_content()]
        for line in rows(there).all()
        if line.locator(".type").count()
    ]
    assert shown == [[name, f"{given} → {gives}"] for name, given, gives in hooked(model, x)]


def test_the_sums_are_pytorchs(show):
    model = Mlp()
    model.fc2.requires_grad_(False)
    page = show(explore.module(model, IMAGES))
    total = sum(p.numel() for p in model.parameters())
    frozen = sum(p.numel() for p in model.fc2.parameters())
    terms = dict(
        zip(
            page.locator(".counts dt").all_inner_texts(),
            page.locator(".counts dt + dd").all_inner_texts(),
            strict=True,
        )
    )
    assert terms == {
        "parameters": f"{total:,}",
        "trainable": f"{total - frozen:,}",
        "frozen": f"{frozen:,}",
        "in buffers": f"{sum(b.numel() for b in model.buffers()):,}",
        "not registered": "0",
    }


def test_a_click_shows_a_modules_own_tensors(show):
    model = Mlp()
    page = show(explore.module(model, IMAGES))
    for name, module in model.named_children():
        row(tree(page), name).click()
        assert selected(tree(page)) == name
        expect(detail(page)).to_contain_text(name)
        shown = (
            detail(page)
            .locator("tbody tr")
            .evaluate_all(
                "rows => rows.map((row) => [...row.cells].slice(0, 3).map((cell) => cell.textContent))"
            )
        )
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        assert shown == [[n, str(tuple(t.shape)), f"{t.numel():,}"] for n, t in own]


def test_a_step_says_what_it_got_from_where_and_in_which_line(show):
    page = show(explore.module(Mlp(), IMAGES))
    there = run(page)
    row(there, "+").click()
    texts = detail(page).locator(".flow dd").all_inner_texts()
    assert texts == [
        "(4, 128) float32 from F.relu (step 4)",
        "(4, 128) float32 from F.relu (step 6)",
        "(4, 128) float32",
        "h = h + F.relu(self.fc2(h))",
    ]
    row(there, "fc1").click()
    expect(detail(page).locator(".flow dd").first).to_have_text(
        "(4, 784) float32 from .flatten(1) (step 1)"
    )


def test_the_keys_of_the_tree_pattern(show):
    page = show(explore.module(deep(), MAPS))
    there = tree(page)
    page.get_by_role("button", name="close all").click()
    assert names(there) == ["deep()", "0", "1", "2", "3", "4"]
    rows(there).first.focus()
    page.keyboard.press("ArrowDown")
    assert selected(there) == "0"
    page.keyboard.press("ArrowRight")
    assert names(there)[:4] == ["deep()", "0", "0", "1"]
    expect(row(there, "0")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert selected(there) == "conv"
    page.keyboard.press("ArrowRight")
    assert selected(there) == "conv"
    page.keyboard.press("ArrowDown")
    assert selected(there) == "norm"
    page.keyboard.press("ArrowLeft")
    assert selected(there) == "0"
    page.keyboard.press("Enter")
    assert "norm" not in names(there)
    page.keyboard.press(" ")
    assert "norm" in names(there)
    page.keyboard.press("*")
    assert names(there).count("norm") == 5
    page.keyboard.press("End")
    assert selected(there) == "4"
    page.keyboard.press("Home")
    assert selected(there) == "deep()"
    page.keyboard.press("3")
    expect(detail(page).locator("code").first).to_have_text("0.3")  # the next that begins with it
    page.keyboard.press("ArrowUp")
    expect(detail(page).locator("code").first).to_have_text("0.2.norm")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert names(there) == ["deep()"]


def test_a_tree_is_one_stop_of_the_tab_key(show):
    page = show(explore.module(Mlp(), IMAGES))
    page.get_by_role("radio", name="what is registered").focus()
    stops = []
    for _ in range(3):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; return it.getAttribute('role') ?? it.localName; }"
            )
        )
    assert stops == ["treeitem", "button", "summary"]


def test_the_tree_says_its_structure_to_a_screen_reader(show):
    page = show(explore.module(deep(), MAPS))
    page.get_by_role("button", name="open all").click()
    line = row(tree(page), "norm")
    facts = {name: line.get_attribute(f"aria-{name}") for name in ("level", "posinset", "setsize")}
    assert facts == {"level": "4", "posinset": "2", "setsize": "2"}
    assert line.get_attribute("aria-label") == (
        "norm, BatchNorm2d, (2, 4, 6, 6) to (2, 4, 6, 6), 8 parameters"
    )


def test_the_mouse_opens_and_closes(show):
    page = show(explore.module(deep(), MAPS))
    there = tree(page)
    page.get_by_role("button", name="close all").click()
    row(there, "2").locator(".twist").click()
    assert names(there) == ["deep()", "0", "1", "2", "0", "1", "2", "3", "4", "3", "4"]
    row(there, "2").locator(".twist").click()
    assert names(there) == ["deep()", "0", "1", "2", "3", "4"]
    row(there, "1").dblclick()
    assert len(names(there)) == 11


def test_what_is_not_registered_is_marked_and_leads_to_its_line(show):
    model = Hidden()
    page = show(explore.module(model, torch.randn(4, 32)))
    items = page.locator("ul.warn li")
    assert items.count() == 3
    lost = sum(p.numel() for layer in model.layers for p in layer.parameters())
    expect(items.nth(0)).to_contain_text(f"({lost:,} numbers) are not registered")
    expect(items.nth(0)).to_contain_text("The forward calls them all the same.")
    for number, name in enumerate(["layers", "mean", "scales"]):
        page.get_by_role("button", name=name, exact=True).click()
        assert selected(tree(page)) == name
        expect(row(tree(page), name)).to_be_focused()
        expect(row(tree(page), name).locator(".tag")).to_have_text("not registered")
        sentence = items.nth(number).inner_text().rstrip()
        assert sentence in [text.rstrip() for text in detail(page).locator("p").all_inner_texts()]
    assert counted(row(tree(page), "layers")) == lost
    hidden = page.locator(".counts .loud dd").all_inner_texts()
    assert hidden == [f"{lost + 32 + 32:,}", "in 8 tensors"]
    expect(row(tree(page), "spare").locator(".tag")).to_have_text("not called")
    assert "layers[1]" in names(run(page))


def test_an_error_is_shown_at_its_layer(show):
    model = broken()
    with pytest.raises(RuntimeError) as raised:
        model(IMAGES)
    page = show(explore.module(model, IMAGES))
    box = page.get_by_role("group", name="The error")
    expect(box.locator(".raised")).to_have_text(f"RuntimeError: {raised.value}")
    expect(box).to_contain_text("in_features=784: the last axis of its input must be 784")
    assert box.locator("tr").all_inner_texts() == ["it got\t4\t1568", "it takes\tany\t784"]
    assert box.locator(".clash").all_inner_texts() == ["1568", "784"]
    there = tree(page, "What forward ran")
    assert selected(there) == "1.1"
    assert shapes(row(there, "1.1")) == "(4, 1568) → ✗"
    expect(row(there, "1.1").locator(".tag")).to_have_text("the error")
    assert shapes(row(there, "0.2")) == f"(4, 8, 28, 28) → {tuple(model[0](IMAGES).shape)}"
    assert "1.2" not in names(there)
    expect(detail(page)).to_contain_text("(64, 784)")
    page.get_by_role("radio", name="what is registered").check()
    assert page.locator(".tag:visible").all_inner_texts() == [
        "the error",
        "not reached",
        "not reached",
    ]
    box.get_by_role("button").click()
    expect(row(there, "1.1")).to_be_focused()


def test_the_two_views_lead_to_each_other(show):
    page = show(explore.module(Mlp(), IMAGES))
    row(tree(page), "fc2").click()
    detail(page).get_by_role("button", name="step 5").click()
    there = tree(page, "What forward ran")
    expect(row(there, "fc2")).to_be_focused()
    expect(page.get_by_role("radio", name="the run")).to_be_checked()
    detail(page).get_by_role("button", name="Show it in the tree").click()
    expect(row(tree(page), "fc2")).to_be_focused()
    expect(tree(page, "What forward ran")).to_be_hidden()


def test_a_layer_made_in_forward_is_marked_in_the_run(show):
    class Making(nn.Module):
        def forward(self, x):
            return nn.Linear(3, 2)(x)

    page = show(explore.module(Making(), torch.ones(4, 3)))
    expect(page.locator("ul.warn")).to_contain_text("it was made during this very forward")
    line = row(run(page), "Linear")
    expect(line.locator(".tag")).to_have_text("not in the model")
    assert shapes(line) == "(4, 3) → (4, 2)"


def test_names_are_text_and_never_markup(show):
    model = nn.Sequential()
    model.add_module("<img src=x onerror=alert(1)>", nn.Linear(2, 2))
    page = show(explore.module(model, torch.ones(1, 2)))
    assert page.locator("img").count() == 0
    assert names(tree(page))[1] == "<img src=x onerror=alert(1)>"


def test_200_layers_stay_in_their_window(show):
    layers = [layer for _ in range(100) for layer in (nn.Linear(4, 4), nn.ReLU())]
    page = show(explore.module(nn.Sequential(*layers), torch.randn(2, 4)))
    box = tree(page).bounding_box()
    assert box is not None
    assert box["height"] < 600
    rows(tree(page)).first.focus()
    page.keyboard.press("End")
    assert selected(tree(page)) == "199"
    line = row(tree(page), "199").bounding_box()
    assert line is not None
    assert box["y"] < line["y"] < box["y"] + box["height"]


def explorers():
    return [
        explore.module(Mlp(), IMAGES),
        explore.module(Hidden(), torch.randn(4, 32)),
        explore.module(broken(), IMAGES),
        explore.module(deep(), MAPS),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing(show, scheme, width):
    page = show(*explorers())
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    host = page.locator(".firstlight-explorer").first
    expect(host).to_have_attribute("data-firstlight-theme", scheme)
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


def test_a_phone_scrolls_only_inside(show):
    page = show(*explorers())
    page.set_viewport_size({"width": 390, "height": 844})
    for radio in page.get_by_role("radio", name="the run").all():
        radio.check()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_words_are_there_beside_the_picture(show):
    explorer = explore.module(Mlp(), IMAGES)
    page = show(explorer)
    page.get_by_text("in words").click()
    assert page.locator("pre").inner_text() == explorer.text
