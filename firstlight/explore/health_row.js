// The row that is chosen: its curve with axes among the curves of the others, and all its numbers.

import { el, svg } from "./frame.js";
import { count, four, makeChart, panelOf, pathOf } from "./training_plot.js";
import { VIEWS, rangeOfView, shown, whatOf } from "./health_views.js";

const NUMBERS = {
  layers: [["mean", "mean"], ["std", "std"], ["largest", "largest"], ["zero", "zeros"], ["dead", "dead units"], ["nonfinite", "NaN or inf"]],
  parameters: [["gradient", "gradient norm"], ["largest", "largest gradient"], ["weight", "weight norm"], ["update", "update norm"], ["ratio", "update / weight"]],
};

export function rowPanel(story, state, { go }) {
  const name = el("span");
  const says = el("span", { class: "says" });
  const numbers = el("dl", { class: "numbers" });
  const chart = makeChart({
    label: "The chosen row over the steps", height: () => 190,
    axes: () => ({ x: { name: "step", low: 0, high: Math.max(1, story.length - 1), whole: true }, y: { name: "", ...axis() } }),
    paint: (area, x, y) => {
      const rows = shown(story, state);
      const { key, rule } = whatOf(state);
      const line = ({ columns }, kind) => svg("path", {
        class: `run ${kind}`, style: "--run: var(--accent)",
        d: pathOf(columns[key].map((value, frame) => [x(story.frames[frame]), value === null ? NaN : y(value)])),
      });
      const width = area.width.baseVal.value;
      if (rule) area.append(...ruleOf(story, y, width));
      area.append(...rows.filter((_, number) => number !== state.row).map((row) => line(row, "other")));
      const mine = rows[state.row];
      if (mine) area.append(line(mine, "mine"));
      const moving = area.appendChild(svg("g"));
      return (frame) => {
        const at = x(story.frames[frame]);
        const value = mine?.columns[key][frame];
        moving.replaceChildren(...[
          svg("line", { class: "thread", x1: at, x2: at, y1: 0, y2: area.height.baseVal.value }),
          Number.isFinite(value) && svg("circle", { class: "sign", style: "--run: var(--accent)", cx: at, cy: y(value), r: 4.5 }),
        ].filter(Boolean));
      };
    },
  });
  const axis = () => {
    const { low, high, log } = rangeOfView(story, state);
    return log ? { low, high, log } : { low, high: high * 1.02 };
  };
  const press = (event) => {
    const pointed = event.buttons & 1 && chart.at(event);
    if (pointed) go(pointed.x);
  };
  chart.element.addEventListener("pointerdown", press);
  chart.element.addEventListener("pointermove", press);
  const panel = panelOf([name, says], chart, numbers);
  panel.element.classList.add("chosen");
  return {
    element: panel.element,
    draw: () => {
      const row = shown(story, state)[state.row];
      panel.element.hidden = !row;
      if (!row) return;
      name.replaceChildren(el("b", {}, row.name), ` ${describe(row)}`);
      says.textContent = whatOf(state).says;
      chart.redraw();
    },
    show: (frame) => {
      chart.show(frame);
      const row = shown(story, state)[state.row];
      if (row) numbers.replaceChildren(...numbersOf(row, frame, state));
    },
  };
}

function describe({ kind, name, units, shape, trains }) {
  if (!shape) return `${name.startsWith(kind) ? "" : `${kind}, `}${count(units)} ${units === 1 ? "unit" : "units"}`;
  return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})${trains ? "" : ", frozen"}`;
}

function ruleOf({ ratio, band }, y, width) {
  const [low, high] = band.map(y);
  return [
    svg("rect", { class: "band", x: 0, width, y: Math.min(low, high), height: Math.abs(high - low) }),
    svg("line", { class: "rule", x1: 0, x2: width, y1: y(ratio), y2: y(ratio) }),
  ];
}

function numbersOf(row, frame, state) {
  return NUMBERS[VIEWS[state.view].rows].map(([key, label]) => {
    const value = row.columns[key][frame];
    return el("div", {}, el("dt", {}, label), el("dd", { class: value !== null && !Number.isFinite(value) ? "loud" : "" }, textOf(key, value)));
  });
}

function textOf(key, value) {
  if (value === null) return key === "gradient" ? "None" : "–";
  if (key === "zero" || key === "dead") return `${Number((100 * value).toPrecision(3))} %`;
  if (key === "nonfinite") return count(value);
  return value === 0 ? "0" : four(value);
}
