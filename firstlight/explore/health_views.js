// What the map can show: of layers and of parameters, each number with its scale and its words.

import { four, rangeOf } from "./training_plot.js";

const share = (value) => (value === null ? "–" : `${Number((100 * value).toPrecision(3))} %`);
const plain = (value) => four(value);
const gradient = (value) => (value === null ? "None" : value === 0 ? "0" : four(value));

export const VIEWS = {
  activations: {
    label: "activations", rows: "layers",
    whats: {
      std: { label: "std", name: "standard deviation", says: "standard deviation of the outputs", log: true, text: plain },
      largest: { label: "largest", name: "largest absolute value", says: "largest absolute output", log: true, text: plain },
      zero: { label: "zeros", name: "share of zeros", says: "share of outputs that are exactly 0", text: share },
      dead: { label: "dead units", says: "share of units that give 0 for every example of the batch", text: share },
    },
  },
  gradients: {
    label: "gradients", rows: "parameters",
    whats: {
      gradient: { label: "norm", name: "norm of the gradient", says: "norm of the gradient", log: true, text: gradient },
      largest: { label: "largest", name: "largest absolute gradient", says: "largest absolute value of the gradient", log: true, text: gradient },
    },
  },
  updates: {
    label: "updates", rows: "parameters",
    whats: {
      ratio: { label: "update / weight", says: "norm of a step’s change, per norm of the parameter", log: true, rule: true, text: plain },
      update: { label: "update", name: "norm of the update", says: "norm of a step’s change", log: true, text: plain },
      weight: { label: "weight", name: "norm of the parameter", says: "norm of the parameter before the step", log: true, text: plain },
    },
  },
};

export const shown = (story, { view }) => story[VIEWS[view].rows];

export const whatOf = ({ view, what }) => ({ key: what[view], ...VIEWS[view].whats[what[view]] });

const DEEPEST = 1e-2;  // times nearly the smallest: a few that lie lower stand at the foot

// The range of all rows together, so that their heights compare.
export function rangeOfView(story, state) {
  const what = whatOf(state);
  if (!what.log) return { low: 0, high: 1 };
  const values = shown(story, state).filter(({ name }) => name !== "input").flatMap(({ columns }) => columns[what.key]);
  const finite = values.filter((value) => value > 0 && Number.isFinite(value));
  if (what.rule) finite.push(...story.band);
  const { low, high } = rangeOf(finite, { log: true });
  const usual = finite.sort((one, other) => one - other)[Math.floor(finite.length / 20)] ?? low;
  return { low: Math.max(low, usual * DEEPEST), high, log: true };
}

// How high a value stands in the range, from 0 to 1.
export function heightOf(value, { low, high, log }) {
  const part = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.max(0, Math.min(1, part));
}
