// explore.broadcast: the shapes aligned from the right, then every cell of the result and the two
// cells that feed it.

import { choice, el, rove, status } from "./frame.js";
import { GRID_CSS, count, firstPoint, flat, indexed, range, slicePickers, tensorGrid, tuple } from "./grid.js";

const CSS = `
.shapes { border-collapse: separate; border-spacing: 4px; margin: 0 0 0.25rem; }
.shapes th { font-weight: 400; text-align: center; white-space: nowrap; }
.shapes th[scope="row"] { max-width: 16rem; padding-right: 0.6rem; text-align: left; white-space: normal; }
.shapes button { padding: 0.1rem 0.5rem; border: 0; border-radius: 6px; background: none; color: var(--muted); cursor: pointer; }
.shapes [data-here] button { background: var(--accent); color: var(--on-accent); font-weight: 600; }
.shapes .size { min-width: 4.2rem; padding: 0.25rem 0.5rem; border: 1.5px solid var(--line); border-radius: 8px; background: var(--wash);
  font-family: var(--mono); text-align: center; white-space: nowrap; }
.shapes .stretch { border: 1.5px dashed var(--amber); background: repeating-linear-gradient(135deg, var(--hatch) 0 1.5px, transparent 1.5px 7px); }
.shapes .result .size { background: none; }
.shapes th code { white-space: nowrap; }
.shapes .verdict { max-width: 7rem; color: var(--muted); font-size: 0.85em; line-height: 1.3; text-align: center; vertical-align: top; }
.shapes .verdict.loud { color: var(--amber); font-weight: 650; }
.shapes [data-here].size { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.shapes .size.clash { border: 2px solid var(--amber); box-shadow: 0 0 0 1px var(--amber); background: var(--glow); font-weight: 700; }
@media (max-width: 34rem) { .shapes th[scope="row"] { max-width: 7rem; } .shapes .size { min-width: 3.4rem; padding: 0.25rem 0.3rem; } }
.said { min-height: 1.5em; margin: 0.25rem 0 0; }
.rule { margin: 1.1rem 0; border: 0; border-top: 1px solid var(--line); }
.growth { display: grid; grid-template-columns: auto minmax(4rem, 18rem) auto; gap: 0.15rem 0.7rem; align-items: center; justify-content: start; margin: 0 0 0.6rem; }
.growth i { display: block; height: 0.6rem; min-width: 3px; border-radius: 3px; background: var(--accent); }
.growth .out { background: var(--amber); }
.note { margin: 0.4rem 0; }
.warn { padding: 0.5rem 0.8rem; border-left: 4px solid var(--amber); border-radius: 4px 8px 8px 4px; background: var(--glow); }
.raised { margin: 0 0 0.5rem; font-family: var(--mono); font-size: 0.9em; overflow-wrap: anywhere; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; margin: 0.9rem 0 0.75rem; }
.controls code { font-size: 0.88em; }
.picture { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.9rem 0.5rem; }
.term { display: flex; align-items: center; gap: 0.5rem; min-width: 0; max-width: 100%; }
.term figure { min-width: 0; margin: 0; }
.term figcaption { padding-left: 3px; font-size: 0.85rem; line-height: 1.4; }
.term figcaption span { display: block; color: var(--muted); }
.term .sign { width: 1.4rem; padding-top: 3.4rem; color: var(--muted); font: 600 1.15rem var(--mono); text-align: center; }
.legend { display: flex; align-items: center; gap: 0.5rem; margin: 0.6rem 0 0; color: var(--muted); font-size: 0.85rem; }
.legend.hatched::before { content: ""; flex: none; width: 1.6rem; height: 1.1rem; border: 1px dashed var(--muted); border-radius: 5px;
  background: repeating-linear-gradient(135deg, var(--hatch) 0 1px, transparent 1px 5px); }
.told { margin: 0.8rem 0 0; padding: 0.55rem 0.8rem; border: 1px solid var(--line); border-radius: 8px; }
.told .line { font-family: var(--mono); font-size: 0.92em; overflow-wrap: anywhere; }
.told .line b { color: var(--accent); }
.told .why { display: block; color: var(--muted); }
`;

export default function render(root, data, tools) {
  tools.style(GRID_CSS + CSS);
  root.append(...shapeTable(data), el("hr", { class: "rule" }));
  if (data.error) root.append(clash(data));
  else if (data.result.numel === 0) root.append(...data.notes.map((note) => el("p", { class: "note" }, note)));
  else root.append(growth(data), ...cellPicture(data));
}

// ---- The shapes, axis under axis ----

function shapeTable({ operands, axes, result }) {
  const { element: said, say } = status({ class: "said" });
  if (!axes.length) say("Neither has an axis: one value meets one value.");
  const columns = axes.map(() => []);  // every element that belongs to an axis
  const at = (column, element) => { columns[column].push(element); return element; };
  const point = (column) => {
    columns.forEach((elements, other) => elements.forEach((element) => element.toggleAttribute("data-here", other === column)));
    say(axes[column].sentence);
  };
  const buttons = axes.map(({ axis }) => el("button", { type: "button", "aria-label": `axis ${axis}` }, `axis ${axis}`));
  const row = (name, kind, cell) => el("tr", { class: kind }, el("th", { scope: "row" }, name), axes.map((axis, column) =>
    at(column, el("td", { class: cell(axis).class, onpointerenter: () => point(column) }, cell(axis).text))));
  const table = el("table", { class: "shapes", "aria-label": "Shapes, aligned from the right" },
    el("thead", {}, el("tr", {}, el("td"), buttons.map((button, column) => at(column, el("th", { scope: "col" }, button))))),
    el("tbody", {},
      operands.map((operand, which) => row(named(operand), "", (axis) => sizeCell(axis, which))),
      row(["result ", el("code", { class: "muted" }, result ? tuple(result.shape) : "none")], "result",
        (axis) => ({ class: "size", text: axis.result === null ? "✕" : `${axis.result}` })),
      row("", "", (axis) => ({ class: `verdict ${/equal|fit/.test(axis.verdict) ? "" : "loud"}`, text: axis.verdict }))));
  if (axes.length) rove([buttons], { onPoint: (_, column) => point(column) }).point(0, axes.length - 1);
  return [el("div", { class: "scroll" }, table), said];
}

function named({ label, source, shape }) {
  return [el("b", {}, el("code", {}, label)), source && [" = ", el("code", {}, source)], " ", el("code", { class: "muted" }, tuple(shape))];
}

function sizeCell({ sizes, result, stretched }, which) {
  const size = sizes[which] ?? "none";
  if (result === null && sizes[which] !== null) return { class: "size clash", text: `${size}` };
  if (stretched[which] || sizes[which] === null) return { class: "size stretch", text: `${size} → ${result}` };
  return { class: "size", text: `${size}` };
}

// ---- Shapes that do not fit ----

function clash({ error, notes }) {
  return el("div", { class: "warn" }, el("p", { class: "raised" }, error), notes.map((note) => el("p", { class: "note" }, note)));
}

// ---- How many cells go in and come out ----

function growth({ operands, result, notes }) {
  const most = Math.max(result.numel, ...operands.map(({ numel }) => numel));
  const bar = (label, numel, kind) => [el("code", {}, label),
    el("span", {}, el("i", { class: kind, style: `width: ${(100 * numel) / most}%` })), el("span", {}, count(numel))];
  return el("div", {},
    el("p", { class: "note" }, notes[0]),
    el("div", { class: "growth", "aria-hidden": "true" },
      operands.map(({ label, numel }) => bar(label, numel, "in")), bar("result", result.numel, "out")),
    notes.slice(1).map((note) => el("p", { class: "note warn" }, note)));
}

// ---- The values, cell by cell ----

function cellPicture({ operands, axes, result }) {
  const state = { outcome: result.operators.find(({ error }) => !error) ?? result.operators[0], on: null, index: null };
  const { element: told, say } = status({ class: "told" });
  const sources = operands.map((operand, which) => reader(operand, which, axes, result.shown));
  const grid = (on, label) => tensorGrid({ label, shape: result.shape, shown: result.shown,
    onPoint: (index) => { Object.assign(state, { on, index }); update(); } });
  const inputs = operands.map(({ label }, which) => grid(which, `${label}, as it is broadcast`));
  const output = grid("result", "the result");
  const grids = [...inputs, output];
  const update = () => {
    grids.forEach((each, which) => each.mark((index) => markOf(state, sources, which, index)));
    say(...explanation(state, operands, sources, axes, result.shown));
  };
  const parts = picture(operands, result, grids);
  const paint = () => {
    inputs.forEach((each, which) => each.paint(sources[which].look));
    parts.show(state.outcome);
    if (!state.outcome.error) output.paint((index) => ({ text: state.outcome.cells[flat(index, result.shown)] }));
    update();
  };
  const operators = choice({ label: "operation", value: state.outcome.sign, onChange: (sign) => {
    state.outcome = result.operators.find((outcome) => outcome.sign === sign);
    paint();
  }, options: result.operators.map(({ sign }) => ({ value: sign, label: el("code", {}, sign),
    name: `${operands[0].label} ${sign} ${operands[1].label}` })) });
  const pickers = slicePickers(result.shape, result.shown, (axis, index) => {
    grids.forEach(({ slice }) => { slice[axis] = index; });
    state.index[axis] = index;
    paint();
  });
  Object.assign(state, { on: "result", index: firstPoint(result.shown) });
  grids.forEach(({ point }) => point(state.index));
  state.on = "result";
  paint();
  const stretched = axes.some((axis) => axis.stretched.includes(true));
  const legend = [
    stretched && el("p", { class: "legend hatched" }, "Not in memory: a cell that is used again."),
    result.rounded && el("p", { class: "legend" }, result.rounded),
  ].filter(Boolean);
  return [el("div", { class: "controls" }, operators, pickers), parts.element, ...legend, told];
}

// What an operand gives to a cell of the result: its index there, whether that is a second use, its text.
function reader({ label, shape, cells }, which, axes, shown) {
  const missing = axes.length - shape.length;
  const own = (index) => index.slice(missing).map((at, axis) => (axes[missing + axis].stretched[which] ? 0 : at));
  const sizes = shape.map((size, axis) => Math.min(size, shown[missing + axis]));
  const again = (index) => index.some((at, axis) => at > 0 && axes[axis].stretched[which]);
  const text = (index) => cells[flat(own(index), sizes)];
  return {
    own, again, text,
    name: (index) => indexed(label, own(index)),
    look: (index) => ({ text: text(index), kind: again(index) ? "copy" : "", spoken: again(index) ? `${text(index)}, used again` : null }),
  };
}

// "here": what is pointed at; "kin": the real cell behind it, or every cell it feeds.
function markOf({ on, index }, sources, which, cell) {
  const same = `${cell}` === `${index}`;
  if (on === "result") {
    if (same) return "here";
    const source = sources[which];
    return source && !source.again(cell) && `${source.own(cell)}` === `${source.own(index)}` ? "kin" : "";
  }
  if (which === on && same) return "here";
  const fed = `${sources[on].own(cell)}` === `${sources[on].own(index)}`;
  return fed && (which === on || which === sources.length) ? "kin" : "";
}

function explanation({ outcome, on, index }, operands, sources, axes, shown) {
  const whole = `(${operands[0].label} ${outcome.sign} ${operands[1].label})`;
  if (on !== "result") return feeding(sources[on], on, index, whole, axes);
  const [names, texts] = [sources.map(({ name }) => name(index)), sources.map(({ text }) => text(index))];
  if (texts[1].startsWith("-")) texts[1] = `(${texts[1]})`;
  const line = [`${indexed(whole, index)} = ${names.join(` ${outcome.sign} `)} = ${texts.join(` ${outcome.sign} `)}`];
  if (!outcome.error) line.push(" = ", el("b", {}, outcome.cells[flat(index, shown)]));
  const again = sources.filter((source) => source.again(index)).map((source) => source.name(index));
  return [el("span", { class: "line" }, line),
    el("span", { class: "why" }, again.length ? `${again.join(" and ")} ${again.length > 1 ? "are" : "is"} used again here.` : "Both are used here for the first time.")];
}

function feeding(source, which, index, whole, axes) {
  const along = axes.filter(({ stretched }) => stretched[which]);
  const fed = index.map((at, axis) => (axes[axis].stretched[which] ? ":" : at));
  const cells = along.reduce((product, { result }) => product * result, 1);
  return [el("span", { class: "line" }, `${source.name(index)} = ${source.text(index)} feeds ${indexed(whole, fed)}`),
    el("span", { class: "why" }, `${count(cells)} ${cells === 1 ? "cell" : "cells"} of the result, from one cell in memory.`)];
}

// The three grids in a line; show(outcome) writes what stands around them.
function picture(operands, result, grids) {
  const captions = grids.map(() => el("figcaption"));
  const signs = ["", "", "="].map((sign) => el("span", { class: "sign", "aria-hidden": "true" }, sign));
  const terms = grids.map(({ element }, which) => el("div", { class: "term" }, signs[which],
    el("figure", {}, captions[which], el("div", { class: "scroll" }, element))));
  const caption = (which, name, facts) => captions[which].replaceChildren(el("b", {}, el("code", {}, name)), el("span", {}, facts));
  const refused = el("p", { class: "warn raised" });
  operands.forEach(({ label, shape, dtype }, which) => {
    const read = `${shape}` === `${result.shape}` ? "" : ` read as ${tuple(result.shape)}`;
    caption(which, label, `${tuple(shape)}${read}, ${dtype}`);
  });
  return {
    element: el("div", { class: "picture" }, terms, refused),
    show: ({ sign, dtype, bytes, error = "" }) => {
      signs[1].textContent = sign;
      terms[2].hidden = Boolean(error);
      refused.hidden = !error;
      refused.textContent = error;
      caption(2, `${operands[0].label} ${sign} ${operands[1].label}`, `${tuple(result.shape)}, ${dtype}, ${bytes}`);
    },
  };
}
