// explore.checkpoint: what torch.load would say to a file, what its parts take, and all it holds as a
// tree; with two files, the same tree with what differs.

import { choice, el, status } from "./frame.js";
import { TREE_CSS, tree } from "./module_tree.js";

const CSS = `
.sized { container-type: inline-size; }
.stage { display: flex; flex-direction: column; gap: 0.9rem; }
.stage p { margin: 0; }
.meta p + p { margin-top: 0.1rem; }
.meta { color: var(--muted); }
.verdict { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0.1rem 0.8rem; padding: 0.6rem 0.9rem; border: 1px solid var(--line); border-left: 4px solid var(--accent); border-radius: 4px 8px 8px 4px; background: var(--wash); }
.verdict[data-state="refuses"], .verdict[data-state="differs"] { border-left-color: var(--amber); background: var(--glow); }
.verdict > .word { font-weight: 700; color: var(--accent); white-space: nowrap; }
.verdict[data-state="refuses"] > .word, .verdict[data-state="differs"] > .word, .refused .run { color: color-mix(in srgb, var(--amber) 80%, var(--ink)); }
.verdict > .why { grid-column: 2; min-width: 0; }
.verdict > .why > * + * { margin-top: 0.25rem; }
.refused { margin: 0.4rem 0 0; padding: 0; list-style: none; }
.refused li + li { margin-top: 0.45rem; }
.refused b { font-family: var(--mono); font-size: 0.92em; overflow-wrap: anywhere; }
.refused .run { font-weight: 650; }
.call { display: block; margin-top: 0.1rem; padding-left: 0.8rem; font-family: var(--mono); font-size: 0.84em; overflow-wrap: anywhere; color: var(--muted); }
.notes { margin: 0; padding: 0; list-style: none; }
.notes li { padding: 0.1rem 0 0.1rem 0.8rem; border-left: 3px solid var(--line); overflow-wrap: anywhere; }
.notes li + li { margin-top: 0.4rem; }
.notes .loud { border-left-color: var(--amber); }
.parts table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.parts th, .parts td { padding: 0.12rem 0 0.12rem 1.3rem; text-align: right; white-space: nowrap; font-weight: 400; }
.parts thead th { color: var(--muted); font-size: 0.85em; }
.parts th:first-child { padding-left: 0; text-align: left; }
.parts tbody th { font-weight: 650; max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
.parts .bar { width: 12rem; padding-left: 0.8rem; }
.parts .bar i { display: block; height: 9px; min-width: 2px; border-radius: 2px; background: var(--accent); opacity: 0.8; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.2rem; }
.ask { display: inline-flex; align-items: center; gap: 0.5rem; color: var(--muted); }
.ask input { width: 11rem; max-width: 100%; padding: 0.2rem 0.6rem; border: 1px solid var(--line); border-radius: 8px; background: transparent; color: var(--ink); }
.plain { border: 1px solid var(--line); border-radius: 8px; background: none; padding: 0.2rem 0.7rem; cursor: pointer; }
.plain:hover { border-color: var(--accent); background: var(--wash); }
.panes { display: grid; gap: 0.9rem 1.4rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
.tree .entry { grid-template-columns: minmax(5rem, auto) minmax(0, 1fr) auto; }
.tree .name { font-weight: 650; overflow-wrap: anywhere; }
.tree .says { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--muted); text-align: right; }
.tree .says.value, .tree .says.tensor { font-family: var(--mono); font-size: 0.8125rem; color: var(--ink); }
.tree .size { min-width: 4.4rem; text-align: right; color: var(--muted); font-size: 0.85em; white-space: nowrap; }
.tree .sign { text-align: right; font-size: 0.9em; overflow-wrap: anywhere; }
.tree .pair { grid-template-columns: minmax(5rem, auto) minmax(0, 1fr) minmax(4rem, auto); }
.sign[data-state="equal"] { color: var(--muted); }
.sign[data-state="differs"], .sign[data-state="unread"], .sign[data-state="within"] { color: var(--amber); font-weight: 650; }
.sign[data-state="first"], .sign[data-state="second"] { color: var(--accent); font-weight: 650; }
.told { padding: 0.6rem 0.9rem; border: 1px solid var(--line); border-radius: 8px; min-height: 3rem; overflow-wrap: anywhere; }
.told > * + * { margin-top: 0.35rem; }
.told .path { display: block; font-weight: 650; }
.told .say { display: block; }
.told .line { display: flex; gap: 0.2rem 0.8rem; }
.told .line > span:first-child { flex: 0 0 5.6rem; color: var(--muted); }
.told .line > span + span { min-width: 0; font-variant-numeric: tabular-nums; }
.none { color: var(--muted); padding: 0.6rem 0.8rem; }
@container (min-width: 760px) {
  .panes { grid-template-columns: minmax(0, 1.75fr) minmax(0, 1fr); }
  .told { position: sticky; top: 0.8rem; }
}
@container (max-width: 600px) {
  .verdict { grid-template-columns: minmax(0, 1fr); }
  .verdict > .why { grid-column: 1; }
  .tree .entry, .tree .pair { grid-template-columns: fit-content(68%) minmax(0, 1fr); column-gap: 0.6rem; }
  .tree .entry .size, .tree .pair .says { display: none; }
  .parts th, .parts td { padding-left: 0.8rem; }
  .parts .bar { width: 4rem; }
}
`;

const WORDS = { safe: "Nothing in it can run", accepts: "torch.load accepts it", refuses: "torch.load refuses it", unknown: "Not known",
  equal: "Equal", differs: "Different", cut: "Equal so far" };
const ALL_OPEN = 34;  // lines: a tree of so many begins open

export default function render(root, data, tools) {
  tools.style(TREE_CSS + CSS);
  const two = Boolean(data.files);
  const stage = el("div", { class: "stage" },
    two ? el("div", { class: "meta" }, data.files.map((file, at) => el("p", {}, el("b", {}, at ? "second " : "first "), `${file.name}, ${file.size} · ${file.kind.split(":")[0]}`)))
      : el("p", { class: "meta" }, `${data.size} · ${data.kind}`),
    two ? box(data.state, WORDS[data.state], data.sentences.map((text) => el("p", {}, prose(text)))) : verdict(data.verdict),
    two && data.files.filter(({ verdict: { state } }) => state === "refuses").map((file) => verdict(file.verdict, `${file.name}: `)),
    data.parts.length > 0 && partsTable(data, two),
    data.notes?.length > 0 && el("ul", { class: "notes" }, data.notes.map(({ text, loud }) => el("li", { class: loud ? "loud" : "" }, prose(text)))),
    holdings(data.rows, two, tools));
  root.append(el("div", { class: "sized" }, stage));
}

// A sentence in which code stands between backticks.
const prose = (text) => text.split("`").map((part, which) => (which % 2 ? el("code", {}, part) : part));

const box = (state, word, ...why) => el("div", { class: "verdict", "data-state": state },
  el("span", { class: "word" }, word), el("div", { class: "why" }, why));

function verdict({ state, head, refusals, more, strange }, before = "") {
  return box(state, `${before}${WORDS[state]}`,
    el("p", {}, head),
    refusals.length > 0 && el("ul", { class: "refused" },
      refusals.map(({ name, why, loud, calls }) => el("li", {}, el("b", {}, name), " ", el("span", { class: loud ? "run" : "" }, why),
        calls.map((call) => el("code", { class: "call" }, call)))),
      more > 0 && el("li", {}, `and ${more} more`)),
    strange.map((what) => el("p", {}, `It uses ${what}, which torch.load does not follow.`)));
}

function partsTable({ columns, parts }, two) {
  const label = two ? "What is equal, by part" : "What each part takes";
  return el("div", { class: "parts scroll", tabindex: "0", role: "group", "aria-label": label },
    el("table", { "aria-label": label },
      el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)), !two && el("td", { class: "bar" }))),
      el("tbody", {}, parts.map(({ cells: [name, ...rest], share }) => el("tr", {},
        el("th", { scope: "row", title: name }, name), rest.map((text) => el("td", {}, text)),
        !two && el("td", { class: "bar", "aria-hidden": "true" }, share > 0 && el("i", { style: `width: ${100 * share}%` })))))));
}

// ---- The tree, what may be left out of it, and what is said of the line selected ----

function holdings(rows, two, tools) {
  const told = tools.status({ class: "told" });
  const wanted = { text: "", all: true };
  const place = el("div", {});
  const count = el("span", { class: "muted", "aria-live": "polite" });
  if (two) countApart(rows);

  function draw() {
    const kept = keptRows(rows, wanted);
    const narrowed = wanted.text !== "" || !wanted.all;
    count.textContent = narrowed ? `${kept.hits} of ${rows.length} lines` : "";
    if (!kept.places.length) {
      place.replaceChildren(el("p", { class: "none" }, "No line is like that."));
      told.say("");
      return null;
    }
    const at = new Map(kept.places.map((old, fresh) => [old, fresh]));
    const shown = kept.places.map((old) => rows[old]);
    const begins = beginsOpen(shown.map(({ key, parent }) => ({ key, parent: parent === null ? null : at.get(parent) })), narrowed);
    const view = tree({
      label: two ? "Both files, line by line" : "What the file holds",
      rows: shown.map((row, fresh) => ({
        parent: row.parent === null ? null : at.get(row.parent), open: begins[fresh], loud: row.loud,
        kind: two ? "pair" : "entry", label: spoken(row), cells: two ? pairCells(row) : entryCells(row),
      })),
      onSelect: (fresh) => told.say(...panel(shown[fresh])),
    });
    place.replaceChildren(view.element);
    view.select(Math.max(0, shown.findIndex((row, fresh) => fresh < 30 && (two ? row.state && row.state !== "equal" : row.kind === "tensor"))));
    return view;
  }

  let view = draw();
  const search = el("input", { type: "search", "aria-label": "find a line", oninput: () => { wanted.text = search.value.trim().toLowerCase(); view = draw(); } });
  search.addEventListener("keydown", (event) => event.stopPropagation());  // a notebook has keys of its own
  const controls = el("div", { class: "controls" },
    two && choice({ label: "show", value: "all", options: [{ value: "all", label: "everything" }, { value: "apart", label: "what differs" }],
      onChange: (value) => { wanted.all = value === "all"; view = draw(); } }),
    el("label", { class: "ask" }, "find", search), count,
    el("button", { type: "button", class: "plain", onclick: () => view?.openAll(true) }, "open all"),
    el("button", { type: "button", class: "plain", onclick: () => view?.openAll(false) }, "close all"));
  return el("div", { class: "stage" }, controls, el("div", { class: "panes" }, place, told.element));
}

// Write to each line that holds others how many below it are not equal.
function countApart(rows) {
  for (let place = rows.length - 1; place >= 0; place -= 1) {
    const row = rows[place];
    const own = row.state && row.state !== "equal" ? 1 : 0;
    if (row.parent !== null) rows[row.parent].apart = (rows[row.parent].apart ?? 0) + own + (row.apart ?? 0);
  }
}

// The places of the lines asked for, with those above them, and how many were asked for.
function keptRows(rows, { text, all }) {
  const hit = rows.map((row) => (all || (row.state && row.state !== "equal"))
    && (text === "" || `${row.path} ${row.key} ${row.shape ?? ""} ${row.what ?? ""}`.toLowerCase().includes(text)));
  const keep = [...hit];
  for (let place = rows.length - 1; place > 0; place -= 1) if (keep[place] && rows[place].parent !== null) keep[rows[place].parent] = true;
  return { places: rows.map((_, place) => place).filter((place) => keep[place]), hits: hit.filter(Boolean).length };
}

// Which lines begin open: level by level as long as not too many lines are seen. What PyTorch notes for
// itself (`._metadata`) begins closed; a tree that was narrowed begins open.
function beginsOpen(rows, narrowed) {
  if (narrowed && rows.length <= 400) return rows.map(() => true);
  const level = [];
  rows.forEach(({ key, parent }, place) => { level[place] = parent === null ? 0 : level[parent] + (key === "._metadata" ? 99 : 1); });
  const seen = (most) => level.filter((each) => each <= most).length;
  let depth = 1;
  while (depth < 9 && seen(depth + 1) > seen(depth) && seen(depth + 1) <= ALL_OPEN) depth += 1;
  return level.map((each) => each < depth);
}

function entryCells({ key, kind, what, shape, size, told }) {
  const text = kind === "tensor" ? shape : what;
  return [el("span", { class: "name" }, key), el("span", { class: `says ${kind}` }, text), el("span", { class: "size" }, size ?? "")];
}

const pairCells = ({ key, shape, what, state, mark, apart }) => [el("span", { class: "name" }, key),
  el("span", { class: `says ${shape ? "tensor" : ""}` }, shape ?? what ?? ""),
  el("span", { class: "sign", "data-state": state ?? (apart ? "within" : "equal") },
    !state ? (apart ? `${apart} differ${apart === 1 ? "s" : ""}` : "= equal") : state === "equal" ? "= equal" : state === "differs" ? `≠ ${mark}` : mark)];

const spoken = ({ key, what, shape, size, sign, apart }) => [key, shape, what, size, sign, apart && `${apart} below are not equal`].filter(Boolean).join(", ");

function panel({ path, key, what, shape, size, facts, told, unread, sign, apart }) {
  const line = (name, ...text) => el("span", { class: "line" }, el("span", {}, name), el("span", {}, text));
  return [el("code", { class: "path" }, path.length > 400 ? key : path),
    what && el("span", { class: "say" }, what),
    shape && line("tensor", el("span", { class: "mono" }, shape)),
    size && line("size", size),
    (facts ?? []).map(([name, text]) => line(name, text)),
    told && line("holds", told),
    unread && el("span", { class: "say" }, unread),
    sign && el("span", { class: "say" }, el("b", {}, sign)),
    apart > 0 && el("span", { class: "say" }, `${apart} of the lines below are not equal.`)].filter(Boolean);
}
