// The fit: the data, and the curve of the model at the step on show.

import { el, svg } from "./frame.js";
import {
  four, frameOf, makeChart, panelHeight, panelOf, rangeOf, readable, runLine, runSample, runSign, several,
} from "./training_plot.js";

const READINGS = 49;  // inputs at which a straight line is read; other curves where they were computed

export function fitPanel(story) {
  const [low, high] = [story.fit.grid[0], story.fit.grid[story.fit.grid.length - 1]];
  const inputs = filled(story.fit.grid);
  const last = inputs.length - 1;
  const range = rangeOf(story.fit.points[1], { air: 0.22 });
  const read = el("p", { class: several(story) ? "read tall" : "read" });
  const state = { frame: 0, place: null };  // which of the inputs is read, if any
  const curves = () => story.runs.map((run) => filled(run.curves[frameOf(run, state.frame)]));
  const chart = makeChart({
    label: `The data and the model's curve at this ${story.unit}`,
    height: (width) => panelHeight(width, story.surface),
    axes: () => ({
      x: { name: "input", low, high },
      y: { name: "target (dots) and the model’s output (line)", ...range },
    }),
    paint: (area, x, y) => {
      area.append(...dataDots(story.fit.points, x, y));
      const moving = area.appendChild(svg("g"));
      return (frame) => {
        state.frame = frame;
        const lines = curves().map((curve) => curve.map((value, place) => [x(inputs[place]), y(value)]));
        moving.replaceChildren(...curveLines(lines, state.place, area));
        tell();
      };
    },
  });
  const tell = () => {
    if (state.place === null) return read.replaceChildren(hint(story, curves(), range));
    const outputs = curves().map((curve) => curve[state.place]);
    const input = inputs[state.place];
    read.replaceChildren("input ", el("b", {}, four(input)), several(story) ? ":" : ", output", ...readings(story, outputs));
    const spoken = story.runs.map(({ label }, which) => `${label} ${four(outputs[which])}`.trim());
    chart.element.setAttribute("aria-valuenow", input);
    chart.element.setAttribute("aria-valuetext", `input ${four(input)}, output ${spoken.join(", ")}`);
  };
  const go = (place) => {
    state.place = place === null ? null : Math.max(0, Math.min(last, place));
    chart.show();
  };
  const middle = Math.round(last / 2);
  readable(chart, {
    role: "slider", "aria-label": "Read the fit at an input", "aria-valuemin": low, "aria-valuemax": high,
    "aria-valuenow": inputs[middle], "aria-valuetext": "the arrow keys choose an input",
  }, {
    read: ({ x }) => go(Math.round(((x - low) / (high - low)) * last)),
    leave: () => go(null),
    onKey: (key) => {
      const here = state.place ?? middle;
      const next = { ArrowLeft: here - 1, ArrowDown: here - 1, ArrowRight: here + 1, ArrowUp: here + 1, Home: 0, End: last }[key];
      return next !== undefined && (() => go(next));
    },
  });
  return panelOf("The fit", chart, read);
}

// Two points say that what lies between them is a straight line.
function filled([first, second, ...more]) {
  if (more.length) return [first, second, ...more];
  return Array.from({ length: READINGS }, (_, place) => first + ((second - first) * place) / (READINGS - 1));
}

function dataDots([xs, ys], x, y) {
  return xs.map((value, which) => svg("circle", { class: "datum", cx: x(value), cy: y(ys[which]), r: 2.6 }));
}

// Each run's curve with its sign, at the input that is read, else where the runs' signs stand apart.
function curveLines(lines, place, area) {
  const x = lines[0][place ?? 0][0];
  const last = lines[0].length - 1;
  const signPlace = (which) => Math.round(last * (0.12 + (0.76 * (which + 0.5)) / lines.length));
  return [
    place !== null && svg("line", { class: "thread", x1: x, x2: x, y1: 0, y2: area.height.baseVal.value }),
    ...lines.map((points, which) => runLine(which, points)),
    ...lines.map((points, which) => (
      (place !== null || lines.length > 1) && runSign(which, points[place ?? signPlace(which)]))),
  ].filter(Boolean);
}

// Below the picture: which curves are not in it, else how it is read.
function hint({ runs }, curves, { low, high }) {
  const where = curves.map((curve) => {
    if (!curve.some(Number.isFinite)) return "gives no finite number";
    return curve.some((value) => value > low && value < high) ? "" : "runs outside the picture";
  });
  const lost = runs.map(({ label }, which) => where[which] && `${label || "The model"} ${where[which]}.`).filter(Boolean);
  return lost.length ? lost.join(" ") : "Point at the picture to read the curve.";
}

// What each run says, in one line: its sign, then its number.
function readings(story, values) {
  return story.runs.flatMap(({ label }, which) => [
    several(story) ? [runSample(which, 16), `${label} `] : [" "], el("b", {}, four(values[which])),
  ]).flat();
}
