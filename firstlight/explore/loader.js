// explore.loader: above, the way of the examples from the data set into every epoch; below, the
// batches side by side, each example a cell that can be followed, with the classes that a batch holds.

import { el } from "./frame.js";
import { decode } from "./images.js";
import { RAILS_CSS, rails } from "./loader_rails.js";
import { count, counted, readStory } from "./loader_story.js";

const CSS = `
.stage { container-type: inline-size; }
.note { margin: 0.45rem 0 0; color: var(--muted); font-size: 0.87em; }
.warn {
  margin: 0 0 0.7rem; padding: 0.5rem 0.8rem; border-left: 4px solid var(--amber);
  border-radius: 4px 8px 8px 4px; background: var(--glow);
}
.facts { margin-bottom: 0.9rem; }
.facts table { border-collapse: collapse; font-variant-numeric: tabular-nums; line-height: 1.4; }
.facts th, .facts td { padding: 0.12rem 0 0.12rem 1.5rem; text-align: right; white-space: nowrap; font-weight: 400; }
.facts th:first-child { padding-left: 0; text-align: left; }
.facts thead th { color: var(--muted); font-size: 0.87em; }
.facts tbody th { font-weight: 600; }
.bar { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: center; margin: 0 0 0.7rem; }
.pager { display: inline-flex; flex-wrap: wrap; gap: 0.4rem 0.6rem; align-items: center; font-variant-numeric: tabular-nums; }
.turn { min-width: 2.4rem; padding: 0.2rem 0.6rem; border: 1px solid var(--line); border-radius: 8px; background: none; cursor: pointer; }
.turn:hover:not(:disabled) { border-color: var(--accent); background: var(--wash); }
.turn:disabled { opacity: 0.45; cursor: default; }
.ask { display: inline-flex; gap: 0.45rem; align-items: center; color: var(--muted); }
.ask input { width: 6rem; padding: 0.2rem 0.5rem; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); color: var(--ink); font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(var(--epochs), minmax(0, 1fr)); gap: 0.7rem 0.9rem; }
.card { min-width: 0; padding: 0.55rem 0.7rem 0.65rem; border: 1px solid var(--line); border-radius: 10px; }
.card[data-here] { border-color: var(--accent); box-shadow: inset 3px 0 0 var(--accent); }
.card.left { border-style: dashed; border-color: var(--amber); }
.card.none { display: grid; place-content: center; color: var(--muted); font-size: 0.87em; }
.head { display: flex; flex-wrap: wrap; gap: 0 0.8rem; justify-content: space-between; margin: 0 0 0.35rem; font-size: 0.87em; }
.head b { font-weight: 650; }
.head span { color: var(--muted); }
.head .short { color: var(--amber); font-weight: 600; }
.cells { display: grid; flex: 1 1 10rem; grid-template-columns: repeat(auto-fill, minmax(max(2rem, calc(var(--digits) * 0.62em + 0.7rem)), 1fr)); gap: 3px; font-family: var(--mono); font-size: 0.8125rem; }
.cell { min-height: 1.7rem; padding: 0; border: 1px solid var(--line); border-radius: 6px; background: var(--wash); font-variant-numeric: tabular-nums; cursor: pointer; scroll-margin: 5rem 1rem 7rem; }
.left .cell { border-style: dashed; background: none; }
.cell[data-mark="kin"] { border: 2px solid var(--amber); font-weight: 700; }
.cell[data-mark="here"] { border-color: var(--accent); background: var(--accent); color: var(--on-accent); font-weight: 700; }
.cell:focus-visible { outline-offset: 1px; border-radius: 7px; }
.more { margin: 0.3rem 0 0; color: var(--muted); font-size: 0.82em; }
.few { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: center; }
.balance { display: flex; flex: 0 1 auto; gap: 0.5rem; align-items: end; margin-top: 0.55rem; font-size: 11.5px; line-height: 1.2; color: var(--muted); }
.few > .balance { margin-top: 0; }
.few .classes { width: calc(var(--classes) * 26px); }
.classes { display: flex; width: calc(var(--classes) * 34px); gap: 2px; align-items: end; margin: 0; padding: 0; list-style: none; font-variant-numeric: tabular-nums; }
.classes .number { color: var(--ink); }
.classes li { flex: 1 1 0; min-width: 0; text-align: center; }
.classes .shaft { position: relative; height: 30px; }
.classes .fill { position: absolute; inset: auto 12% 0; border-radius: 2px 2px 0 0; background: var(--accent); opacity: 0.8; }
.classes .fair { position: absolute; inset: auto 0 auto; border-top: 1.5px dashed var(--ink); opacity: 0.65; }
.classes .name { display: block; border-top: 1px solid var(--line); color: var(--muted); }
.classes .nought { color: var(--muted); }
.desk { display: flex; flex-direction: column; gap: 0.7rem; }
.told { min-height: 2.4em; margin: 0; padding: 0.4rem 0.8rem; border: 1px solid var(--line); border-radius: 8px; }
.told b { color: var(--accent); }
.told .spot { display: inline-block; margin-left: 1.1rem; font-variant-numeric: tabular-nums; }
.told .why { color: var(--muted); }
.desk:has(.cells:hover, .cell:focus) > .told { position: sticky; top: 0.5rem; bottom: 0.5rem; z-index: 2; background: var(--paper); box-shadow: 0 0 0 0.5rem var(--paper); }
@container (max-width: 600px) {
  .cards { grid-template-columns: minmax(0, 1fr); }
  .facts table { font-size: 0.84em; }
  .facts th, .facts td { padding-left: 0.6rem; }
  .facts thead th { white-space: normal; line-height: 1.2; vertical-align: bottom; }
  .bar { gap: 0.5rem 0.7rem; }
  .ask { font-size: 0.9em; }
  .ask input { width: 4.4rem; }
  .told { order: 1; min-height: 4.9em; }
  .desk:has(.cells:hover, .cell:focus) > .told { top: auto; box-shadow: 0 0.5rem 0 var(--paper); }
  .told .spot { display: block; margin-left: 0; }
}
`;

const CELLS = { wide: 72, narrow: 40 };  // about so many examples of one epoch on a page
const MOST_ROWS = 6;
const FEW = 8;  // examples beside which there is room for the classes

export default function render(root, data, tools) {
  tools.style(RAILS_CSS + CSS);
  const story = readStory(data, decode);
  const state = { first: 0, page: [], batch: null, example: null };
  const told = tools.status({ class: "told" });
  const picture = rails(story, {
    go: (epoch, draw) => view.openBatch(story.epochs[epoch].batchAt(draw), epoch),
    find: (id) => view.find(id),
  });
  const cards = el("div", { class: "cards", style: `--epochs: ${story.epochs.length}; --digits: ${String(story.extent - 1).length}` });
  const view = makeView(story, state, { cards, told, picture, tools });
  const notes = (kind, wanted) => story.notes.filter(({ loud }) => loud === wanted)
    .map(({ text }) => el("p", { class: kind }, prose(text)));
  const stage = el("div", { class: "stage" }, notes("warn", true), factsTable(story), picture.element,
    view.bar, el("div", { class: "desk" }, told.element, cards),
    story.classes.length > 1 && el("p", { class: "note" }, "Bars: how many of each class a batch holds. Dashes: how many it would be by the class's share of the data set."),
    notes("note", false));
  root.append(stage);
  view.open(0);
}

// A sentence in which code stands between backticks.
const prose = (text) => text.split("`").map((part, which) => (which % 2 ? el("code", {}, part) : part));

function factsTable({ columns, facts }) {
  const label = "Each epoch in numbers";
  return el("div", { class: "facts scroll", tabindex: "0", role: "group", "aria-label": label },
    el("table", { "aria-label": label },
      el("thead", {}, el("tr", {}, el("td"), columns.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, facts.map((row, number) => el("tr", {},
        el("th", { scope: "row" }, `epoch ${number + 1}`), row.map((text) => el("td", {}, text)))))));
}

// ---- The batches on the page ----

function makeView(story, state, { cards, told, picture, tools }) {
  const { kept } = story;
  const lost = story.epochs.some(({ droppedCount }) => droppedCount > 0);
  const where = el("span", { "aria-live": "polite" });
  const turn = (sign, name, step) => el("button", { type: "button", class: "turn", "aria-label": name, onclick: () => open(state.first + step * rows()) }, sign);
  const [back, on] = [turn("‹", "Batches before", -1), turn("›", "Batches after", 1)];
  const widest = Math.max(1, ...kept.map((batch) => Math.max(...story.epochs.map((epoch) => epoch.row(batch)?.length ?? 0))));
  const rows = () => {
    const room = cards.clientWidth > 0 && cards.clientWidth < 600 ? CELLS.narrow : CELLS.wide;
    return Math.max(1, Math.min(MOST_ROWS, Math.floor(room / widest)));
  };

  function open(wanted) {
    const most = rows();
    state.first = Math.max(0, Math.min(kept.length - 1, wanted));
    if (kept.length <= most) state.first = 0;
    state.page = kept.slice(state.first, state.first + most);
    state.batch = state.page.length ? { epoch: 0, batch: state.page[0] } : null;
    state.example = null;
    const ends = state.first + most >= kept.length;
    back.disabled = state.first === 0;
    on.disabled = ends;
    where.textContent = pageText(story, state.page);
    const drawn = state.page.flatMap((batch) => story.epochs.map((epoch, number) => batchCard(story, epoch, number, batch)));
    if (ends && lost) drawn.push(...story.epochs.map(droppedCard));
    cards.replaceChildren(...drawn.map(({ element }) => element));
    view.cells = drawn.filter(({ cells }) => cells.length);
    view.rover = tools.rove(view.cells.map(({ cells }) => cells), { onPoint: (row, column) => point(view.cells[row], column) });
    view.cells.forEach((card) => {
      card.element.addEventListener("pointerenter", () => mark(card));
      card.cells.forEach((cell, column) => { cell.onclick = () => follow(card, column); });
    });
    told.say("Point at an example, or move to it with the arrow keys: where does it lie in each epoch?",
      story.epochs.length > 1 ? el("span", { class: "why" }, " Press it to follow it into the next epoch.") : "");
    mark(view.cells[0]);
  }

  function mark(card) {
    if (card) state.batch = card.batch === null ? null : { epoch: card.epoch, batch: card.batch };
    view.cells.forEach((other) => other.element.toggleAttribute("data-here", other === card));
    picture.show(state);
  }

  function point(card, column) {
    state.example = card.ids[column];
    for (const other of view.cells) {
      other.cells.forEach((cell, place) => {
        const here = other === card && place === column;
        cell.dataset.mark = here ? "here" : other.ids[place] === state.example ? "kin" : "";
      });
    }
    told.say(...placesText(story, state.example));
    mark(card);
  }

  // Go where an example lies in the next epoch that holds it.
  function follow(card, column) {
    const id = card.ids[column];
    const order = story.epochs.map((_, step) => (card.epoch + 1 + step) % story.epochs.length);
    const next = order.find((epoch) => story.epochs[epoch].where(id).some((spot) => kept.includes(spot.batch))
      && !(epoch === card.epoch && card.batch !== null));
    if (next !== undefined) return show(id, next, true);
    point(card, column);
    return told.say(...placesText(story, id), " ", el("span", { class: "why" },
      story.epochs.length === 1 ? "One epoch is on show." : "Its batches in the other epochs are not kept in this picture."));
  }

  // Open the batch that holds an example in an epoch, and point at it there.
  function show(id, epoch, focus) {
    const spot = story.epochs[epoch].where(id).find(({ batch }) => kept.includes(batch));
    if (!state.page.includes(spot.batch)) open(kept.indexOf(spot.batch));
    const row = view.cells.findIndex((card) => card.epoch === epoch && card.batch === spot.batch);
    const column = view.cells[row].ids.indexOf(id);
    if (column >= 0) view.rover.point(row, column, focus);
    else told.say(...placesText(story, id));
  }

  function showDropped(id, epoch) {
    open(kept.length - 1);
    const row = view.cells.findIndex((card) => card.epoch === epoch && card.batch === null);
    view.rover.point(row, view.cells[row].ids.indexOf(id));
  }

  function openBatch(wanted, epoch = 0) {
    const batch = nearest(kept, wanted);
    open(kept.indexOf(batch));
    mark(view.cells.find((card) => card.epoch === epoch && card.batch === batch) ?? view.cells[0]);
    if (batch !== wanted) {
      told.say(`Batch ${count(wanted + 1)} is not kept in this picture; `, el("b", {}, `batch ${count(batch + 1)}`), " is the nearest that is.");
    }
  }

  function find(wanted) {
    const known = story.knows(wanted);
    const id = known ? wanted : story.nearest(wanted);
    const epoch = story.epochs.findIndex(({ where: spots }) => spots(id).some(({ batch }) => kept.includes(batch)));
    const lost = story.epochs.findIndex(({ dropped }) => dropped.includes(id));
    if (epoch >= 0) show(id, epoch, false);
    else if (lost >= 0) showDropped(id, lost);
    state.example = id;
    picture.show(state);
    told.say(...(known ? [] : [`Example ${count(wanted)} is not kept in this picture; the nearest that is: `]), ...placesText(story, id));
  }

  const ask = (label, name, act) => {
    const input = el("input", { type: "number", inputmode: "numeric", "aria-label": name, onchange: () => {
      if (Number.isInteger(input.valueAsNumber)) act(input.valueAsNumber);
    } });
    input.addEventListener("keydown", (event) => event.stopPropagation());  // a notebook has keys of its own
    return el("label", { class: "ask" }, label, input);
  };
  const bar = el("div", { class: "bar" },
    el("span", { class: "pager" }, back, where, on),
    kept.length > 1 && ask("go to batch", "go to batch", (number) => openBatch(Math.max(0, Math.min(story.total - 1, number - 1)))),
    ask(kept.length > 1 ? "or example" : "go to example", "go to example", (id) => {
      if (id >= 0 && id < story.extent) find(id);
      else told.say(`There is no example ${id}: they go from 0 to ${count(story.extent - 1)}.`);
    }));
  const view = { bar, open, openBatch, find, cells: [], rover: null };
  return view;
}

const nearest = (numbers, wanted) => numbers.reduce(
  (best, number) => (Math.abs(number - wanted) < Math.abs(best - wanted) ? number : best), numbers[0]);

function pageText({ total, kept }, page) {
  if (!page.length) return "no batch";
  const numbers = page.map((batch) => count(batch + 1));
  const row = page[page.length - 1] - page[0] === page.length - 1;  // without gaps
  const which = page.length === 1 ? `batch ${numbers[0]}`
    : row ? `batches ${numbers[0]} to ${numbers[numbers.length - 1]}` : `batches ${numbers.join(", ")}`;
  return `${which} of ${count(total)}${kept.length < total ? `, ${count(kept.length)} kept` : ""}`;
}

// ---- One batch of one epoch ----

function batchCard(story, epoch, number, batch) {
  const ids = epoch.row(batch);
  if (!ids) {
    return { cells: [], element: el("div", { class: "card none" }, `Epoch ${number + 1} has no batch ${count(batch + 1)}.`) };
  }
  const length = epoch.length(batch);
  const short = batch === epoch.batches - 1 && batch > 0 && length < epoch.length(0);
  const name = `epoch ${number + 1}, batch ${count(batch + 1)}`;
  const size = short ? el("span", { class: "short" }, `short last batch: ${counted(length, "example")}`) : el("span", {}, counted(length, "example"));
  const counts = epoch.counts(batch);
  return card({ name, ids, epoch: number, batch, kind: "card" }, size,
    length > ids.length && el("p", { class: "more" }, `and ${count(length - ids.length)} more`),
    counts && balance(story, counts, length));
}

function droppedCard({ dropped, droppedCount }, number) {
  const name = `epoch ${number + 1}, dropped`;
  return card({ name, ids: dropped, epoch: number, batch: null, kind: "card left" },
    el("span", {}, counted(droppedCount, "example"), droppedCount ? " that no batch holds" : ""),
    droppedCount > dropped.length && el("p", { class: "more" }, `and ${count(droppedCount - dropped.length)} more`));
}

function card({ name, ids, epoch, batch, kind }, size, ...below) {
  const cells = ids.map((id) => el("button", { type: "button", class: "cell", "aria-label": `example ${id}` }, `${id}`));
  const [first, second] = name.split(", ");
  const element = el("div", { class: kind, role: "group", "aria-label": name },
    el("p", { class: "head" }, el("span", {}, el("b", {}, second), ` of ${first}`), size),
    el("div", { class: ids.length <= FEW ? "few" : "" }, el("div", { class: "cells" }, cells), below));
  return { element, cells, ids, epoch, batch };
}

// How many of each class a batch holds, beside what it would be by the classes' shares.
function balance({ classes, shares, tallest }, counts, length) {
  if (classes.length < 2 || length < 2) return null;
  const high = (number) => `${(100 * Math.min(number, tallest)) / tallest}%`;
  return el("div", { class: "balance" }, el("span", { "aria-hidden": "true" }, "class"), el("ul", { class: "classes", "aria-label": "Classes in this batch", style: `--classes: ${classes.length}` },
    counts.map((number, place) => el("li", { "aria-label": `class ${classes[place]}: ${number}` },
      el("span", { class: number ? "number" : "nought", "aria-hidden": "true" }, `${number}`),
      el("div", { class: "shaft", "aria-hidden": "true" },
        el("div", { class: "fill", style: `height: ${high(number)}` }),
        el("div", { class: "fair", style: `bottom: ${high(shares[place] * length)}` })),
      el("span", { class: "name", "aria-hidden": "true" }, classes[place])))));
}

// Where an example lies in every epoch.
function placesText(story, id) {
  const label = story.label(id);
  const told = [el("b", {}, `Example ${id}`), label === null ? "" : `, class ${label}`];
  story.epochs.forEach((epoch, number) => {
    const spots = epoch.where(id).map(({ batch, place }) => `batch ${count(batch + 1)}, place ${place + 1}`);
    const more = epoch.often(id) - spots.length;
    const words = spots.length ? spots.join("; ") + (more > 0 ? `; and ${count(more)} more` : "")
      : epoch.dropped.includes(id) ? "dropped" : "not in it";
    told.push(" ", el("span", { class: "spot" }, el("span", { class: "why" }, `epoch ${number + 1}: `), words));
  });
  return told;
}
