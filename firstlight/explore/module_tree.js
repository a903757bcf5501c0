// A tree of rows that can be opened and closed, by mouse and by the keys of the ARIA tree pattern.

import { el } from "./frame.js";

export const TREE_CSS = `
.tree {
  max-height: 33rem; overflow: auto; overscroll-behavior: auto; border: 1px solid var(--line);
  border-radius: 8px; padding: 0.25rem; font-variant-numeric: tabular-nums;
}
.tree [role="treeitem"] {
  display: grid; grid-template-columns: minmax(6rem, 1fr) minmax(0, auto); column-gap: 1rem;
  align-items: center;
  position: relative; min-height: 2rem; padding: 0.15rem 0.5rem 0.15rem calc(var(--level) * 1.15rem + 1.7rem);
  border-radius: 6px; cursor: default; scroll-margin: 2.2rem 0;
  background: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px 1.15rem)
    0.95rem 0 / calc(var(--level) * 1.15rem) 100% no-repeat;
}
.tree [role="treeitem"]:hover { background-color: var(--wash); }
.tree [aria-selected="true"] { background-color: var(--wash); box-shadow: inset 0 0 0 1.5px var(--accent); }
.tree [role="treeitem"]:focus-visible { outline-offset: -2.5px; border-radius: 6px; }
.tree .twist {
  position: absolute; left: calc(var(--level) * 1.15rem + 0.3rem); top: 0; width: 1.4rem; height: 2rem;
  display: grid; place-items: center; color: var(--muted); cursor: pointer;
}
.tree .twist::before {
  content: ""; border: solid currentColor; border-width: 0 2px 2px 0; width: 0.42rem; height: 0.42rem;
  transform: rotate(-45deg); margin-left: -0.15rem;
}
.tree [aria-expanded="true"] > .twist::before { transform: rotate(45deg); margin: -0.2rem 0 0; }
.tree .twist:hover { color: var(--accent); }
.tree [data-loud]:not([aria-selected="true"]) { background-color: var(--glow); }
`;

// rows: [{ parent, cells, label, kind, loud, open }], each after its parent, whose place in `rows` is
// `parent`, or null. `label` is what is spoken, `kind` a class, `open` says whether a row begins open. onSelect(place) is called whenever the selection moves.
// Returns { element, select(place, focus), openAll(open) }.
export function tree({ label, rows, onSelect }) {
  const children = rows.map(() => []);
  rows.forEach(({ parent }, place) => { if (parent !== null) children[parent].push(place); });
  const tops = rows.map((_, place) => place).filter((place) => rows[place].parent === null);
  const level = rows.map(() => 0);
  rows.forEach(({ parent }, place) => { if (parent !== null) level[place] = level[parent] + 1; });
  const open = rows.map((row, place) => children[place].length > 0 && row.open);
  const items = rows.map((row, place) => item(row, place));
  const element = el("div", { class: "tree", role: "tree", "aria-label": label }, items);
  let here = 0;

  function item({ parent, cells, kind, label: spoken, loud }, place) {
    const siblings = parent === null ? tops : children[parent];
    const parts = children[place].length > 0;
    return el("div", {
      role: "treeitem", class: kind, tabindex: place ? "-1" : "0", style: `--level: ${level[place]}`,
      "aria-level": level[place] + 1, "aria-setsize": siblings.length,
      "aria-posinset": siblings.indexOf(place) + 1, "aria-selected": "false", "aria-label": spoken,
      "data-loud": Boolean(loud),
      onclick: (event) => {
        if (event.target.closest(".twist")) toggle(place);
        select(place, true);
      },
      ondblclick: () => parts && toggle(place),
      onkeydown: (event) => {
        const taken = !event.metaKey && !event.altKey && press(place, event);
        if (!taken) return;
        event.preventDefault();
        event.stopPropagation();  // a notebook has keys of its own
      },
    }, parts && el("span", { class: "twist", "aria-hidden": "true" }), cells);
  }

  const isSeen = (place) => {
    for (let up = rows[place].parent; up !== null; up = rows[up].parent) if (!open[up]) return false;
    return true;
  };
  const paint = () => items.forEach((each, place) => {
    each.hidden = !isSeen(place);
    if (children[place].length) each.setAttribute("aria-expanded", String(open[place]));
  });
  function toggle(place, to = !open[place]) {
    if (!children[place].length || open[place] === to) return;
    open[place] = to;
    paint();
    if (!isSeen(here)) select(place);
  }
  function select(place, focus = false) {
    for (let up = rows[place].parent; up !== null; up = rows[up].parent) open[up] = true;
    paint();
    items[here].setAttribute("tabindex", "-1");
    items[here].setAttribute("aria-selected", "false");
    here = place;
    items[here].setAttribute("tabindex", "0");
    items[here].setAttribute("aria-selected", "true");
    if (focus) items[here].focus({ preventScroll: true });
    scrollTo(element, items[here]);
    onSelect(place);
  }

  // Do what a key asks for; false if it asks for nothing here.
  function press(place, { key, ctrlKey }) {
    const seen = rows.map((_, at) => at).filter(isSeen);
    const at = seen.indexOf(place);
    const go = (to) => { if (to !== undefined && to !== null) select(to, true); return true; };
    if (key === "ArrowDown") return go(seen[at + 1]);
    if (key === "ArrowUp") return go(seen[at - 1]);
    if (key === "Home") return go(seen[0]);
    if (key === "End") return go(seen[seen.length - 1]);
    if (key === "ArrowRight") {
      if (open[place]) return go(children[place][0]);
      toggle(place, true);
      return true;
    }
    if (key === "ArrowLeft") {
      if (!open[place]) return go(rows[place].parent);
      toggle(place, false);
      return true;
    }
    if (key === "Enter" || key === " ") { toggle(place); return true; }
    if (key === "*") {
      const parent = rows[place].parent;
      (parent === null ? tops : children[parent]).forEach((sibling) => toggle(sibling, true));
      return true;
    }
    if (key.length > 1 || ctrlKey) return false;
    const begins = (to) => rows[to].label.toLowerCase().startsWith(key.toLowerCase());
    return go([...seen.slice(at + 1), ...seen.slice(0, at)].find(begins));
  }

  paint();
  return {
    element,
    select,
    openAll: (to) => {
      rows.forEach((_, place) => { open[place] = children[place].length > 0 && (to || place === 0); });
      paint();
      if (!isSeen(here)) select(0);
    },
  };
}

// Bring a row into the tree's window, and leave the page where it is.
function scrollTo(box, row) {
  const top = row.offsetTop - box.offsetTop;
  if (top < box.scrollTop) box.scrollTop = top - 8;
  const below = top + row.offsetHeight - box.clientHeight;
  if (below > box.scrollTop) box.scrollTop = below + 8;
}
