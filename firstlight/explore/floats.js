// explore.floats: a number, its bits in three formats to flip, what each holds, and where it lies in
// the range of each and between its neighbours.

import { choice, el, rove, svg } from "./frame.js";
import { FORMATS, decode, encode, fields, gapOf, kindOf, neighbour } from "./floats_formats.js";

const CSS = `
.sized { container-type: inline-size; }
.stage { display: flex; flex-direction: column; gap: 1rem; }
.stage p { margin: 0; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.1rem; }
.ask { display: inline-flex; align-items: center; gap: 0.5rem; color: var(--muted); }
.ask input { width: 15rem; max-width: 100%; padding: 0.25rem 0.6rem; border: 1px solid var(--line); border-radius: 8px; background: transparent; color: var(--ink); font-family: var(--mono); font-size: 1.05rem; }
.ask input[aria-invalid="true"] { border-color: var(--amber); border-width: 2px; }
.row { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 0.4rem; color: var(--muted); }
.plain { border: 1px solid var(--line); border-radius: 8px; background: none; padding: 0.2rem 0.65rem; cursor: pointer; color: var(--ink); font-variant-numeric: tabular-nums; }
.plain:hover { border-color: var(--accent); background: var(--wash); }
.plain[aria-pressed="true"] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.cards { display: flex; flex-direction: column; gap: 0.9rem; }
.card { padding: 0.7rem 0.9rem 0.75rem; border: 1px solid var(--line); border-radius: 10px; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.2rem 0.9rem; margin-bottom: 0.45rem; }
.head b { font-size: 1.05rem; }
.holds { font-family: var(--mono); font-weight: 650; overflow-wrap: anywhere; }
.tag { padding: 0 0.55rem; border: 1px solid var(--line); border-radius: 99px; color: var(--muted); font-size: 0.8rem; }
.tag.loud { border-color: var(--amber); color: var(--ink); font-weight: 650; background: var(--glow); }
.bits { display: flex; flex-wrap: wrap; gap: 0.35rem 0.6rem; }
.group { display: flex; flex-direction: column; gap: 0.15rem; min-width: 0; }
.group > span { font-size: 0.75rem; color: var(--muted); }
.cells { display: flex; flex-wrap: wrap; gap: 2px; }
.bit { width: 24px; height: 28px; padding: 0; border: 1px solid var(--line); border-radius: 5px; background: none; font-family: var(--mono); font-size: 0.9rem; line-height: 1; text-align: center; cursor: pointer; }
.exponent .bit { border-color: var(--accent); }
.mantissa .bit { border-color: var(--amber); }
.bit[aria-pressed="true"] { font-weight: 700; background: var(--ink); border-color: var(--ink); color: var(--paper); }
.exponent .bit[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.mantissa .bit[aria-pressed="true"] { background: var(--amber); border-color: var(--amber); color: var(--on-accent); }
.bit:hover { box-shadow: 0 0 0 2px var(--line); }
.says { margin-top: 0.5rem !important; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.says + .says { margin-top: 0.1rem !important; }
.says i { font-style: normal; color: var(--muted); }
.mono { overflow-wrap: anywhere; }
figure { margin: 0; }
figcaption { margin-bottom: 0.2rem; font-weight: 650; }
figcaption span { font-weight: 400; color: var(--muted); }
svg { display: block; width: 100%; height: auto; overflow: visible; font-size: 12px; }
svg text { fill: var(--ink); }
svg .soft { fill: var(--muted); }
svg .band { fill: var(--accent); opacity: 0.75; }
svg .low { fill: url(#low); stroke: var(--accent); stroke-width: 1; }
svg .tick { stroke: var(--line); }
svg .number { stroke: var(--accent); stroke-width: 1.5; }
svg .rail { stroke: var(--line); }
svg .here { stroke: var(--amber); stroke-width: 2; }
svg .held { fill: var(--accent); stroke: var(--paper); stroke-width: 1.5; }
svg .span line { stroke: var(--amber); stroke-width: 2; }
svg .span circle { fill: var(--amber); }
svg .dense { fill: var(--accent); opacity: 0.35; }
svg .hatch { stroke: var(--accent); stroke-width: 1.5; }
.why { color: var(--muted); }
.said { min-height: 1.5em; color: var(--muted); }
@container (max-width: 600px) {
  .bit { width: 22px; }
  .group.mantissa { flex: 1 0 100%; }
}
`;

const PRESETS = [["70000", 70000], ["1e-8", 1e-8], ["1.001", 1.001], ["0.1", 0.1], ["2048 + 1", 2049], ["65504", 65504], ["1e39", 1e39], ["inf", Infinity], ["nan", NaN]];

export default function render(root, data, tools) {
  tools.style(CSS);
  const given = data.numbers.map(read);
  const state = { number: given[0], own: null, step: FORMATS[2] };  // own: bits that were set by hand
  const input = el("input", { type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", "aria-label": "the number",
    onchange: () => type(input.value) });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();  // a notebook has keys of its own
    if (event.key === "Enter") type(input.value);
  });
  const said = el("p", { class: "said", role: "status", "aria-live": "polite" });
  const cards = FORMATS.map((form) => card(form, (bits) => set(decode(bits, form), { form, bits })));
  const range = el("figure", {});
  const ruler = el("figure", {});
  const chips = given.length > 1 && el("span", { class: "row", role: "group", "aria-label": "The tensor's numbers" }, "the tensor's",
    data.numbers.map((text, at) => el("button", { type: "button", class: "plain", onclick: () => set(given[at]) }, text)));
  const presets = el("span", { class: "row", role: "group", "aria-label": "Numbers to try" }, "try",
    PRESETS.map(([label, number]) => el("button", { type: "button", class: "plain", onclick: () => set(number) }, label)));

  function type(text) {
    const number = read(text);
    const bad = number === null;
    input.setAttribute("aria-invalid", String(bad));
    if (bad) said.textContent = `“${text.slice(0, 30)}” is no number. Write it like 0.1, 1e-8, inf or nan.`;
    else if (!Object.is(number, state.number)) set(number);
    else said.textContent = summary(state.number);
  }

  function set(number, own = null) {
    state.number = number;
    state.own = own;
    input.value = write(number);
    input.setAttribute("aria-invalid", "false");
    paint();
  }

  function step(up) {
    const form = state.step;
    const bits = bitsOf(state, form);
    const held = decode(bits, form);
    // From between two numbers of the format, one gap leads to its number on that side.
    const there = up ? held > state.number : held < state.number;
    const next = there ? bits : neighbour(bits, form, up);
    set(decode(next, form), { form, bits: next });
  }

  function paint() {
    cards.forEach((each) => each.show(state.number, bitsOf(state, each.form)));
    said.textContent = summary(state.number);
    range.replaceChildren(...rangeFigure(state, root.clientWidth || 900));
    ruler.replaceChildren(...rulerFigure(state, root.clientWidth || 900));
  }

  const steps = el("span", { class: "row" },
    choice({ label: "one gap of", value: state.step.name, options: FORMATS.map(({ name }) => ({ value: name, label: name })),
      onChange: (name) => { state.step = FORMATS.find((form) => form.name === name); } }),
    el("button", { type: "button", class: "plain", "aria-label": "one gap down", onclick: () => step(false) }, "− down"),
    el("button", { type: "button", class: "plain", "aria-label": "one gap up", onclick: () => step(true) }, "+ up"));
  root.append(el("div", { class: "sized" }, el("div", { class: "stage" },
    el("div", { class: "controls" }, el("label", { class: "ask" }, "number", input), chips || null, presets, steps),
    said, el("div", { class: "cards" }, cards.map(({ element }) => element)), ruler, range,
    el("p", { class: "why" }, "Press a bit to flip it; the arrow keys move along the bits. A 16-bit format is rounded from float32, as PyTorch does it."))));
  set(given[0]);
  if (typeof ResizeObserver === "function") {
    let width = root.clientWidth;
    new ResizeObserver(() => { if (Math.abs(root.clientWidth - width) > 4) { width = root.clientWidth; paint(); } }).observe(root);
  }
}

const bitsOf = ({ number, own }, form) => (own && own.form === form ? own.bits : encode(number, form));

// A number from text, as Python or JavaScript write it, or null.
function read(text) {
  const plain = String(text).trim().replaceAll("_", "").replace("−", "-").toLowerCase();
  const known = { inf: Infinity, "+inf": Infinity, "-inf": -Infinity, infinity: Infinity, "-infinity": -Infinity, nan: NaN };
  if (plain in known) return known[plain];
  const sum = plain.match(/^([-+]?[\d.]+(?:e[-+]?\d+)?)\s*([-+*/]|\*\*)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)$/);
  if (sum) {
    const [one, two] = [Number(sum[1]), Number(sum[3])];
    const found = { "+": one + two, "-": one - two, "*": one * two, "/": one / two, "**": one ** two }[sum[2]];
    return Number.isNaN(one) || Number.isNaN(two) ? null : found;
  }
  return plain === "" || Number.isNaN(Number(plain)) || /[xob]/.test(plain) ? null : Number(plain);
}

// A number as Python writes it: 0.1, 70000, 1e-08, 3e+38.
function write(number) {
  if (Number.isNaN(number)) return "nan";
  if (!Number.isFinite(number)) return number > 0 ? "inf" : "-inf";
  if (Object.is(number, -0)) return "-0.0";
  const size = Math.abs(number);
  return size === 0 || (size >= 1e-4 && size < 1e16) ? String(number) : number.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

const about = (number, digits = 3) => (number === 0 ? "0" : write(Number(number.toPrecision(digits))));

// ---- One format ----

function card(form, onBits) {
  let bits = 0;
  const cells = Array.from({ length: form.size }, (_, at) => el("button", {
    type: "button", class: "bit", onclick: () => onBits(bits + (bitAt(at) ? -1 : 1) * 2 ** (form.size - 1 - at)),
  }));
  const bitAt = (at) => Math.floor(bits / 2 ** (form.size - 1 - at)) % 2;
  const groups = [["sign", 0, 1], ["exponent", 1, 1 + form.exponent], ["mantissa", 1 + form.exponent, form.size]];
  const captions = groups.map(() => el("span", {}));
  const holds = el("span", { class: "holds" });
  const tag = el("span", { class: "tag" });
  const formula = el("p", { class: "says" });
  const facts = el("p", { class: "says" });
  rove([cells], { onPoint: () => {} });
  const element = el("div", { class: "card", role: "group", "aria-label": form.name },
    el("p", { class: "head" }, el("b", {}, form.name), el("span", {}, el("i", { class: "muted", style: "font-style: normal" }, "holds "), holds), tag),
    el("div", { class: "bits" }, groups.map(([name, from, to], which) => el("div", { class: `group ${name}` },
      captions[which], el("div", { class: "cells", role: "group", "aria-label": `${form.name}, ${name}` }, cells.slice(from, to))))),
    formula, facts);

  function show(number, fresh) {
    bits = fresh;
    const value = decode(bits, form);
    const { exponent } = fields(bits, form);
    cells.forEach((cell, at) => {
      const [name, from] = groups.find(([, first, end]) => at >= first && at < end);
      cell.textContent = String(bitAt(at));
      cell.setAttribute("aria-pressed", String(bitAt(at) === 1));
      cell.setAttribute("aria-label", `${name === "sign" ? "sign" : `${name} bit ${at - from + 1}`}: ${bitAt(at)}`);
    });
    captions[0].textContent = "sign";
    captions[1].textContent = `exponent: ${exponent}`;
    captions[2].textContent = form.size === 32 ? "mantissa: 23 bits" : `mantissa: ${form.mantissa} bits`;
    holds.textContent = write(value);
    const [word, loud] = verdict(number, bits, form);
    tag.textContent = word;
    tag.classList.toggle("loud", loud);
    formula.replaceChildren(...formulaOf(bits, form));
    facts.replaceChildren(...factsOf(number, bits, form));
  }
  return { element, form, show };
}

// What the format makes of the number, in a word or two, and whether it is a loss.
function verdict(number, bits, form) {
  const value = decode(bits, form);
  const kind = kindOf(bits, form);
  if (kind === "nan") return ["not a number", false];
  if (kind === "inf") return Number.isFinite(number) ? ["overflows to inf", true] : ["infinite", false];
  if (value === 0 && number !== 0) return ["underflows to 0", true];
  if (kind === "subnormal") return [value === number ? "subnormal, exact" : "subnormal, rounded", true];
  return [value === number ? "exact" : "rounded", false];
}

function formulaOf(bits, form) {
  const { exponent, mantissa } = fields(bits, form);
  const kind = kindOf(bits, form);
  const sign = bits >= 2 ** (form.size - 1) ? "−" : "";
  if (kind === "nan") return [el("i", {}, "All bits of the exponent are 1 and the mantissa is not 0: "), "nan"];
  if (kind === "inf") return [el("i", {}, "All bits of the exponent are 1 and the mantissa is 0: "), `${sign}inf`];
  const fraction = `${mantissa.toLocaleString("en")}/${(2 ** form.mantissa).toLocaleString("en")}`;
  const power = Math.max(exponent, 1) - form.bias;
  const lead = exponent ? `1 + ${fraction}` : `0 + ${fraction}`;
  const why = exponent ? `${exponent} − ${form.bias}` : `1 − ${form.bias}, the exponent 0 stands for subnormal numbers`;
  return [`${sign}(${lead}) × 2`, el("sup", {}, write(power).replace("-", "−")), " ", el("i", {}, `the power is ${why}`)];
}

function factsOf(number, bits, form) {
  const value = decode(bits, form);
  const gap = gapOf(bits, form);
  if (Number.isNaN(number) || Number.isNaN(value)) return [el("i", {}, "No arithmetic leads back from nan.")];
  if (!Number.isFinite(value)) return [el("i", {}, "largest number "), write(form.largest)];
  const error = value - number;
  const next = Math.abs(value) + gap > form.largest ? "the next is inf" : about(gap, 4);
  return [el("i", {}, "error "), error === 0 ? "0" : `${about(error)} (${about(Math.abs((100 * error) / number), 2)} % of the number)`,
    el("i", {}, " · gap to the next "), next];
}

function summary(number) {
  const words = FORMATS.map((form) => `${form.name}: ${verdict(number, encode(number, form), form)[0]}`);
  return `${write(number)}. ${words.join(", ")}.`;
}

// ---- Where it lies ----

const LEFT = 74;

// The range of each format on a logarithmic axis, and the number's place.
function rangeFigure(state, width) {
  const { number } = state;
  const [low, high] = [-46, 40];
  const right = width - 16;
  const at = (power) => LEFT + ((power - low) / (high - low)) * (right - LEFT);
  const log = (size) => Math.log10(size);
  const size = Math.abs(number);
  const marks = width < 560 ? [-40, -20, 0, 20, 40] : [-40, -30, -20, -10, 0, 10, 20, 30, 40];
  const inside = Number.isFinite(size) && size > 0;
  const place = at(Math.max(low, Math.min(high, inside ? log(size) : size === 0 ? low : high)));
  const bands = FORMATS.map((form, row) => {
    const y = 24 + row * 30;
    const bits = bitsOf(state, form);
    const [gap, held] = [gapOf(bits, form), Math.abs(decode(bits, form))];
    const span = gap <= held && svg("g", { class: "span" }, svg("line", { x1: at(log(gap)), x2: at(log(held)), y1: y + 19, y2: y + 19 }),
      svg("circle", { cx: at(log(gap)), cy: y + 19, r: 3.5 }));
    return [span, svg("text", { x: 0, y: y + 11 }, form.name),
      svg("rect", { class: "low", x: at(log(form.smallest)), y, width: at(log(form.normal)) - at(log(form.smallest)), height: 14 }),
      svg("rect", { class: "band", x: at(log(form.normal)), y, width: at(log(form.largest)) - at(log(form.normal)), height: 14, rx: 2 })];
  });
  const bottom = 24 + FORMATS.length * 30;
  const words = FORMATS.map((form) => `${form.name} from ${about(form.smallest)} (normal from ${about(form.normal)}) to ${about(form.largest, 5)}`).join("; ");
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${bottom + 24}`, role: "img", "aria-label": `Sizes each format can hold: ${words}. The number's size is ${write(size)}; the gaps there: ${FORMATS.map((form) => `${form.name} ${write(gapOf(bitsOf(state, form), form))}`).join(", ")}.` },
    svg("defs", {}, svg("pattern", { id: "low", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 5 }))),
    marks.map((power) => [svg("line", { class: "tick", x1: at(power), x2: at(power), y1: 18, y2: bottom }),
      svg("text", { class: "soft", x: at(power), y: bottom + 16, "text-anchor": "middle" }, power === 0 ? "1" : `1e${power}`)]),
    bands,
    !Number.isNaN(size) && [svg("line", { class: "here", x1: place, x2: place, y1: 14, y2: bottom + 2 }),
      svg("text", { x: Math.max(LEFT, Math.min(right - 30, place)), y: 9, "text-anchor": "middle" }, about(size, 4))]);
  return [el("figcaption", {}, "What sizes each can hold ", el("span", {}, "hatched: subnormal, with fewer and fewer bits; the line below each runs from the gap at this number to the number: the longer, the more digits")), drawing];
}

// The numbers that each format has near this one, and which of them it becomes.
function rulerFigure(state, width) {
  const { number } = state;
  if (!Number.isFinite(number)) return [];
  const bits = FORMATS.map((form) => bitsOf(state, form));
  const gaps = bits.map((each, row) => gapOf(each, FORMATS[row]));
  const [fine, coarse, half] = gaps;
  const widest = [coarse, Math.min(half, 40 * coarse), fine].find((gap) => gap > 0);  // NaN where it holds inf
  if (!widest) return [];
  const reach = 2.2 * Math.max(widest, half <= 40 * coarse ? half : 0);
  const right = width - 16;
  const at = (value) => LEFT + ((value - number) / reach / 2 + 0.5) * (right - LEFT);
  const rows = FORMATS.map((form, row) => {
    const y = 30 + row * 30;
    const value = decode(bits[row], form);
    const gap = gaps[row];
    const count = (2 * reach) / gap;
    const label = svg("text", { x: 0, y: y + 4 }, form.name);
    const rail = svg("line", { class: "rail", x1: LEFT, x2: right, y1: y, y2: y });
    if (!Number.isFinite(value) || Math.abs(value - number) > reach) {
      return [label, rail, svg("text", { class: "soft", x: LEFT + 6, y: y - 5 }, `here it holds ${write(value)}`)];
    }
    const held = svg("circle", { class: "held", cx: at(value), cy: y, r: 5.5 });
    if (count > (right - LEFT) / 3) return [label, rail, svg("rect", { class: "dense", x: LEFT, y: y - 7, width: right - LEFT, height: 14 }), held];
    return [label, rail, near(bits[row], form, number - reach, number + reach).map((each) => svg("line", { class: "number", x1: at(each), x2: at(each), y1: y - 7, y2: y + 7 })), held];
  });
  const bottom = 30 + FORMATS.length * 30 - 12;
  const words = FORMATS.map((form, row) => `${form.name} holds ${write(decode(bits[row], form))}, gap ${write(gaps[row])}`).join("; ");
  return [el("figcaption", {}, "Its neighbours ", el("span", {}, "a stroke: a number that the format has; a dot: the one it holds; filled: too many strokes to draw")),
    svg("svg", { viewBox: `0 0 ${width} ${bottom + 14}`, role: "img", "aria-label": `Near ${write(number)}: ${words}.` },
      svg("line", { class: "here", x1: at(number), x2: at(number), y1: 12, y2: bottom + 8 }),
      svg("text", { x: at(number), y: 8, "text-anchor": "middle" }, about(number, 7)), rows)];
}

// The numbers of a format in an interval, found step by step from one of them.
function near(bits, form, from, to) {
  const found = [decode(bits, form)];
  for (const up of [true, false]) {
    let here = bits;
    for (let count = 0; count < 400; count += 1) {
      const next = neighbour(here, form, up);
      const value = decode(next, form);
      if (next === here || !Number.isFinite(value) || value > to || value < from) break;
      found.push(value);
      here = next;
    }
  }
  return found.filter((value) => value >= from && value <= to);
}
