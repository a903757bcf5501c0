// Charts for the explorer of a training: axes with ticks, lines that stop where a number does, and
// the six looks of a run. A chart is as wide as its place, and drawn anew when that changes.

import { el, svg } from "./frame.js";

export const PLOT_CSS = `
:host {
  --run-0: var(--accent); --run-1: var(--amber); --run-2: #0b7a75; --run-3: #a02c7d;
  --run-4: #5a7400; --run-5: #5b6275;
}
:host([data-firstlight-theme="dark"]) {
  --run-2: #5fd0c5; --run-3: #f19ad3; --run-4: #bcd36a; --run-5: #b9bfd2;
}
.chart { position: relative; min-width: 0; }
.chart > svg { display: block; width: 100%; overflow: visible; }
.chart text { fill: var(--muted); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.chart .rim { fill: none; stroke: var(--line); }
.chart .gridline { stroke: var(--line); stroke-opacity: 0.55; }
.run { fill: none; stroke: var(--run); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.run.faint { stroke-opacity: 0.35; stroke-width: 1.5; }
.halo { fill: none; stroke: var(--paper); stroke-width: 5; stroke-opacity: 0.75; stroke-linejoin: round; }
.sign { fill: var(--run); stroke: var(--paper); stroke-width: 1.5; paint-order: stroke; }
`;

// How runs are told apart: besides its colour each has a dash and a sign of its own.
const DASHES = [null, "8 5", "1.5 4.5", "10 4 1.5 4", "5 3", "14 4"];
const SIGNS = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0 ${-1.25 * r}L${1.2 * r} ${0.9 * r}H${-1.2 * r}z`,
  (r) => `M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0z`,
  (r) => `M0 ${1.25 * r}L${1.2 * r} ${-0.9 * r}H${-1.2 * r}z`,
  (r) => `M${-r} 0L0 ${-1.5 * r}L${r} 0L0 ${1.5 * r}z`,
];

export const several = ({ runs }) => runs.length > 1;

// The frame a run is at: a run that ended before stays at its end.
export const frameOf = (run, frame) => Math.min(frame, run.last);

export const lookOf = (number) => `--run: var(--run-${number})`;

export function runLine(number, points, kind = "") {
  return svg("path", {
    class: `run ${kind}`, style: lookOf(number), "stroke-dasharray": DASHES[number], d: pathOf(points),
  });
}

export function runSign(number, [x, y], size = 4.5) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
  return svg("path", {
    class: "sign", style: lookOf(number), d: SIGNS[number](size), transform: `translate(${x} ${y})`,
  });
}

// A piece of a run's line with its sign, for a legend.
export function runSample(number, width = 36) {
  return svg("svg", { class: "sample", width, height: 14, viewBox: `0 0 ${width} 14`, "aria-hidden": "true" },
    width > 20 && runLine(number, [[2, 7], [width - 2, 7]]), runSign(number, [width / 2, 7], 4));
}

// The points of a line as SVG writes them. It is broken where a point is no number, and cut short
// where it runs far out of the picture: browsers draw such a line wrongly.
export function pathOf(points) {
  let text = "";
  let before = null;
  const put = (sign, [x, y]) => { text += `${sign}${x.toFixed(1)} ${y.toFixed(1)}`; };
  for (const point of points) {
    const there = point.every(Number.isFinite);
    if (there && before && !(isFar(point) && isFar(before))) {
      if (isFar(before)) put("M", towards(point, before));
      put("L", isFar(point) ? towards(before, point) : point);
    } else if (there && !isFar(point)) {
      put("M", point);
    }
    before = there ? point : null;
  }
  return text;
}

const FAR = 4000;  // pixels
const isFar = (point) => point.some((part) => Math.abs(part) > FAR);

// The point that lies about as far as is drawn on the way from one point to another.
function towards(from, to) {
  const way = [0, 1].map((axis) => to[axis] - from[axis]);
  const part = FAR / Math.hypot(...way);
  return [0, 1].map((axis) => from[axis] + part * way[axis]);
}

// A chart. axes() gives { x, y }, each { name, low, high, log, whole }; height(width) its height. What
// lies outside its rim is cut off unless it is `open`.
// paint(area, x, y) draws what stands still and returns move(frame), which draws the rest. Returns
//   element        its place
//   show(frame)    moves it to a frame
//   redraw()       when axes() gives something new
//   at(event)      where a pointer is, in the axes' numbers
export function makeChart({ label, axes, height, paint, open = false, onLayout = () => {} }) {
  const picture = svg("svg", { role: "img", "aria-label": label });
  const ruler = el("div");  // as wide as the chart; its own height never changes
  const element = el("div", { class: "chart" }, ruler, picture);
  let width = 0;
  let frame = 0;
  let move = () => {};
  let scales = null;
  const redraw = () => {
    if (!width) return;
    const { x, y } = axes();
    const tall = Math.round(height(width));
    const marks = ticks(y, Math.max(4, Math.round((tall - 50) / 32)));
    const left = 12 + 6.6 * Math.max(...marks.map(({ text }) => text.length));
    const box = { left, top: y.name ? 22 : 8, right: width - 10, bottom: tall - (x.name ? 38 : 22) };
    scales = { x: scaleOf(x, box.left, box.right), y: scaleOf(y, box.bottom, box.top), box };
    const area = svg("svg", {
      x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top,
      overflow: open ? "visible" : "hidden",
    });
    picture.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    picture.setAttribute("height", tall);
    picture.replaceChildren(...rimOf(box, scales, x, marks, y), area);
    onLayout(box, width);
    move = paint(area, shifted(scales.x, box.left), shifted(scales.y, box.top));
    move(frame);
  };
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.round(contentRect.width) === width) return;
    width = Math.round(contentRect.width);
    redraw();
  }).observe(ruler);
  return {
    element,
    picture,
    redraw,
    show: (to = frame) => { frame = to; move(frame); },
    at: ({ clientX, clientY }) => {
      const { left, top } = picture.getBoundingClientRect();
      return scales && { x: scales.x.back(clientX - left), y: scales.y.back(clientY - top) };
    },
  };
}

// The rim, the ticks with their lines, and the names of the axes.
function rimOf({ left, top, right, bottom }, scales, x, marks, y) {
  const across = ticks(x, Math.max(2, Math.round((right - left) / 75)));
  return [
    marks.map(({ value, text }) => [
      svg("line", { class: "gridline", x1: left, x2: right, y1: scales.y(value), y2: scales.y(value) }),
      svg("text", { x: left - 6, y: scales.y(value) + 4, "text-anchor": "end" }, text),
    ]),
    across.map(({ value, text }) => [
      svg("line", { class: "gridline", x1: scales.x(value), x2: scales.x(value), y1: top, y2: bottom }),
      svg("text", { x: scales.x(value), y: bottom + 16, "text-anchor": "middle" }, text),
    ]),
    svg("rect", { class: "rim", x: left, y: top, width: right - left, height: bottom - top, rx: 3 }),
    y.name && svg("text", { x: left, y: 14 }, y.name),
    x.name && svg("text", { x: right, y: bottom + 32, "text-anchor": "end" }, x.name),
  ].flat(2).filter(Boolean);
}

// From a number to its place on the page; `back` leads back. What is far outside stays drawable.
function scaleOf({ low, high, log }, from, to) {
  const inner = log ? Math.log10 : (value) => value;
  const outer = log ? (value) => 10 ** value : (value) => value;
  const [first, last] = [inner(low), inner(high)];
  const scale = (value) => {
    if (!Number.isFinite(value)) return NaN;
    if (log && value <= 0) return from;  // 0 lies below every log scale: at its lower edge
    const place = from + ((inner(value) - first) / (last - first)) * (to - from);
    return Math.max(-1e9, Math.min(1e9, place));
  };
  scale.back = (place) => outer(first + ((place - from) / (to - from)) * (last - first));
  return scale;
}

function shifted(scale, by) {
  return (value) => scale(value) - by;
}

// The range of some numbers with a little air, and not empty. NaN and infinity don't count.
export function rangeOf(values, { log = false, air = 0.06 } = {}) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return log ? { low: 0.1, high: 1 } : { low: 0, high: 1 };
  if (log) {
    const ratio = Math.max(high / low, 1.5) ** air;
    return { low: low / ratio, high: Math.min(high * ratio, Number.MAX_VALUE) };
  }
  const margin = high > low ? air * (high - low) : 0.5 * Math.abs(high) || 0.5;
  return { low: low - margin, high: high + margin };
}

// About `count` round numbers on an axis, each with its text.
export function ticks({ low, high, log, whole }, count) {
  return log ? logTicks(low, high, count) : linearTicks(low, high, count, whole);
}

function linearTicks(low, high, count, whole) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const stride = whole ? Math.max(1, Math.round(size)) : size;
  const digits = Math.max(0, -Math.floor(Math.log10(stride) + 1e-9));
  const large = Math.max(Math.abs(low), Math.abs(high)) >= 1e5 && !whole;
  const text = (value) => {
    if (large || digits > 5) return short(value);
    return minus(whole ? value.toLocaleString("en-US") : value.toFixed(digits));
  };
  const marks = [];
  for (let at = Math.ceil(low / stride - 1e-9); at * stride <= high + 1e-9 * stride; at++) {
    marks.push({ value: at * stride, text: text(at === 0 ? 0 : at * stride) });
  }
  return marks;
}

function logTicks(low, high, count) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const stride = Math.max(1, Math.ceil((last - first) / (count + 1)));
  const decades = Math.log10(high / low);
  if (decades < 0.7) return linearTicks(low, high, count, false);
  const steps = decades < 2.5 ? [1, 2, 5] : [1];
  const marks = [];
  for (let power = Math.ceil(first / stride) * stride; power <= last; power += stride) {
    steps.map((step) => step * 10 ** power).filter((value) => value >= low && value <= high)
      .forEach((value) => marks.push({ value, text: short(value) }));
  }
  return marks;
}

function short(value) {
  const size = Math.abs(value);
  const plain = size === 0 || (size >= 1e-3 && size < 1e4);
  return minus(plain ? `${Number(value.toPrecision(3))}` : value.toExponential().replace(/^(-?\d(?:\.\d{0,2})?)\d*e\+?/, "$1e"));
}

export const count = (number) => number.toLocaleString("en-US");

const minus = (text) => text.replaceAll("-", "−");

// A number with four digits, always as wide.
export function four(value) {
  if (value == null) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "−inf";
  const size = Math.abs(value);
  const plain = value === 0 || (size >= 1e-4 && Number(size.toPrecision(4)) < 1e4);
  return minus(plain ? value.toPrecision(4) : value.toExponential(3).replace("e+", "e"));
}

// A key that a chart or the slider takes: a notebook has arrow keys of its own.
export function taken(event, act) {
  event.preventDefault();
  event.stopPropagation();
  act();
}

// Let a chart be read: at the pointer, and for the keyboard as an element with these attributes. A
// mouse that leaves takes its reading along.
export function readable(chart, attributes, { read, leave, onKey }) {
  const { element } = chart;
  element.classList.add("probe");
  Object.entries({ tabindex: 0, ...attributes }).forEach(([name, value]) => element.setAttribute(name, value));
  const point = (event) => {
    const pointed = chart.at(event);
    if (pointed) read(pointed);
  };
  element.addEventListener("pointerdown", point);
  element.addEventListener("pointermove", point);
  element.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && leave());
  element.addEventListener("keydown", (event) => {
    const act = onKey(event.key);
    if (act) taken(event, act);
  });
}

// A panel: a chart under its name, and what else stands beside the name.
export function panelOf(head, chart, ...more) {
  const [name, ...beside] = [head].flat();
  return {
    element: el("figure", { class: "panel" },
      el("div", { class: "head" }, el("p", { class: "label" }, name), beside), chart.element, more),
    show: chart.show,
  };
}

// A chart beside another is nearly square, alone it is wide.
export function panelHeight(width, square) {
  return square ? Math.min(340, Math.max(260, 0.86 * width)) : Math.min(320, Math.max(240, 0.5 * width));
}
