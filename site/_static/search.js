// Search the sections of all pages, as you type. The index is one script; nothing is asked of anybody.

(() => {
"use strict";

const SHOWN = 30;
const AROUND = 110;  // characters of text before and after a hit
const form = document.querySelector(".search-large");
const field = form.querySelector("input");
const results = document.getElementById("search-results");
const said = document.getElementById("search-said");

const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
// A word is looked for where words begin; one that begins with a sign, anywhere.
const pattern = (word) => new RegExp(/^\w/.test(word) ? `\\b${escaped(word)}` : escaped(word), "gi");

function search(query) {
  const words = query.trim().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const patterns = words.map(pattern);
  const whole = pattern(query.trim());
  const found = [];
  for (const [page, pageTitle, anchor, title, text] of searchIndex) {
    let score = 0;
    for (const word of patterns) {
      const hits = 12 * count(title, word) + (anchor ? 0 : 8) * count(pageTitle, word) + Math.min(5, count(text, word));
      if (!hits) { score = 0; break; }
      score += hits;
    }
    if (!score) continue;
    if (words.length > 1) score += 25 * count(title, whole) + 8 * Math.min(2, count(text, whole));
    found.push({ page, pageTitle, anchor, title, text, score, patterns });
  }
  return found.sort((one, other) => other.score - one.score);
}

const count = (text, wanted) => (text.match(wanted) ?? []).length;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function excerpt({ text, patterns }) {
  const first = Math.min(...patterns.map((word) => text.search(word)).filter((place) => place >= 0), Infinity);
  const from = first === Infinity ? 0 : Math.max(0, text.lastIndexOf(" ", Math.max(0, first - AROUND)) + 1);
  const piece = text.slice(from, from + 2 * AROUND);
  const any = new RegExp(patterns.map((word) => word.source).join("|"), "gi");
  const parts = [];
  let at = 0;
  for (const hit of piece.matchAll(any)) {
    parts.push(piece.slice(at, hit.index), element("mark", { textContent: hit[0] }));
    at = hit.index + hit[0].length;
  }
  parts.push(piece.slice(at));
  return [from > 0 ? "… " : "", ...parts, from + 2 * AROUND < text.length ? " …" : ""];
}

function show() {
  const query = field.value.replace(/[‘’]/g, "'").replace(/[“”]/g, '"');  // as in the index
  const found = search(query);
  const items = found.slice(0, SHOWN).map((place) => element("li", {},
    element("p", { className: "where", textContent: place.anchor ? place.pageTitle : "Page" }),
    element("a", { href: place.page + (place.anchor ? `#${place.anchor}` : ""), textContent: place.title }),
    element("p", { className: "excerpt" }, ...excerpt(place))));
  results.replaceChildren(...items);
  const places = found.length === 1 ? "1 place" : `${found.length} places`;
  said.textContent = !query.trim() ? "" : found.length > SHOWN ? `${places} found, the best ${SHOWN} shown` : found.length ? `${places} found` : `Nothing found for “${query.trim()}”. Try a shorter word.`;
  const address = new URL(location);
  if (query.trim()) address.searchParams.set("q", query.trim()); else address.searchParams.delete("q");
  try { history.replaceState(null, "", address); } catch { /* a page from the disk keeps its address */ }
}

let waiting;
field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 120); });
form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
field.value = new URLSearchParams(location.search).get("q") ?? "";
field.focus();
show();
})();
