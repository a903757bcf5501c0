// Run a network that network.py wrote down.
//
// Its values are numbered: 0 is the picture, then come the constants, then one value per step. An
// operation is `(inputs, step) -> numbers`, where an input is { data: Float32Array, shape } and
// step.shape is the shape of the result; all data lie row by row.

import { decode } from "./images.js";

// Return a function from 784 numbers to the network's ten.
export function makeNetwork({ inputShape, constants, steps, weights }) {
  const numbers = new Float32Array(decode(weights).buffer);  // little-endian, as every browser is
  let start = 0;
  const fixed = constants.map((shape) => ({ shape, data: numbers.subarray(start, (start += size(shape))) }));
  return (pixels) => {
    const values = [{ data: Float32Array.from(pixels), shape: inputShape }, ...fixed];
    for (const step of steps) {
      const inputs = step.in.map((number) => (number === null ? null : values[number]));
      values.push({ data: OPERATIONS[step.op](inputs, step), shape: step.shape });
    }
    return values.at(-1).data;
  };
}

export const size = (shape) => shape.reduce((product, length) => product * length, 1);
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x)));
const limit = (x, low, high) => (x < low ? low : x > high ? high : x);  // NaN stays NaN

const one = (formula) => ([x], step) => x.data.map((value) => formula(value, step));

const two = (formula) => ([a, b], { shape }) => {
  const left = expand(a, shape), right = expand(b, shape);
  return left.map((value, place) => formula(value, right[place]));
};

export const OPERATIONS = {
  relu: one((x) => (x < 0 ? 0 : x)),
  leaky_relu: one((x, { negative_slope }) => (x < 0 ? negative_slope * x : x)),
  elu: one((x, { alpha, scale, input_scale }) => scale * (x > 0 ? x : alpha * Math.expm1(input_scale * x))),
  gelu: one((x, { approximate }) => 0.5 * x * (1 + (approximate === "tanh"
    ? Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)) : erf(x / Math.SQRT2)))),
  silu: one((x) => x * sigmoid(x)),
  mish: one((x) => x * Math.tanh(softplus(x))),
  softplus: one((x, { beta, threshold }) => (beta * x > threshold ? x : Math.log1p(Math.exp(beta * x)) / beta)),
  hardswish: one((x) => x * limit(x + 3, 0, 6) / 6),
  hardsigmoid: one((x) => limit(x + 3, 0, 6) / 6),
  clamp: one((x, { min, max }) => limit(x, min ?? -Infinity, max ?? Infinity)),
  sigmoid: one(sigmoid), tanh: one(Math.tanh), exp: one(Math.exp), log: one(Math.log), abs: one(Math.abs), sqrt: one(Math.sqrt),
  rsqrt: one((x) => 1 / Math.sqrt(x)), reciprocal: one((x) => 1 / x), neg: one((x) => -x),
  add: two((a, b) => a + b), sub: two((a, b) => a - b), mul: two((a, b) => a * b), div: two((a, b) => a / b),
  pow: two((a, b) => a ** b), maximum: two((a, b) => Math.max(a, b)), minimum: two((a, b) => Math.min(a, b)),
  gt: two((a, b) => +(a > b)), ge: two((a, b) => +(a >= b)), lt: two((a, b) => +(a < b)), le: two((a, b) => +(a <= b)),
  prelu: two((x, slope) => (x < 0 ? slope * x : x)),
  view: ([x]) => x.data,
  expand: ([x], { shape }) => expand(x, shape),
  permute: ([x], { shape, dims }) => gather(x.data, shape, dims.map((dim) => strides(x.shape)[dim])),
  slice, cat, pad, linear, bmm, conv2d, batch_norm, layer_norm, group_norm, reduce, adaptive_pool,
  softmax: along((row) => softmax(row)),
  log_softmax: along((row) => {
    const largest = Math.max(...row);
    const log = largest + Math.log(row.reduce((sum, x) => sum + Math.exp(x - largest), 0));
    return row.map((x) => x - log);
  }),
  max_pool2d: pool(() => -Infinity, (most, x) => (x > most || Number.isNaN(x) ? x : most), (most) => most),
  avg_pool2d: pool(() => 0, (sum, x) => sum + x, (sum, count, { divisor }) => sum / (divisor ?? count)),
};

function linear([x, weight, bias], { shape }) {  // (rows, inner) @ (inner, columns) + bias
  const [rows, columns] = shape;
  const inner = x.shape[1];
  const result = bias ? Float64Array.from(expand(bias, shape)) : new Float64Array(rows * columns);
  multiply(x.data, weight.data, result, rows, inner, columns);
  return Float32Array.from(result);
}

function bmm([x, y], { shape: [batch, rows, columns] }) {
  const inner = x.shape[2];
  const result = new Float64Array(batch * rows * columns);
  for (let n = 0; n < batch; n++) {
    const block = (data, length) => data.subarray(n * length, (n + 1) * length);
    multiply(block(x.data, rows * inner), block(y.data, inner * columns), block(result, rows * columns), rows, inner, columns);
  }
  return Float32Array.from(result);
}

function multiply(x, y, result, rows, inner, columns) {  // result += x @ y
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) {
      const value = x[row * inner + k];
      for (let column = 0; column < columns; column++) result[row * columns + column] += value * y[k * columns + column];
    }
  }
}

function conv2d([x, weight, bias], { shape, stride, padding, dilation, groups }) {
  const [batch, filters, high, wide] = shape;
  const [, channels, height, width] = x.shape;
  const [, depth, kernelHigh, kernelWide] = weight.shape;
  const result = new Float32Array(size(shape));
  for (let place = 0, n = 0; n < batch; n++) for (let f = 0; f < filters; f++) {
    const first = n * channels + Math.floor(f * groups / filters) * depth;
    for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) {
      let sum = bias ? bias.data[f] : 0;
      for (let c = 0; c < depth; c++) for (let a = 0; a < kernelHigh; a++) {
        const row = i * stride[0] - padding[0] + a * dilation[0];
        if (row < 0 || row >= height) continue;
        const from = ((first + c) * height + row) * width;
        const kernel = ((f * depth + c) * kernelHigh + a) * kernelWide;
        for (let b = 0; b < kernelWide; b++) {
          const column = j * stride[1] - padding[1] + b * dilation[1];
          if (column >= 0 && column < width) sum += x.data[from + column] * weight.data[kernel + b];
        }
      }
      result[place++] = sum;
    }
  }
  return result;
}

// A window slides over the last two dimensions. Padding is never looked at, but it may be counted.
function pool(start, join, finish) {
  return ([x], step) => {
    const { shape, kernel, stride, padding, dilation, countPadding } = step;
    const [high, wide] = shape.slice(-2), [height, width] = x.shape.slice(-2);
    const result = new Float32Array(size(shape));
    for (let place = 0; place < result.length; place++) {
      const plane = Math.floor(place / (high * wide)) * height * width;
      const top = Math.floor(place / wide) % high * stride[0] - padding[0], left = place % wide * stride[1] - padding[1];
      let value = start(), count = 0;
      for (let a = 0; a < kernel[0]; a++) for (let b = 0; b < kernel[1]; b++) {
        const row = top + a * dilation[0], column = left + b * dilation[1];
        const inside = row >= 0 && row < height && column >= 0 && column < width;
        if (inside) value = join(value, x.data[plane + row * width + column]);
        if (inside || (countPadding && row < height + padding[0] && column < width + padding[1])) count++;
      }
      result[place] = finish(value, count, step);
    }
    return result;
  };
}

function adaptive_pool([x], { shape, kind }) {
  const [high, wide] = shape.slice(-2), [height, width] = x.shape.slice(-2);
  return Float32Array.from({ length: size(shape) }, (_, place) => {
    const plane = Math.floor(place / (high * wide)) * height * width;
    const [top, bottom] = share(Math.floor(place / wide) % high, high, height);
    const [left, right] = share(place % wide, wide, width);
    const window = [];
    for (let row = top; row < bottom; row++) window.push(...x.data.subarray(plane + row * width + left, plane + row * width + right));
    return REDUCTIONS[kind](window);
  });
}

const share = (part, parts, length) => [Math.floor(part * length / parts), Math.ceil((part + 1) * length / parts)];

function batch_norm([x, weight, bias, mean, variance], { shape, eps }) {
  const inner = size(shape.slice(2));
  return x.data.map((value, place) => {
    const channel = Math.floor(place / inner) % shape[1];
    const normal = (value - mean.data[channel]) / Math.sqrt(variance.data[channel] + eps);
    return normal * (weight ? weight.data[channel] : 1) + (bias ? bias.data[channel] : 0);
  });
}

function layer_norm([x, weight, bias], { shape, over, eps }) {
  const length = size(shape.slice(-over));
  return normalise(x.data, length, eps).map((value, place) =>
    value * (weight ? weight.data[place % length] : 1) + (bias ? bias.data[place % length] : 0));
}

function group_norm([x, weight, bias], { shape, groups, eps }) {
  const [batch, channels] = shape;
  const inner = size(shape.slice(2));
  return normalise(x.data, x.data.length / (batch * groups), eps).map((value, place) => {
    const channel = Math.floor(place / inner) % channels;
    return value * (weight ? weight.data[channel] : 1) + (bias ? bias.data[channel] : 0);
  });
}

function normalise(data, length, eps) {  // each run of `length` numbers to mean 0, variance 1
  const result = new Float32Array(data.length);
  for (let start = 0; start < data.length; start += length) {
    const run = data.subarray(start, start + length);
    const mean = REDUCTIONS.mean(run);
    const deviation = Math.sqrt(REDUCTIONS.var(run, { correction: 0 }) + eps);
    run.forEach((value, place) => { result[start + place] = (value - mean) / deviation; });
  }
  return result;
}

const REDUCTIONS = {
  sum: (run) => run.reduce((sum, x) => sum + x, 0),
  mean: (run) => REDUCTIONS.sum(run) / run.length,
  max: (run) => run.reduce((most, x) => Math.max(most, x), -Infinity),
  var: (run, { correction }) => {
    const mean = REDUCTIONS.mean(run);
    return run.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (run.length - correction);
  },
  std: (run, step) => Math.sqrt(REDUCTIONS.var(run, step)),
};

function reduce([x], step) {
  const kept = [...x.shape.keys()].filter((dim) => !step.dims.includes(dim));
  const order = [...kept, ...step.dims];
  const rows = gather(x.data, order.map((dim) => x.shape[dim]), order.map((dim) => strides(x.shape)[dim]));
  const length = size(step.dims.map((dim) => x.shape[dim]));
  return Float32Array.from({ length: x.data.length / length }, (_, row) =>
    REDUCTIONS[step.kind](rows.subarray(row * length, (row + 1) * length), step));
}

function along(formula) {  // one formula for every row along step.dim
  return ([x], { shape, dim }) => {
    const inner = size(shape.slice(dim + 1)), length = shape[dim];
    const result = new Float32Array(x.data.length);
    for (let run = 0; run < x.data.length / length; run++) {
      const start = Math.floor(run / inner) * inner * length + run % inner;
      const row = Array.from({ length }, (_, k) => x.data[start + k * inner]);
      formula(row).forEach((value, k) => { result[start + k * inner] = value; });
    }
    return result;
  };
}

function slice([x], { dim, start, step, count }) {
  const steps = strides(x.shape);
  const from = start * steps[dim];
  const shape = x.shape.slice();
  shape[dim] = count;
  steps[dim] *= step;
  return gather(x.data, shape, steps, from);
}

function cat(inputs, { shape, dim }) {  // `stack` as well: the same numbers in the same order
  const outer = size(shape.slice(0, dim));
  const result = new Float32Array(size(shape));
  let place = 0;
  for (let row = 0; row < outer; row++) {
    for (const { data } of inputs) {
      const length = data.length / outer;
      result.set(data.subarray(row * length, (row + 1) * length), place);
      place += length;
    }
  }
  return result;
}

function pad([x], { shape, pad: margins, value }) {  // margins: before and after, from the last dimension on
  const before = shape.map((_, dim) => margins[2 * (shape.length - 1 - dim)] ?? 0);
  const outer = strides(shape), inner = strides(x.shape);
  return Float32Array.from({ length: size(shape) }, (_, place) => {
    let from = 0;
    for (let dim = 0; dim < shape.length; dim++) {
      const index = Math.floor(place / outer[dim]) % shape[dim] - before[dim];
      if (index < 0 || index >= x.shape[dim]) return value;
      from += index * inner[dim];
    }
    return x.data[from];
  });
}

function strides(shape) {
  return shape.map((_, dim) => size(shape.slice(dim + 1)));
}

// Broadcasting: dimensions are aligned from the right, and one of length 1 is read again and again.
function expand({ data, shape: from }, shape) {
  if (data.length === size(shape)) return data;
  const steps = strides(from);
  const missing = shape.length - from.length;
  return gather(data, shape, shape.map((_, dim) => (from[dim - missing] > 1 ? steps[dim - missing] : 0)));
}

// Copy what an index of `shape` reaches at these steps, in row order.
function gather(data, shape, steps, start = 0) {
  const result = new Float32Array(size(shape));
  const index = shape.map(() => 0);
  let from = start;
  for (let place = 0; place < result.length; place++) {
    result[place] = data[from];
    for (let dim = shape.length - 1; dim >= 0; dim--) {  // count up, like an odometer
      from += steps[dim];
      if (++index[dim] < shape[dim]) break;
      from -= steps[dim] * shape[dim];
      index[dim] = 0;
    }
  }
  return result;
}

export function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: wrong by at most 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}
