// The data set and every epoch as a rail of examples; a line follows each example from rail to rail.

import { el, svg } from "./frame.js";
import { count, counted } from "./loader_story.js";

export const RAILS_CSS = `
.rails { margin: 0.2rem 0 0.3rem; cursor: pointer; touch-action: pan-y; user-select: none; }
.rails svg { display: block; width: 100%; overflow: visible; }
.rails text { font-size: 12px; fill: var(--ink); }
.rails .name { font-weight: 600; }
.rails .end { fill: var(--muted); font-size: 11px; font-variant-numeric: tabular-nums; }
.rail { fill: var(--wash); stroke: var(--line); }
.cut { stroke: var(--muted); stroke-opacity: 0.55; }
.lost { fill: var(--hatch); stroke: var(--amber); stroke-dasharray: 3 2; }
.page { fill: none; stroke: var(--ink); stroke-width: 1.75; }
.shown { fill: var(--accent); }
.way { fill: none; stroke: var(--muted); stroke-opacity: 0.32; }
.way.batch { stroke: var(--accent); stroke-opacity: 0.75; stroke-width: 1.2; }
.way.one { stroke: var(--paper); stroke-opacity: 1; stroke-width: 6.5; }
.way.one + .way.one { stroke: var(--amber); stroke-width: 3; }
.stop { fill: var(--amber); stroke: var(--paper); stroke-width: 2; }
.key { display: flex; flex-wrap: wrap; gap: 0 1.1rem; margin: 0 0 0.9rem; color: var(--muted); font-size: 0.85em; }
.key svg { width: 26px; height: 10px; margin-right: 0.35rem; vertical-align: 0; }
`;

const RAIL = 16;  // pixels
const GAP = { wide: 64, narrow: 50 };
const NAMES = 66;  // for the names at the left
const TOP = 16;

// go(epoch, draw) and find(id) are called where a rail is pressed. Returns { element, show(state) }:
// state has the batches on the page, the batch { epoch, batch } pointed at, and the example.
export function rails(story, { go, find }) {
  const holder = el("div", { class: "rails", role: "img" });
  const box = { width: 640, state: null };
  const repaint = () => box.state && drawRails(holder, box, story);
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - box.width) < 1 || !entry.contentRect.width) return;
    box.width = entry.contentRect.width;
    repaint();
  }).observe(holder);
  holder.addEventListener("click", (event) => {
    const area = holder.getBoundingClientRect();
    const { y, units, left, span } = layout(box.width, story);
    const share = (event.clientX - area.left - left) / span;
    const place = Math.max(0, Math.min(units - 1, Math.floor(share * units)));
    const rail = nearestTo(y.map((top) => top + RAIL / 2), event.clientY - area.top);
    if (rail === 0) find(Math.min(place, story.extent - 1));
    else go(rail - 1, place);
  });
  const show = (state) => {
    box.state = state;
    repaint();
  };
  return { element: el("div", {}, holder, key(story)), show };
}

const nearestTo = (values, wanted) => values.reduce(
  (best, value, place) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? place : best), 0);

function layout(width, story) {
  const gap = width < 560 ? GAP.narrow : GAP.wide;
  const units = Math.max(story.extent, ...story.epochs.map(({ draws, droppedCount }) => draws + droppedCount));
  const y = [0, ...story.epochs].map((_, rail) => TOP + rail * (RAIL + gap));
  const span = width - NAMES - 2;
  return { y, units, left: NAMES, span, gap, x: (place) => NAMES + (span * place) / units };
}

function drawRails(holder, { width, state }, story) {
  const plan = layout(width, story);
  const height = plan.y[plan.y.length - 1] + RAIL + 4;
  const { example, batch, page } = state;
  const pointed = batch ? story.epochs[batch.epoch].row(batch.batch) ?? [] : [];
  const ways = [
    ...story.traced.flatMap((id) => way(plan, story, id, "way")),
    ...pointed.flatMap((id) => way(plan, story, id, "way batch")),
  ];
  const one = example === null ? [] : way(plan, story, example, "way one");
  holder.replaceChildren(svg("svg", { height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    ways, one.flatMap((path) => [path, path.cloneNode()]),
    dataRail(plan, story), story.epochs.flatMap((epoch, number) => epochRail(plan, epoch, number, page, batch)),
    example === null ? [] : stops(plan, story, example)));
  holder.setAttribute("aria-label", spoken(story, state));
}

const spoken = (story, { example }) => "The data set in its order, and below it each epoch in its own; lines show where "
  + `the examples go${example === null ? "" : `, a thick one that of example ${example}`}.`;

// The data set's rail, with the names of the classes where it lies sorted by them.
function dataRail({ y, x }, { extent, runs, classes }) {
  return [
    svg("text", { class: "name", x: 0, y: y[0] + 12 }, "data set"),
    svg("text", { class: "end", x: x(0), y: y[0] - 5 }, "example 0"),
    svg("text", { class: "end", x: x(extent), y: y[0] - 5, "text-anchor": "end" }, count(extent - 1)),
    svg("rect", { class: "rail", x: x(0), y: y[0], width: x(extent) - x(0), height: RAIL, rx: 3 }),
    runs.flatMap(([start, place], number) => {
      const [from, to] = [x(start), x(runs[number + 1]?.[0] ?? extent)];
      const words = `${to - from > 60 ? "class " : ""}${classes[place]}`;
      return [
        number > 0 && svg("line", { class: "cut", x1: from, x2: from, y1: y[0], y2: y[0] + RAIL }),
        to - from > 7 * words.length && svg("text", { class: "end", x: (from + to) / 2, y: y[0] + 12, "text-anchor": "middle" }, words),
      ];
    }),
  ];
}

// A rail cut into batches where there is room, with the page's batches framed and one filled.
function epochRail({ y, x, span }, epoch, number, page, pointed) {
  const top = y[number + 1];
  const block = (kind, from, to, more = {}) => svg("rect", {
    class: kind, x: x(from), y: top, width: Math.max(2, x(to) - x(from)), height: RAIL, rx: 3, ...more,
  });
  const inner = epoch.batches * 5 > span ? [] : Array.from({ length: Math.max(0, epoch.batches - 1) }, (_, batch) => {
    const at = x(epoch.start(batch + 1));
    return svg("line", { class: "cut", x1: at, x2: at, y1: top, y2: top + RAIL });
  });
  const here = page.filter((batch) => batch < epoch.batches);
  const ends = here.length > 0 && [epoch.start(here[0]), epoch.start(here[here.length - 1] + 1)];
  const { batch } = pointed?.epoch === number ? pointed : {};
  return [
    svg("text", { class: "name", x: 0, y: top + 12 }, `epoch ${number + 1}`),
    epoch.draws > 0 && block("rail", 0, epoch.draws),
    epoch.droppedCount > 0 && block("lost", epoch.draws, epoch.draws + epoch.droppedCount),
    batch < epoch.batches && block("shown", epoch.start(batch), epoch.start(batch + 1)),
    inner, ends && block("page", ...ends),
  ].flat();
}

// Where an example lies on each rail: in the data set, then in every epoch, maybe several times.
function placesOn(story, id) {
  const inEpochs = story.epochs.map((epoch) => {
    const lost = epoch.dropped.indexOf(id);
    const places = epoch.where(id).map(({ draw }) => draw);
    return lost < 0 ? places : [...places, epoch.draws + lost];
  });
  return [[id < 0 ? id + story.extent : id], ...inEpochs];
}

function way({ y, x, gap }, story, id, kind) {
  const rails = placesOn(story, id);
  const paths = [];
  let from = 0;  // the rail that the line comes from
  rails.slice(1).forEach((places, number) => {
    const to = number + 1;
    for (const place of places) {
      const [x1, y1, x2, y2] = [x(rails[from][0] + 0.5), y[from] + RAIL, x(place + 0.5), y[to]];
      const bend = 0.5 * gap;
      paths.push(svg("path", { class: kind, d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` }));
    }
    if (places.length) from = to;
  });
  return paths;
}

const stops = ({ y, x }, story, id) => placesOn(story, id).flatMap((places, rail) => places.map(
  (place) => svg("circle", { class: "stop", cx: x(place + 0.5), cy: y[rail] + RAIL / 2, r: 5.5 })));

function key(story) {
  const sample = (kind, words) => el("span", {},
    svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, svg("path", { class: kind, d: "M0 5H26" }),
      kind === "way one" && svg("path", { class: kind, d: "M0 5H26" })), words);
  const all = story.traced.length >= story.extent;
  return el("p", { class: "key" },
    sample("way one", "the example pointed at"),
    sample("way batch", "the batch pointed at"),
    sample("way", all ? "all examples" : `${counted(story.traced.length, "example")} from all over`),
    story.epochs.some(({ droppedCount }) => droppedCount) && el("span", {},
      svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, svg("rect", { class: "lost", x: 1, y: 0, width: 24, height: 10, rx: 2 })), "dropped"));
}
