// Experiments as points: the accuracy of each class, a row a class; and cost against accuracy.

import { el, status, svg } from "./frame.js";
import { count, lookOf, makeChart, panelOf, rangeOf, readable, runSign, taken, ticks } from "./training_plot.js";

const PER_SIGN = 9;  // pixels of a row's height for each marked experiment, so that no sign hides another
const LABEL = 6.6;  // pixels, about, of a letter

const inPercent = (value) => `${(100 * value).toFixed(2)} %`;
const inside = (value, low, high) => Math.max(low, Math.min(high, value));

// ---- The accuracy of each class ----

export function classPanel(story, state, hooks) {
  const known = story.groups.map((group, at) => at).filter((at) => story.groups[at].classes.length);
  const home = known.includes(story.best) ? story.best : known[0];
  const range = rangeOf(known.flatMap((at) => story.groups[at].classes.flatMap(([, low, high]) => [low, high])));
  const axis = { low: 100 * Math.max(0, range.low), high: 100 * Math.min(1, range.high) };
  const picture = svg("svg", { role: "img", "aria-label": "Accuracy of each class. The numbers are read with the arrow keys, and stand in words below." });
  const chart = el("div", { class: "chart probe", tabindex: "0", role: "group",
    "aria-label": "Read the accuracy of the classes: up and down choose a class, left and right an experiment" }, picture);
  const read = status({ class: "read" });
  let width = 0;
  let row = null;
  let box = null;

  function draw() {
    if (!width) return;
    const marked = known.filter((at) => state.marks.has(at));
    const tall = Math.max(24, PER_SIGN * marked.length + 6);
    const longest = Math.max(...story.classes.map((name) => name.length));
    const left = inside(LABEL * longest + 12, 30, 0.36 * width);
    box = { left, right: width - 58, top: 26, tall, bottom: 26 + tall * story.classes.length };
    const place = (value) => box.left + ((100 * value - axis.low) / (axis.high - axis.low)) * (box.right - box.left);
    const letters = Math.floor((left - 10) / LABEL);
    const marks = ticks(axis, Math.max(2, Math.round((box.right - box.left) / 70)));
    const over = svg("g", { class: "over" });
    const still = svg("g", { class: "still" }, story.classes.map((_, line) => {
      const middle = box.top + tall * (line + 0.5);
      return [
        known.filter((at) => !state.marks.has(at)).map((at) => svg("circle", { class: "dust", r: 2, cx: place(story.groups[at].classes[line][0]), cy: middle })),
        marked.map((at, which) => classMark(at, line, middle + PER_SIGN * (which - (marked.length - 1) / 2), place)),
      ];
    }));
    const back = svg("rect", { class: "rowat", x: 0, width, height: tall, y: 0, visibility: "hidden" });
    const area = svg("g", {}, still, over);
    picture.setAttribute("viewBox", `0 0 ${width} ${box.bottom + 40}`);
    picture.setAttribute("height", box.bottom + 40);
    picture.replaceChildren(back,
      ...marks.map(({ value, text }) => [svg("line", { class: "gridline", x1: place(value / 100), x2: place(value / 100), y1: box.top, y2: box.bottom }),
        svg("text", { x: place(value / 100), y: box.bottom + 16, "text-anchor": "middle" }, text)]).flat(),
      svg("text", { x: box.right, y: box.bottom + 32, "text-anchor": "end" }, "accuracy in %"),
      ...story.classes.map((name, line) => [svg("line", { class: "rowline", x1: 0, x2: width, y1: box.top + tall * line, y2: box.top + tall * line }),
        svg("text", { class: "ink", x: 2, y: box.top + tall * (line + 0.5) + 4 }, cut(name, letters), svg("title", {}, name))]).flat(),
      area);
    move = () => {
      const at = known.includes(state.at) ? state.at : home;
      area.classList.toggle("dim", state.at !== null && known.includes(state.at));
      back.setAttribute("y", box.top + tall * (row ?? 0));
      back.setAttribute("visibility", row === null ? "hidden" : "visible");
      const which = marked.indexOf(at);
      over.replaceChildren(
        svg("text", { class: "strong", x: width, y: 14, "text-anchor": "end" }, cut(story.groups[at].name, Math.floor((width - 4) / 7))),
        ...story.classes.map((_, line) => {
          const middle = box.top + tall * (line + 0.5);
          const lies = which < 0 ? middle : middle + PER_SIGN * (which - (marked.length - 1) / 2);
          return [state.at === at && classMark(at, line, lies, place, 5.5),
            svg("text", { class: "strong", x: width, y: middle + 4, "text-anchor": "end" }, inPercent(story.groups[at].classes[line][0]))];
        }).flat().filter(Boolean));
    };
    move();
  }

  function classMark(at, line, y, place, size = 4) {
    const [mean, low, high] = story.groups[at].classes[line];
    const look = state.marks.get(at);
    return svg("g", { class: "mark-of", style: look === undefined ? "" : lookOf(look) },
      high > low && svg("line", { class: "whisker", x1: place(low), x2: place(high), y1: y, y2: y }),
      look === undefined ? svg("circle", { class: "spot", r: size, cx: place(mean), cy: y }) : runSign(look, [place(mean), y], size));
  }

  let move = () => {};
  function say() {
    if (row === null) {
      read.say("A line through a sign: lowest to highest of the runs of one name. At the right: the experiment pointed at, or the best.");
      return;
    }
    const own = state.at !== null && known.includes(state.at) && !state.marks.has(state.at) ? [state.at] : [];
    const shown = [...own, ...known.filter((at) => state.marks.has(at))]
      .sort((one, other) => story.groups[other].classes[row][0] - story.groups[one].classes[row][0]);
    read.say(el("b", {}, story.classes[row]), ": ", shown.map((at) => `${story.groups[at].name} ${inPercent(story.groups[at].classes[row][0])}`).join(", "));
  }
  const go = (line, at) => {
    row = line;
    hooks.point(at);
    move();
    say();
  };
  chart.addEventListener("pointermove", (event) => {
    if (!box) return;
    const { left, top } = picture.getBoundingClientRect();
    const line = inside(Math.floor((event.clientY - top - box.top) / box.tall), 0, story.classes.length - 1);
    const value = (axis.low + ((event.clientX - left - box.left) / (box.right - box.left)) * (axis.high - axis.low)) / 100;
    const far = (at) => Math.abs(story.groups[at].classes[line][0] - value);
    const near = known.reduce((best, at) => (far(at) < far(best) ? at : best));
    go(line, (far(near) / (axis.high - axis.low)) * 100 * (box.right - box.left) < 24 ? near : null);
  });
  chart.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && go(null, null));
  chart.addEventListener("blur", () => go(null, null));
  chart.addEventListener("keydown", (event) => {
    const last = story.classes.length - 1;
    const here = row ?? -1;
    const line = { ArrowDown: here + 1, ArrowUp: here < 0 ? last : here - 1, Home: 0, End: last }[event.key];
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (line !== undefined) taken(event, () => go(inside(line, 0, last), state.at));
    else if (way) taken(event, () => go(Math.max(here, 0), known[inside(known.indexOf(known.includes(state.at) ? state.at : home) + way, 0, known.length - 1)]));
  });
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.round(contentRect.width) === width) return;
    width = Math.round(contentRect.width);
    draw();
  }).observe(chart);
  say();
  return {
    element: el("figure", { class: "panel classes" }, el("div", { class: "head" }, el("p", { class: "label" }, "accuracy of each class")), chart, read.element),
    show: () => { move(); if (row !== null) say(); },
    redraw: draw,
  };
}

const cut = (text, letters) => (text.length > letters ? `${text.slice(0, Math.max(1, letters - 1))}…` : text);

// ---- Cost against accuracy ----

const COSTS = { seconds: (value) => `${value.toFixed(1)} s`, parameters: (value) => `${count(Math.round(value))} parameters` };

export function costPanel(story, state, hooks, choice) {
  const has = (cost) => story.groups.map((group, at) => at).filter((at) => story.groups[at].accuracy && story.groups[at][cost]);
  const costs = Object.keys(COSTS).filter((cost) => has(cost).length > 1);
  if (!costs.length) return null;
  const read = status({ class: "read" });
  let cost = costs[0];
  let order = [];
  let places = [];

  const chart = makeChart({
    label: "Cost against accuracy. The numbers are read with the arrow keys, and stand in words below.",
    axes: () => {
      const known = has(cost);
      order = known.sort((one, other) => story.groups[one][cost][0] - story.groups[other][cost][0]);
      const spent = known.flatMap((at) => story.groups[at][cost].slice(0, 3));
      const log = Math.min(...spent) > 0 && Math.max(...spent) > 8 * Math.min(...spent);
      const reached = known.flatMap((at) => story.groups[at].accuracy.slice(0, 3).map((value) => 100 * value));
      return { x: { name: log ? `${cost}, log scale` : cost, log, ...rangeOf(spent, { log, air: 0.12 }) }, y: { name: "accuracy in %", ...rangeOf(reached, { air: 0.12 }) } };
    },
    height: (width) => Math.min(380, Math.max(260, 0.75 * width)),
    paint: (area, x, y) => {
      const size = { width: Number(area.getAttribute("width")), height: Number(area.getAttribute("height")) };
      places = story.groups.map(({ accuracy, [cost]: spent }) => accuracy && spent && [x(spent[0]), y(100 * accuracy[0])]);
      const marked = order.filter((at) => state.marks.has(at));
      const still = svg("g", { class: "still" },
        order.filter((at) => !state.marks.has(at)).map((at) => svg("circle", { class: "dust", r: 3, cx: places[at][0], cy: places[at][1] })),
        marked.map((at) => costMark(at, x, y)), labelsOf(marked, size));
      const over = svg("g", { class: "over" });
      area.append(still, over);
      return ({ at } = state) => {
        const here = at !== null && order.includes(at);
        area.classList.toggle("dim", here);
        over.replaceChildren(...(here ? [costMark(at, x, y, 6), labelsOf([at], size)].flat().filter(Boolean) : []));
      };
    },
  });

  function costMark(at, x, y, size = 4.5) {
    const { accuracy, [cost]: spent } = story.groups[at];
    const look = state.marks.get(at);
    const [across, up] = places[at];
    return svg("g", { style: look === undefined ? "" : lookOf(look) },
      accuracy[2] > accuracy[1] && svg("line", { class: "whisker", x1: across, x2: across, y1: y(100 * accuracy[1]), y2: y(100 * accuracy[2]) }),
      spent[2] > spent[1] && svg("line", { class: "whisker", x1: x(spent[1]), x2: x(spent[2]), y1: up, y2: up }),
      look === undefined ? svg("circle", { class: "spot", r: size, cx: across, cy: up }) : runSign(look, [across, up], size));
  }

  // Names beside their signs, where there is room; a name without room is left to pointing.
  function labelsOf(wanted, { width, height }) {
    const taken = wanted.map((at) => ({ left: places[at][0] - 7, right: places[at][0] + 7, top: places[at][1] - 8, bottom: places[at][1] + 8 }));
    return wanted.map((at) => {
      const text = cut(story.groups[at].name, 26);
      const wide = LABEL * text.length;
      const [x, y] = places[at];
      const spots = [[x + 10, y + 4], [x - 10 - wide, y + 4], [x - wide / 2, y - 13], [x - wide / 2, y + 22], [x + 8, y - 11], [x + 8, y + 19], [x - 8 - wide, y - 11], [x - 8 - wide, y + 19]];
      const boxOf = ([left, base]) => ({ left, right: left + wide, top: base - 11, bottom: base + 4 });
      const free = spots.find((spot) => {
        const own = boxOf(spot);
        const fits = own.left >= 0 && own.right <= width && own.top >= 0 && own.bottom <= height;
        return fits && !taken.some((other) => own.left < other.right && other.left < own.right && own.top < other.bottom && other.top < own.bottom);
      });
      if (!free) return null;
      taken.push(boxOf(free));
      return svg("text", { class: "ink", x: free[0], y: free[1] }, text);
    });
  }

  const say = (at) => {
    if (at === null || !order.includes(at)) {
      read.say("Lines through a sign: lowest to highest. Point at a sign, or use the arrow keys.");
      return;
    }
    const { name, accuracy, [cost]: spent } = story.groups[at];
    const range = accuracy[3] > 1 ? ` (${inPercent(accuracy[1])} to ${inPercent(accuracy[2])})` : "";
    read.say(el("b", {}, name), `: ${COSTS[cost](spent[0])}, ${inPercent(accuracy[0])}${range}`);
  };
  const go = (at) => { hooks.point(at); say(at); };
  readable(chart, { role: "group", "aria-label": "Read cost and accuracy: left and right choose the next experiment by cost" }, {
    read: () => {},
    leave: () => go(null),
    onKey: (key) => {
      const here = order.indexOf(state.at);
      const last = order.length - 1;
      const next = { ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here < 0 ? last : here - 1, ArrowDown: here < 0 ? last : here - 1, Home: 0, End: last }[key];
      return next !== undefined && (() => go(order[inside(next, 0, last)]));
    },
  });
  chart.element.addEventListener("pointermove", ({ clientX, clientY }) => {
    const area = chart.picture.querySelector("svg");
    if (!area) return;
    const { left, top } = chart.picture.getBoundingClientRect();
    const [x, y] = [clientX - left - area.getAttribute("x"), clientY - top - area.getAttribute("y")];
    const far = (at) => Math.hypot(places[at][0] - x, places[at][1] - y);
    const near = order.reduce((best, at) => (far(at) < far(best) ? at : best), order[0]);
    go(far(near) < 28 ? near : null);
  });
  chart.element.addEventListener("blur", () => go(null));
  say(null);
  const pick = costs.length > 1 && choice({
    label: "cost in", value: cost, options: costs.map((value) => ({ value, label: value })),
    onChange: (value) => { cost = value; chart.redraw(); say(state.at); },
  });
  const panel = panelOf(["cost against accuracy", pick || ""], chart, read.element);
  panel.element.classList.add("cost");
  return { element: panel.element, show: chart.show, redraw: chart.redraw };
}
