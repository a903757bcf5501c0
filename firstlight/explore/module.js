// explore.module: what `__init__` registered, as a tree; what `forward` ran, as a tree of calls; and
// beside them what is to be said of the line selected.

import { choice, el } from "./frame.js";
import { TREE_CSS, tree } from "./module_tree.js";

const CSS = `
.counts { display: flex; flex-wrap: wrap; gap: 0.6rem 2rem; margin: 0 0 0.9rem; }
.counts > div { min-width: 5.5rem; }
.counts dt { color: var(--muted); font-size: 0.85rem; white-space: nowrap; }
.counts dd { margin: 0; font-size: 1.3rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.counts dd + dd { color: var(--muted); font-size: 0.8rem; font-weight: 400; }
.counts .loud dt, .counts .loud dd { color: var(--amber); }
.counts .none dd { color: var(--muted); font-weight: 400; }
.whole { white-space: nowrap; }
.said { margin: 0 0 0.4rem; }
.warn {
  margin: 0.8rem 0; padding: 0.55rem 0.8rem; border-left: 4px solid var(--amber);
  border-radius: 4px 8px 8px 4px; background: var(--glow);
}
ul.warn { list-style: none; }
.warn p, .warn li { margin: 0.35rem 0; }
.warn li + li { margin-top: 0.6rem; }
.warn > :first-child { margin-top: 0; }
.warn > :last-child { margin-bottom: 0; }
.link {
  padding: 0; border: 0; background: none; color: inherit; font-weight: 650; text-align: left; cursor: pointer;
  text-decoration: underline dotted; text-underline-offset: 0.2em;
}
.link:hover { color: var(--accent); }
.raised, .source { font-family: var(--mono); font-size: 0.88em; overflow-wrap: anywhere; }
.raised { white-space: pre-wrap; font-weight: 600; }
.source { padding-left: 0.8rem; color: var(--muted); }
.axes { border-collapse: separate; border-spacing: 4px; margin: 0.3rem 0 0.5rem -4px; }
.axes th { padding-right: 0.6rem; font-weight: 400; text-align: left; white-space: nowrap; }
.axes .size {
  min-width: 3.6rem; padding: 0.15rem 0.5rem; border: 1.5px solid var(--line); border-radius: 8px;
  background: var(--paper); font-family: var(--mono); font-size: 0.9em; text-align: center;
}
.axes .any { color: var(--muted); font-family: inherit; border-style: dashed; }
.axes .clash { border: 2px solid var(--amber); font-weight: 700; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.2rem; margin: 1rem 0 0.6rem; }
.plain { border: 1px solid var(--line); border-radius: 8px; background: none; padding: 0.2rem 0.7rem; cursor: pointer; }
.plain:hover { border-color: var(--accent); background: var(--wash); }
.sized { container-type: inline-size; }
.panes { display: grid; gap: 0.9rem 1.4rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
.name { font-weight: 650; overflow-wrap: anywhere; }
.type { margin-left: 0.5rem; color: var(--muted); }
.op .name { font-weight: 400; }
.what { min-width: 0; }
.order { display: inline-block; min-width: 1.7rem; color: var(--muted); font-size: 0.85em; }
.tag {
  display: inline-block; margin-left: 0.4rem; padding: 0 0.45rem; border: 1px solid var(--line);
  border-radius: 99px; color: var(--muted); font-size: 0.76rem; line-height: 1.45; white-space: nowrap;
}
.tag.loud { border-color: var(--amber); color: var(--amber); font-weight: 600; }
.shapes { font-family: var(--mono); font-size: 0.8125rem; text-align: right; }
.shapes i { color: var(--muted); font-style: normal; }
.shapes b { color: var(--amber); }
.tree .numbers { grid-template-columns: minmax(6rem, 1fr) minmax(0, auto) 5.2rem; }
.many { text-align: right; font-size: 0.9em; }
.many i { display: block; height: 3px; min-width: 3px; margin-left: auto; border-radius: 2px; background: var(--accent); }
.outside .many i { background: var(--amber); }
.many.zero { color: var(--muted); }
.outside .name { text-decoration: underline dashed var(--amber) 1.5px; text-underline-offset: 0.22em; }
.head {
  display: grid; grid-template-columns: minmax(0, 1fr) auto; column-gap: 1rem; padding: 0 0.8rem 0.15rem;
  color: var(--muted); font-size: 0.8rem;
}
.head.numbers { grid-template-columns: minmax(0, 1fr) auto 5.2rem; }
.head > :not(:first-child) { text-align: right; }
.detail { padding: 0.7rem 0.9rem; border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
.detail p { margin: 0 0 0.45rem; }
.detail > :last-child { margin-bottom: 0; }
.detail .extra { color: var(--muted); font-family: var(--mono); font-size: 0.85em; overflow-wrap: anywhere; }
.flow { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0.1rem 0.8rem; margin: 0 0 0.5rem; }
.flow dt { color: var(--muted); }
.flow dd { margin: 0; overflow-wrap: anywhere; }
.flow dd span { color: var(--muted); }
.held { border-collapse: collapse; font-size: 0.9em; font-variant-numeric: tabular-nums; margin-bottom: 0.5rem; }
.held th { padding: 0 0.9rem 0.1rem 0; color: var(--muted); font-weight: 400; text-align: left; white-space: nowrap; }
.held td { padding: 0.12rem 0.9rem 0.12rem 0; border-top: 1px solid var(--line); white-space: nowrap; }
.held .last { white-space: normal; }
.held .right { text-align: right; }
.legend { margin: 0.7rem 0 0; color: var(--muted); font-size: 0.85rem; }
@container (min-width: 56rem) {
  .panes { grid-template-columns: minmax(0, 1.55fr) minmax(0, 1fr); }
  .detail { position: sticky; top: 0.5rem; }
}
@container (max-width: 34rem) {
  .tree [role="treeitem"], .tree .numbers { grid-template-columns: minmax(0, 1fr) auto; }
  .tree { max-height: 27rem; }
  .shapes { grid-column: 1 / -1; grid-row: 2; text-align: left; }
  .head, .head.numbers { display: none; }
  .held thead { display: none; }
  .held tr { display: grid; grid-template-columns: 1fr auto auto; border-top: 1px solid var(--line); padding: 0.2rem 0; }
  .held td { border: 0; padding: 0 0 0 0.9rem; }
  .held td:first-child, .held .last { padding-left: 0; }
  .held .last { grid-column: 1 / -1; color: var(--muted); }
  .held { width: 100%; }
  .counts { display: grid; grid-template-columns: repeat(3, auto); justify-content: start; }
}
`;

const ALL_OPEN = 32;  // rows: as many are seen at first, where the levels of the tree allow it

export default function render(root, data, tools) {
  tools.style(TREE_CSS + CSS);
  const { rows, steps, error } = data;
  const detail = el("div", { class: "detail", role: "group", "aria-label": "The line selected" });
  const views = {
    tree: treeView(data, (row) => detail.replaceChildren(...partDetail(data, row, open))),
    run: runView(data, (step) => detail.replaceChildren(...stepDetail(data, step, open))),
  };
  let shown = null;
  const pick = choice({
    label: "show",
    options: [{ value: "tree", label: "what is registered" }, { value: "run", label: "the run" }],
    value: error ? "run" : "tree",
    onChange: (view) => show(view),
  });
  const show = (view) => {
    for (const [name, { element }] of Object.entries(views)) element.hidden = name !== view;
    shown = views[view];
    shown.tree.select(shown.place);
  };
  // Go to a line of either view, from wherever it is named.
  function open(view, place) {
    pick.querySelector(`[value="${view}"]`).checked = true;
    show(view);
    views[view].tree.select(place, true);
  }
  const every = (to) => () => shown.tree.openAll(to);
  const folds = Math.max(rows.length, steps.length) > ALL_OPEN / 2 && el("span", { class: "folds" },
    el("button", { type: "button", class: "plain", onclick: every(true) }, "open all"), " ",
    el("button", { type: "button", class: "plain", onclick: every(false) }, "close all"));
  root.classList.add("sized");
  root.append(
    countList(data), ...data.sentences.map((text) => el("p", { class: "said" }, prose(text))),
    data.unregistered.length ? el("ul", { class: "warn" }, data.unregistered.map(({ row, sentence }) => (
      el("li", {}, prose(sentence, row !== null && (() => open("tree", row))))))) : "",
    error ? errorBox(data, open) : "",
    el("div", { class: "controls" }, pick, folds || ""),
    el("div", { class: "panes" }, el("div", {}, views.tree.element, views.run.element), detail),
    el("p", { class: "legend" }, `Tensors are ${data.usual} where no dtype is written.`));
  const begin = [({ registered }) => !registered, isLoud, ({ holds }) => holds.length]
    .map((asked) => rows.findIndex(asked)).find((place) => place >= 0);
  views.tree.tree.select(begin ?? 0);
  views.run.tree.select(error ? error.step : 0);
  show(error ? "run" : "tree");
}

const count = (number) => number.toLocaleString("en-US");
const counted = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
const isLoud = ({ registered, tags }) => !registered || tags.some(([, loud]) => loud);

// A sentence, with what stands between backticks as code; the first such name can lead somewhere.
function prose(text, onFirst) {
  return text.split("`").map((part, place) => {
    if (place % 2 === 0) return unbroken(part);
    const code = el("code", {}, part);
    return place === 1 && onFirst
      ? el("button", { type: "button", class: "link", onclick: onFirst }, code) : code;
  });
}

// A text whose shapes stay in one line each.
function unbroken(text) {
  return text.split(/(\([\d, ]+\))/).map((part, place) => (place % 2 ? el("span", { class: "whole" }, part) : part));
}

function countList({ counts }) {
  return el("dl", { class: "counts" }, counts.map(([word, number, of, loud]) => (
    el("div", { class: loud ? "loud" : number === "0" ? "none" : "" },
      el("dt", {}, word), el("dd", {}, number), of && el("dd", {}, of)))));
}

// ---- Where the run stopped ----

function errorBox({ error }, open) {
  return el("div", { class: "warn", role: "group", "aria-label": "The error" },
    el("p", {}, prose(error.where, () => open("run", error.step))),
    error.line && el("p", { class: "source" }, error.line),
    el("p", { class: "raised" }, error.message),
    error.misfits.map(({ sentence, rows, clash }) => [
      el("p", {}, prose(sentence)), rows.length > 0 && axes(rows, clash)]));
}

// Shapes under each other, axis under axis from the right; the axes that clash are marked.
function axes(rows, clash) {
  const most = Math.max(...rows.map(([, sizes]) => sizes.length));
  const size = (text, axis) => el("td", {
    class: `size ${text === "any" ? "any" : ""} ${clash.includes(axis) ? "clash" : ""}`,
  }, text);
  return el("div", { class: "scroll" }, el("table", { class: "axes" }, el("tbody", {},
    rows.map(([name, sizes]) => el("tr", {}, el("th", { scope: "row" }, name),
      Array.from({ length: most - sizes.length }, () => el("td")),
      sizes.map((text, place) => size(text, place - sizes.length)))))));
}

// ---- The tree of what is registered ----

function treeView(data, onSelect) {
  const { rows } = data;
  const most = Math.max(1, ...rows.map((row) => row.count));
  const begins = beginsOpen(rows, isLoud);
  const view = { place: 0 };
  view.tree = tree({
    label: "What is registered",
    rows: rows.map((row, place) => ({
      parent: row.parent, loud: isLoud(row), open: begins[place],
      kind: `numbers ${row.registered ? "" : "outside"}`,
      label: partSpoken(data, row),
      cells: [what(row.name, row.type, row.tags), shapes(...partShapes(data, row)), numbers(row, most)],
    })),
    onSelect: (place) => { view.place = place; onSelect(place); },
  });
  view.element = el("div", {}, el("div", { class: "head numbers", "aria-hidden": "true" },
    ["name and class", "input → output", "parameters"].map((text) => el("span", {}, text))),
  view.tree.element);
  return view;
}

// Which rows begin open: level by level as long as not too many rows are seen, and what is special.
function beginsOpen(rows, isSpecial) {
  const level = [];
  rows.forEach(({ parent }, place) => { level[place] = parent === null ? 0 : level[parent] + 1; });
  let depth = 1;
  while (depth < Math.max(...level) && level.filter((each) => each <= depth + 1).length <= ALL_OPEN) depth += 1;
  const open = level.map((each) => each < depth);
  rows.filter(isSpecial).forEach(({ parent }) => {
    for (let up = parent; up !== null; up = rows[up].parent) open[up] = true;
  });
  return open;
}

function what(name, type, tags) {
  return el("span", { class: "what" }, el("code", { class: "name" }, name),
    type && el("span", { class: "type" }, type),
    tags.map(([text, loud]) => el("span", { class: `tag ${loud ? "loud" : ""}` }, text)));
}

const value = (seen, usual) => seen.text + (!seen.dtype || seen.dtype === usual ? "" : ` ${seen.dtype}`);

function shapes(given, gives) {
  return el("span", { class: "shapes" }, unbroken(given), gives && [" ", el("i", {}, "→"), " ",
    gives === "✗" ? el("b", {}, gives) : unbroken(gives)]);
}

function partShapes({ steps, usual }, { calls, holds, kind }) {
  if (kind === "tensor") return [holds[0].shape];
  return calls.length ? stepShapes(steps[calls[0]], usual) : [""];
}

function stepShapes({ given, gives, failed }, usual) {
  return [given.map((seen) => value(seen, usual)).join(", "),
    failed ? "✗" : gives ? value(gives, usual) : "…"];
}

function numbers({ kind, count: number, same }, most) {
  const text = kind === "tensor" && !number ? "" : same !== null ? `(${count(number)})` : count(number);
  const bar = number > 0 && same === null && el("i", { style: `width: ${100 * number / most}%` });
  return el("span", { class: `many ${number ? "" : "zero"}` }, text, bar);
}

function partSpoken(data, row) {
  const [given, gives] = partShapes(data, row);
  const flow = gives === "✗" ? `${given}, error` : gives ? `${given} to ${gives}` : given;
  const amount = row.kind !== "tensor" || row.count ? counted(row.count, "parameter") : "";
  const outside = row.registered || row.tags.length ? "" : "not registered";
  return [row.name, row.type, outside, ...row.tags.map(([text]) => text), flow, amount].filter(Boolean).join(", ");
}

function partDetail(data, place, open) {
  const row = data.rows[place];
  return [
    heading(row.path, row.type),
    row.extra && el("p", { class: "extra" }, row.extra),
    row.calls.length > 0 && callList(data, row.calls, open),
    heldTable(row, data.usual),
    sums(data, row, place),
    row.notes.map((note) => el("p", {}, prose(note))),
  ].flat().filter(Boolean);
}

const heading = (name, type) => el("p", {}, el("b", {}, el("code", {}, name)),
  type && el("span", { class: "type" }, type));

function callList({ steps, usual }, calls, open) {
  const shown = calls.slice(0, 6);
  const more = calls.length - shown.length;
  return el("dl", { class: "flow" },
    shown.map((place) => {
      const [given, gives] = stepShapes(steps[place], usual);
      const { number } = steps[place];
      return [el("dt", {}, el("button", { type: "button", class: "link", onclick: () => open("run", place) },
        number ? `step ${number}` : "the run")), el("dd", {}, shapes(given, gives))];
    }), more > 0 && [el("dt", {}, ""), el("dd", {}, `and ${counted(more, "more call")}`)]);
}

function heldTable({ holds }, usual) {
  if (!holds.length) return null;
  const head = ["own", "shape", "numbers", "what it is"].map((text) => el("th", { scope: "col" }, text));
  return el("div", { class: "scroll" }, el("table", { class: "held" },
    el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, holds.map(({ name, shape, count: number, dtype, says }) => el("tr", {},
      el("td", {}, el("code", {}, name)), el("td", {}, el("code", {}, shape)),
      el("td", { class: "right" }, count(number)), el("td", { class: "last" }, dtype === usual ? says : `${says}, ${dtype}`))))));
}

function sums({ rows }, row, place) {
  const above = rows.some(({ parent }) => parent === place);
  if (row.kind === "tensor" || (!above && row.holds.length < 2) || !row.count) return null;
  const amount = `${counted(row.count, "parameter")} in ${counted(row.tensors, "tensor")}`;
  const whole = above ? "With all below it: " : "Together: ";
  if (!row.registered) return el("p", {}, `${whole}${amount}, not registered.`);
  const trains = row.trains === row.count ? "all trainable"
    : row.trains ? `${count(row.trains)} trainable, ${count(row.count - row.trains)} frozen` : "all frozen";
  return el("p", {}, `${whole}${amount}, ${trains}.`);
}

// ---- The run ----

function runView(data, onSelect) {
  const { steps, error, usual } = data;
  const begins = beginsOpen(steps, ({ failed }) => failed);
  const view = { place: 0 };
  view.tree = tree({
    label: "What forward ran",
    rows: steps.map((step, place) => ({
      parent: step.parent, open: begins[place], loud: step.stranger || place === error?.step,
      kind: step.type ? "" : "op", label: stepSpoken(step, usual),
      cells: [stepWhat(step, place, error), shapes(...stepShapes(step, usual))],
    })),
    onSelect: (place) => { view.place = place; onSelect(place); },
  });
  view.element = el("div", {}, el("div", { class: "head", "aria-hidden": "true" },
    ["calls and operations, in order", "input → output"].map((text) => el("span", {}, text))),
  view.tree.element,
  data.moreSteps > 0 && el("p", { class: "legend" }, `… and ${counted(data.moreSteps, "more step")}.`));
  return view;
}

function stepWhat({ number, name, type, failed, stranger }, place, error) {
  const tags = error?.step === place ? [["the error", true]] : failed && !error ? [["raised, and caught", false]] : [];
  if (stranger) tags.push(["not in the model", true]);
  return [el("span", { class: "what" },
    number > 0 && el("span", { class: "order" }, `${number}`),
    ...what(name, type, tags).childNodes)];
}

function stepSpoken(step, usual) {
  const [given, gives] = stepShapes(step, usual);
  const flow = `${given || "nothing"} ${gives === "✗" ? "gives an error" : `to ${gives}`}`;
  return [step.name, step.type, step.number && `step ${step.number}`, flow].filter(Boolean).join(", ");
}

function stepDetail(data, place, open) {
  const { steps, rows, error, usual } = data;
  const step = steps[place];
  const row = step.row === null ? null : rows[step.row];
  const given = step.given.map((seen) => el("dd", {}, el("code", {}, value(seen, "")),
    seen.from && [" from ", el("code", {}, seen.from)]));
  const gives = step.failed ? `${error ? error.message.split(":")[0] : "an error"}` : step.gives && el("code", {}, value(step.gives, ""));
  return [
    heading(step.name, step.type),
    row?.extra && el("p", { class: "extra" }, row.extra),
    el("dl", { class: "flow" },
      el("dt", {}, "gets"), given.length ? given.map((each, at) => (at ? [el("dt"), each] : each)) : el("dd", {}, "no tensor"),
      el("dt", {}, "gives"), el("dd", {}, gives || "nothing"),
      step.line && [el("dt", {}, "in"), el("dd", {}, el("code", {}, step.line))]),
    row && heldTable(row, usual),
    row && el("p", {}, el("button", { type: "button", class: "link", onclick: () => open("tree", step.row) },
      "Show it in the tree")),
  ].flat().filter(Boolean);
}
