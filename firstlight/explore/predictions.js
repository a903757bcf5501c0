// A confusion matrix whose numbers open the very images, and the mistakes, most confident first.
//
// data: classes, counts[true][said], and `kept` images: [index, label, said, probability of what was
// said, probability of the true class], with their pixels in the same order, one byte each.

import { decode, paint, percent } from "./images.js";

const CSS = `
.score { margin: 0 0 1rem; }
.score strong { font-size: 1.5rem; font-weight: 650; line-height: 1.3; }
.tables { display: grid; grid-template-columns: minmax(0, 7fr) minmax(0, 4fr); gap: 1.2rem 2rem; align-items: start; }
@media (max-width: 700px) { .tables { grid-template-columns: minmax(0, 1fr); } }
h3, .label { font-size: 0.87em; font-weight: 600; color: var(--muted); margin: 0 0 0.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 600; }
.matrix { width: 100%; table-layout: fixed; }
.matrix th { padding: 0.1rem 0; line-height: 1.25; }
.matrix thead th { vertical-align: bottom; text-align: center; }
.matrix tbody th { text-align: right; padding-right: 0.5rem; }
.matrix td { padding: 1px; }
.matrix .first { width: 2.9rem; }
.matrix.named { min-width: 34rem; }
.named .first { width: 6rem; }
.named thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.named tbody th { position: sticky; left: 0; z-index: 1; background: color-mix(in srgb, var(--paper) 94%, transparent); }
.matrix .axis { color: var(--muted); font-weight: 400; font-size: 0.87em; text-align: left; white-space: nowrap; }
.sized { container-type: inline-size; }
.cell { display: block; width: 100%; min-height: 1.9rem; padding: 0; border: 1px solid transparent; border-radius: 5px;
  background: color-mix(in srgb, var(--amber) var(--tint), transparent); font-size: clamp(9.3px, 2.7cqi, 13.5px); font-variant-numeric: normal; cursor: pointer; }
.cell.right { background: color-mix(in srgb, var(--accent) var(--tint), transparent); border-color: var(--accent); font-weight: 600; }
.cell.none { color: var(--muted); background: none; }
.cell:hover { border-color: var(--ink); }
.cell[aria-pressed="true"] { outline: 2.5px solid var(--ink); outline-offset: -1px; }
.cell:focus-visible { outline: 2.5px solid var(--accent); outline-offset: 1px; }
@container (max-width: 380px) {
  .matrix:not(.named) .first { width: 2.5rem; }
  .matrix:not(.named) .cell { font-weight: 500; letter-spacing: -0.05em; }
  .named .cell { font-size: 12px; }
}
.pointed { min-height: 1.5em; margin: 0.4rem 0 0; }
.classes { width: 100%; }
.classes th, .classes td { padding: 0.14rem 0 0.14rem 0.6rem; text-align: right; line-height: 1.5; }
.classes th:first-child { text-align: left; padding-left: 0; }
.classes thead th { color: var(--muted); font-weight: 400; font-size: 0.87em; }
.classes tbody tr { border-top: 1px solid var(--line); }
.gallery { margin-top: 1.3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.top { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: center; justify-content: space-between; }
.heading { margin: 0; font-weight: 600; }
.note { margin: 0.1rem 0 0.8rem; font-size: 0.9em; }
.classes + .note { margin-top: 0.6rem; }
select, .plain { border: 1px solid var(--line); border-radius: 8px; background: var(--paper); padding: 0.2rem 0.6rem; cursor: pointer; }
.plain { background: none; padding: 0.2rem 0.8rem; }
.plain:hover { border-color: var(--accent); background: var(--wash); }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 0.9rem 0.6rem; list-style: none; margin: 0 0 0.8rem; padding: 0; }
.images canvas { display: block; width: 100%; max-width: 112px; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; border-radius: 6px; background: #000; }
.images p { margin: 0; line-height: 1.45; }
.said { font-weight: 600; padding-top: 0.25rem; overflow-wrap: anywhere; }
.images .muted { font-size: 0.82em; }
`;

const PAGE = { narrow: 12, wide: 24 };  // images shown at once

export default function render(root, data, tools) {
  const { el } = tools;
  tools.style(CSS);
  const kept = readKept(data);
  const gallery = makeGallery(tools, data, kept, () => matrix.release());
  const matrix = makeMatrix(tools, data, gallery.openCell);
  root.append(
    score(el, data),
    el("div", { class: "tables" }, matrix.element, classTable(el, data)),
    gallery.element);
  gallery.openMistakes("all");
}

function readKept({ kept, pixels, width, height }) {
  const bytes = decode(pixels);
  return kept.map(([index, label, said, chance, chanceOfTruth], place) => ({
    index, label, said, chance, chanceOfTruth,
    pixels: bytes.subarray(place * width * height, (place + 1) * width * height),
  }));
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const total = ({ counts }) => sum(counts.map(sum));
const hits = ({ counts }) => sum(counts.map((row, place) => row[place]));

function score(el, data) {
  const all = total(data), right = hits(data);
  return el("p", { class: "score" }, el("strong", {}, `${(100 * right / all).toFixed(2)} %`), " accuracy: ",
    `${count(right)} of ${count(all)} right, ${counted(all - right, "mistake")}.`);
}

// The matrix ------------------------------------------------------------------------------------

function makeMatrix({ el, rove }, { classes, counts }, open) {
  const worst = Math.max(1, ...counts.flatMap((row, label) => row.filter((_, said) => said !== label)));
  const pointed = el("p", { class: "pointed muted" }, "Choose a number to see its images.");
  const cells = counts.map((row, label) => row.map((number, said) => {
    const right = label === said;
    const share = number / (right ? Math.max(1, sum(row)) : worst);
    const button = el("button", {
      type: "button", "aria-pressed": "false", style: `--tint: ${Math.round(share * (right ? 24 : 55))}%`,
      class: `cell ${right ? "right" : ""} ${number ? "" : "none"}`,
      "aria-label": `${cellText(classes, label, said)}: ${counted(number, "image")}`,
      onclick: () => { release(); button.setAttribute("aria-pressed", "true"); open(label, said); },
    }, number ? String(number) : "·");
    return button;
  }));
  const release = () => cells.flat().forEach((cell) => cell.setAttribute("aria-pressed", "false"));
  rove(cells, { onPoint: (label, said) => {
    pointed.textContent = `${cellText(classes, label, said)}: ${count(counts[label][said])} of ${counted(sum(counts[label]), "image")}`;
  } });
  const named = classes.some((name) => name.length > 3);
  const head = classes.map((name) => el("th", { scope: "col" }, el("span", {}, name)));
  const rows = cells.map((row, label) => el("tr", {}, el("th", { scope: "row" }, classes[label]), row.map((cell) => el("td", {}, cell))));
  const element = el("div", {},
    el("p", { class: "label" }, "Confusion matrix"),
    el("div", { class: "scroll sized" }, el("table", { class: named ? "matrix named" : "matrix", "aria-label": "Confusion matrix" },
      el("thead", {},
        el("tr", {}, el("td", { class: "first" }), el("th", { class: "axis", colspan: classes.length, scope: "colgroup" }, "what the network says →")),
        el("tr", {}, el("th", { class: "axis", scope: "col" }, "true ↓"), head)),
      el("tbody", {}, rows))),
    pointed);
  return { element, release };
}

function cellText(classes, label, said) {
  return label === said ? `True ${classes[label]}, answered ${classes[said]}, right` : `True ${classes[label]}, answered ${classes[said]}`;
}

// Recall: of the images of a class, the share recognised. Precision: of those called so, the share right.
function classTable(el, { classes, counts }) {
  const cell = (text) => el("td", {}, text);
  const rows = classes.map((name, place) => {
    const column = counts.map((row) => row[place]);
    return el("tr", {}, el("th", { scope: "row" }, name), cell(count(sum(counts[place]))),
      cell(share(counts[place][place], sum(counts[place]))), cell(share(counts[place][place], sum(column))));
  });
  return el("div", {},
    el("p", { class: "label" }, "Class by class"),
    el("table", { class: "classes", "aria-label": "Class by class" },
      el("thead", {}, el("tr", {}, ["class", "images", "recall", "precision"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows)),
    el("p", { class: "note muted" }, "Recall: of a class's images, those recognised. Precision: of those called so, those that are."));
}

// The images ------------------------------------------------------------------------------------

function makeGallery({ el, status }, data, kept, releaseCell) {
  const { classes, counts } = data;
  const heading = status({ class: "heading" });
  const note = el("p", { class: "note muted" });
  const list = el("ul", { class: "images" });
  const more = el("button", { type: "button", class: "plain", onclick: () => showMore(true) }, "Show more");
  const back = el("button", { type: "button", class: "plain", onclick: () => openMistakes("all") }, "All mistakes");
  const filter = el("select", { onchange: () => openMistakes(filter.value) },
    el("option", { value: "all" }, "all classes"),
    classes.map((name, place) => el("option", { value: place }, `class ${name}`)));
  let images = [];

  function openCell(label, said) {
    const order = label === said ? "the least sure first" : "the most confident first";
    show(`${cellText(classes, label, said)}: ${counted(counts[label][said], "image")}`, counts[label][said], order,
      kept.filter((image) => image.label === label && image.said === said));
    back.hidden = false;
    filter.value = "all";
  }
  function openMistakes(value) {
    releaseCell?.();
    back.hidden = true;
    filter.value = value;
    const place = Number(value);
    const all = value === "all";
    const number = all ? total(data) - hits(data)
      : sum(counts[place]) + sum(counts.map((row) => row[place])) - 2 * counts[place][place];
    show(counted(number, "mistake") + (all ? "" : ` that involve ${classes[place]}`), number, "the most confident first",
      kept.filter((image) => image.label !== image.said && (all || image.label === place || image.said === place)));
  }
  function show(title, number, order, chosen) {
    images = chosen;
    heading.say(title);
    note.textContent = number === 0 ? "There are none." : chosen.length < number
      ? `The images of ${count(chosen.length)} of them are kept here, ${order}.` : `${order[0].toUpperCase()}${order.slice(1)}.`;
    list.replaceChildren();
    showMore(false);
  }
  function showMore(focus) {
    const from = list.children.length;
    list.append(...images.slice(from, from + (list.clientWidth < 600 ? PAGE.narrow : PAGE.wide)).map((image) => card(el, data, image)));
    more.hidden = list.children.length >= images.length;
    if (focus) list.children[from].focus();
  }

  const element = el("section", { class: "gallery", "aria-label": "Images" },
    el("div", { class: "top" }, heading.element, el("div", { class: "top" }, back, el("label", {}, "Mistakes in ", filter))),
    note, list, more);
  return { element, openCell, openMistakes };
}

function card(el, { classes, width, height }, image) {
  const { index, label, said, chance, chanceOfTruth } = image;
  const wrong = label !== said;
  const canvas = el("canvas", { width, height, role: "img",
    "aria-label": `Image ${index}: a ${classes[label]}, answered ${classes[said]} with ${percent(chance)}`
      + (wrong ? `; the true class got ${percent(chanceOfTruth)}` : "") });
  paint(canvas, image.pixels, width, height);
  return el("li", { tabindex: "-1" }, canvas,
    el("p", { class: "said" }, wrong ? `${classes[label]} → ${classes[said]}` : `${classes[said]} ✓`),
    el("p", { class: "muted" }, "said ", percent(chance)),
    wrong && el("p", { class: "muted" }, "true ", percent(chanceOfTruth)),
    el("p", { class: "muted" }, `image ${index}`));
}

// Small things ----------------------------------------------------------------------------------

function count(number) {
  return number.toLocaleString("en");
}

function counted(number, thing) {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

function share(part, whole) {
  if (part === whole) return whole ? "100 %" : "–";
  return part ? percent(part / whole) : "0 %";
}
