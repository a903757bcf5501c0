// A tensor as a table of values: the last axis runs to the right, the one before it down, and of
// every axis before those one index is shown at a time.

import { choice, el, rove } from "./frame.js";

export const GRID_CSS = `
.grid {
  border-collapse: separate; border-spacing: 3px; font-family: var(--mono); font-size: 0.8125rem;
  font-variant-numeric: tabular-nums;
}
.grid th {
  padding: 0 0.3rem; color: var(--muted); font-weight: 400; font-size: 0.75rem;
  text-align: center; white-space: nowrap;
}
.grid .cell {
  min-width: 2.1rem; height: 1.8rem; padding: 0 0.35rem; border: 1px solid var(--line);
  border-radius: 6px; background: var(--wash); text-align: right; white-space: nowrap;
  cursor: default;
}
.grid .more { color: var(--muted); text-align: center; }
.grid .copy {
  border-style: dashed; border-color: var(--muted); color: var(--muted);
  background: repeating-linear-gradient(135deg, var(--hatch) 0 1px, transparent 1px 7px);
}
.grid .cell[data-mark="kin"] {
  border: 2px solid var(--amber); padding: 0 calc(0.35rem - 1px); color: var(--ink);
  font-weight: 650;
}
.grid .cell[data-mark="here"] {
  border: 2px solid var(--accent); padding: 0 calc(0.35rem - 1px); background: var(--accent);
  color: var(--on-accent); font-weight: 650;
}
.grid .copy[data-mark="here"] {
  border-style: dashed; background: transparent; color: var(--accent);
}
.cell { scroll-margin: 1rem 1rem 7rem; }  /* so that a focused one is not under the sentence */
.grid .cell:focus-visible { outline-offset: 1px; border-radius: 7px; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; margin: 0 0 0.9rem; }
.told { margin: 0.8rem 0 0; padding: 0.55rem 0.8rem; border: 1px solid var(--line); border-radius: 8px; }
/* While a cell is pointed at, what is said of it stays in sight: a phone's height may lie between. */
.stage:has(.grid:hover, .row:hover, .cell:focus) > .told {
  position: sticky; bottom: 0.5rem; z-index: 2; background: var(--paper);
  box-shadow: 0 0.5rem 0 var(--paper);
}
.told .line { font-family: var(--mono); font-size: 0.92em; overflow-wrap: anywhere; }
.told .line b { color: var(--accent); }
.told .why { display: block; color: var(--muted); }
`;

// Draw a tensor of this shape, of which `shown` indices of each axis are on show.
// onPoint(index) is called for the cell that is focused or under the pointer. Returns
//   element      the table
//   slice        the index on show for each leading axis; change it, then paint
//   paint(look)  fills each cell: look(index) -> { text, kind: "copy" or "", spoken }
//   mark(sign)   marks each cell: sign(index) -> "here", "kin" or ""
//   point(index) moves the keyboard's place to a cell on show
export function tensorGrid({ label, shape, shown, onPoint }) {
  const depth = shape.length;
  const slice = shape.slice(0, -2).map(() => 0);
  const [height, width] = [shown[depth - 2] ?? 1, shown[depth - 1] ?? 1];
  const box = () => el("td", { class: "cell", role: "gridcell" });
  const cells = range(height).map(() => range(width).map(box));
  const indexOf = (row, column) => [...slice, row, column].slice(-depth || Infinity);
  const each = (visit) => cells.forEach((line, row) => {
    line.forEach((cell, column) => visit(cell, indexOf(row, column)));
  });
  const keys = rove(cells, { onPoint: (row, column) => onPoint(indexOf(row, column)) });
  return {
    element: table(label, shape, cells),
    slice,
    paint: (look) => each((cell, index) => {
      const { text, kind = "", spoken } = look(index);
      cell.textContent = text;
      cell.className = `cell ${kind}`;
      if (spoken) cell.setAttribute("aria-label", spoken);
      else cell.removeAttribute("aria-label");
    }),
    mark: (sign) => each((cell, index) => { cell.dataset.mark = sign(index); }),
    point: (index) => keys.point(index[depth - 2] ?? 0, index[depth - 1] ?? 0),
  };
}

// One choice for each leading axis that has more than one index.
export function slicePickers(shape, shown, onChange) {
  const part = (axis) => `, the first ${shown[axis]} of ${count(shape[axis])}`;
  const leading = range(Math.max(0, shape.length - 2)).filter((axis) => shape[axis] > 1);
  return leading.map((axis) => choice({
    label: `axis ${axis}${shown[axis] < shape[axis] ? part(axis) : ""}`,
    options: range(shown[axis]).map((index) => ({ value: index, label: `${index}` })),
    value: 0,
    onChange: (index) => onChange(axis, index),
  }));
}

// Where a picture begins: beside the corner, where a copy or a stride already shows.
export function firstPoint(shown) {
  return shown.map((size, axis) => (axis < shown.length - 2 ? 0 : Math.min(size - 1, 1)));
}

// The position in a row-major list of the cell at `index`.
export function flat(index, sizes) {
  return index.reduce((position, at, axis) => position * sizes[axis] + at, 0);
}

// `x[2, 0]`, as Python writes it; a tensor without axes has no index.
export function indexed(label, index) {
  const gap = label.includes(" ") && !/[)\]]$/.test(label) ? " " : "";  // "tensor 1 [2, 0]"
  return index.length ? `${label}${gap}[${index.join(", ")}]` : label;
}

// `(5, 1)`, `(5,)`, `()`: as Python writes a shape.
export const tuple = (sizes) => `(${sizes.join(", ")}${sizes.length === 1 ? "," : ""})`;

export const count = (number) => number.toLocaleString("en-US");

export const range = (length) => Array.from({ length }, (_, index) => index);

// The sentence under a picture: a line in the language of the code, and what it means.
export function sentence(line, meaning) {
  return [el("span", { class: "line" }, line), el("span", { class: "why" }, meaning)];
}

function table(label, shape, cells) {
  const depth = shape.length;
  const moreRows = (shape[depth - 2] ?? 1) - cells.length;
  const moreColumns = (shape[depth - 1] ?? 1) - cells[0].length;
  const head = [
    depth > 1 && el("td"),
    cells[0].map((_, column) => el("th", { scope: "col" }, `${column}`)),
    moreColumns > 0 && el("th", { scope: "col" }, `${count(moreColumns)} more`),
  ];
  const rows = cells.map((line, row) => el("tr", {},
    depth > 1 && el("th", { scope: "row" }, `${row}`), line,
    moreColumns > 0 && el("td", { class: "more" }, "…")));
  if (moreRows > 0) {
    rows.push(el("tr", {}, el("th", { scope: "row" }, "⋮"),
      el("td", { class: "more", colspan: cells[0].length }, `${count(moreRows)} more rows`)));
  }
  return el("table", { class: "grid", role: "grid", "aria-label": label },
    depth > 0 && el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
