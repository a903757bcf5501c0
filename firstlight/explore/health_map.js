// The map: a row for each layer or parameter, and in it a strip over the steps. A number is the height
// and the depth of its bar; what is no number has a pattern of its own.

import { el, rove } from "./frame.js";
import { count } from "./training_plot.js";
import { VIEWS, heightOf, rangeOfView, shown, whatOf } from "./health_views.js";

const PATTERNS = { zero: "exactly 0", none: "no gradient (None)", lost: "NaN or inf" };

export function makeMap(story, state, tools, { go, choose }) {
  const list = el("div", { class: "map", role: "listbox" });
  const key = el("p", { class: "key" });
  const element = el("div", {}, key, list);
  let rows = [];
  let range = null;
  let keys = { point: () => {} };
  const paint = () => {
    const met = new Set();
    rows.forEach((row) => paintStrip(row.canvas, row.values, { range, rule: whatOf(state).rule && story.ratio, met }));
    return met;
  };
  const draw = () => {
    const what = whatOf(state);
    range = rangeOfView(story, state);
    rows = shown(story, state).map((row, number) => makeRow(row, what, { number, go, story, state, choose }));
    list.setAttribute("aria-label", `${VIEWS[state.view].label}: ${what.says}, by ${VIEWS[state.view].rows}`);
    list.replaceChildren(...rows.map((row) => row.element));
    keys = rove(rows.map((row) => [row.element]), { onPoint: () => {} });
    const met = paint();
    key.replaceChildren(...keyOf(what, range, met, story));
    mark();
  };
  const mark = () => {
    rows.forEach(({ element: each }, number) => each.setAttribute("aria-selected", number === state.row ? "true" : "false"));
    keys.point(state.row, 0);
  };
  new ResizeObserver(paint).observe(list);
  tools.onTheme(() => requestAnimationFrame(paint));
  return {
    element,
    draw,
    mark,
    show: (frame) => {
      list.style.setProperty("--at", `${(100 * (frame + 0.5)) / story.frames.length}%`);
      rows.forEach((row) => row.tell(frame));
    },
  };
}

function makeRow(row, what, { number, go, story, state, choose }) {
  const values = row.columns[what.key];
  const canvas = el("canvas", { "aria-hidden": "true" });
  const strip = el("span", { class: "strip" }, canvas);
  const value = el("span", { class: "value" });
  const last = story.frames.length - 1;
  const tag = row.kind ?? (row.trains ? `(${row.shape.join(", ")}${row.shape.length === 1 ? "," : ""})` : "frozen");
  const scrub = (event) => {
    if (!(event.buttons & 1)) return;
    const { left, width } = strip.getBoundingClientRect();
    go(Math.max(0, Math.min(last, Math.floor(((event.clientX - left) / width) * (last + 1)))));
  };
  strip.addEventListener("pointerdown", scrub);
  strip.addEventListener("pointermove", scrub);
  const element = el("div", {
    class: "row", role: "option", "aria-selected": "false",
    onclick: () => choose(number),
    onfocus: () => state.row !== number && choose(number),
    onkeydown: (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      go(Math.max(0, Math.min(last, state.frame + by)));
    },
  }, el("span", { class: "name", title: row.name }, row.name, el("span", { class: "tag" }, row.name.startsWith(tag) ? "" : tag)), strip, value);
  return {
    element,
    canvas,
    values,
    tell: (frame) => {
      value.textContent = what.text(values[frame]);
      value.classList.toggle("loud", values[frame] !== null && !Number.isFinite(values[frame]));
      element.setAttribute("aria-label", `${row.name}: ${what.text(values[frame])} at step ${count(story.frames[frame])}`);
    },
  };
}

// What the heights mean, and the patterns that stand on the map.
function keyOf(what, { low, high }, met, story) {
  const round = (value) => value.toExponential(0).replace("e+", "e").replace("-", "−");
  const span = what.log ? `foot ${round(low)}, top ${round(high)}, log scale` : "foot 0 %, top 100 %";
  return [
    el("span", {}, `Height: ${what.says} (${span})`),
    what.rule && el("span", { class: "sample rule" }, `rule of thumb ${story.ratio}`),
    ...Object.keys(PATTERNS).filter((pattern) => met.has(pattern))
      .map((pattern) => el("span", { class: `sample ${pattern}` },
        pattern === "none" && what.rule ? "no ratio: the parameter was 0" : PATTERNS[pattern])),
  ].filter(Boolean);
}

// ---- A strip ----

function paintStrip(canvas, values, { range, rule, met }) {
  const density = Math.min(3, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * density);
  const height = Math.round(canvas.clientHeight * density);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const kinds = values.map((value) => kindOf(value, range));
  kinds.forEach((kind) => met.add(kind));
  if (!width || !height) return;
  const style = getComputedStyle(canvas);
  const color = (name) => style.getPropertyValue(name).trim();
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const edge = (frame) => Math.round((frame * width) / values.length);
  values.forEach((value, frame) => {
    const [from, to] = [edge(frame), Math.max(edge(frame) + 1, edge(frame + 1))];
    if (kinds[frame] !== "number") return;
    const part = heightOf(value, range);
    const tall = Math.max(1.5 * density, part * height);
    pen.globalAlpha = 0.3 + 0.7 * part;
    pen.fillStyle = color("--accent");
    pen.fillRect(from, height - tall, to - from, tall);
  });
  pen.globalAlpha = 1;
  for (const kind of ["zero", "none", "lost"]) patterned(pen, kinds, kind, { edge, height, density, color });
  if (rule) {
    const y = Math.round((1 - heightOf(rule, range)) * height) + 0.5;
    for (const [name, thick, dash] of [["--paper", 3, []], ["--amber", 1.5, [4 * density, 3 * density]]]) {
      pen.strokeStyle = color(name);
      pen.lineWidth = thick * density;
      pen.setLineDash(dash);
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.stroke();
    }
    pen.setLineDash([]);
  }
}

function kindOf(value, { log }) {
  if (value === null || value === undefined) return "none";
  if (!Number.isFinite(value)) return "lost";
  return log && value === 0 ? "zero" : "number";
}

// Hatch the steps of a kind: 0 with thin strokes one way, NaN and infinity with crossed ones; None
// has a dotted line at the foot.
function patterned(pen, kinds, wanted, { edge, height, density, color }) {
  const gap = (wanted === "zero" ? 7 : 6) * density;
  pen.save();
  pen.beginPath();
  kinds.forEach((kind, frame) => kind === wanted && pen.rect(edge(frame), 0, Math.max(1, edge(frame + 1) - edge(frame)), height));
  pen.clip();
  pen.strokeStyle = color(wanted === "lost" ? "--amber" : "--muted");
  pen.lineWidth = (wanted === "lost" ? 1.6 : 1) * density;
  const width = pen.canvas.width;
  pen.beginPath();
  if (wanted === "none") {
    pen.setLineDash([1.5 * density, 4 * density]);
    pen.moveTo(0, height - 2 * density);
    pen.lineTo(width, height - 2 * density);
  } else {
    for (let x = -height; x < width + height; x += gap) {
      pen.moveTo(x, height);
      pen.lineTo(x + height, 0);
      if (wanted === "lost") {
        pen.moveTo(x, 0);
        pen.lineTo(x + height, height);
      }
    }
  }
  pen.stroke();
  pen.restore();
}
