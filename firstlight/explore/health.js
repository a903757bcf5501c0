// explore.health: what stands out in a training, and below it a map: a strip over the steps for each
// layer (or parameter), with one scrubber for all of them.
//
// data: `frames` are the steps on show. Every layer and parameter has columns of numbers at those
// steps, packed as float32: -Infinity stands for None, a plain number for a column that never changes.

import { choice, el } from "./frame.js";
import { decode } from "./images.js";
import { lossPanel } from "./training_curves.js";
import { PLOT_CSS, count } from "./training_plot.js";
import { makeMap } from "./health_map.js";
import { makeScrubber } from "./health_scrub.js";
import { HEALTH_CSS } from "./health_style.js";
import { rowPanel } from "./health_row.js";
import { VIEWS, shown } from "./health_views.js";

export default function render(root, data, tools) {
  tools.style(PLOT_CSS + HEALTH_CSS);
  const story = unpacked(data);
  const state = { frame: 0, view: "activations", what: { activations: "std", gradients: "gradient", updates: "ratio" }, row: 0 };
  state.row = story.layers.length > 1 ? 1 : 0;  // the first is the input
  const map = makeMap(story, state, tools, { go: (frame) => bar.go(frame), choose: (row) => chooseRow(row) });
  const row = rowPanel(story, state, { go: (step) => bar.goTo(step) });
  const loss = story.loss && lossPanel(
    { runs: [story.loss], frames: story.frames, length: story.length, unit: "step" },
    { go: (step) => bar.goTo(step) },
  );
  const bar = makeScrubber(story, (frame) => {
    state.frame = frame;
    [map, row, loss].filter(Boolean).forEach(({ show }) => show(frame));
  });
  const redraw = () => {
    map.draw();
    row.draw();
    map.show(state.frame);
    row.show(state.frame);
  };
  const chooseRow = (number) => {
    state.row = number;
    map.mark();
    row.draw();
    row.show(state.frame);
  };
  const pickers = makePickers(state, (before) => {
    state.row = kin(shown(story, before)[state.row], shown(story, state));
    redraw();
  });
  const look = ({ view, what, row: name, step }) => {
    state.view = view;
    state.what[view] = what;
    state.row = Math.max(0, shown(story, state).findIndex((each) => each.name === name));
    pickers.set();
    redraw();
    bar.goTo(step);
  };
  root.append(el("div", { class: "stage" },
    findings(story, (verdict) => {
      look(verdict);
      map.element.scrollIntoView({ block: "nearest", behavior: tools.reducedMotion() ? "auto" : "smooth" });
    }), loss && loss.element,
    el("div", { class: "views", style: `--names: ${widest(story)}` }, pickers.element, map.element, bar.element, row.element),
    story.notes.map((text) => el("p", { class: "note" }, prose(text)))));
  const first = story.verdicts[0];
  if (first) look(first);
  else {
    redraw();
    bar.go(story.frames.length - 1);
  }
}

// The row that belongs to another view's: `fc1.weight` to `fc1`, and back.
function kin(row, rows) {
  const belongs = (one, other) => one === other || one.startsWith(`${other}.`);
  const place = rows.findIndex(({ name }) => row && (belongs(name, row.name) || belongs(row.name, name)));
  return Math.max(0, place);
}

// ---- The data, as numbers ----

function unpacked({ layers, parameters, loss, frames, ...data }) {
  const open = (row) => ({
    ...row,
    columns: Object.fromEntries(Object.entries(row.columns)
      .map(([key, column]) => [key, numbersOf(column, frames.length)])),
  });
  return {
    ...data,
    frames,
    layers: layers.map(open).map(withMean),
    parameters: parameters.map(open),
    loss: loss && {
      ...loss, last: frames.length - 1, loss: loss.loss.map(Number), bands: loss.bands?.map((band) => band.map(Number)),
    },
  };
}

function numbersOf(column, length) {
  if (typeof column !== "string") return new Array(length).fill(column);
  return Array.from(new Float32Array(decode(column).buffer), (value) => (value === -Infinity ? null : value));
}

// Only a mean may be -Infinity itself: where there is a layer, it is.
function withMean(row) {
  row.columns.mean = row.columns.mean.map((mean, frame) => mean ?? (row.columns.largest[frame] === null ? null : -Infinity));
  return row;
}

// The width that the longest name needs, with the word beside it.
function widest({ layers, parameters }) {
  const length = ({ name, kind, shape }) => name.length + 0.9 * (kind ?? `(${shape.join(", ")})`).length;
  return `min(16rem, ${(1.8 + 0.5 * Math.max(6, ...[...layers, ...parameters].map(length))).toFixed(1)}rem)`;
}

// A sentence in which names stand between backticks.
const prose = (text) => text.split("`").map((part, which) => (which % 2 ? el("code", {}, part) : part));

// ---- What stands out ----

function findings({ verdicts, facts, length }, look) {
  if (!verdicts.length) {
    return el("div", { class: "sound" },
      el("p", {}, el("b", {}, "Nothing stands out"), ` in ${count(length)} ${length === 1 ? "step" : "steps"}.`),
      facts.length > 0 && el("ul", {}, facts.map((fact) => el("li", {}, prose(fact)))));
  }
  return el("ul", { class: "findings", "aria-label": "What stands out" }, verdicts.map((verdict) => el("li", {},
    el("span", {}, el("b", {}, `${verdict.title}: `), prose(verdict.text)), " ",
    el("button", {
      type: "button", class: "look", onclick: () => look(verdict),
      "aria-label": `Look at ${verdict.row}, step ${count(verdict.step)}`,
    }, `step ${count(verdict.step)}`))));
}

// ---- Which numbers are on show ----

function makePickers(state, onChange) {
  const place = el("div", { class: "pickers" });
  const set = () => place.replaceChildren(
    choice({
      label: "show", value: state.view,
      options: Object.entries(VIEWS).map(([value, { label }]) => ({ value, label })),
      onChange: (view) => {
        const before = { ...state };
        state.view = view;
        paintWhat();
        onChange(before);
      },
    }), what);
  const what = el("span");
  const paintWhat = () => what.replaceChildren(choice({
    label: "as", value: state.what[state.view],
    options: Object.entries(VIEWS[state.view].whats).map(([value, { label, name }]) => ({ value, label, name })),
    onChange: (value) => { state.what[state.view] = value; onChange(state); },
  }));
  const both = () => { set(); paintWhat(); };
  both();
  return { element: place, set: both };
}
