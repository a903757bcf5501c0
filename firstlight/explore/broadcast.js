// explore.broadcast: the shapes aligned from the right, then every cell of the result and the two
// cells that feed it.

import { choice, el, rove, status } from "./frame.js";
import {
  GRID_CSS, count, firstPoint, flat, indexed, sentence, slicePickers, tensorGrid, tuple,
} from "./grid.js";

const CSS = `
.shapes { border-collapse: separate; border-spacing: 4px; margin: 0 0 0.25rem; }
.shapes th { font-weight: 400; text-align: center; white-space: nowrap; }
.shapes th[scope="row"] {
  max-width: 16rem; padding-right: 0.6rem; text-align: left; white-space: normal;
}
.shapes button {
  padding: 0.1rem 0.5rem; border: 0; border-radius: 6px; background: none; color: var(--muted);
  cursor: pointer;
}
.shapes [data-here] button { background: var(--accent); color: var(--on-accent); font-weight: 600; }
.shapes .size {
  min-width: 4.2rem; padding: 0.25rem 0.5rem; border: 1.5px solid var(--line);
  border-radius: 8px; background: var(--wash); font-family: var(--mono); text-align: center;
  white-space: nowrap;
}
.shapes .stretch {
  border: 1.5px dashed var(--amber);
  background: repeating-linear-gradient(135deg, var(--hatch) 0 1.5px, transparent 1.5px 7px);
}
.shapes .plain { background: none; }
.shapes th code { white-space: nowrap; }
.shapes .verdict {
  max-width: 7rem; color: var(--muted); font-size: 0.85em; line-height: 1.3; text-align: center;
  vertical-align: top;
}
.shapes .verdict.loud { color: var(--amber); font-weight: 650; }
.shapes [data-here].size { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.shapes .size.clash {
  border: 2px solid var(--amber); box-shadow: 0 0 0 1px var(--amber); background: var(--glow);
  font-weight: 700;
}
@media (max-width: 34rem) {
  .shapes th[scope="row"] { max-width: 6.5rem; }
  .shapes tr > :first-child { position: sticky; left: 0; background: var(--paper); }
  .shapes .size { min-width: 3.4rem; padding: 0.25rem 0.3rem; }
}
.said { min-height: 1.5em; margin: 0.25rem 0 0; }
.rule { margin: 1.1rem 0; border: 0; border-top: 1px solid var(--line); }
.growth {
  display: grid; grid-template-columns: auto minmax(4rem, 18rem) auto; gap: 0.15rem 0.7rem;
  align-items: center; justify-content: start; margin: 0 0 0.6rem;
}
.growth i {
  display: block; height: 0.6rem; min-width: 3px; border-radius: 3px; background: var(--accent);
}
.growth .out { background: var(--amber); }
.note { margin: 0.4rem 0; }
.warn {
  padding: 0.5rem 0.8rem; border-left: 4px solid var(--amber); border-radius: 4px 8px 8px 4px;
  background: var(--glow);
}
.raised { margin: 0 0 0.5rem; font-family: var(--mono); font-size: 0.9em; overflow-wrap: anywhere; }
.growth + .warn { margin-bottom: 0.9rem; }
.controls code { font-size: 0.88em; }
.picture { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.9rem 0.5rem; }
.term { display: flex; align-items: center; gap: 0.5rem; min-width: 0; max-width: 100%; }
.term figure { min-width: 0; margin: 0; }
.term figcaption { padding-left: 3px; font-size: 0.85rem; line-height: 1.4; }
.term figcaption span { display: block; color: var(--muted); }
.term .sign {
  width: 1.4rem; padding-top: 3.4rem; color: var(--muted); font: 600 1.15rem var(--mono);
  text-align: center;
}
.legend {
  display: flex; align-items: center; gap: 0.5rem; margin: 0.6rem 0 0; color: var(--muted);
  font-size: 0.85rem;
}
.legend.hatched::before {
  content: ""; flex: none; width: 1.6rem; height: 1.1rem; border: 1px dashed var(--muted);
  border-radius: 5px;
  background: repeating-linear-gradient(135deg, var(--hatch) 0 1px, transparent 1px 5px);
}
`;

export default function render(root, data, tools) {
  tools.style(GRID_CSS + CSS);
  const [shapes, said] = shapeTable(data);
  root.append(shapes, said, el("hr", { class: "rule" }));
  shapes.scrollLeft = shapes.scrollWidth;  // the comparison begins at the right
  if (data.error) root.append(clash(data));
  else if (data.result.numel === 0) root.append(...data.notes.map(paragraph));
  else root.append(growth(data), cellPicture(data));
}

const code = (text, kind = null) => el("code", { class: kind }, text);
const paragraph = (text) => el("p", { class: "note" }, text);

// ---- The shapes, axis under axis ----

function shapeTable({ operands, axes, result }) {
  const { element: said, say } = status({ class: "said" });
  const columns = axes.map(() => []);  // every element that belongs to an axis
  const point = (column) => {
    columns.forEach((elements, other) => {
      elements.forEach((element) => element.toggleAttribute("data-here", other === column));
    });
    say(axes[column].sentence);
  };
  const row = (head, cells) => {
    cells.forEach((cell, column) => {
      columns[column].push(cell);
      cell.addEventListener("pointerenter", () => point(column));
    });
    return el("tr", {}, head, cells);
  };
  const buttons = axes.map(({ axis }) => el("button", { type: "button" }, `axis ${axis}`));
  const lines = [
    ...operands.map((operand, which) =>
      row(operandName(operand), axes.map((axis) => sizeCell(axis, which)))),
    row(resultName(result), axes.map((axis) => box("size plain", axis.result ?? "✕"))),
    row(el("td"), axes.map(verdictCell)),
  ];
  const head = row(el("td"), buttons.map((button) => el("th", { scope: "col" }, button)));
  const table = el("table", { class: "shapes", "aria-label": "Shapes, aligned from the right" },
    el("thead", {}, head), el("tbody", {}, lines));
  if (!axes.length) say("Neither has an axis: one value meets one value.");
  else rove([buttons], { onPoint: (_, column) => point(column) }).point(0, axes.length - 1);
  return [el("div", { class: "scroll" }, table), said];
}

function operandName({ label, source, shape }) {
  return el("th", { scope: "row" },
    el("b", {}, code(label)), source && [" = ", code(source)], " ", code(tuple(shape), "muted"));
}

function resultName(result) {
  return el("th", { scope: "row" }, "result ", code(result ? tuple(result.shape) : "none", "muted"));
}

const box = (kind, text) => el("td", { class: kind }, `${text}`);

function sizeCell({ sizes, result, stretched }, which) {
  const size = sizes[which];
  if (result === null && size !== null) return box("size clash", size);
  if (stretched[which] || size === null) return box("size stretch", `${size ?? "none"} → ${result}`);
  return box("size", size);
}

function verdictCell({ verdict, result, stretched }) {
  const loud = result === null || stretched.includes(true);
  return box(`verdict ${loud ? "loud" : ""}`, verdict);
}

// ---- Shapes that do not fit ----

function clash({ error, notes }) {
  return el("div", { class: "warn" }, el("p", { class: "raised" }, error), notes.map(paragraph));
}

// ---- How many cells go in and come out ----

function growth({ operands, result, notes }) {
  const most = Math.max(result.numel, ...operands.map(({ numel }) => numel));
  const bar = (label, numel, kind) => [
    code(label),
    el("span", {}, el("i", { class: kind, style: `width: ${(100 * numel) / most}%` })),
    el("span", {}, count(numel)),
  ];
  return el("div", {},
    paragraph(notes[0]),
    el("div", { class: "growth", "aria-hidden": "true" },
      operands.map(({ label, numel }) => bar(label, numel, "in")), bar("result", result.numel, "out")),
    notes.slice(1).map((note) => el("p", { class: "note warn" }, note)));
}

// ---- The values, cell by cell ----

function cellPicture({ operands, axes, result }) {
  const { operators, shape, shown } = result;
  const state = {
    outcome: operators.find(({ error }) => !error) ?? operators[0],
    on: "result",  // which grid is pointed at: 0, 1 or "result"
    index: firstPoint(shown),
  };
  const { element: told, say } = status({ class: "told" });
  const sources = operands.map((operand, which) => reader(operand, which, axes, shown));
  const grid = (on, label) => tensorGrid({ label, shape, shown, onPoint: (index) => {
    Object.assign(state, { on, index });
    explain();
  } });
  const inputs = operands.map(({ label }, which) => grid(which, `${label}, as it is broadcast`));
  const output = grid("result", "the result");
  const grids = [...inputs, output];
  const parts = picture(operands, result, grids);
  const explain = () => {
    grids.forEach((each, which) => each.mark((index) => markOf(state, sources, which, index)));
    say(...explanation(state, operands, sources, axes, shown));
  };
  const paint = () => {
    const { cells } = state.outcome;
    inputs.forEach((each, which) => each.paint(sources[which].look));
    if (cells) output.paint((index) => ({ text: cells[flat(index, shown)] }));
    parts.show(state.outcome);
    explain();
  };
  const operation = choice({
    label: "operation",
    options: operators.map(({ sign }) => (
      { value: sign, label: code(sign), name: expression(operands, sign) })),
    value: state.outcome.sign,
    onChange: (sign) => {
      state.outcome = operators.find((outcome) => outcome.sign === sign);
      paint();
    },
  });
  const pickers = slicePickers(shape, shown, (axis, at) => {
    grids.forEach(({ slice }) => { slice[axis] = at; });
    state.index[axis] = at;
    paint();
  });
  grids.forEach(({ point }) => point(state.index));  // the result last: it is what is explained
  paint();
  const controls = el("div", { class: "controls" }, operation, pickers);
  return el("div", { class: "stage" }, controls, parts.element, legend(axes, result), told);
}

const expression = ([first, second], sign) => `${first.label} ${sign} ${second.label}`;

function legend(axes, { rounded }) {
  const stretched = axes.some((axis) => axis.stretched.includes(true));
  return [
    stretched && el("p", { class: "legend hatched" }, "Not in memory: a cell that is used again."),
    rounded && el("p", { class: "legend" }, rounded),
  ];
}

// What an operand gives to each cell of the result: its index there, its text, and whether that
// cell has been used before.
function reader({ label, shape, cells }, which, axes, shown) {
  const missing = axes.length - shape.length;
  const used = axes.map(({ stretched }) => stretched[which]);
  const sizes = shape.map((size, axis) => Math.min(size, shown[missing + axis]));
  const own = (index) => index.map((at, axis) => (used[axis] ? 0 : at)).slice(missing);
  const again = (index) => index.some((at, axis) => at > 0 && used[axis]);
  const text = (index) => cells[flat(own(index), sizes)];
  const look = (index) => (again(index)
    ? { text: text(index), kind: "copy", spoken: `${text(index)}, used again` }
    : { text: text(index) });
  const same = (index, other) => `${own(index)}` === `${own(other)}`;
  return { own, again, text, look, same, name: (index) => indexed(label, own(index)) };
}

// "here": what is pointed at; "kin": the real cell behind it, or every cell it feeds.
function markOf({ on, index }, sources, which, cell) {
  const isPlace = `${cell}` === `${index}`;
  if (on === "result") {
    if (isPlace) return "here";
    const source = sources[which];
    return source && !source.again(cell) && source.same(cell, index) ? "kin" : "";
  }
  if (isPlace && which === on) return "here";
  const isInput = which < sources.length;
  return sources[on].same(cell, index) && (!isInput || which === on) ? "kin" : "";
}

function explanation({ outcome, on, index }, operands, sources, axes, shown) {
  const { sign, cells } = outcome;
  const whole = `(${expression(operands, sign)})`;
  if (on !== "result") return feeding(sources[on], on, index, whole, axes);
  const names = sources.map(({ name }) => name(index));
  const [first, second] = sources.map(({ text }) => text(index));
  const sum = `${first} ${sign} ${second.startsWith("-") ? `(${second})` : second}`;
  const line = [`${indexed(whole, index)} = ${names.join(` ${sign} `)} = ${sum}`];
  if (cells) line.push(" = ", el("b", {}, cells[flat(index, shown)]));
  const again = names.filter((_, which) => sources[which].again(index));
  const meaning = again.length
    ? `${again.join(" and ")} ${again.length > 1 ? "are" : "is"} used again here.`
    : "Both are used here for the first time.";
  return sentence(line, meaning);
}

function feeding(source, which, index, whole, axes) {
  const fed = index.map((at, axis) => (axes[axis].stretched[which] ? ":" : at));
  const times = axes.map(({ result, stretched }) => (stretched[which] ? result : 1));
  const cells = times.reduce((product, size) => product * size, 1);
  return sentence(`${source.name(index)} = ${source.text(index)} feeds ${indexed(whole, fed)}`,
    `${count(cells)} ${cells === 1 ? "cell" : "cells"} of the result, from one cell in memory.`);
}

// The three grids in a line; show(outcome) writes what stands around them.
function picture(operands, { shape }, grids) {
  const captions = grids.map(() => el("figcaption"));
  const signs = ["", "", "="].map((sign) => el("span", { class: "sign", "aria-hidden": "true" }, sign));
  const terms = grids.map(({ element }, which) => el("div", { class: "term" }, signs[which],
    el("figure", {}, captions[which], el("div", { class: "scroll" }, element))));
  const caption = (which, name, facts) => {
    captions[which].replaceChildren(el("b", {}, code(name)), el("span", {}, facts));
  };
  const refused = el("p", { class: "warn raised" });
  operands.forEach((operand, which) => {
    const read = `${operand.shape}` === `${shape}` ? "" : ` read as ${tuple(shape)}`;
    caption(which, operand.label, `${tuple(operand.shape)}${read}, ${operand.dtype}`);
  });
  const show = ({ sign, dtype, bytes, error = "" }) => {
    signs[1].textContent = sign;
    terms[2].hidden = Boolean(error);
    refused.hidden = !error;
    refused.textContent = error;
    caption(2, expression(operands, sign), `${tuple(shape)}, ${dtype}, ${bytes}`);
  };
  return { element: el("div", { class: "picture" }, terms, refused), show };
}
