// The frame every explorer stands in: it finds the explorer's place in the page, gives it a shadow
// root, colours that follow the page's theme, and the small tools below.
//
// An explorer is `export default function render(root, data, tools)`; frame.py joins it to this file.

const FRAME_CSS = `
:host {
  --ink: #1f2433; --muted: #5b6275; --line: #d9dbe4; --accent: #3d4db7; --amber: #b25e09;
  --paper: #ffffff; --wash: rgb(61 77 183 / 0.09); --glow: rgb(178 94 9 / 0.10);
  --hatch: rgb(178 94 9 / 0.28); --on-accent: #ffffff;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  display: block; margin: 1rem 0; color: var(--ink); color-scheme: light; font-size: 0.9375rem;
  line-height: 1.5; text-align: left;
}
:host([data-firstlight-theme="dark"]) {
  --ink: #e8e9f1; --muted: #a3a9bd; --line: #3a4056; --accent: #9aa8ff; --amber: #f2b46b;
  --paper: #171a26; --wash: rgb(154 168 255 / 0.14); --glow: rgb(242 180 107 / 0.13);
  --hatch: rgb(242 180 107 / 0.30); --on-accent: #171a26; color-scheme: dark;
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.frame {
  position: relative; overflow: clip; border: 1px solid var(--line); border-radius: 12px;
  padding: clamp(0.8rem, 3vw, 1.25rem); padding-top: clamp(0.95rem, 3vw, 1.3rem);
}
.frame::before {  /* the horizon at dawn */
  content: ""; position: absolute; inset: 0 0 auto; height: 3px;
  background: linear-gradient(90deg, var(--accent), var(--amber));
}
.title { margin: 0 0 0.75rem; font-weight: 650; }
.muted { color: var(--muted); }
.scroll { overflow-x: auto; max-width: 100%; }
:focus-visible { outline: 2.5px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
button, input, select { font: inherit; color: inherit; }
code, .mono { font-family: var(--mono); font-size: 0.92em; }
.choice {
  display: inline-flex; align-items: center; gap: 0.5rem; margin: 0; padding: 0; border: 0;
  min-width: 0; flex-wrap: wrap;
}
.choice legend { float: left; padding: 0; color: var(--muted); }
.choice .options {
  display: inline-flex; flex-wrap: wrap; border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden;
}
.choice label { position: relative; padding: 0.2rem 0.7rem; cursor: pointer; }
.choice label + label { border-left: 1px solid var(--line); }
.choice input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; }
.choice label:has(:checked) {
  background: var(--accent); color: var(--on-accent); font-weight: 600;
}
.choice label:has(:focus-visible) {
  outline: 2.5px solid var(--accent); outline-offset: -2.5px;
  box-shadow: inset 0 0 0 4px var(--paper);
}
.choice .options:has(:focus-visible) { outline: 2.5px solid var(--accent); outline-offset: 2px; }
@media (prefers-reduced-motion: no-preference) {
  .frame * { transition: background-color 120ms, border-color 120ms, opacity 120ms; }
}
::slotted(details) { margin-top: 0.9rem; color: var(--muted); font-size: 0.9em; }
`;

const SVG = "http://www.w3.org/2000/svg";

// Give every place with this key its picture; running the script again changes nothing.
export function mount(key, render) {
  for (const host of document.querySelectorAll(`[data-firstlight="${key}"]`)) {
    if (!host.shadowRoot) draw(host, render);
  }
}

function draw(host, render) {
  const data = JSON.parse(host.querySelector('script[type="application/json"]').textContent);
  const shadow = host.attachShadow({ mode: "open" });
  const root = el("div", { class: "body" });
  const frame = el("div", { class: "frame", role: "group", "aria-label": data.title },
    el("p", { class: "title" }, data.title), root, el("slot"));
  shadow.append(el("style", {}, FRAME_CSS), frame);
  const theme = followTheme(host);
  try {
    render(root, data, {
      el, svg, choice, rove, status,
      style: (css) => shadow.prepend(el("style", {}, css)),
      onTheme: theme.listen,  // for a canvas, whose colours CSS can't reach
      reducedMotion: () => matchMedia("(prefers-reduced-motion: reduce)").matches,
    });
  } catch (error) {  // the facts stay readable
    root.remove();
    host.querySelector("details").open = true;
    console.error(error);
  }
}

// el("button", { class: "x", onclick: f, disabled: true }, "text", element, ...): make an element.
// A null or false attribute is left out; true stands alone; a function is set as a property.
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// The same for a part of an SVG drawing.
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

// One choice out of a few: a group of radio buttons. options: [{ value, label, name? }] where `name`
// is the spoken name if the label is only a sign.
export function choice({ label, options, value, onChange }) {
  const group = `choice-${(choice.count = (choice.count ?? 0) + 1)}`;
  const radios = options.map((option) => el("label", {}, option.label, el("input", {
    type: "radio", name: group, value: option.value, "aria-label": option.name,
    checked: option.value === value, onchange: () => onChange(option.value),
  })));
  return el("fieldset", { class: "choice" },
    el("legend", {}, label), el("span", { class: "options" }, radios));
}

// A line that explains what is pointed at; a screen reader hears it change.
// Returns { element, say(...children) }.
export function status(attributes = {}) {
  const element = el("p", { role: "status", "aria-live": "polite", ...attributes });
  return { element, say: (...children) => element.replaceChildren(...children.flat(Infinity)) };
}

// Make a table of elements (rows of cells; null where there is none) one stop of the Tab key, moved
// through by the arrow keys, Home and End (with Ctrl: the corners). onPoint(row, column, cell) is
// called for the cell that is focused or under the pointer. Returns { point(row, column, focus) }.
export function rove(rows, { onPoint, onLeave }) {
  let here = null;
  const point = (row, column, focus = false) => {
    const cell = rows[row]?.[column];
    if (!cell) return;
    here?.setAttribute("tabindex", "-1");
    here = cell;
    here.setAttribute("tabindex", "0");
    if (focus) here.focus();
    onPoint(row, column, cell);
  };
  rows.forEach((cells, row) => cells.forEach((cell, column) => {
    if (!cell) return;
    cell.setAttribute("tabindex", here ? "-1" : "0");
    here = here ?? cell;
    cell.addEventListener("focus", () => point(row, column));
    cell.addEventListener("pointerenter", () => point(row, column));
    if (onLeave) cell.addEventListener("pointerleave", onLeave);
    cell.addEventListener("keydown", (event) => {
      const target = step(rows, row, column, event);
      if (!target) return;
      event.preventDefault();
      event.stopPropagation();  // a notebook has arrow keys of its own
      point(...target, true);
    });
  }));
  return { point };
}

// Where a key leads from one cell: the next cell in its direction that exists, or null.
function step(rows, row, column, { key, ctrlKey }) {
  if (key === "Home" || key === "End") {
    const toRow = !ctrlKey ? row : key === "Home" ? 0 : rows.length - 1;
    const there = rows[toRow].map((cell, index) => (cell ? index : -1)).filter((index) => index >= 0);
    return [toRow, key === "Home" ? there[0] : there[there.length - 1]];
  }
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
  if (!move) return null;
  do { row += move[0]; column += move[1]; }
  while (rows[row] && column >= 0 && column < rows[row].length && !rows[row][column]);
  return rows[row]?.[column] ? [row, column] : null;
}

// Keep the host's theme the page's: Furo, JupyterLab, VS Code and Colab say theirs in an attribute;
// elsewhere the background tells, and last the system's preference.
function followTheme(host) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  const update = () => {
    const paper = background(host);
    const theme = namedTheme() ?? (paper ? brightness(paper) : system.matches ? "dark" : "light");
    host.style.setProperty("--paper", paper ?? "");  // "" gives it back to the style above
    if (host.dataset.firstlightTheme === theme) return;
    host.dataset.firstlightTheme = theme;
    listeners.forEach((listener) => listener(theme));
  };
  const observer = new MutationObserver(update);
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true });
  }
  system.addEventListener("change", update);
  update();
  return { listen: (listener) => { listeners.push(listener); listener(host.dataset.firstlightTheme); } };
}

// The theme that the page names, or null where it names none or leaves it to the system.
function namedTheme() {
  const { body, documentElement: page } = document;
  const named = body.dataset.theme ?? page.getAttribute("theme");
  if (named === "dark" || named === "light") return named;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "true" ? "light" : "dark";
  if (body.matches(".vscode-light, .vscode-high-contrast-light")) return "light";
  return body.matches(".vscode-dark, .vscode-high-contrast") ? "dark" : null;
}

// The nearest opaque background behind the host, or null.
function background(host) {
  for (let element = host; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (/^rgb\(/.test(color)) return color;  // a transparent one is an rgba(...)
  }
  return null;
}

function brightness(color) {
  const [red, green, blue] = color.match(/[\d.]+/g).map(Number);
  return 0.3 * red + 0.59 * green + 0.11 * blue < 128 ? "dark" : "light";
}
