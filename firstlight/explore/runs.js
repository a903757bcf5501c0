// explore.runs: experiments side by side. A table that is the legend too, the curves, the accuracy of
// each class, cost against accuracy; what is pointed at in one stands out in all.
//
// A group is an experiment, one or more runs of one name. Up to six are marked: with a colour, a dash
// and a sign of their own. The others are grey. Numbers of a group: [mean, lowest, highest, how many].

import { choice, el, rove, status, svg } from "./frame.js";
import { curvePanels } from "./runs_curves.js";
import { classPanel, costPanel } from "./runs_points.js";
import { PLOT_CSS, count, four, runSample } from "./training_plot.js";

const CSS = `
.fact { margin: 0 0 0.8rem; padding: 0.5rem 0.8rem; border-left: 4px solid var(--accent); border-radius: 4px 8px 8px 4px; background: var(--wash); min-height: 4.2em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.note { margin: 0.45rem 0 0; color: var(--muted); font-size: 0.87em; }
.warn { margin: 0 0 0.7rem; padding: 0.5rem 0.8rem; border-left: 4px solid var(--amber); border-radius: 4px 8px 8px 4px; background: var(--glow); overflow-wrap: anywhere; }
.how { margin: 0 0 0.3rem; color: var(--muted); font-size: 0.87em; }
.box { max-height: 22rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
.runs { width: 100%; border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; line-height: 1.4; }
.runs th, .runs td { padding: 0.2rem 0.55rem; text-align: right; white-space: nowrap; font-weight: 400; border-bottom: 1px solid var(--line); }
.runs tbody tr:last-child > * { border-bottom: 0; }
.runs thead th { position: sticky; top: 0; z-index: 2; padding: 0; background: var(--paper); white-space: normal; vertical-align: bottom; min-width: 5.2rem; }
.runs th:first-child, .runs .text { text-align: left; }
.runs .text { white-space: normal; min-width: 10rem; overflow-wrap: anywhere; color: var(--muted); }
.runs tbody th { position: sticky; left: 0; z-index: 1; padding: 0.1rem 0.2rem; background: var(--paper); }
.runs thead th:first-child { left: 0; z-index: 3; }
.sort { width: 100%; padding: 0.3rem 0.55rem; border: 0; background: none; cursor: pointer; color: var(--muted); font-size: 0.87em; line-height: 1.25; text-align: inherit; }
.sort:hover, .sort[data-sorted] { color: var(--ink); }
.sort[data-sorted] { font-weight: 650; }
.mark { display: flex; align-items: center; gap: 0.5rem; width: 100%; padding: 0.1rem 0.5rem; border: 0; border-radius: 6px; background: none; cursor: pointer; text-align: left; }
.mark b { font-weight: 400; white-space: normal; overflow-wrap: anywhere; }
.mark[aria-pressed="true"] b { font-weight: 650; }
.mark svg { flex: none; }
.mark i { font-style: normal; color: var(--muted); font-size: 0.82em; }
.plainsign { fill: none; stroke: var(--muted); stroke-width: 1.5; }
.runs tr.at > * { background: linear-gradient(var(--wash), var(--wash)), var(--paper); }
.runs tr.at > :first-child { box-shadow: inset 3px 0 0 var(--accent); }
.span { color: var(--muted); font-size: 0.85em; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 195px), 1fr)); gap: 0.9rem 1.3rem; margin-top: 1.1rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 0.9rem 1.6rem; margin-top: 1rem; align-items: start; }
.panel { min-width: 0; margin: 0; }
.label { margin: 0; font-size: 0.87em; font-weight: 600; color: var(--muted); }
.head { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; align-items: center; justify-content: space-between; min-height: 1.9rem; margin-bottom: 0.15rem; font-size: 0.93em; }
.read { min-height: 1.5em; margin: 0.3rem 0 0; font-size: 0.87em; color: var(--muted); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.curves > .read { min-height: 3em; }
.bar { display: flex; justify-content: flex-end; font-size: 0.87em; margin: 1rem 0 -0.8rem; }
.read b { color: var(--ink); }
.probe { cursor: crosshair; border-radius: 6px; touch-action: pan-y; }
.other { fill: none; stroke: var(--muted); stroke-opacity: 0.4; stroke-width: 1; }
.dust { fill: var(--muted); fill-opacity: 0.45; }
.dim > .still { opacity: 0.3; }
.over .run { stroke-width: 3; }
.over .lone { fill: none; stroke: var(--ink); stroke-width: 2.5; }
.over .spot { fill: var(--paper); stroke: var(--ink); stroke-width: 2; }
.hair { stroke: var(--muted); stroke-dasharray: 2 3; }
.whisker { stroke: var(--run, var(--muted)); stroke-width: 2; }
.whisker.thin { stroke-width: 1; stroke-opacity: 0.5; }
.chart .ink { fill: var(--ink); stroke: var(--paper); stroke-width: 3.5; paint-order: stroke; }
.chart .strong { fill: var(--ink); font-weight: 650; }
.rowline { stroke: var(--line); stroke-opacity: 0.7; }
.rowat { fill: var(--wash); }
@media (max-width: 34rem) {
  .runs { font-size: 0.87em; }
  .mark { padding: 0.1rem 0.3rem; gap: 0.35rem; }
  .mark { max-width: 10rem; line-height: 1.2; }
  .runs th, .runs td { padding-left: 0.5rem; padding-right: 0.5rem; }
  .runs tbody th { padding: 0.1rem; }
  .fact { min-height: 7em; }
}
@media (prefers-reduced-motion: no-preference) { .still { transition: opacity 120ms; } }
`;

const MOST_MARKED = 6;

export default function render(root, data, tools) {
  tools.style(PLOT_CSS + CSS);
  const story = unpacked(data);
  const fact = status({ class: "fact" });
  const parts = [];
  const state = { at: null, marks: firstMarks(story), epoch: null };
  const hooks = {
    // Let a group stand out everywhere; null gives that up.
    point: (at) => {
      if (at === state.at) return;
      state.at = at;
      fact.say(story.groups[at ?? story.best].fact);
      parts.forEach((part) => part.show(state));
    },
    mark: (place) => {
      if (state.marks.delete(place)) hooks.marked();
      else if (state.marks.size < MOST_MARKED) {
        state.marks.set(place, freeLook(state.marks));
        hooks.marked();
      } else fact.say(`${MOST_MARKED} experiments are marked, and there are no more signs: unmark one first.`);
    },
    marked: () => parts.forEach((part) => part.redraw(state)),
  };
  const table = runsTable(story, state, hooks);
  const curves = curvePanels(story, state, hooks);
  const classes = story.classes.length > 0 && classPanel(story, state, hooks);
  const cost = costPanel(story, state, hooks, choice);
  parts.push(...[table, curves, classes, cost].filter(Boolean));
  const notes = (kind, wanted) => story.notes.filter(({ loud }) => loud === wanted)
    .map(({ text }) => el("p", { class: kind }, text));
  const pair = [classes, cost].filter(Boolean).map(({ element }) => element);
  root.append(...notes("warn", true), fact.element, table.element, ...(curves ? [curves.element] : []),
    ...(pair.length ? [el("div", { class: "pairs" }, pair)] : []), ...notes("note", false));
  fact.say(story.groups[story.best].fact);
}

// ---- The data, as numbers ----

function unpacked({ groups, ...data }) {
  const numeric = (values) => values && values.map(Number);
  return {
    ...data,
    groups: groups.map((group) => ({
      ...group,
      accuracy: numeric(group.accuracy),
      loss: numeric(group.loss),
      classes: group.classes.map(numeric),
      runs: group.runs.map((run) => ({ seed: run.seed, curves: curvesOf(run, data.stride) })),
    })),
  };
}

// The training losses, validation losses and accuracies of a run: { length, values, epochs }.
function curvesOf({ lengths, curves }, stride) {
  const values = Array.from(new Float32Array(Uint8Array.from(atob(curves), (letter) => letter.charCodeAt(0)).buffer));
  let from = 0;
  return lengths.map((length) => {
    const epochs = [];
    for (let epoch = 0; epoch < length; epoch += stride) epochs.push(epoch);
    if (length && epochs[epochs.length - 1] !== length - 1) epochs.push(length - 1);
    const own = values.slice(from, from += epochs.length);
    return { length, epochs, values: own };
  });
}

// At first all are marked, or of many the baseline and the best.
function firstMarks({ groups, baseline }) {
  const order = groups.map((_, place) => place);
  if (order.length > MOST_MARKED) {
    const worth = (place) => (place === baseline ? 2 : groups[place].accuracy?.[0] ?? -1);
    order.sort((one, other) => worth(other) - worth(one) || one - other);
    order.length = MOST_MARKED;
  }
  return new Map(order.map((place, look) => [place, look]));
}

function freeLook(marks) {
  const taken = new Set(marks.values());
  return [0, 1, 2, 3, 4, 5].find((look) => !taken.has(look));
}

// ---- The table ----

const percent = (value) => (100 * value).toFixed(2);

// Each: its name, what is sorted by, what is shown; `falls` where the highest comes first.
function columnsOf(story) {
  const base = story.groups[story.baseline].name;
  return [
    { name: "experiment", value: ({ name }) => name.toLowerCase() },
    { name: "accuracy, %", falls: true, value: ({ accuracy }) => accuracy?.[0], cell: ({ accuracy }) => percent(accuracy[0]) },
    { name: "lowest to highest", value: ({ accuracy }) => (accuracy && accuracy[3] > 1 ? accuracy[2] - accuracy[1] : null),
      cell: ({ accuracy }) => `${percent(accuracy[1])} to ${percent(accuracy[2])}` },
    { name: story.groups.length > 1 ? `config against ${base}` : "config", text: true, value: ({ settings }) => settings || null, cell: ({ settings }) => settings },
    { name: "validation loss", value: ({ loss }) => loss?.[0], cell: ({ loss }) => four(loss[0]) },
    { name: "seconds", value: ({ seconds }) => seconds?.[0], cell: ({ seconds }) => seconds[0].toFixed(1) },
    { name: "parameters", value: ({ parameters }) => parameters?.[0], cell: ({ parameters }) => count(Math.round(parameters[0])) },
  ].filter(({ value }) => story.groups.some((group) => value(group) != null));
}

function runsTable(story, state, hooks) {
  const columns = columnsOf(story);
  const sorted = { column: null, falls: false };
  const body = el("tbody", { onfocusout: () => hooks.point(null), onpointerleave: () => over(null) });
  const heads = columns.map((column) => {
    const sign = el("span", { "aria-hidden": "true" });
    const button = el("button", { type: "button", class: "sort", onclick: () => sort(column) }, column.name, sign);
    return { column, sign, button, element: el("th", { scope: "col", class: column.text ? "text" : "" }, button) };
  });
  let lines = [];

  // A row that scrolls under a resting mouse leaves the one with the keyboard's focus alone.
  function over(place) {
    const held = lines.find(({ button }) => button.matches(":focus-visible"));
    if (!held || held.place === place) hooks.point(place);
  }

  function sort(column) {
    sorted.falls = sorted.column === column ? !sorted.falls : Boolean(column.falls);
    sorted.column = column;
    heads.forEach(({ column: own, sign, button, element }) => {
      const here = own === column;
      sign.textContent = here ? (sorted.falls ? " ▼" : " ▲") : "";
      button.toggleAttribute("data-sorted", here);
      if (here) element.setAttribute("aria-sort", sorted.falls ? "descending" : "ascending");
      else element.removeAttribute("aria-sort");
    });
    fill();
  }

  function order() {
    const places = story.groups.map((_, place) => place);
    if (!sorted.column) return places;
    const { value } = sorted.column;
    const keyed = places.map((place) => ({ place, key: value(story.groups[place]) ?? NaN }));
    const unknown = ({ key }) => typeof key === "number" && Number.isNaN(key);
    keyed.sort((one, other) => {
      if (unknown(one) || unknown(other)) return unknown(one) - unknown(other) || one.place - other.place;
      const way = typeof one.key === "string" ? one.key.localeCompare(other.key, "en", { numeric: true }) : one.key - other.key;
      return (sorted.falls ? -way : way) || one.place - other.place;
    });
    return keyed.map(({ place }) => place);
  }

  function fill() {
    lines = order().map((place) => line(story.groups[place], place));
    body.replaceChildren(...lines.map(({ element }) => element));
    rove(lines.map(({ button }) => [button]), { onPoint: (row) => over(lines[row].place) });
    show();
  }

  function line(group, place) {
    const sample = el("span", {});
    const many = group.runs.length > 1 && el("i", {}, ` ${group.runs.length} ${group.word}s`);
    const base = place === story.baseline && story.groups.length > 1 && el("i", {}, many ? " · baseline" : " baseline");
    const button = el("button", { type: "button", class: "mark", title: group.name, onclick: () => hooks.mark(place) },
      sample, el("span", {}, el("b", {}, group.name), many, base));
    const cells = columns.slice(1).map(({ value, cell, text }) => el("td", { class: text ? "text" : "" },
      value(group) == null ? "–" : cell(group)));
    return { place, button, sample, element: el("tr", { onpointerenter: () => over(place) }, el("th", { scope: "row" }, button), cells) };
  }

  function show() {
    for (const { place, button, sample, element } of lines) {
      const look = state.marks.get(place);
      element.className = place === state.at ? "at" : "";
      const key = String(look);
      if (sample.dataset.look === key) continue;
      sample.dataset.look = key;
      button.setAttribute("aria-pressed", String(look !== undefined));
      sample.replaceChildren(look === undefined ? plainSample() : runSample(look));
    }
  }

  fill();
  const how = story.groups.length > 1
    ? `Point at an experiment to see it everywhere; press it to mark or unmark it, ${MOST_MARKED} at most. Press the head of a column to sort.`
    : "One experiment: add more to the list to compare them.";
  return {
    element: el("div", {}, el("p", { class: "how" }, how),
      el("div", { class: "box", tabindex: "0", role: "group", "aria-label": "Table of the experiments" },
        el("table", { class: "runs", "aria-label": "Experiments" }, el("thead", {}, el("tr", {}, heads.map(({ element }) => element))), body))),
    show,
    redraw: show,
  };
}

function plainSample() {
  return svg("svg", { class: "sample", width: 36, height: 14, viewBox: "0 0 36 14", "aria-hidden": "true" },
    svg("circle", { class: "plainsign", cx: 18, cy: 7, r: 3.5 }));
}
