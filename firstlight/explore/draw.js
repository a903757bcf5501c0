// Draw a digit: the student's own trained network answers, run here by network.js.

import { decode, paint, percent } from "./images.js";
import { OPERATIONS, makeNetwork, size, softmax } from "./network.js";
import { SIDE, preprocess } from "./preprocess.js";

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

const PAD = 560;  // pixels of the drawing
const WIDTHS = { fine: 0.07, medium: 0.1, bold: 0.13 };  // of the pad; medium comes out as MNIST's strokes
const WAIT = 500;  // milliseconds of rest before a screen reader hears the answer

export default function render(root, data, tools) {
  tools.style(CSS);
  const run = makeNetwork(data.network);
  const ask = (pixels) => run(Float32Array.from(pixels, (pixel) => (pixel / 255 - data.mean) / data.std));
  const verdict = makeVerdict(tools);
  const chances = makeChances(tools);
  const samples = makeSamples(tools, data.examples, choose);
  const pad = makePad(tools, changed, verdict.say);

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
    paint(seen, pixels ?? new Uint8Array(SIDE * SIDE), SIDE, SIDE);
    seen.setAttribute("aria-label", pixels ? "What the network sees: 28 by 28 pixels" : "The network sees nothing yet");
    const sentences = pixels ? verdictText(probabilities, sample)
      : ["Your network is waiting.", "It answers while you draw."];
    says.textContent = sentences[0];
    more.textContent = sentences[1];
    clearTimeout(timer);
    if (pixels) timer = setTimeout(() => heard.say(sentences.join(" ")), WAIT);
  }
  return { show, say: heard.say, heard: heard.element, element: el("div", { class: "answer" },
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
    paint(picture, pixels, SIDE, SIDE);
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

// Strokes are lists of points in 0..1. `changed` gets the drawing in shades of grey, or null if it is
// empty; `say` tells a screen reader what the keyboard did.
function makePad({ el, choice }, changed, say) {
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
    paint(small, pixels, SIDE, SIDE);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, PAD, PAD);
    react(true);
    undo.disabled = true;
  }

  react(false);
  drawStrokes(context, strokes);
  drawByPointer(canvas, begin, extend);
  drawByKeyboard(canvas, pen, { begin, extend, say, undo: () => undo.click() });
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

function drawByKeyboard(canvas, pen, { begin, extend, say, undo }) {
  let at = [0.5, 0.2];
  let down = false;
  const show = (visible) => {
    pen.hidden = !visible;
    pen.classList.toggle("down", down);
    [pen.style.left, pen.style.top] = at.map((part) => `${100 * part}%`);
  };
  const lift = () => { down = false; };
  const actions = {
    " ": () => { down = !down; say(down ? "Pen down" : "Pen up"); if (down) begin(at); },
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

function signed(number) {
  return Math.abs(number) < 1000 ? number.toFixed(2).replace("-", "−") : number.toExponential(1).replace("-", "−");
}