// explore.graph: the graph autograd recorded, inputs above and the result below. Each step backward
// is one node's turn in the engine: the gradient that reached it, and what it passes on.
//
// data.boxes are the operations, leaves and constants; data.steps the engine's turns on them. A
// tensor is a number: its place in data.tensors. The moment `at` counts turns: 0 is before backward(),
// the first pass ends at steps.length, the second (on the same graph) at twice that.

import { el, status, svg } from "./frame.js";
import { GRAPH_CSS } from "./graph_style.js";

const HALF = { op: 31, leaf: 31, constant: 22, sign: 13 };  // of a box's height
const SCALES = [0.25, 0.35, 0.5, 0.7, 0.85, 1];
const ROOT = 0;  // the result's box: the walk begins there
const MOST_PARTS = 6;  // gradients listed that add up
const MANY = 14;  // boxes: with more of them, a list leads to each

export default function render(root, data, tools) {
  tools.style(GRAPH_CSS);
  root.append(...(data.mode === "graph" ? explorer(data, tools) : summary(data)));
  root.querySelector(".pane")?.dispatchEvent(new Event("shown"));
}

// ---- What is too large to draw, or has no graph ----

function summary({ sentences, kinds, leaves }) {
  const most = Math.max(1, ...kinds.map(([, , number]) => number));
  const bar = (number) => el("i", { style: `width: ${(100 * number) / most}%` });
  const rows = kinds.map(([op, name, number]) => el("tr", {},
    el("th", { scope: "row" }, name), el("td", {}, el("code", {}, op)),
    el("td", { class: "bar", "aria-hidden": "true" }, bar(number)), el("td", {}, count(number))));
  return [
    sentences.map((text) => el("p", { class: "said" }, marked(text))),
    rows.length > 0 && el("table", { class: "kinds", "aria-label": "Operations by kind" }, el("tbody", {}, rows)),
    leaves.length > 0 && [el("p", { class: "label" }, "Leaves, where gradients land"),
      el("ul", { class: "leaves" }, leaves.map((leaf) => el("li", {}, leaf)))],
  ].flat(Infinity).filter(Boolean);
}

// ---- The graph and its steps ----

function explorer(data, tools) {
  const turns = data.steps.length;
  const last = data.second ? 2 * turns : turns;
  const state = { at: 0, here: ROOT };
  const told = status({ class: "told" });
  const panel = el("div", { class: "panel", tabindex: "0", role: "group", "aria-label": "The chosen node" });
  const picture = drawing(data, tools, choose);
  const controls = makeControls(data, last, go);
  const paint = () => {
    const moment = momentOf(data, state.at);
    picture.paint(moment, state.here);
    controls.paint(state.at);
    panel.replaceChildren(...details(data, moment, state.here, picture.focus));
  };
  function choose(box) {
    state.here = box;
    paint();
    picture.reveal(box);
  }
  function go(at) {
    state.at = Math.max(0, Math.min(last, at));
    const moment = momentOf(data, state.at);
    if (moment.step) state.here = moment.step.node;
    told.say(...saying(data, moment));
    paint();
    picture.reveal(moment.step ? moment.step.node : ROOT);
    panel.scrollTop = 0;
  }
  told.say(...saying(data, momentOf(data, 0)));
  paint();
  return [
    data.notes.map((note) => el("p", { class: "warn" }, marked(note))),
    controls.element, told.element,
    el("div", { class: "stage", style: `--tall: ${data.size[1] + 24}px` }, picture.element, panel),
    data.rounded && el("p", { class: "small" }, data.rounded),
  ].flat().filter(Boolean);
}

// A box in a sentence: `w`, `#3 (×)`, `pred (@)`.
const spoken = ({ sign, label }) => (sign ? `${label} (${sign})` : label);

// Everything that holds after `at` turns: which pass, whose turn it was, what has arrived where.
function momentOf({ steps, boxes }, at) {
  const pass = at ? Math.floor((at - 1) / steps.length) : 0;
  const turn = at - pass * steps.length;
  const done = new Set();
  const arrived = boxes.map(() => 0);
  const parts = boxes.map(() => []);
  steps.slice(0, turn).forEach(({ node, passes, error }) => {
    if (!error) done.add(node);
    passes.forEach(({ to, gradient }) => {
      arrived[to] += 1;
      if (gradient !== null) parts[to].push([node, gradient]);
    });
  });
  if (turn) {
    arrived[ROOT] += 1;
    parts[ROOT] = steps[0].parts;
  }
  const step = turn ? steps[turn - 1] : null;
  const landed = (box) => pass + (done.has(box) ? 1 : 0);  // how often the leaf's .grad got its gradient
  return { at, pass, turn, step, done, arrived, parts, landed };
}

function saying({ steps, second, label, boxes }, { at, pass, turn, step }) {
  if (!at) {
    return steps.length === 1 && steps[0].error
      ? [`${spoken(boxes[ROOT])}: backward() cannot take its first step.`]
      : ["Forward: the values. ", el("span", { class: "why" }, `Each press goes one node back, from ${label} to the leaves.`)];
  }
  const where = `${pass ? "Second pass, step" : "Step"} ${turn} of ${steps.length}: `;
  const end = turn === steps.length && !step.error && (pass ? " Two passes, and each leaf has its gradient twice."
    : second && " The pass is over. A second one, as after backward(retain_graph=True), adds the same gradients again.");
  return [el("b", {}, where), step.lines[pass] ?? step.lines[0], end && el("span", { class: "why" }, end)].filter(Boolean);
}

// A button that does nothing now keeps the focus, so it is not `disabled`.
const turnOn = (button, on) => button.setAttribute("aria-disabled", String(!on));
const isOn = (button) => button.getAttribute("aria-disabled") !== "true";

function makeControls({ steps, second }, last, go) {
  let at = 0;
  const button = (text, kind, move) => el("button", {
    type: "button", class: kind, onclick: (event) => isOn(event.currentTarget) && go(move()),
  }, text);
  const back = button("Back", "plain", () => at - 1);
  const next = button("Step backward", "next", () => at + 1);
  const end = button("To the end", "plain", () => (at < steps.length ? steps.length : last));
  const slider = el("input", { type: "range", min: 0, max: last, value: 0, "aria-label": "step", oninput: () => go(Number(slider.value)) });
  const where = el("span", { class: "where" });
  const paint = (to) => {
    at = to;
    slider.value = at;
    const pass = at > steps.length ? ", second pass" : "";
    const turn = at > steps.length ? at - steps.length : at;
    where.textContent = `${turn} of ${steps.length}${pass}`;
    slider.setAttribute("aria-valuetext", at ? `step ${where.textContent}` : "before backward()");
    next.textContent = second && at === steps.length ? "Second pass" : "Step backward";
    turnOn(back, at > 0);
    turnOn(next, at < last);
    turnOn(end, at < last);
  };
  return { paint, element: el("div", { class: "controls" }, next, back, end,
    el("label", { class: "slide" }, slider, where)) };
}

// ---- The drawing ----

function drawing(data, tools, choose) {
  const { boxes, edges, size: [width, height] } = data;
  const buttons = boxes.map((box, number) => boxButton(data, box, () => choose(number)));
  const ports = portsOf(data);
  const lines = edges.map((edge, place) => edgeLine(data, edge, ports[place]));
  const signs = edges.filter(({ sign }) => sign).map((edge) => signOf(data, edge, choose));
  const sheet = el("div", { class: "sheet", style: `width: ${width}px; height: ${height}px` },
    svg("svg", { width, height, "aria-hidden": "true" }, lines.map(({ element }) => element)), signs,
    buttons.map(({ element }) => element));
  const room = el("div", { class: "room" }, sheet);
  const pane = el("div", { class: "pane", role: "group", "aria-label": "The graph: inputs above, the result below" }, room);
  const zoom = zooming(pane, room, sheet, data);
  const jump = boxes.length > MANY && jumpList(boxes, choose);
  pane.addEventListener("keydown", (event) => followKey(data, buttons, event));
  let focusable = 0;
  const paint = (moment, here) => {
    buttons.forEach(({ paint: each, element }, number) => {
      each(moment);
      element.setAttribute("aria-current", String(number === here));
    });
    lines.forEach(({ paint: each }) => each(moment));
    buttons[focusable].element.tabIndex = -1;
    buttons[here].element.tabIndex = 0;
    focusable = here;
  };
  const reveal = (box) => bringIntoSight(pane, boxes[box], zoom.scale(), tools.reducedMotion());
  pane.addEventListener("shown", () => { zoom.begin(); bringIntoSight(pane, boxes[ROOT], zoom.scale(), true); });
  return {
    element: el("div", { class: "graph" }, pane, el("div", { class: "view" }, zoom.element, jump || null)),
    paint, reveal,
    focus: (box) => buttons[box].element.focus({ preventScroll: true }),
  };
}

function boxButton(data, box, onclick) {
  const { kind, sign, label, named, results, x, y, width } = box;
  const [first] = results;
  const grad = el("span", { class: "number" });
  const shape = first.shape && first.shape.length > 0 && results.length === 1 && el("span", { class: "shape" }, tuple(first.shape));
  const element = el("button", {
    type: "button", class: `box ${kind}`, tabindex: "-1", onclick, onfocus: onclick,
    style: `left: ${x - width / 2}px; top: ${y - HALF[kind]}px; width: ${width}px; height: ${2 * HALF[kind]}px`,
  },
  el("span", { class: "head" }, sign && el("span", { class: "sign" }, sign), " ",
    el("span", { class: named ? "name own" : "name" }, kind === "constant" && !named ? "constant" : label), " ", shape),
  el("span", { class: "row" }, el("i", {}, "value "), el("span", { class: "number" }, briefly(data, results, "value"))),
  kind !== "constant" && el("span", { class: "row grad" }, el("i", {}, kind === "leaf" ? ".grad " : "grad "), grad));
  const number = data.boxes.indexOf(box);
  const paint = (moment) => {
    element.dataset.state = stateOf(box, number, moment);
    grad.textContent = kind === "leaf" ? leafGrad(data, box, moment.landed(number)) : opGrad(data, box, number, moment);
  };
  return { element, paint };
}

// "now": its turn is the last one taken; "done"; "ready" or "part": gradients have come, all or some.
function stateOf({ fan }, number, { step, done, arrived }) {
  if (step?.node === number) return step.error ? "error" : "now";
  if (done.has(number)) return "done";
  return !arrived[number] ? "" : arrived[number] < fan ? "part" : "ready";
}

function opGrad(data, { fan }, number, { arrived }) {
  if (!arrived[number]) return "";
  if (arrived[number] < fan) return `${arrived[number]} of ${fan} here`;
  const step = data.steps.find(({ node }) => node === number);
  return step ? shortly(data, step.arriving) : "";
}

function leafGrad(data, { grads }, landed) {
  return grads[landed] === null ? "None" : shortly(data, [grads[landed]]);
}

const briefly = (data, results, key) => shortly(data, results.map((result) => result[key]));

// One number, or the first of many; "–" where nothing is known.
function shortly(data, numbers) {
  const [first] = numbers.filter((number) => number !== null);
  if (first === undefined) return "–";
  const { cells, shape } = data.tensors[first];
  const more = numbers.length > 1 || shape.some((size) => size !== 1);
  return cells.length ? `${cells[0]}${more ? " …" : ""}` : "empty";
}

// Where each edge enters the box it feeds: as near below its source as there is room.
function portsOf({ boxes, edges }) {
  const ports = edges.map(() => 0);
  boxes.forEach(({ x, width }, box) => {
    const mine = [...edges.keys()].filter((place) => edges[place].to === box)
      .sort((a, b) => edges[a].points[1][0] - edges[b].points[1][0]);
    const reach = width / 2 - 18;
    const gap = Math.min(18, (2 * reach) / Math.max(1, mine.length - 1));
    mine.forEach((place, rank) => {
      const low = rank ? ports[mine[rank - 1]] + gap : x - reach;
      const high = x + reach - gap * (mine.length - 1 - rank);
      ports[place] = Math.max(low, Math.min(high, edges[place].points[1][0]));
    });
  });
  return ports;
}

// An edge, drawn from the box above (its source) down to the box it feeds.
function edgeLine({ boxes }, { to, from, points, sign }, x) {
  const y = points[0][1] - HALF[boxes[to].kind] - 1;
  const stops = points.slice(1, -1).reverse().flatMap(([px, py]) => [[px, py - 30], [px, py + 30]]);
  const [topX, topY] = points[points.length - 1];
  const top = [topX, topY + (sign ? HALF.sign : HALF[boxes[from].kind])];
  let path = `M${top}`;
  [top, ...stops].forEach(([ax, ay], index, all) => {
    const [bx, by] = all[index + 1] ?? [x, y - 5];
    const middle = (ay + by) / 2;
    path += `C${ax},${middle} ${bx},${middle} ${bx},${by}`;
  });
  path += `v5`;
  const forward = svg("path", { class: "forward", d: `M${x - 4},${y - 7}h8l-4,7z` });
  const backward = svg("path", { class: "backward", d: `M${top[0] - 5},${top[1] + 9}h10l-5,-8z` });
  const element = svg("g", { class: "edge" }, svg("path", { class: "line", d: path }), forward, backward);
  const paint = ({ done, step }) => {
    const carries = boxes[from].kind !== "constant" && done.has(to);
    element.setAttribute("class", `edge ${boxes[from].kind} ${carries ? (step.node === to ? "flow" : "gone") : ""}`);
  };
  return { element, paint };
}

// Where a long edge begins again: the name of the box it comes from.
function signOf({ boxes }, { from, points }, choose) {
  const [x, y] = points[1];
  return el("span", { class: "from", "aria-hidden": "true", style: `left: ${x - 39}px; top: ${y - HALF.sign}px`,
    onclick: () => choose(from) }, `↑ ${boxes[from].label}`);
}

function zooming(pane, room, sheet, { size: [width, height] }) {
  let place = SCALES.length - 1;
  const set = (to) => {
    const middle = (pane.scrollTop + pane.clientHeight / 2) / SCALES[place];
    place = Math.max(0, Math.min(SCALES.length - 1, to));
    const scale = SCALES[place];
    sheet.style.transform = `scale(${scale})`;
    room.style.width = `${width * scale}px`;
    room.style.height = `${height * scale}px`;
    pane.scrollTop = middle * scale - pane.clientHeight / 2;
    turnOn(smaller, place > 0);
    turnOn(larger, place < SCALES.length - 1);
    said.textContent = `${Math.round(100 * scale)} %`;
  };
  const said = el("span", { class: "muted", role: "status" });
  const button = (sign, name, by) => el("button", { type: "button", class: "plain", "aria-label": name, onclick: () => set(place + by) }, sign);
  const smaller = button("−", "Smaller", -1);
  const larger = button("+", "Larger", 1);
  const begin = () => set(SCALES.length - (width > pane.clientWidth && 0.85 * width <= pane.clientWidth ? 2 : 1));
  return { begin, scale: () => SCALES[place], element: el("span", { class: "zoom" }, smaller, larger, said) };
}

function jumpList(boxes, choose) {
  const order = [...boxes.keys()].sort((a, b) => boxes[b].named - boxes[a].named);
  const select = el("select", { "aria-label": "Go to a node", onchange: () => {
    if (select.value) choose(Number(select.value));
    select.value = "";
  } }, el("option", { value: "" }, "go to …"),
  order.map((number) => el("option", { value: number }, spoken(boxes[number]))));
  return select;
}

// Up to an input, down to where a value is used, left and right among neighbours; Home is the result.
function followKey({ boxes }, buttons, event) {
  const number = buttons.findIndex(({ element }) => element === event.target);
  if (number < 0) return;
  const { x, y } = boxes[number];
  const others = [...boxes.keys()].filter((other) => other !== number);
  const sides = { ArrowLeft: -1, ArrowRight: 1 };
  const candidates = {
    ArrowUp: boxes[number].inputs,
    ArrowDown: others.filter((other) => boxes[other].inputs.includes(number)),
    ArrowLeft: others.filter((other) => boxes[other].y === y && boxes[other].x < x),
    ArrowRight: others.filter((other) => boxes[other].y === y && boxes[other].x > x),
    Home: [ROOT],
  }[event.key];
  if (!candidates) return;
  event.preventDefault();
  event.stopPropagation();  // a notebook has arrow keys of its own
  const far = (other) => (sides[event.key] ? Math.abs(boxes[other].x - x) : Math.abs(boxes[other].x - x) + Math.abs(boxes[other].y - y));
  const [nearest] = [...candidates].sort((a, b) => far(a) - far(b));
  if (nearest !== undefined) buttons[nearest].element.focus({ preventScroll: true });
}

// Scroll inside the pane, and leave the page where it is. A far place is reached at once.
function bringIntoSight(pane, { x, y }, scale, atOnce) {
  const margin = 90;
  const want = (middle, from, room) => (middle - margin < from || middle + margin > from + room ? middle - room / 2 : from);
  const left = want(x * scale, pane.scrollLeft, pane.clientWidth);
  const top = want(y * scale, pane.scrollTop, pane.clientHeight);
  const far = Math.abs(top - pane.scrollTop) > pane.clientHeight;
  pane.scrollTo({ left, top, behavior: atOnce || far ? "auto" : "smooth" });
}

// ---- What is said of one node; lead(box) goes to another ----

function details(data, moment, number, lead) {
  const box = data.boxes[number];
  const step = data.steps.find(({ node }) => node === number);
  const title = el("p", { class: "which" }, box.sign && el("span", { class: "sign" }, box.sign), " ", el("code", {}, box.label),
    el("span", { class: "muted" }, { op: ` ${box.op}`, leaf: " leaf", constant: " constant" }[box.kind]));
  const because = data.sentences[box.because];
  const parts = [title, because && el("p", { class: "because" }, because)];
  if (box.kind === "leaf") parts.push(values(data, box), waiting(data, box, moment, number, lead), landing(data, box, moment, number, step, lead));
  else if (box.kind === "op") parts.push(arrival(data, box, moment, number, step, lead), values(data, box));
  else parts.push(values(data, box));
  return parts.flat(Infinity).filter(Boolean);
}

function values(data, { results }) {
  return results.map(({ value, from, shape, dtype }, place) => {
    const facts = [shape && `shape ${tuple(shape)}`, dtype].filter(Boolean).join(", ");
    return section(results.length > 1 ? `value ${place}` : "value", "value", facts,
      value === null ? null : table(data.tensors[value]), el("p", { class: "small" }, data.sentences[from]));
  });
}

function arrival(data, box, { arrived, done, step: turn, parts }, number, step, lead) {
  if (!arrived[number]) return section("gradient", "grad", "", el("p", {}, "None has arrived yet."));
  if (arrived[number] < box.fan || !step) {
    return section("gradient", "grad", "", sum(data, parts[number], lead),
      el("p", {}, `${arrived[number]} of ${box.fan} have arrived. The node waits for all of them, since they add up.`));
  }
  const taken = done.has(number) || turn?.node === number;
  return [
    section("gradient", "grad", "", step.arriving.map((gradient, slot) => [
      step.arriving.length > 1 && el("p", { class: "small" }, `for its result ${slot}`),
      gradient === null ? el("p", {}, "none") : table(data.tensors[gradient])]),
      step.parts.length > 1 && sum(data, step.parts, lead)),
    taken && step.error && section("backward() stops here", "grad", "", el("p", { class: "raised" }, step.error)),
    taken && !step.error && section("passes on", "pass", "", step.passes.map((each) => passed(data, step, each, lead)),
      el("p", { class: "small" }, data.sentences[box.after])),
    !taken && el("p", { class: "small" }, "All of it has arrived. Its turn comes soon: of the nodes that are ready, the one recorded last goes first."),
  ];
}

// The gradients that add up at a node, and who sent each.
function sum(data, parts, lead) {
  if (parts.length === 1 && parts[0][0] === null) return null;
  const more = parts.length - MOST_PARTS;
  return el("ul", { class: "parts" }, parts.slice(0, MOST_PARTS).map(([sender, gradient]) => el("li", {},
    el("code", {}, inLine(data.tensors[gradient])), " from ", link(data, sender, lead))),
  more > 0 && el("li", {}, `and ${more} more`));
}

function passed(data, { arriving }, { to, formula, numbers, gradient, summed }, lead) {
  const single = gradient !== null && data.tensors[gradient].cells.length === 1;
  const same = gradient === arriving[0];
  const line = [formula, numbers, single && data.tensors[gradient].cells[0]].filter(Boolean);
  const told = line.filter((text, place) => text !== line[place - 1]).join(" = ");
  return el("div", { class: "passed" },
    el("p", {}, "to ", link(data, to, lead), gradient === null ? ": no gradient" : ":"),
    told && el("p", { class: "formula" }, told),
    gradient !== null && !single && (same ? el("p", { class: "small" }, "Unchanged, as above.") : table(data.tensors[gradient])),
    summed && el("p", { class: "small" }, summed));
}

// What has reached a leaf before its turn: it waits until every path has delivered.
function waiting(data, { fan }, { arrived, done, parts }, number, lead) {
  if (!arrived[number] || done.has(number)) return null;
  return section("on its way", "grad", "", sum(data, parts[number], lead),
    el("p", {}, `${arrived[number]} of ${fan} ${fan === 1 ? "has" : "have"} arrived${arrived[number] < fan ? "; the leaf waits for all" : ""}.`));
}

function landing(data, box, { landed }, number, step, lead) {
  const times = landed(number);
  const [now, then] = [box.grads[Math.max(0, times - 1)], box.grads[times]];
  const name = el("code", {}, `${box.label}.grad`);
  if (!times) {
    return section(name, "grad", "", then === null ? el("p", {}, "None: no gradient has landed.") : table(data.tensors[then]),
      then !== null && el("p", { class: "small" }, "It is there already: what arrives will be added to it."));
  }
  const arriving = step?.arriving[0] ?? null;
  if (arriving === null) return section(name, "grad", "", el("p", {}, "No gradient reached it."));
  const added = now === null ? "There was None, so the gradient becomes it." : "The gradient is added to what was there.";
  return section(name, "grad", "",
    step.parts.length > 1 && [el("p", {}, `The gradients of ${step.parts.length} paths add up:`), sum(data, step.parts, lead)],
    now === null ? table(data.tensors[then]) : addition(...[now, arriving, then].map((grad) => data.tensors[grad])),
    el("p", { class: "small" }, added));
}

// What was there, what arrived, and what is there now: in one line, or as tables side by side.
function addition(...terms) {
  if (terms.every(({ cells }) => cells.length === 1)) {
    const [before, added, after] = terms.map(({ cells }) => cells[0]);
    return el("p", { class: "formula" }, `${before} + ${added} = ${after}`);
  }
  const signs = ["", "+", "="];
  return el("div", { class: "addition" }, terms.map((term, place) => [
    el("span", { class: "formula" }, signs[place]), el("div", {}, table(term))]));
}

function section(title, kind, facts, ...content) {
  return el("section", { class: kind }, el("p", { class: "part" }, title, facts && el("span", { class: "muted" }, ` ${facts}`)), content);
}

function link({ boxes }, number, lead) {
  if (number === null) return "the start";
  return el("button", { type: "button", class: "link", onclick: () => lead(number) }, spoken(boxes[number]));
}

// ---- A tensor ----

function table({ shape, shown, cells }) {
  if (!cells.length) return el("p", {}, `empty, ${tuple(shape)}`);
  if (cells.length === 1 && shape.every((size) => size === 1)) return el("p", { class: "single" }, cells[0]);
  const width = shown[shown.length - 1];
  const columns = width < shape[shape.length - 1];
  const rows = [];
  for (let at = 0; at < cells.length; at += width) {
    rows.push(el("tr", {}, cells.slice(at, at + width).map((cell) => el("td", {}, cell)), columns && el("td", { class: "more" }, "…")));
  }
  if (shown.length > 1 && shown[0] < shape[shape.length - 2]) {
    rows.push(el("tr", {}, el("td", { class: "more", colspan: width + (columns ? 1 : 0) }, "⋮")));
  }
  const leading = shape.length > 2 && `[${shape.slice(0, -2).map(() => 0)}] of ${tuple(shape)}`;
  return [
    leading && el("p", { class: "small" }, leading),
    el("table", { class: "cells" }, el("tbody", {}, rows)),
  ];
}

function inLine({ shape, shown, cells }) {
  if (shape.every((size) => size === 1)) return cells[0];
  const whole = shape.length === 1 && shown[0] === shape[0] && cells.length <= 4;
  return whole ? `[${cells.join(", ")}]` : `${tuple(shape)}: ${cells[0]}, …`;
}

// What stands between backticks is code.
const marked = (text) => text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));

// `(5, 1)`, `(5,)`, `()`: as Python writes a shape.
const tuple = (sizes) => `(${sizes.join(", ")}${sizes.length === 1 ? "," : ""})`;

const count = (number) => number.toLocaleString("en-US");
