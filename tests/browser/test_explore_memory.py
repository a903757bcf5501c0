"""`explore.memory` in a browser: the addresses it shows are PyTorch's, by mouse and by keys."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from playwright.sync_api import expect

from firstlight import explore
from firstlight.explore.tensors import cell_texts

X = torch.arange(12.0).reshape(3, 4)
VIEWS = {"X": X, "X.T": X.T, "X[1:]": X[1:]}


@pytest.fixture
def page(show):
    """X, its transpose, a slice of it and a copy."""
    copy = X.clone()
    return show(explore.memory(X, X.T, X[1:], copy))


def storage(page, number):
    return page.get_by_role("group", name=f"Storage {number}")


def row(page, number=1):
    """The boxes of a storage's cells."""
    return page.get_by_role("grid", name=f"The cells of storage {number}").locator(".cell")


def element(page, name, *index):
    grid = page.get_by_role("grid", name=name, exact=True)
    lines = grid.locator("tbody tr")
    return lines.nth(index[-2] if len(index) > 1 else 0).locator(".cell").nth(index[-1])


def marked(page, name):
    """Return the [row, column] of every element of a tensor that is marked."""
    return (
        page.get_by_role("grid", name=name, exact=True)
        .locator("tbody tr")
        .evaluate_all(
            "rows => rows.flatMap((row, r) => [...row.querySelectorAll('.cell')]"
            ".flatMap((cell, c) => cell.dataset.mark ? [[r, c]] : []))"
        )
    )


def marked_cells(page, number=1):
    return row(page, number).evaluate_all(
        "cells => cells.flatMap((cell, at) => cell.dataset.mark ? [at] : [])"
    )


def told(page, number=1):
    return storage(page, number).locator(".told")


def address(view, index):
    """Where PyTorch keeps an element, in elements from the start of the storage."""
    return (view[index].data_ptr() - view.untyped_storage().data_ptr()) // view.element_size()


@pytest.mark.parametrize("name", VIEWS)
def test_pointing_at_an_element_shows_its_cell_and_all_who_share_it(page, name):
    view = VIEWS[name]
    for index in product(*map(range, view.shape)):
        element(page, name, *index).hover()
        cell = address(view, index)
        rule = " + ".join(
            [str(view.storage_offset())]
            + [f"{at}·{step}" for at, step in zip(index, view.stride(), strict=True)]
        )
        value = cell_texts(view[index])[0]
        expect(told(page).locator(".line")).to_have_text(
            f"{name}[{index[0]}, {index[1]}] = {value} is at {rule} = cell {cell}"
        )
        assert marked_cells(page) == [cell]
        for other, values in VIEWS.items():
            sharing = [
                list(at) for at in product(*map(range, values.shape)) if address(values, at) == cell
            ]
            assert marked(page, other) == sharing
            for at in sharing:
                if (other, tuple(at)) != (name, index):
                    expect(told(page)).to_contain_text(f"{other}[{at[0]}, {at[1]}]")


def test_the_row_holds_the_storages_values_in_order(page):
    assert row(page).all_text_contents() == cell_texts(X)
    assert row(page, 2).all_text_contents() == cell_texts(X)


def test_pointing_at_a_cell_lists_its_readers(page):
    row(page).nth(6).hover()
    expect(told(page)).to_have_text("cell 6 = 6.0Read by X[1, 2], X.T[2, 1] and X[1:][0, 2].")
    row(page).nth(2).hover()
    expect(told(page)).to_have_text("cell 2 = 2.0Read by X[0, 2] and X.T[2, 0].")


def test_a_copy_has_its_own_storage(page):
    element(page, "copy", 1, 2).hover()
    expect(told(page, 2)).to_contain_text("Nothing else here reads it.")
    assert marked(page, "copy") == [[1, 2]]
    assert marked(page, "X") == [[1, 1]]


def test_the_keyboard_walks_through_a_tensor_and_through_memory(page):
    element(page, "X.T", 0, 0).focus()
    cells = []
    for _ in range(4):
        cells.append(marked_cells(page)[0])
        page.keyboard.press("ArrowDown")
    assert cells == [0, 1, 2, 3]
    row(page).nth(0).focus()
    page.keyboard.press("End")
    expect(row(page).nth(11)).to_be_focused()
    expect(told(page)).to_contain_text("cell 11 = 11.0")
    page.keyboard.press("ArrowLeft")
    expect(told(page)).to_contain_text("cell 10 = 10.0")


def test_each_part_is_one_stop_of_the_tab_key(page):
    page.get_by_role("radio", name="values").focus()
    stops = []
    for _ in range(7):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; "
                "return it.closest('table')?.getAttribute('aria-label') ?? it.localName; }"
            )
        )
    assert stops == [
        "The cells of storage 1",
        "X",
        "X.T",
        "X[1:]",
        "The cells of storage 2",
        "copy",
        "summary",
    ]


def test_cell_numbers_can_stand_in_place_of_values(page):
    page.get_by_role("radio", name="cell numbers").check()
    for name, view in VIEWS.items():
        for index in product(*map(range, view.shape)):
            expect(element(page, name, *index)).to_have_text(str(address(view, index)))


def test_contiguous_or_not_is_written_out(page):
    tags = storage(page, 1).locator(".tag")
    assert tags.all_text_contents() == ["contiguous", "not contiguous", "contiguous"]


def test_an_expanded_row_shows_one_cell_to_all(show):
    base = torch.tensor([1, 2, 3])
    stretched = base.expand(4, 3)
    page = show(explore.memory(base, stretched))
    element(page, "base", 1).hover()
    assert marked(page, "stretched") == [[0, 1], [1, 1], [2, 1], [3, 1]]
    expect(told(page)).to_contain_text("Also read by stretched[:, 1].")


def test_slices_of_three_axes_can_be_chosen(show):
    images = torch.arange(24).reshape(2, 3, 4)
    page = show(explore.memory(images))
    page.get_by_role("group", name="axis 0").get_by_role("radio", name="1").check()
    for index in product(range(3), range(4)):
        element(page, "images", *index).hover()
        expect(told(page)).to_contain_text(f"= cell {address(images, (1, *index))}")
        assert marked_cells(page) == [address(images, (1, *index))]


def test_the_cell_pointed_at_is_scrolled_into_the_row(show):
    images = torch.arange(36).reshape(3, 3, 4)
    page = show(explore.memory(images))
    page.set_viewport_size({"width": 400, "height": 800})
    page.get_by_role("group", name="axis 0").get_by_role("radio", name="2").check()
    element(page, "images", 2, 3).hover()
    box = row(page).nth(35).bounding_box()
    assert box is not None
    assert 0 < box["x"] < box["x"] + box["width"] <= 400


def test_a_large_storage_shows_its_gaps(show):
    images = torch.arange(47040.0).reshape(60, 784)
    page = show(explore.memory(images, images.T))
    gaps = page.locator(".row .gap")
    assert gaps.all_text_contents() == ["781 more", "781 more", "45,469 more"]
    for index in product(range(3), range(3)):
        element(page, "images.T", *index).hover()
        expect(told(page)).to_contain_text(f"cell {address(images.T, index)}")
        expect(told(page)).to_contain_text(f"Also read by images[{index[1]}, {index[0]}].")


def test_elements_of_two_sizes_overlap(show):
    z = torch.tensor([1 + 2j, 3 - 1j])
    page = show(explore.memory(z, z.imag))
    element(page, "z", 1).hover()
    assert marked_cells(page) == [2, 3]
    expect(told(page)).to_contain_text("cells 2 to 3")
    assert marked(page, "z.imag") == [[0, 1]]


def test_an_empty_tensor_and_a_single_value_are_shown(show):
    empty, single = torch.empty(0), torch.tensor(3)
    page = show(explore.memory(empty, single))
    expect(storage(page, 1).get_by_text("It has no element")).to_be_visible()
    expect(told(page, 2)).to_contain_text("single = 3 is at cell 0")


def test_what_is_said_stays_in_sight_on_a_phone(page):
    page.set_viewport_size({"width": 360, "height": 500})
    element(page, "X", 0, 0).focus()
    page.keyboard.press("ArrowDown")
    box = told(page).bounding_box()
    assert box is not None
    assert 0 < box["y"] < box["y"] + box["height"] <= 500
