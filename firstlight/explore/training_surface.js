// The loss surface of two parameters: rings of equal loss, and over them each run's path so far.

import { el, status, svg } from "./frame.js";
import {
  four, frameOf, lookOf, makeChart, panelHeight, panelOf, pathOf, readable, runLine, runSign,
} from "./training_plot.js";

const MOST_DOTS = 80;  // steps of a path that are dotted

export function surfacePanel(story) {
  const { names, values, x: xEnds, y: yEnds } = story.surface;
  const side = Math.round(Math.sqrt(values.length));
  const along = ([low, high], place) => low + ((high - low) * place) / (side - 1);
  const index = ([low, high], value) => Math.round(((value - low) / (high - low)) * (side - 1));
  const lowest = lowestOf(values, side);
  const { element: read, say } = status({ class: "read" });
  let spot = null;  // [column, row] of the point that is read, if any
  const chart = makeChart({
    label: "The loss surface with each run's path so far",
    height: (width) => panelHeight(width, true),
    axes: () => ({
      x: { name: names[0], low: xEnds[0], high: xEnds[1] }, y: { name: names[1], low: yEnds[0], high: yEnds[1] },
    }),
    paint: (area, x, y) => {
      const place = (column, row) => [x(along(xEnds, column)), y(along(yEnds, row))];
      area.append(...hills(values, side, place, lowest, area));
      const moving = area.appendChild(svg("g"));
      return (frame) => {
        const paths = story.runs.map(({ path, last }) => (
          path.slice(0, frameOf({ last }, frame) + 1).map(([first, second]) => [x(first), y(second)])));
        moving.replaceChildren(...pathLines(paths), ...(spot ? crosshair(place(...spot), area) : []));
      };
    },
  });
  const go = (...wanted) => {
    spot = wanted.map((place) => Math.max(0, Math.min(side - 1, place)));
    chart.show();
    const [first, second] = [along(xEnds, spot[0]), along(yEnds, spot[1])];
    say(`${names[0]} `, el("b", {}, four(first)), `, ${names[1]} `, el("b", {}, four(second)),
      ": loss ", el("b", {}, four(values[spot[1] * side + spot[0]])));
  };
  const leave = () => {
    spot = null;
    chart.show();
    say("Cross: the lowest computed loss, ", el("b", {}, four(values[lowest[1] * side + lowest[0]])), ".");
  };
  readable(chart, {
    role: "application",
    "aria-label": "Loss surface. The arrow keys read the loss at a point, Home goes to the lowest.",
  }, {
    read: ({ x, y }) => go(index(xEnds, x), index(yEnds, y)),
    leave,
    onKey: (key) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [0, 0] }[key];
      const from = key === "Home" ? lowest : spot ?? lowest;
      return move && (() => go(from[0] + move[0], from[1] + move[1]));
    },
  });
  leave();
  return panelOf("The loss surface, and the path over it", chart, read);
}

// The column and row of the lowest value; NaN is none.
function lowestOf(values, side) {
  const place = values.reduce((best, value, at) => (value < values[best] || Number.isNaN(values[best]) ? at : best), 0);
  return [place % side, Math.floor(place / side)];
}

// The paths with a dot for each step, while there are few, and each run's sign at its end.
function pathLines(paths) {
  return [
    ...paths.map((points) => svg("path", { class: "halo", d: pathOf(points) })),
    ...paths.map((points, which) => runLine(which, points)),
    ...paths.flatMap((points, which) => (points.length > MOST_DOTS ? [] : dots(points, which))),
    ...paths.map((points, which) => runSign(which, points[points.length - 1], 5.5)),
  ].filter(Boolean);
}

function dots(points, which) {
  return points.filter((point) => point.every(Number.isFinite)).map(([cx, cy]) => (
    svg("circle", { class: "dot", style: lookOf(which), cx, cy, r: 1.6 })));
}

function crosshair([x, y], area) {
  return [
    svg("line", { class: "thread", x1: x, x2: x, y1: 0, y2: area.height.baseVal.value }),
    svg("line", { class: "thread", x1: 0, x2: area.width.baseVal.value, y1: y, y2: y }),
  ];
}

// ---- The height lines ----

// The regions, the rings between them with their losses, and a cross at the lowest point.
function hills(values, side, place, lowest, area) {
  const levels = levelsOf(values);
  const shapes = levels.map((level) => contour(values, side, level, place));
  const [x, y] = place(...lowest);
  return [
    ...shapes.map(({ region }) => svg("path", { class: "region", d: region })),
    ...shapes.map(({ line }) => svg("path", { class: "ring", d: line })),
    ...ringLabels(values, side, levels, place, lowest, area),
    svg("path", { class: "lowest", d: `M${x - 5} ${y}h10M${x} ${y - 5}v10` }),
  ];
}

// A ring's loss stands where the ring crosses the row of the lowest point, on its longer side.
function ringLabels(values, side, levels, place, [from, row], area) {
  const direction = from < side / 2 ? 1 : -1;
  const width = area.width.baseVal.value;
  let free = 26;  // pixels beside the lowest point that are taken
  return levels.map((level) => {
    const column = crossing(values.slice(row * side, (row + 1) * side), level, from, direction);
    if (column === null) return null;
    const [x, y] = place(column, row);
    const away = Math.abs(x - place(from, row)[0]);
    if (away < free || x < 18 || x > width - 18) return null;
    free = away + 40;
    const text = level < 1e4 ? `${Number(level.toPrecision(2))}`.replace("-", "−") : four(level);
    return svg("text", { class: "ringed", x, y: y + 4, "text-anchor": "middle" }, text);
  }).filter(Boolean);
}

// Where a row of values rises above a level, from a column on in one direction, or null.
function crossing(line, level, from, direction) {
  for (let column = from; column + direction in line; column += direction) {
    const [near, far] = [line[column], line[column + direction]];
    if (near < level && far >= level) return column + (direction * (level - near)) / (far - near);
  }
  return null;
}

// Levels from just above the lowest value to the highest, closer to each other towards the lowest.
function levelsOf(values, count = 10, ratio = 0.5) {
  const finite = values.filter(Number.isFinite);
  const low = finite.reduce((least, value) => Math.min(least, value), Infinity);
  const high = finite.reduce((most, value) => Math.max(most, value), -Infinity);
  if (!(high > low)) return [];
  return Array.from({ length: count }, (_, at) => low + (high - low) * ratio ** (count - at));
}

// The region where the value is above a level, and the line along it: two SVG paths. `place(column,
// row)` says where a point of the grid is drawn, also between two points.
function contour(values, side, level, place) {
  let region = "";
  let line = "";
  for (let row = 0; row + 1 < side; row++) {
    for (let column = 0; column + 1 < side; column++) {
      const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const heights = corners.map(([c, r]) => values[r * side + c] - level);
      if (heights.some(Number.isNaN)) continue;
      const { shape, crossings } = cut(corners, heights);
      if (shape.length) region += `M${shape.map((point) => spot(place, point)).join("L")}z`;
      for (let at = 0; at + 1 < crossings.length; at += 2) {
        line += `M${spot(place, crossings[at])}L${spot(place, crossings[at + 1])}`;
      }
    }
  }
  return { region, line };
}

// What of a cell lies above the level, and where its edges cross it.
function cut(corners, heights) {
  const shape = [];
  const crossings = [];
  corners.forEach((corner, at) => {
    const next = (at + 1) % corners.length;
    if (heights[at] >= 0) shape.push(corner);
    if (heights[at] >= 0 === heights[next] >= 0) return;
    const part = Number.isFinite(heights[at] - heights[next]) ? heights[at] / (heights[at] - heights[next]) : 0.5;
    const point = [0, 1].map((axis) => corner[axis] + part * (corners[next][axis] - corner[axis]));
    shape.push(point);
    crossings.push(point);
  });
  return { shape, crossings };
}

const spot = (place, [column, row]) => place(column, row).map((part) => part.toFixed(1)).join(" ");
