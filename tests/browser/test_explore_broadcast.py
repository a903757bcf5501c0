"""`explore.broadcast` in a browser: what it shows is what PyTorch computes, by mouse and by keys."""

from __future__ import annotations

import operator
from itertools import product

import pytest
import torch
from playwright.sync_api import expect

from firstlight import explore
from firstlight.explore.tensors import cell_texts

OPERATORS = {"-": operator.sub, "+": operator.add, "*": operator.mul, "==": operator.eq}
A = torch.tensor([[2.5], [0.0], [2.0], [8.0], [-1.5]])
B = torch.tensor([3.0, -0.5, 2.0, 7.0])


@pytest.fixture
def page(show):
    """A (5, 1) and B (4,): both are stretched."""
    return show(explore.broadcast(A, B))


def grids(page):
    """The three tables: the first operand, the second and the result."""
    return [page.get_by_role("grid").nth(which) for which in range(3)]


def cell(grid, row, column):
    return grid.get_by_role("row").nth(row + 1).get_by_role("gridcell").nth(column)


def rows(grid):
    """Return the texts of a grid's cells, row by row."""
    return grid.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('.cell')].map(cell => cell.textContent))"
    )


def marked(grid, mark):
    """Return the [row, column] of every cell with this mark."""
    return grid.locator("tbody tr").evaluate_all(
        "(rows, mark) => rows.flatMap((row, r) => [...row.querySelectorAll('.cell')]"
        ".flatMap((cell, c) => cell.dataset.mark === mark ? [[r, c]] : []))",
        mark,
    )


def told(page):
    return page.locator(".told .line")


def in_rows(values):
    """Return a tensor's cells as text, as nested as its last two axes."""
    return [cell_texts(row) for row in values.reshape(-1, values.shape[-1])]


@pytest.mark.parametrize("sign", OPERATORS)
def test_every_value_of_each_operation_is_pytorchs(page, sign):
    page.get_by_role("radio", name=f"A {sign} B").check()
    first, second, result = grids(page)
    assert rows(result) == in_rows(OPERATORS[sign](A, B))
    assert rows(first) == in_rows(A.expand(5, 4))
    assert rows(second) == in_rows(B.expand(5, 4))


def test_pointing_at_a_result_shows_the_two_cells_that_feed_it(page):
    first, second, result = grids(page)
    for row, column in product(range(5), range(4)):
        cell(result, row, column).hover()
        a, b = cell_texts(A[row, 0])[0], cell_texts(B[column])[0]
        second_value = f"({b})" if b.startswith("-") else b
        difference = cell_texts(A[row, 0] - B[column])[0]
        expect(told(page)).to_have_text(
            f"(A - B)[{row}, {column}] = A[{row}, 0] - B[{column}] "
            f"= {a} - {second_value} = {difference}"
        )
        assert (
            marked(result, "here")
            == marked(first, "here")
            == marked(second, "here")
            == [[row, column]]
        )
        assert marked(first, "kin") == ([] if column == 0 else [[row, 0]])
        assert marked(second, "kin") == ([] if row == 0 else [[0, column]])


def test_pointing_at_an_operand_shows_every_cell_it_feeds(page):
    first, second, result = grids(page)
    cell(first, 2, 0).hover()
    assert marked(result, "kin") == [[2, column] for column in range(4)]
    expect(told(page)).to_have_text("A[2, 0] = 2.0 feeds (A - B)[2, :]")
    cell(second, 0, 3).hover()
    assert marked(result, "kin") == [[row, 3] for row in range(5)]
    expect(page.locator(".told .why")).to_contain_text("5 cells of the result")


def test_a_stretched_cell_is_hatched_and_says_so(page):
    first, second, result = grids(page)
    assert first.locator(".copy").count() == 5 * 3
    assert second.locator(".copy").count() == 4 * 4
    assert result.locator(".copy").count() == 0
    assert "repeating-linear-gradient" in cell(first, 3, 1).evaluate(
        "cell => getComputedStyle(cell).backgroundImage"
    )
    assert cell(first, 3, 1).get_attribute("aria-label") == "8.0, used again"


def test_the_keyboard_reaches_every_cell_of_the_result(page):
    *_, result = grids(page)
    cell(result, 0, 0).focus()
    for row in range(5):
        for column in range(4):
            expect(told(page)).to_contain_text(f"(A - B)[{row}, {column}]")
            expect(cell(result, row, column)).to_be_focused()
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+End")
    expect(cell(result, 4, 3)).to_be_focused()
    page.keyboard.press("Control+Home")
    expect(cell(result, 0, 0)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(cell(result, 0, 0)).to_be_focused()


def test_each_part_is_one_stop_of_the_tab_key(page):
    stops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const it = document.activeElement.shadowRoot?.activeElement "
                "?? document.activeElement; "
                "return it.closest('table')?.getAttribute('aria-label') ?? it.localName; }"
            )
        )
    assert stops == [
        "Shapes, aligned from the right",
        "input",
        "A, as it is broadcast",
        "B, as it is broadcast",
        "the result",
        "summary",
    ]


def test_the_keyboard_chooses_an_operation(page):
    page.get_by_role("radio", name="A - B").focus()
    page.keyboard.press("ArrowRight")
    assert rows(grids(page)[2]) == in_rows(A + B)


def test_the_axes_are_explained_from_the_right(page):
    said = page.locator(".said")
    expect(said).to_contain_text("Axis -1: A has 1, B has 4. A is stretched")
    page.get_by_role("button", name="axis -1").focus()
    page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text("Axis -2: A has 5, B has no such axis, which counts as 1.")
    expect(page.get_by_role("button", name="axis -2")).to_be_focused()
    page.locator(".shapes .size").nth(1).hover()
    expect(said).to_contain_text("Axis -1")


def test_the_shapes_stand_under_each_other_from_the_right(page):
    table = page.get_by_role("table", name="Shapes, aligned from the right")
    assert table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(1).map(cell => cell.textContent))"
    ) == [["5", "1 → 4"], ["none → 5", "4"], ["5", "4"], ["stretch B", "stretch A"]]


def test_what_grew_is_said(page):
    cells, warning = page.locator(".note").all_text_contents()
    assert cells == "5 cells and 4 cells go in, 20 cells come out."
    assert "the result is larger than either" in warning


def test_every_slice_of_four_axes_can_be_chosen(show):
    images = torch.arange(48).reshape(2, 3, 2, 4)
    bias = torch.tensor([10, 20, 30]).reshape(3, 1, 1)
    page = show(explore.broadcast(images, bias))
    for n, channel in product(range(2), range(3)):
        for axis, index in ((0, n), (1, channel)):
            picker = page.get_by_role("group", name=f"axis {axis}")
            picker.get_by_role("radio", name=str(index)).check()
        assert rows(grids(page)[2]) == in_rows((images - bias)[n, channel])
        cell(grids(page)[2], 1, 3).hover()
        expect(told(page)).to_contain_text(f"images[{n}, {channel}, 1, 3] - bias[{channel}, 0, 0]")


def test_shapes_that_do_not_fit_show_pytorchs_message(show):
    scores, mean = torch.zeros(4, 3), torch.zeros(4)
    with pytest.raises(RuntimeError) as raised:
        scores - mean
    page = show(explore.broadcast(scores, mean))
    expect(page.locator(".raised")).to_have_text(f"RuntimeError: {raised.value}")
    expect(page.locator(".shapes .clash")).to_have_text(["3", "4"])
    expect(page.locator(".note").last).to_contain_text("mean.unsqueeze(1) has shape (4, 1)")
    assert page.get_by_role("grid").count() == 0


def test_an_operation_that_pytorch_refuses_shows_its_message(show):
    seen, wanted = torch.tensor([True, False]), torch.tensor([True])
    page = show(explore.broadcast(seen, wanted))
    expect(page.get_by_role("radio", name="seen + wanted")).to_be_checked()
    page.get_by_role("radio", name="seen - wanted").check()
    expect(page.locator(".raised")).to_contain_text("with two bool tensors is not supported")
    expect(grids(page)[2]).to_be_hidden()


def test_a_corner_of_a_large_result_counts_what_is_left_out(show):
    rows_, columns = torch.randn(1000, 1), torch.randn(784)
    result = grids(show(explore.broadcast(rows_, columns)))[2]
    assert rows(result)[:5] == in_rows(rows_[:5] - columns[:5])
    expect(result.get_by_role("columnheader").last).to_have_text("779 more")
    expect(result.get_by_text("995 more rows")).to_be_visible()


def test_a_result_without_cells_says_so(show):
    page = show(explore.broadcast(torch.zeros(0, 3), torch.zeros(3)))
    expect(page.locator(".note")).to_have_text("0 cells and 3 cells go in, 0 cells come out.")


def test_single_values_meet(show):
    page = show(explore.broadcast(torch.tensor(2.0), torch.tensor(3)))
    expect(told(page)).to_contain_text("2.0 - 3 = -1.0")
