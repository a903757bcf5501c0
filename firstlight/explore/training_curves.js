// Curves over the steps: the loss, and for each parameter its size and its change.

import { choice, el, svg } from "./frame.js";
import {
  count, four, frameOf, lookOf, makeChart, panelOf, pathOf, rangeOf, runLine, runSample, runSign, several,
} from "./training_plot.js";

const LOG_FROM = 20;  // times: where losses spread more, the log scale comes first

const stepAxis = ({ length }, name) => ({ name, low: 0, high: Math.max(1, length - 1), whole: true });

// Draw each run's curve faintly, and return what draws it up to a frame, where its sign stands.
function paintCurves({ runs, frames }, valuesOf, area, x, y) {
  const curves = runs.map((run) => valuesOf(run).map((value, frame) => [x(frames[frame]), y(value)]));
  area.append(...curves.map((points, which) => runLine(which, points, "faint")));
  const moving = area.appendChild(svg("g"));
  return (frame, ...more) => moving.replaceChildren(...more, ...curves.flatMap((points, which) => {
    const here = frameOf(runs[which], frame);
    return [runLine(which, points.slice(0, here + 1)), runSign(which, points[here])].filter(Boolean);
  }));
}

// ---- The loss ----

// go(frame) is called where the chart is pressed; onLayout(box) when its axes have moved.
export function lossPanel(story, { alone, go, onLayout }) {
  const { runs, frames } = story;
  const every = runs.flatMap(({ loss, bands }) => [...loss, ...(bands ?? []).flat()]).filter(Number.isFinite);
  const positive = every.filter((loss) => loss > 0);
  const canLog = positive.length > 0 && every.every((loss) => loss >= 0);
  let log = canLog && spread(positive) > LOG_FROM;
  const chart = makeChart({
    label: `The loss at every ${story.unit}`, open: true, onLayout,
    height: () => (alone ? 280 : 180),
    axes: () => ({ x: stepAxis(story, story.unit), y: { name: "", log, ...rangeOf(every, { log }) } }),
    paint: (area, x, y) => {
      area.append(...runs.map((run, which) => run.bands && band(which, run, frames, x, y)).filter(Boolean));
      const move = paintCurves(story, ({ loss }) => loss, area, x, y);
      area.append(...breakdowns(story, x, area.width.baseVal.value));
      return (frame) => {
        const now = x(frames[frame]);
        move(frame, svg("line", { class: "thread", x1: now, x2: now, y1: 0, y2: area.height.baseVal.value }));
      };
    },
  });
  const press = (event) => {
    const pointed = event.buttons & 1 && chart.at(event);
    if (pointed) go(pointed.x);
  };
  chart.element.addEventListener("pointerdown", press);
  chart.element.addEventListener("pointermove", press);
  const scale = canLog && choice({
    label: "scale", value: log ? "log" : "linear",
    options: ["linear", "log"].map((name) => ({ value: name, label: name })),
    onChange: (name) => { log = name === "log"; chart.redraw(); },
  });
  const zeros = canLog && every.includes(0)
    && el("p", { class: "note" }, "A loss of 0 has no place on a log scale: it stands at the lower edge.");
  const panel = panelOf(["The loss", scale], chart, zeros);
  panel.element.classList.add("loss");
  return panel;
}

// From the smallest to the largest loss between one step on show and the next.
function band(which, { bands }, frames, x, y) {
  const edge = (end) => bands.map((pair, frame) => [x(frames[frame]), y(pair[end])])
    .filter((point) => point.every(Number.isFinite));
  return svg("path", {
    class: "band", style: lookOf(which), d: `${pathOf([...edge(0), ...edge(1).reverse()])}z`,
  });
}

// Where a loss is no number any more: a cross at the upper edge, with what it is.
function breakdowns({ runs, unit }, x, width) {
  let y = -2;
  return runs.flatMap(({ label, loss, diverged }, which) => {
    if (diverged === null) return [];
    y += 17;
    const place = x(diverged);
    const what = four(loss.find((value) => !Number.isFinite(value)));
    const words = `${label && `${label}: `}${what} at ${unit} ${count(diverged)}`;
    const side = place + 7 * words.length > width ? -1 : 1;
    return [
      svg("path", { class: "cross", style: lookOf(which), d: `M${place - 5} ${y - 5}l10 10m0 -10l-10 10` }),
      svg("text", { class: "lost", x: place + 11 * side, y: y + 4, "text-anchor": side < 0 ? "end" : "start" }, words),
    ];
  });
}

// How many times larger the large numbers are than the small ones, a few at either end aside.
function spread(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const few = Math.floor(sorted.length / 20);
  return sorted[sorted.length - 1 - few] / sorted[few];
}

// ---- The parameters: a small chart for each ----

export function tensorCharts(story) {
  const state = { what: 0 };  // which of a run's `sizes` is on show: 0 the norms, 1 the updates
  const parts = story.tensors.map((tensor, column) => tensorChart(story, state, tensor, column));
  const picker = choice({
    label: "parameters, show", value: 0,
    options: [{ value: 0, label: "norm" }, { value: 1, label: `update per ${story.unit}` }],
    onChange: (what) => {
      state.what = what;
      parts.forEach(({ redraw }) => redraw());
    },
  });
  return {
    element: el("div", { class: "tensors" }, picker, el("div", { class: "grid" }, parts.map(({ element }) => element))),
    show: (frame) => parts.forEach(({ show }) => show(frame)),
  };
}

function tensorChart(story, state, tensor, column) {
  const now = el("p", { class: "now" });
  const valuesOf = (run) => run.sizes[state.what].map((row) => row[column]);
  const tell = (frame) => now.replaceChildren(...story.runs.flatMap((run, which) => {
    const value = state.what && !frame ? null : valuesOf(run)[frameOf(run, frame)];  // no update before
    return [el("span", {}, several(story) && runSample(which, 16), four(value)), " "];
  }));
  const chart = makeChart({
    label: `${tensor.name} at every ${story.unit}`, open: true, height: () => 118,
    axes: () => {
      const values = story.runs.flatMap(valuesOf).filter(Number.isFinite);
      const log = state.what === 1 && Math.min(...values) > 0 && spread(values) > LOG_FROM;
      return { x: stepAxis(story, ""), y: { name: "", log, ...rangeOf(values, { log }) } };
    },
    paint: (area, x, y) => {
      const move = paintCurves(story, valuesOf, area, x, y);
      return (frame) => {
        move(frame);
        tell(frame);
      };
    },
  });
  return { ...chart, element: el("div", { class: "tensor" }, tensorTitle(tensor), now, chart.element) };
}

function tensorTitle({ name, shape, numbers }) {
  if (!shape) return el("p", {}, name, el("span", { class: "muted" }, ` norm, ${count(numbers)} numbers`));
  const size = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  return el("p", {}, el("code", {}, name), el("span", { class: "muted" }, numbers === 1 ? " value" : ` norm, ${size}`));
}
