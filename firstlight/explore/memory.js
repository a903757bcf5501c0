// explore.memory: each storage as a row of cells, under it the tensors that read it, and between
// them one rule: cell = offset + i·stride + j·stride.

import { choice, el, rove, status } from "./frame.js";
import {
  GRID_CSS, count, firstPoint, flat, indexed, sentence, slicePickers, tensorGrid, tuple,
} from "./grid.js";

const CSS = `
.storage + .storage { margin-top: 1.4rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
.sentence { margin: 0 0 0.6rem; }
.row {
  border-collapse: separate; border-spacing: 3px 2px; font-family: var(--mono);
  font-size: 0.8125rem; font-variant-numeric: tabular-nums;
}
.row th {
  padding: 0 0.25rem; color: var(--muted); font-weight: 400; font-size: 0.75rem;
  white-space: nowrap;
}
.row th[scope="row"] {
  position: sticky; left: 0; z-index: 1; max-width: 9rem; padding-right: 0.5rem;
  background: var(--paper); text-align: left; overflow: hidden; text-overflow: ellipsis;
}
.row .name { color: var(--ink); font-weight: 650; }
.row td {
  min-width: 2.4rem; height: 1.5rem; padding: 0 0.3rem; border-radius: 5px; text-align: center;
  white-space: nowrap;
}
.row .cell {
  height: 1.9rem; border: 1.5px solid var(--line); background: var(--wash); cursor: default;
}
.row .reads { color: var(--muted); font-size: 0.72rem; box-shadow: inset 0 0 0 1px var(--line); }
.row .gap {
  border: 1px dashed var(--line); background: none; color: var(--muted); font-size: 0.72rem;
}
.row .cell[data-mark="kin"] { border: 2px solid var(--amber); font-weight: 650; }
.row .cell[data-mark="here"] {
  border: 2px solid var(--accent); background: var(--accent); color: var(--on-accent);
  font-weight: 650;
}
.row .reads[data-mark="kin"] {
  box-shadow: inset 0 0 0 2px var(--amber); color: var(--ink); font-weight: 650;
}
.row .reads[data-mark="here"] {
  box-shadow: none; background: var(--accent); color: var(--on-accent); font-weight: 650;
}
.tensors { display: flex; flex-wrap: wrap; gap: 1.1rem 1.75rem; margin-top: 0.9rem; }
.tensor { width: min-content; min-width: min(100%, 12.5rem); max-width: 100%; }
.tensor p { margin: 0; }
@media (max-width: 34rem) { .tensor { width: 100%; } }
.tensor .facts, .tensor .notes { color: var(--muted); font-size: 0.85rem; line-height: 1.45; }
.tensor .facts { margin-bottom: 0.25rem; }
.tensor .notes { margin: 0.35rem 0 0; padding: 0; list-style: none; }
.tensor .rule { font-family: var(--mono); font-size: 0.8125rem; }
.tag {
  margin-left: 0.4rem; padding: 0.05rem 0.45rem; border: 1px solid var(--line);
  border-radius: 99px; color: var(--muted); font-size: 0.78rem; white-space: nowrap;
}
.tag.loud { border-color: var(--amber); color: var(--amber); font-weight: 600; }
`;

export default function render(root, data, tools) {
  tools.style(GRID_CSS + CSS);
  const pictures = data.storages.map(storagePicture);
  const shows = choice({
    label: "in the tensors, show",
    options: [{ value: "values", label: "values" }, { value: "cells", label: "cell numbers" }],
    value: "values",
    onChange: (what) => pictures.forEach(({ show }) => show(what)),
  });
  root.append(el("div", { class: "controls" }, shows), ...pictures.map(({ element }) => element));
  pictures.forEach(({ begin }) => begin());
}

// One storage: its row of cells, its tensors, and what is said about the cell pointed at.
function storagePicture(storage) {
  const cells = storage.row.filter(({ gap }) => !gap).map(({ cell }) => cell);
  const { element: told, say } = status({ class: "told" });
  const point = (spot) => {  // { cells: [first, after], view, index } or { cells } alone
    row.mark(spot);
    tensors.forEach(({ mark }) => mark(spot));
    say(...(spot.view ? elementSaid(storage, cells, spot) : cellSaid(storage, cells, spot)));
  };
  const row = cellRow(storage, cells, point);
  const tensors = storage.views.map((view) => tensorPicture(view, point));
  const start = storage.views.find(({ elements }) => elements.length);
  return {
    element: el("div", { class: "storage stage", role: "group", "aria-label": `Storage ${storage.number}` },
      el("p", { class: "sentence" }, storage.sentence),
      cells.length > 0 && el("div", { class: "scroll" }, row.element),
      el("div", { class: "tensors" }, tensors.map(({ element }) => element)), start && told),
    show: (what) => tensors.forEach(({ show }) => show(what)),
    begin: () => start && point(spotOf(start, firstPoint(start.shown))),
  };
}

// ---- The rule: where an element lies ----

function address({ offset, steps }, index) {
  return index.reduce((cell, at, axis) => cell + at * steps[axis], offset);
}

function spotOf(view, index) {
  const first = address(view, index);
  return { cells: [first, first + view.width], view, index };
}

const overlap = ([first, after], [otherFirst, otherAfter]) => first < otherAfter && otherFirst < after;

// ---- The row of cells, and below it a lane for each tensor: which element reads the cell ----

function cellRow({ number, row, values, views }, cells, point) {
  const boxes = cells.map((_, at) => el("td", { class: "cell", role: "gridcell" }, values[at]));
  const lanes = views.map(({ readers }) => readers.map(laneCell));
  const numbers = cells.map((cell) => heading(`${cell}`, "col"));
  const names = views.map(({ label }) => heading(label, "row", "name"));
  const gapBox = (gap) => el("td", { class: "gap" }, `${count(gap)} more`);
  const label = `The cells of storage ${number}`;
  const table = el("table", { class: "row", role: "grid", "aria-label": label },
    el("thead", {}, line(row, heading("cell"), numbers, () => el("td", {}, "…"))),
    el("tbody", {}, line(row, heading("value"), boxes, gapBox),
      lanes.map((lane, which) => line(row, names[which], lane, () => el("td")))));
  rove([boxes], { onPoint: (_, at) => point({ cells: [cells[at], cells[at] + 1] }) });
  const mark = (spot) => cells.forEach((cell, at) => {
    const hit = overlap(spot.cells, [cell, cell + 1]);
    boxes[at].dataset.mark = !hit ? "" : spot.view ? "kin" : "here";
    lanes.forEach((lane, which) => {
      const reads = hit && lane[at].textContent;
      lane[at].dataset.mark = !reads ? "" : views[which] === spot.view ? "here" : "kin";
    });
    if (hit && spot.view) scrollTo(table, boxes[at]);
  });
  return { element: table, mark };
}

// One line of the table: a heading, then an entry for each cell and, between them, for each gap.
function line(row, head, entries, gapEntry) {
  let at = 0;
  return el("tr", {}, head, row.map(({ gap }) => (gap ? gapEntry(gap) : entries[at++])));
}

function heading(text, scope = "row", kind = null) {
  return el("th", { scope, class: kind, title: kind && text }, text);
}

function laneCell(indices) {
  return el("td", { class: indices.length ? "reads" : "" }, laneText(indices));
}

function laneText(indices) {
  const more = indices.length > 1 ? ` +${indices.length - 1}` : "";
  return indices.length ? `${indices[0].join(", ") || "()"}${more}` : "";
}

// Bring a cell of the row into sight, and leave the page where it is.
function scrollTo(table, box) {
  const frame = table.parentElement;
  if (!frame) return;
  const names = table.querySelector("th").offsetWidth;
  const [left, right] = [box.offsetLeft - names, box.offsetLeft + box.offsetWidth];
  if (left < frame.scrollLeft) frame.scrollLeft = left - 8;
  else if (right > frame.scrollLeft + frame.clientWidth) frame.scrollLeft = right - frame.clientWidth + 8;
}

// ---- A tensor that reads the storage ----

function tensorPicture(view, point) {
  const { label, shape, shown, elements } = view;
  if (!elements.length) return { element: tensorCard(view), mark: () => {}, show: () => {} };
  let what = "values";
  let spot = null;
  const onPoint = (index) => point(spotOf(view, index));
  const grid = tensorGrid({ label, shape, shown, onPoint });
  const mark = (to) => {
    spot = to;
    grid.mark((index) => {
      if (spot.view === view && `${index}` === `${spot.index}`) return "here";
      return overlap(spot.cells, spotOf(view, index).cells) ? "kin" : "";
    });
  };
  const paint = () => grid.paint((index) => ({
    text: what === "values" ? elements[flat(index, shown)] : `${address(view, index)}`,
  }));
  const pickers = slicePickers(shape, shown, (axis, at) => {
    grid.slice[axis] = at;
    paint();
    mark(spot);
  });
  paint();
  return {
    element: tensorCard(view, pickers, el("div", { class: "scroll" }, grid.element)),
    mark,
    show: (name) => { what = name; paint(); },
  };
}

function tensorCard(view, ...picture) {
  const { label, source, dtype, device, contiguous, formula, notes } = view;
  const facts = [`shape ${tuple(view.shape)}`, `stride ${tuple(view.stride)}`];
  facts.push(`offset ${view.storage_offset}`, dtype);
  if (device !== "cpu") facts.push(`on ${device}`);
  const tag = contiguous ? { kind: "", text: "contiguous" } : { kind: "loud", text: "not contiguous" };
  return el("div", { class: "tensor" },
    el("p", {},
      el("b", {}, el("code", {}, label)), source && [" = ", el("code", {}, source)],
      el("span", { class: `tag ${tag.kind}` }, tag.text)),
    el("p", { class: "facts" }, facts.join(", ")),
    el("p", { class: "rule" }, formula),
    picture,
    el("ul", { class: "notes" }, notes.map((note) => el("li", {}, note))));
}

// ---- What is said about the element or the cell pointed at ----

function elementSaid({ views }, cells, { view, index, cells: [first, after] }) {
  const name = indexed(view.label, index);
  const value = view.elements[flat(index, view.shown)];
  const sum = [view.offset, ...index.map((at, axis) => `${at}·${view.steps[axis]}`)].join(" + ");
  const place = after - first === 1 ? `cell ${first}` : `cells ${first} to ${after - 1}`;
  const others = readersOf(views, cells, [first, after]).filter((other) => other !== name);
  return sentence([`${name} = ${value} is at ${index.length ? `${sum} = ` : ""}`, el("b", {}, place)],
    others.length ? `Also read by ${listed(others)}.` : "Nothing else here reads it.");
}

function cellSaid({ values, views }, cells, { cells: [cell] }) {
  const readers = readersOf(views, cells, [cell, cell + 1]);
  return sentence([el("b", {}, `cell ${cell}`), ` = ${values[cells.indexOf(cell)]}`],
    readers.length ? `Read by ${listed(readers)}.` : "No tensor here reads it.");
}

// The elements that read some of these cells, each once, as `x[2, 0]`.
function readersOf(views, cells, [first, after]) {
  const names = new Set();
  views.forEach(({ label, readers }) => cells.forEach((cell, at) => {
    if (cell >= first && cell < after) readers[at].forEach((index) => names.add(indexed(label, index)));
  }));
  return [...names];
}

function listed(names) {
  const first = names.slice(0, 6);
  if (names.length > first.length) first.push(`${count(names.length - first.length)} more`);
  return first.length > 1 ? `${first.slice(0, -1).join(", ")} and ${first[first.length - 1]}` : first[0];
}
