// The curves of experiments: training loss, validation loss, accuracy over the epochs, each in a chart.

import { choice, el, status, svg } from "./frame.js";
import { count, four, lookOf, makeChart, pathOf, panelOf, rangeOf, readable, runLine, runSign } from "./training_plot.js";

const KINDS = ["training loss", "validation loss", "accuracy in %"];
const ACCURACY = 2;
const WILD = 30;  // times the median: then losses start on a log scale

// What a curve is at an epoch, or undefined where it has nothing there.
function curveAt({ length, values }, stride, epoch) {
  const last = epoch === length - 1;
  return last ? values[values.length - 1] : epoch % stride === 0 && epoch < length ? values[epoch / stride] : undefined;
}

// The mean of a group at an epoch over the runs that reached it: { mean, reached, of }.
function groupAt(group, kind, stride, epoch) {
  const curves = group.runs.map((run) => run.curves[kind]).filter(({ length }) => length);
  const values = curves.map((curve) => curveAt(curve, stride, epoch)).filter((value) => value !== undefined);
  return { mean: values.reduce((sum, value) => sum + value, 0) / values.length, reached: values.length, of: curves.length };
}

// The points of a group's line: its one run, or the mean as far as all of its runs go.
function groupPoints(group, kind, stride) {
  const curves = group.runs.map((run) => run.curves[kind]).filter(({ length }) => length);
  if (!curves.length) return [];
  const shared = Math.min(...curves.map(({ length }) => length));
  return curves.find(({ length }) => length === shared).epochs
    .filter((epoch) => curves.every((curve) => curveAt(curve, stride, epoch) !== undefined))
    .map((epoch) => [epoch, groupAt(group, kind, stride, epoch).mean]);
}

export function curvePanels(story, state, hooks) {
  const lengths = story.groups.flatMap(({ runs }) => runs.flatMap(({ curves }) => curves.map(({ length }) => length)));
  const last = Math.max(...lengths) - 1;
  const least = last > 0 ? 2 : 1;  // one accuracy is no curve beside runs of several epochs
  const kinds = KINDS.map((_, kind) => kind)
    .filter((kind) => story.groups.some(({ runs }) => runs.some(({ curves }) => curves[kind].length >= least)));
  if (!kinds.length) return null;
  const lines = story.groups.map((group) => KINDS.map((_, kind) => groupPoints(group, kind, story.stride)));
  const losses = valuesOf(story, [0, 1]);
  const scale = { log: isWild(losses) };
  const read = status({ class: "read" });
  const panels = kinds.map((kind) => curvePanel(kind));

  function curvePanel(kind) {
    const loss = kind !== ACCURACY;
    const values = loss ? losses : valuesOf(story, [ACCURACY]).map((value) => 100 * value);
    const unit = loss ? 1 : 100;
    const chart = makeChart({
      label: `${KINDS[kind]} of each epoch. The numbers are read with the arrow keys, and stand in words below.`,
      axes: () => ({
        x: { name: "epoch", ...(last ? { low: 1 - 0.03 * last, high: 1 + 1.03 * last } : { low: 0.5, high: 1.5 }), whole: true },
        y: { name: "", ...(loss ? rangeOf(values, scale) : rangeOf(values)), log: loss && scale.log },
      }),
      height: (width) => Math.min(270, Math.max(200, 0.72 * width)),
      paint: (area, x, y) => paintCurves(area, kind, ([epoch, value]) => [x(epoch + 1), y(unit * value)]),
    });
    readable(chart, { role: "group", "aria-label": `Read ${KINDS[kind]}: left and right choose an epoch, up and down an experiment` }, {
      read: ({ x, y }) => {
        const epoch = clamp(Math.round(x) - 1, 0, last);
        go(epoch, nearestGroup(kind, epoch, y / unit, loss && scale.log));
      },
      leave: () => go(null, null),
      onKey: (key) => {
        const here = state.epoch ?? last;
        const next = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last }[key];
        if (next !== undefined) return () => go(clamp(state.epoch === null && key === "ArrowRight" ? 0 : next, 0, last), state.at ?? story.best);
        const way = { ArrowUp: -1, ArrowDown: 1 }[key];
        return way && (() => go(here, clamp((state.at ?? story.best) + way, 0, story.groups.length - 1)));
      },
    });
    chart.element.addEventListener("blur", () => go(null, null));
    return { ...panelOf(KINDS[kind], chart), redraw: chart.redraw };
  }

  function paintCurves(area, kind, place) {
    const grey = svg("g", { class: "still" });
    const marked = svg("g", { class: "still" });
    const over = svg("g", { class: "over" });
    area.append(grey, marked, over);
    story.groups.forEach((group, at) => {
      const look = state.marks.get(at);
      const runs = group.runs.map(({ curves }) => curves[kind]).filter(({ length }) => length)
        .map(({ epochs, values }) => epochs.map((epoch, spot) => place([epoch, values[spot]])));
      if (look === undefined) {
        grey.append(svg("path", { class: "other", d: runs.map(pathOf).join("") }));
      } else {
        if (runs.length > 1) marked.append(svg("path", { class: "run faint", style: lookOf(look), d: runs.map(pathOf).join("") }));
        marked.append(...marksOf(look, lines[at][kind].map(place), look));
      }
    });
    return ({ at, epoch } = state) => {
      area.classList.toggle("dim", at !== null);
      const points = at === null ? [] : lines[at][kind].map(place);
      const look = state.marks.get(at);
      const hair = epoch !== null && epoch !== undefined && svg("line", { class: "hair", x1: place([epoch, 1])[0], x2: place([epoch, 1])[0], y1: 0, y2: 400 });
      const spot = at !== null && epoch != null && place([epoch, groupAt(story.groups[at], kind, story.stride, epoch).mean]);
      over.replaceChildren(...[
        hair,
        points.length > 0 && svg("path", { class: "halo", d: pathOf(points) }),
        ...(look === undefined ? [svg("path", { class: "lone", d: pathOf(points) })] : marksOf(look, points, look)),
        spot && spot.every(Number.isFinite) && svg("circle", { class: "spot", cx: spot[0], cy: spot[1], r: 4.5 }),
      ].filter(Boolean));
    };
  }

  function nearestGroup(kind, epoch, y, log) {
    const way = (value) => (log ? Math.abs(Math.log(value / y)) : Math.abs(value - y));
    let best = [null, Infinity];
    story.groups.forEach((group, at) => {
      const far = way(groupAt(group, kind, story.stride, epoch).mean);
      if (far < best[1]) best = [at, far];
    });
    return best[0];
  }

  function go(epoch, at) {
    const nearest = epoch === null || epoch === last ? epoch : Math.round(epoch / story.stride) * story.stride;
    state.epoch = nearest === null ? null : Math.min(nearest, last);
    hooks.point(at);
    show();
  }

  function show() {
    panels.forEach((panel) => panel.show(state));
    const { epoch } = state;
    if (epoch === null) {
      read.say(hint);
      return;
    }
    const at = state.at ?? story.best;
    const group = story.groups[at];
    const parts = kinds.flatMap((kind) => {
      const { mean, reached, of } = groupAt(group, kind, story.stride, epoch);
      if (!reached) return [];
      const text = kind === ACCURACY ? (100 * mean).toFixed(2) : four(mean);
      return [`, ${KINDS[kind]} `, el("b", {}, text), of > 1 && reached < of ? ` (mean of ${reached} of ${of})` : ""];
    });
    const mean = group.runs.length > 1 ? `, mean of its ${group.word}s` : "";
    read.say(`epoch ${count(epoch + 1)}, `, el("b", {}, group.name), mean, ...(parts.length ? parts : [": nothing was measured there"]));
  }

  const severalRuns = story.groups.some(({ runs }) => runs.length > 1);
  const hint = `Point at a curve, or use the arrow keys in it.${severalRuns ? " Thick: the mean of the runs of one name, as far as all of them go; thin: each run." : ""}`;
  const bar = kinds.some((kind) => kind !== ACCURACY) && el("div", { class: "bar" }, choice({
    label: "losses on a scale that is", value: scale.log ? "log" : "linear",
    options: [{ value: "linear", label: "linear" }, { value: "log", label: "log" }],
    onChange: (value) => { scale.log = value === "log"; panels.forEach((panel) => panel.redraw()); show(); },
  }));
  show();
  return {
    element: el("div", { class: "curves" }, bar, el("div", { class: "panels" }, panels.map(({ element }) => element)), read.element),
    show,
    redraw: () => { panels.forEach((panel) => panel.redraw()); show(); },
  };
}

// A marked line: with its sign at its end, and on its way where no other's is.
function marksOf(look, points, shift) {
  const known = points.filter((point) => point.every(Number.isFinite));
  if (!known.length) return [];
  const middle = known[Math.floor((known.length * (1 + (shift % 3))) / 4)];
  return [runLine(look, points), ...[middle, known[known.length - 1]].filter(Boolean).map((point) => runSign(look, point, 4))].filter(Boolean);
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

function valuesOf(story, kinds) {
  return story.groups.flatMap(({ runs }) => runs.flatMap(({ curves }) => kinds.flatMap((kind) => curves[kind].values)));
}

function isWild(values) {
  const known = values.filter((value) => Number.isFinite(value) && value > 0).sort((one, other) => one - other);
  return known.length > 2 && known[known.length - 1] > WILD * known[known.length >> 1];
}
