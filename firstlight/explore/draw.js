// Draw a digit: the student's own trained network answers, run by the small interpreter at the end.
//
// The network comes from network.py as numbered values: 0 is the picture, then the constants, then
// one value per step. An operation is `(inputs, step) -> numbers`, where an input is
// { data: Float32Array, shape } and step.shape is the shape of the result; all data lie row by row.

const CSS = `
.board { display: grid; grid-template-columns: minmax(0, 280px) minmax(0, 1fr); gap: 1rem 1.5rem; align-items: start; }
@media (max-width: 640px) { .board { grid-template-columns: minmax(0, 1fr); } .left { max-width: 280px; width: 100%; margin: 0 auto; } }
.pad { position: relative; aspect-ratio: 1; }
.pad canvas { display: block; width: 100%; height: 100%; border-radius: 8px; touch-action: none; cursor: crosshair; background: #0d101b; }
.pad canvas:focus-visible { outline-offset: 3px; border-radius: 8px; }
.invite { position: absolute; inset: 0; display: grid; place-content: center; text-align: center; color: #c4c9dc; pointer-events: none; margin: 0; padding: 1rem; }
.pen { position: absolute; width: 22px; height: 22px; margin: -11px; border: 2px solid #f2b46b; border-radius: 50%; pointer-events: none; }
.pen.down { background: #f2b46b; }
.tools { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.7rem; align-items: center; }
.plain { border: 1px solid var(--line); border-radius: 8px; background: none; padding: 0.2rem 0.8rem; cursor: pointer; }
.plain:hover:enabled { border-color: var(--accent); background: var(--wash); }
.plain:disabled { color: var(--muted); cursor: default; opacity: 0.65; }
.keys { margin: 0.6rem 0 0; font-size: 0.87em; }
kbd { font: inherit; border: 1px solid var(--line); border-radius: 4px; padding: 0 0.3em; }
.answer { display: flex; gap: 1rem; align-items: center; margin-bottom: 0.8rem; }
figure { margin: 0; flex: none; text-align: center; }
figcaption { font-size: 0.8em; line-height: 1.6; }
.seen { display: block; width: 84px; height: 84px; image-rendering: pixelated; border-radius: 6px; background: #000; }
.says { margin: 0; font-size: clamp(1.02rem, 4.4vw, 1.2rem); font-weight: 650; line-height: 1.35; }
.more { margin: 0.1rem 0 0; min-height: 3em; }
table.chances { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.chances th, .chances td { padding: 0.1rem 0; font-weight: inherit; line-height: 1.35; }
.chances thead th { color: var(--muted); font-size: 0.87em; padding-bottom: 0.25rem; text-align: right; }
.chances thead th:nth-child(-n+2) { text-align: left; }
.chances tbody th { width: 2.4em; text-align: left; }
.chances td { text-align: right; white-space: nowrap; width: 4.9em; }
.chances td.track { width: auto; padding-right: 0.3rem; }
.bar { height: 0.8rem; border-radius: 3px; background: var(--wash); overflow: hidden; }
.bar div { height: 100%; width: 0; background: var(--accent); opacity: 0.55; }
.best th, .best td { font-weight: 700; }
.best .bar div { opacity: 1; background: var(--amber); }
.best th::after { content: " ◂"; color: var(--amber); }
.samples { margin: 1rem 0 0; }
.samples .label, .steps summary { font-size: 0.87em; font-weight: 600; color: var(--muted); margin: 0 0 0.4rem; }
.row { display: grid; grid-template: repeat(var(--rows), auto) / repeat(10, minmax(0, 46px)); gap: 2px; }
.sample { padding: 1px; border: 2px solid transparent; border-radius: 8px; background: none; cursor: pointer; line-height: 0; }
.sample:hover { border-color: var(--line); }
.sample[aria-pressed="true"] { border-color: var(--amber); }
.sample canvas { width: 100%; image-rendering: pixelated; border-radius: 4px; background: #000; }
.steps { margin-top: 1rem; }
.steps summary { cursor: pointer; margin: 0; }
.steps p { margin: 0.4rem 0; font-size: 0.87em; }
.steps table { border-collapse: collapse; font-size: 0.87em; margin-top: 0.4rem; }
.steps th, .steps td { text-align: left; padding: 0.12rem 1.2rem 0.12rem 0; white-space: nowrap; font-weight: inherit; }
.steps thead th { color: var(--muted); }
@media (pointer: coarse) and (hover: none) { .keys { display: none; } }
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

const SIDE = 28;  // pixels of the network's picture
const BOX = 20;   // MNIST's digits fill a box of this many pixels, inside the 28
const PAD = 560;  // pixels of the drawing
const WIDTHS = { fine: 0.07, medium: 0.1, bold: 0.13 };  // of the pad; medium comes out as MNIST's strokes
const WAIT = 500; // milliseconds of rest before a screen reader hears the answer

export default function render(root, data, tools) {
  tools.style(CSS);
  const run = makeNetwork(data.network);
  const ask = (pixels) => run(Float32Array.from(pixels, (pixel) => (pixel / 255 - data.mean) / data.std));
  const verdict = makeVerdict(tools);
  const chances = makeChances(tools);
  const samples = makeSamples(tools, data.examples, choose);
  const pad = makePad(tools, changed);

  function answer(pixels, intro) {
    const logits = pixels && ask(pixels);
    const probabilities = pixels && (data.network.endsInSoftmax ? Array.from(logits) : softmax(logits));
    verdict.show(pixels, probabilities, intro);
    chances.show(logits, probabilities);
  }
  function changed(gray) {
    samples.release();
    answer(gray && preprocess(gray, PAD, PAD), null);
  }
  function choose(sample) {
    pad.replaceBy(sample.pixels);
    answer(sample.pixels, sample);
  }

  root.append(
    tools.el("div", { class: "board" },
      tools.el("div", { class: "left" }, pad.elements),
      tools.el("div", { class: "right" }, verdict.element, chances.element, samples.element)),
    stepsTable(tools, data), verdict.heard);
  answer(null, null);
  root.getRootNode().host.firstlight = { run: ask, preprocess, operations: Object.keys(OPERATIONS) };
}

// What the page shows ---------------------------------------------------------------------------

// The sentence that says the answer, beside the picture the network gets.
function makeVerdict({ el, status }) {
  const seen = el("canvas", { class: "seen", width: SIDE, height: SIDE, role: "img" });
  const says = el("p", { class: "says" });
  const more = el("p", { class: "more muted" });
  const heard = status({ class: "heard" });
  let timer = 0;

  function show(pixels, probabilities, sample) {
    paint(seen, pixels ?? new Uint8Array(SIDE * SIDE));
    seen.setAttribute("aria-label", pixels ? "What the network sees: 28 by 28 pixels" : "The network sees nothing yet");
    const sentences = pixels ? verdictText(probabilities, sample)
      : ["Your network is waiting.", "It answers while you draw."];
    says.textContent = sentences[0];
    more.textContent = sentences[1];
    clearTimeout(timer);
    if (pixels) timer = setTimeout(() => heard.say(sentences.join(" ")), WAIT);
  }
  return { show, heard: heard.element, element: el("div", { class: "answer" },
    el("figure", {}, seen, el("figcaption", { class: "muted" }, "what it sees")), el("div", {}, says, more)) };
}

function verdictText(probabilities, sample) {
  if (probabilities.some(Number.isNaN)) {
    return ["Your network answers NaN.", "Its weights hold NaN or infinity: the training diverged."];
  }
  const [first, second] = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
  const chance = `Probability ${percent(probabilities[first])}; next is ${second} with ${percent(probabilities[second])}.`;
  const judged = sample && `Image ${sample.number} is a ${sample.label}: ${first === sample.label ? "right" : "wrong"}. `;
  return [`Your network says ${first}.`, (judged ?? "") + chance];
}

// Ten bars with their numbers.
function makeChances({ el }) {
  const rows = Array.from({ length: 10 }, (_, digit) => {
    const bar = el("div");
    const chance = el("td");
    const logit = el("td", { class: "muted" });
    const row = el("tr", {}, el("th", { scope: "row" }, String(digit)),
      el("td", { class: "track", "aria-hidden": "true" }, el("div", { class: "bar" }, bar)), chance, logit);
    return { row, bar, chance, logit };
  });
  const head = el("tr", {}, el("th", { scope: "col" }, "digit"), el("th", { "aria-hidden": "true" }),
    el("th", { scope: "col" }, "probability"), el("th", { scope: "col" }, "output"));

  function show(logits, probabilities) {
    const best = probabilities ? Math.max(...probabilities) : NaN;
    rows.forEach(({ row, bar, chance, logit }, digit) => {
      const probability = probabilities?.[digit];
      row.classList.toggle("best", probability === best);
      bar.style.width = `${100 * (probability || 0)}%`;
      chance.textContent = probabilities ? percent(probability) : "–";
      logit.textContent = logits ? signed(logits[digit]) : "–";
    });
  }
  return { show, element: el("table", { class: "chances", "aria-label": "The network's ten answers" },
    el("thead", {}, head), el("tbody", {}, rows.map(({ row }) => row))) };
}

// Example images, one stop of the Tab key; arrow keys move, Enter or Space chooses.
function makeSamples({ el, rove }, examples, choose) {
  const bytes = decode(examples.pixels);
  const buttons = examples.labels.map((label, place) => {
    const number = examples.numbers[place];
    const pixels = bytes.subarray(place * SIDE * SIDE, (place + 1) * SIDE * SIDE);
    const picture = el("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    paint(picture, pixels);
    const button = el("button", {
      type: "button", class: "sample", "aria-pressed": "false", "aria-label": `Image ${number}, a ${label}`,
      onclick: () => {
        release();
        button.setAttribute("aria-pressed", "true");
        choose({ pixels, label, number });
      },
    }, picture);
    return button;
  });
  const release = () => buttons.forEach((button) => button.setAttribute("aria-pressed", "false"));
  if (!buttons.length) return { release, element: "" };
  rove([buttons], { onPoint() {} });
  return { release, element: el("div", { class: "samples" }, el("p", { class: "label" }, "Or choose a test image"),
    el("div", { class: "row", role: "group", "aria-label": "Test images", style: `--rows: ${Math.ceil(buttons.length / 10)}` }, buttons)) };
}

function stepsTable({ el }, { network, mean, std }) {
  const count = network.constants.reduce((sum, shape) => sum + size(shape), 0);
  const cell = (text) => el("td", { class: "mono" }, text);
  return el("details", { class: "steps" },
    el("summary", {}, `What runs here: ${network.steps.length} operations, ${count.toLocaleString("en")} numbers`),
    el("p", { class: "muted" }, "Your drawing is scaled into 20 × 20 pixels and placed into 28 × 28 with its centre of mass in the ",
      "middle, as MNIST was made. ", mean === 0 && std === 1 ? "The network gets pixel / 255"
        : `The network gets (pixel / 255 − ${mean}) / ${std}`, `, of shape (${network.inputShape.join(", ")}).`),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Operations" }, el("table", {},
      el("thead", {}, el("tr", {}, ["operation", "result", "asked for by"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, network.steps.map((step) => el("tr", {}, cell(step.op), cell(`(${step.shape.join(", ")})`), cell(step.layer)))))));
}

// The pad to draw on ----------------------------------------------------------------------------

// Strokes are lists of points in 0..1; `changed` gets the drawing in shades of grey, or null if it is empty.
function makePad({ el, choice }, changed) {
  const canvas = el("canvas", {
    width: PAD, height: PAD, tabindex: "0", role: "application",
    "aria-label": "Drawing pad. The arrow keys move the pen, Space sets it down or lifts it, Control Z takes a stroke back.",
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const invite = el("p", { class: "invite" }, "Draw a digit here");
  const pen = el("div", { class: "pen", hidden: true });
  const undo = el("button", { type: "button", class: "plain", onclick: () => { strokes.pop(); update(); } }, "Undo");
  const clear = el("button", { type: "button", class: "plain", onclick: () => { strokes.length = 0; update(); } }, "Clear");
  const width = choice({
    label: "Pen", value: "medium", onChange: (name) => { penWidth = WIDTHS[name]; },
    options: Object.keys(WIDTHS).map((name) => ({ value: name, label: name })),
  });
  const strokes = [];
  let penWidth = WIDTHS.medium;
  let waiting = 0;

  function begin(point) {
    strokes.push({ width: penWidth, points: [point] });
    update();
  }
  function extend(points) {
    strokes.at(-1)?.points.push(...points);  // undone while it was drawn, it is gone
    update();
  }
  function update() {  // at most once a frame
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      drawStrokes(context, strokes);
      react(strokes.length > 0);
      changed(strokes.length ? shades(context) : null);
    });
  }
  function react(inked) {
    invite.hidden = inked;
    undo.disabled = clear.disabled = !inked;
  }
  // Show a picture that was not drawn here; the next stroke starts afresh.
  function replaceBy(pixels) {
    cancelAnimationFrame(waiting);
    waiting = 0;
    strokes.length = 0;
    const small = document.createElement("canvas");
    small.width = small.height = SIDE;
    paint(small, pixels);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, PAD, PAD);
    react(true);
    undo.disabled = true;
  }

  react(false);
  drawStrokes(context, strokes);
  drawByPointer(canvas, begin, extend);
  drawByKeyboard(canvas, pen, begin, extend, () => undo.click());
  return { replaceBy, elements: [
    el("div", { class: "pad" }, canvas, invite, pen),
    el("div", { class: "tools" }, undo, clear, width),
    el("p", { class: "keys muted" }, "Keyboard: arrow keys move the pen, ", el("kbd", {}, "Space"), " sets it down or lifts it, ",
      el("kbd", {}, "Ctrl"), "+", el("kbd", {}, "Z"), " takes a stroke back."),
  ] };
}

function drawByPointer(canvas, begin, extend) {
  const place = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  };
  let pointer = null;
  const lift = (event) => { if (event.pointerId === pointer) pointer = null; };
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;  // one finger at a time
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    extend((moves.length ? moves : [event]).map(place));
  });
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function drawByKeyboard(canvas, pen, begin, extend, undo) {
  let at = [0.5, 0.2];
  let down = false;
  const show = (visible) => {
    pen.hidden = !visible;
    pen.classList.toggle("down", down);
    [pen.style.left, pen.style.top] = at.map((part) => `${100 * part}%`);
  };
  const lift = () => { down = false; };
  const actions = {
    " ": () => { down = !down; if (down) begin(at); },
    Escape: lift,
    z: (event) => { if (event.ctrlKey || event.metaKey) { lift(); undo(); } },
  };
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move && !actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();  // a notebook has keys of its own
    if (move) {
      at = at.map((part, axis) => Math.min(0.97, Math.max(0.03, part + move[axis] / SIDE)));
      if (down) extend([at]);
    } else actions[event.key](event);
    show(true);
  });
  canvas.addEventListener("focus", () => show(canvas.matches(":focus-visible")));
  canvas.addEventListener("pointerdown", () => { lift(); show(false); });
  canvas.addEventListener("blur", () => { lift(); show(false); });
}

function drawStrokes(context, strokes) {
  context.fillStyle = "#000";
  context.fillRect(0, 0, PAD, PAD);
  context.strokeStyle = context.fillStyle = "#fff";
  context.lineCap = context.lineJoin = "round";
  for (const { width, points } of strokes) {
    context.lineWidth = width * PAD;
    context.beginPath();
    context.moveTo(points[0][0] * PAD, points[0][1] * PAD);
    for (const [x, y] of points) context.lineTo(x * PAD, y * PAD);
    context.stroke();
  }
}

// The drawing as one number 0..255 per pixel.
function shades(context) {
  const { data } = context.getImageData(0, 0, PAD, PAD);
  const gray = new Uint8Array(PAD * PAD);
  for (let pixel = 0; pixel < gray.length; pixel++) gray[pixel] = data[4 * pixel];
  return gray;
}

// The way MNIST was made ------------------------------------------------------------------------

// Scale the ink's bounding box into 20 x 20, keeping its proportions, then place it in 28 x 28 so that
// the centre of mass is in the middle, as far as the box stays inside. `gray` is 0..255, row by row;
// the result is 784 bytes, or null if there is no ink.
function preprocess(gray, width, height) {
  const ink = boundingBox(gray, width, height);
  if (!ink) return null;
  const scale = BOX / Math.max(ink.width, ink.height);
  const wide = Math.max(1, Math.round(ink.width * scale));
  const high = Math.max(1, Math.round(ink.height * scale));
  const small = shrink(gray, width, ink, wide, high);
  const [x, y] = centreOfMass(small, wide, high);
  const left = Math.min(SIDE - wide, Math.max(0, Math.round(SIDE / 2 - x)));
  const top = Math.min(SIDE - high, Math.max(0, Math.round(SIDE / 2 - y)));
  const picture = new Uint8Array(SIDE * SIDE);
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      picture[(top + row) * SIDE + left + column] = Math.round(small[row * wide + column]);
    }
  }
  return picture;
}

function boundingBox(gray, width, height) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!gray[y * width + x]) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

// Every new pixel is the mean over the rectangle it covers: first along the rows, then along the columns.
function shrink(gray, stride, ink, wide, high) {
  const columns = coverage(ink.width, wide);
  const rows = coverage(ink.height, high);
  const narrow = new Float64Array(ink.height * wide);
  for (let y = 0; y < ink.height; y++) {
    const start = (ink.top + y) * stride + ink.left;
    for (let column = 0; column < wide; column++) {
      const { first, shares } = columns[column];
      let sum = 0;
      for (let k = 0; k < shares.length; k++) sum += shares[k] * gray[start + first + k];
      narrow[y * wide + column] = sum;
    }
  }
  const small = new Float64Array(high * wide);
  rows.forEach(({ first, shares }, row) => shares.forEach((share, k) => {
    for (let column = 0; column < wide; column++) small[row * wide + column] += share * narrow[(first + k) * wide + column];
  }));
  return small;
}

// For each of `to` pixels: the first of the `from` pixels it covers, and the share of that and the next ones.
function coverage(from, to) {
  const size = from / to;
  return Array.from({ length: to }, (_, pixel) => {
    const start = pixel * size, end = start + size;
    const first = Math.floor(start);
    const shares = [];
    for (let x = first; x < Math.min(from, end); x++) shares.push((Math.min(end, x + 1) - Math.max(start, x)) / size);
    return { first, shares };
  });
}

function centreOfMass(values, width, height) {
  let mass = 0, x = 0, y = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column];
      mass += value;
      x += value * column;
      y += value * row;
    }
  }
  return [x / mass, y / mass];
}

// The interpreter -------------------------------------------------------------------------------

// Return a function from 784 numbers to the network's ten.
function makeNetwork({ inputShape, constants, steps, weights }) {
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

const size = (shape) => shape.reduce((product, length) => product * length, 1);
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x)));
const limit = (x, low, high) => (x < low ? low : x > high ? high : x);  // NaN stays NaN

const one = (formula) => ([x], step) => x.data.map((value) => formula(value, step));

const two = (formula) => ([a, b], { shape }) => {
  const left = expand(a, shape), right = expand(b, shape);
  return left.map((value, place) => formula(value, right[place]));
};

const OPERATIONS = {
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

function softmax(logits) {
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

// Small things ----------------------------------------------------------------------------------

function decode(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = letters.charCodeAt(place);
  return bytes;
}

function paint(canvas, pixels) {
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((pixel, place) => image.data.set([pixel, pixel, pixel, 255], 4 * place));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function percent(probability) {
  if (Number.isNaN(probability)) return "NaN";
  if (probability < 0.0005) return "< 0.1 %";
  if (probability >= 0.9995) return "> 99.9 %";
  return `${(100 * probability).toFixed(1)} %`;
}

function signed(number) {
  return Math.abs(number) < 1000 ? number.toFixed(2).replace("-", "−") : number.toExponential(1).replace("-", "−");
}
