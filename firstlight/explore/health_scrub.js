// The scrubber of explore.health: a slider under the strips, and what step it stands at.

import { el } from "./frame.js";
import { count, four, taken } from "./training_plot.js";

export function makeScrubber({ frames, length, loss }, show) {
  const last = frames.length - 1;
  let frame = 0;
  const go = (wanted) => {
    frame = Math.max(0, Math.min(last, wanted));
    const step = count(frames[frame]);
    slider.value = frame;
    slider.style.setProperty("--at", `${(100 * frame) / Math.max(1, last)}%`);
    slider.setAttribute("aria-valuetext", `step ${step}${loss ? `, loss ${four(loss.loss[frame])}` : ""}`);
    where.replaceChildren("step ", el("b", {}, step), ` of ${count(length - 1)}`,
      ...(loss ? [", loss ", el("b", {}, four(loss.loss[frame]))] : []));
    show(frame);
  };
  const where = el("span", { class: "where" });
  const slider = el("input", {
    class: "slider", type: "range", min: 0, max: Math.max(1, last), step: 1, disabled: last === 0, "aria-label": "Step",
    oninput: () => go(slider.valueAsNumber),
    onkeydown: (event) => {
      const page = Math.max(1, Math.round(frames.length / 10));
      const next = {
        ArrowLeft: frame - 1, ArrowDown: frame - 1, ArrowRight: frame + 1, ArrowUp: frame + 1,
        PageDown: frame - page, PageUp: frame + page, Home: 0, End: last,
      }[event.key];
      if (next !== undefined) taken(event, () => go(next));
    },
  });
  const track = el("div", { class: "track", style: `--steps: ${frames.length}` }, slider);
  const keys = el("span", { class: "keys" }, el("kbd", {}, "←"), " ", el("kbd", {}, "→"), " one step");
  return {
    element: el("div", { class: "bar" }, track, el("div", { class: "line" }, where, keys)),
    go,
    goTo: (step) => go(frames.reduce((best, each, place) => (
      Math.abs(each - step) < Math.abs(frames[best] - step) ? place : best), 0)),
  };
}
