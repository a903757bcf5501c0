// explore.training: one scrubber through the steps of one or several trainings; above it what the
// model did (its curve, or the path of two parameters over the loss surface), below the loss.
//
// data: `frames` are the steps on show. Every run has its numbers at those of them that it reached:
// loss, columns, curves (frames × inputs), path, sizes and updates (frames × tensors).

import { el } from "./frame.js";
import { decode } from "./images.js";
import { lossPanel, tensorCharts } from "./training_curves.js";
import { fitPanel } from "./training_fit.js";
import { PLOT_CSS, count, four, frameOf, runSample, several, taken } from "./training_plot.js";
import { surfacePanel } from "./training_surface.js";

const CSS = `
.note { margin: 0.45rem 0 0; color: var(--muted); font-size: 0.87em; }
.warn {
  margin: 0 0 0.7rem; padding: 0.5rem 0.8rem; border-left: 4px solid var(--amber);
  border-radius: 4px 8px 8px 4px; background: var(--glow);
}
.top { display: flex; flex-wrap: wrap; gap: 0.6rem 1.5rem; align-items: end; justify-content: space-between; margin-bottom: 0.8rem; }
.numbers { border-collapse: collapse; font-variant-numeric: tabular-nums; line-height: 1.4; }
.numbers th, .numbers td { padding: 0.12rem 0 0.12rem 1.1rem; text-align: right; white-space: nowrap; font-weight: 400; }
.numbers th:first-child { padding-left: 0; text-align: left; }
.numbers thead th { color: var(--muted); font-size: 0.85em; }
.numbers tbody th { font-weight: 600; }
.numbers tbody td { min-width: 5.4rem; }
.numbers td.loud { color: var(--amber); font-weight: 700; }
.numbers .sample { vertical-align: -2px; margin-right: 0.5rem; }
.numbers .ended { color: var(--muted); font-weight: 400; font-size: 0.85em; }
.numbers .name { display: inline-block; max-width: 14rem; overflow: hidden; text-overflow: ellipsis; vertical-align: bottom; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 0.9rem 1.3rem; }
.panel { min-width: 0; margin: 0; }
.label { margin: 0; font-size: 0.87em; font-weight: 600; color: var(--muted); }
.read { min-height: 1.5em; margin: 0.1rem 0 0; font-size: 0.87em; color: var(--muted); font-variant-numeric: tabular-nums; }
.read b { color: var(--ink); }
.read .sample { vertical-align: -2px; margin: 0 0.15rem 0 0.55rem; }
.panels:has(> :nth-child(2)) .tall { min-height: 3em; }
.probe { cursor: crosshair; border-radius: 6px; }
.probe:focus-visible { outline-offset: 0; }
.datum { fill: var(--ink); fill-opacity: 0.5; }
.thread { stroke: var(--ink); stroke-opacity: 0.6; stroke-dasharray: 3 3; }
.dot { fill: var(--run); }
.region { fill: var(--accent); fill-opacity: 0.055; }
.ring { fill: none; stroke: var(--accent); stroke-opacity: 0.3; }
.chart .ringed { font-size: 10.5px; fill: var(--ink); fill-opacity: 0.75; stroke: var(--paper); stroke-width: 3.5; paint-order: stroke; }
.lowest { stroke: var(--ink); stroke-width: 1.5; }
.tensors { margin: 1rem 0 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 190px), 1fr)); gap: 0.7rem 1rem; margin-top: 0.5rem; }
.tensor { min-width: 0; align-self: end; }
.tensor p { margin: 0; font-size: 0.85em; overflow-wrap: anywhere; line-height: 1.35; }
.tensor .now { color: var(--muted); font-variant-numeric: tabular-nums; }
.tensor .now span { display: inline-block; margin-right: 0.3rem; white-space: nowrap; }
.tensor .sample { vertical-align: -2px; margin-right: 0.1rem; }
.loss { margin-top: 0.9rem; }
.head { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; align-items: center; justify-content: space-between; margin-bottom: 0.15rem; }
.loss .chart { cursor: ew-resize; touch-action: pan-y; }
.band { fill: var(--run); fill-opacity: 0.16; }
.cross { stroke: var(--run); stroke-width: 2.5; }
.chart .lost { fill: var(--ink); font-weight: 650; stroke: var(--paper); stroke-width: 4; paint-order: stroke; }
.bar { position: sticky; bottom: 0; z-index: 3; padding: 0.1rem 0 0.5rem; background: var(--paper); }
.bar .line { display: flex; flex-wrap: wrap; gap: 0.3rem 0.9rem; align-items: center; }
.play { min-width: 5.6rem; padding: 0.2rem 0.8rem; border: 1px solid var(--line); border-radius: 8px; background: none; cursor: pointer; text-align: left; }
.play:hover { border-color: var(--accent); background: var(--wash); }
.play .icon { display: inline-block; width: 1.35em; color: var(--accent); font-size: 0.85em; }
.where { font-variant-numeric: tabular-nums; }
.keys { color: var(--muted); font-size: 0.85em; }
kbd { font: inherit; border: 1px solid var(--line); border-radius: 4px; padding: 0 0.3em; }
@media (pointer: coarse) and (hover: none) { .keys { display: none; } }
.slider { display: block; height: 26px; margin: 0 0 0.15rem; appearance: none; -webkit-appearance: none; background: none; cursor: pointer; }
.slider:focus-visible { outline: none; }
.slider:focus-visible::-webkit-slider-thumb { box-shadow: 0 0 0 3px var(--paper), 0 0 0 6px var(--accent); }
.slider:focus-visible::-moz-range-thumb { box-shadow: 0 0 0 3px var(--paper), 0 0 0 6px var(--accent); }
.slider::-webkit-slider-runnable-track { height: 4px; border-radius: 2px; background: linear-gradient(90deg, var(--accent) var(--at), var(--line) var(--at)); }
.slider::-moz-range-track { height: 4px; border-radius: 2px; background: linear-gradient(90deg, var(--accent) var(--at), var(--line) var(--at)); }
.slider::-webkit-slider-thumb { appearance: none; -webkit-appearance: none; width: 16px; height: 16px; margin-top: -6px; border: 0; border-radius: 50%; background: var(--accent); box-shadow: 0 0 0 3px var(--paper); }
.slider::-moz-range-thumb { width: 16px; height: 16px; border: 0; border-radius: 50%; background: var(--accent); box-shadow: 0 0 0 3px var(--paper); }
@media (max-width: 34rem) {
  .numbers { font-size: 0.84em; }
  .numbers th, .numbers td { padding-left: 0.55rem; }
  .numbers thead th { white-space: normal; line-height: 1.2; vertical-align: bottom; }
  .numbers tbody td { min-width: 3.3rem; }
  .numbers .sample { width: 20px; margin-right: 0.25rem; }
  .numbers .name { max-width: 6.5rem; }
  .tall { min-height: 3em; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
`;

const THUMB = 16;  // pixels, so that the slider's thumb stands under the step in the chart
const PLAY = { whole: 8000, fastest: 30, slowest: 250, jumps: 10, rest: 1000 };  // milliseconds

export default function render(root, data, tools) {
  tools.style(PLOT_CSS + CSS);
  const story = unpacked(data);
  const numbers = numbersTable(story);
  const panels = [story.fit && fitPanel(story), story.surface && surfacePanel(story)].filter(Boolean);
  const tensors = story.tensors.length > 0 && tensorCharts(story);
  const loss = lossPanel(story, {
    alone: !panels.length,
    go: (step) => bar.go(nearest(story.frames, step)),
    onLayout: (box) => bar.align(box),
  });
  const parts = [numbers, ...panels, tensors, loss].filter(Boolean);
  const bar = scrubber(story, tools, (frame) => parts.forEach(({ show }) => show(frame)));
  const notes = (kind, wanted) => story.notes.filter(({ loud }) => loud === wanted)
    .map(({ text }) => el("p", { class: kind }, prose(text)));
  root.append(el("div", { class: "stage" },
    notes("warn", true), numbers.element,
    panels.length > 0 && el("div", { class: "panels" }, panels.map(({ element }) => element)),
    tensors && tensors.element, loss.element, bar.element, notes("note", false)));
  bar.go(story.frames.length - 1);  // the end first: what came of it
}

// ---- The data, as numbers ----

function unpacked({ runs, fit, surface, ...data }) {
  const grid = fit && numbersOf(fit.grid);
  return {
    ...data,
    fit: fit && { grid, points: fit.points },
    surface: surface && { ...surface, values: numbersOf(surface.values) },
    runs: runs.map((run) => ({
      ...run,
      last: run.loss.length - 1,  // its last frame
      loss: run.loss.map(Number),
      bands: run.bands?.map((band) => band.map(Number)),
      columns: run.columns.map((column) => column.map((value) => (value === null ? null : Number(value)))),
      path: run.path?.map((point) => point.map(Number)),
      curves: run.curves && rows(numbersOf(run.curves), grid.length),
      sizes: run.sizes?.map((part) => rows(numbersOf(part), data.tensors.length)),
    })),
  };
}

const numbersOf = (base64) => Array.from(new Float32Array(decode(base64).buffer));

function rows(values, width) {
  return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
}

// A sentence in which code stands between backticks.
const prose = (text) => text.split("`").map((part, which) => (which % 2 ? el("code", {}, part) : part));

// ---- The numbers of this step, which are the legend too ----

function numbersTable(story) {
  const names = ["loss", ...story.columns];
  const lines = story.runs.map((run, which) => numbersLine(story, run, which, names));
  const label = `Numbers of this ${story.unit}`;
  const element = el("div", { class: "top scroll", tabindex: "0", role: "group", "aria-label": label },
    el("table", { class: "numbers", "aria-label": label },
      el("thead", {}, el("tr", {}, several(story) ? el("th", { scope: "col" }, "run") : el("td"),
        names.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, lines.map((line) => line.element))));
  return { element, show: (frame) => lines.forEach(({ show }) => show(frame)) };
}

function numbersLine(story, run, which, names) {
  const cells = names.map(() => el("td"));
  const ended = el("span", { class: "ended" });
  const head = several(story)
    ? [runSample(which), el("span", { class: "name", title: run.label }, run.label), ended]
    : [`this ${story.unit}`];
  const show = (frame) => {
    const here = frameOf(run, frame);
    [run.loss, ...run.columns].forEach((values, place) => {
      cells[place].textContent = four(values[here]);
      cells[place].className = values[here] === null || Number.isFinite(values[here]) ? "" : "loud";
    });
    ended.textContent = frame > run.last ? ` ended at ${story.unit} ${count(run.length - 1)}` : "";
  };
  return { show, element: el("tr", {}, el("th", { scope: "row" }, head), cells) };
}

// ---- The scrubber ----

function scrubber({ frames, length, runs, unit }, tools, show) {
  const state = { frame: 0, timer: 0 };
  const last = frames.length - 1;
  const go = (wanted) => {
    state.frame = Math.max(0, Math.min(last, wanted));
    const step = frames[state.frame];
    const losses = runs.map((run) => `${run.label} loss ${four(run.loss[frameOf(run, state.frame)])}`.trim());
    slider.value = step;
    slider.style.setProperty("--at", `${(100 * step) / Math.max(1, length - 1)}%`);
    slider.setAttribute("aria-valuetext", `${unit} ${count(step)}, ${losses.join(", ")}`);
    where.replaceChildren(`${unit} `, el("b", {}, count(step)), ` of ${count(length - 1)}`);
    show(state.frame);
  };
  const player = playButton(tools, state, last, go);
  const to = (frame) => {
    player.pause();
    go(frame);
  };
  const where = el("span", { class: "where" });
  const slider = el("input", {
    class: "slider", type: "range", min: 0, max: Math.max(1, length - 1), step: 1, disabled: last === 0,
    "aria-label": unit[0].toUpperCase() + unit.slice(1),
    oninput: () => to(nearest(frames, slider.valueAsNumber)),
    onkeydown: (event) => {
      const { frame } = state;
      const page = Math.max(1, Math.round(frames.length / 10));
      const next = {
        ArrowLeft: frame - 1, ArrowDown: frame - 1, ArrowRight: frame + 1, ArrowUp: frame + 1,
        PageDown: frame - page, PageUp: frame + page, Home: 0, End: last,
      }[event.key];
      if (next !== undefined) taken(event, () => to(next));
    },
  });
  const keys = el("span", { class: "keys" }, el("kbd", {}, "←"), " ", el("kbd", {}, "→"), ` one ${unit}`);
  return {
    element: el("div", { class: "bar" }, slider, el("div", { class: "line" }, player.element, where, keys)),
    go: to,
    align: ({ left, right }) => {  // under the chart, the thumb under the step
      slider.style.marginLeft = `${left - THUMB / 2}px`;
      slider.style.width = `${right - left + THUMB}px`;
    },
  };
}

function nearest(frames, step) {
  const distance = (frame) => Math.abs(frames[frame] - step);
  return frames.reduce((best, _, frame) => (distance(frame) < distance(best) ? frame : best), 0);
}

function playButton(tools, state, last, go) {
  const icon = el("span", { class: "icon", "aria-hidden": "true" });
  const word = el("span");
  const label = () => {
    icon.textContent = state.timer ? "❚❚" : "▶";
    word.textContent = state.timer ? "Pause" : "Play";
  };
  const pause = () => {
    clearInterval(state.timer);
    state.timer = 0;
    label();
  };
  const play = () => {
    const still = tools.reducedMotion();  // then ten pictures, a second each
    const stride = still ? Math.max(1, Math.ceil((last + 1) / PLAY.jumps)) : 1;
    const wait = Math.max(PLAY.fastest, Math.min(PLAY.slowest, PLAY.whole / (last + 1)));
    if (state.frame === last) go(0);
    state.timer = setInterval(() => {
      if (element.isConnected) go(state.frame + stride);
      if (!element.isConnected || state.frame === last) pause();
    }, still ? PLAY.rest : wait);
    label();
  };
  const element = el("button", {
    type: "button", class: "play", disabled: last === 0, onclick: () => (state.timer ? pause() : play()),
  }, icon, word);
  label();
  return { element, pause };
}
