// What a page of the course can do beyond being read. Nothing here is needed to read it.
// The local app says what it offers before this script runs:
//   window.firstlightApp = { open: "/course/open/NAME" or null, notebooks: { NAME: address }, states: { exercise: { passed, attempts } } }

(() => {
"use strict";

const app = window.firstlightApp ?? null;
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// localStorage may be switched off; the page then forgets, and works.
const memory = {
  get(key) { try { return JSON.parse(localStorage.getItem(`firstlight:${key}`)); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`firstlight:${key}`, JSON.stringify(value)); } catch { /* forgets */ } },
};

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

// Theme: as the system, light, dark ----------------------------------------------------------------

function themeButton() {
  const button = find(".theme");
  const said = { auto: "as the system", light: "light", dark: "dark" };
  const say = () => { find(".theme-said", button).textContent = `Theme: ${said[document.body.dataset.theme]}`; };
  button.hidden = false;
  button.addEventListener("click", () => {
    const themes = Object.keys(said);
    const next = themes[(themes.indexOf(document.body.dataset.theme) + 1) % themes.length];
    document.body.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch { /* for this page only */ }
    say();
  });
  say();
}

// Code ---------------------------------------------------------------------------------------------

function copyButtons() {
  for (const block of all(".highlight")) {
    if (block.closest(".cell_output, .fault")) continue;
    const label = make("span", { className: "unseen", textContent: "Copy" });
    const button = make("button", { type: "button", className: "copy", title: "Copy" }, icon("copy"), label);
    button.addEventListener("click", async () => {
      const text = block.closest("[data-copy]")?.dataset.copy ?? find("pre", block).textContent;
      try {
        await navigator.clipboard.writeText(text);
        label.textContent = "Copied";
      } catch {  // not allowed: select it, so that the keyboard can copy
        getSelection().selectAllChildren(find("pre", block));
        label.textContent = "Selected; copy it with the keyboard";
      }
      label.className = "";
      button.classList.add("copied");
      setTimeout(() => {
        label.textContent = "Copy";
        label.className = "unseen";
        button.classList.remove("copied");
      }, 1800);
    });
    block.append(button);
  }
}

// What is wider than its place scrolls, and is then a stop of the Tab key with a name.
function scrollers() {
  const names = [[".cell_output", "Output, scrolls sideways"], [".highlight", "Code, scrolls sideways"], [".katex-display", "Formula, scrolls sideways"], [".table-wrapper", "Table, scrolls sideways"], ["figure", "Figure, scrolls sideways"]];
  const update = (element) => {
    const wide = element.scrollWidth > element.clientWidth + 1;
    if (wide === element.hasAttribute("tabindex")) return;
    if (!wide) {
      for (const name of ["tabindex", "role", "aria-label"]) element.removeAttribute(name);
      return;
    }
    element.tabIndex = 0;
    if (element.tagName !== "FIGURE") element.setAttribute("role", "group");  // no landmark: there are many
    element.setAttribute("aria-label", names.find(([place]) => element.closest(place))?.[1] ?? "Scrolls sideways");
  };
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => update(entry.target)));
  for (const element of all("article pre:not([tabindex]), .katex-display, .table-wrapper, .output.text_html, figure")) observer.observe(element);
}

// The parts that the style sheet left for later are laid out a few at a time, while nothing else is to be done:
// a long lesson answers at once, and soon every size on it is true.
function settle() {
  const later = all("article :is(.highlight, .exercise, .fault, .card, .predict)");
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));
  const some = () => {
    later.splice(0, 6).forEach((part) => part.classList.add("settled"));
    if (later.length) idle(some);
    else document.documentElement.dataset.settled = "";
  };
  addEventListener("load", () => idle(some));
}

// Predictions --------------------------------------------------------------------------------------

function predictions() {
  for (const form of all("form.predict")) {
    const button = find("button[type=submit]", form);
    const verdict = find(".verdict", form);
    button.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = find("input:checked", form)?.value;
      const reply = chosen && find(`.reply[data-option="${chosen}"]`, form);
      if (!reply) {
        verdict.replaceChildren(make("p", { textContent: "Choose an option first." }));
        return;
      }
      verdict.dataset.right = reply.dataset.right;
      verdict.replaceChildren(...all(":scope > .reply-text > *", reply).map((part) => part.cloneNode(true)));
      all(".copy", verdict).forEach((copy) => copy.remove());
    });
  }
}

// Reading: the bar above, the contents beside, and what was read before ----------------------------

function reading() {
  const article = find("article");
  const links = new Map(all(".contents a[href^='#']").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const key = `read:${find(".frame").dataset.lesson ?? location.pathname.split("/").pop()}`;
  const read = new Set(memory.get(key) ?? []);
  const tick = (id) => {
    const link = links.get(id);
    if (!link || link.matches(".read, .todo")) return;  // an exercise is passed, not read
    link.classList.add("read");
    link.append(make("span", { className: "unseen", textContent: " (read)" }));
  };
  read.forEach(tick);
  if (!sections.length) return;

  let current;
  const update = () => {
    const height = article.offsetHeight - innerHeight;
    const done = height > 0 ? Math.min(1, Math.max(0, (scrollY - article.offsetTop + 80) / height)) : 1;
    find(".reading-bar span").style.setProperty("--read", done.toFixed(4));
    const passed = sections.filter((section) => section.getBoundingClientRect().top < innerHeight * 0.3);
    const now = passed.at(-1)?.id;
    if (now !== current) {
      current = now;
      links.forEach((link, id) => {
        link.classList.toggle("now", id === now);
        if (id === now) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
      });
      showWithin(find(".contents"), links.get(now));
    }
    const before = read.size;
    for (const section of passed) {  // read once its end has been in view
      const { bottom } = section.getBoundingClientRect();
      if (bottom > 0 && bottom < innerHeight + 40) read.add(section.id);
    }
    if (read.size > before) {
      read.forEach(tick);
      memory.set(key, [...read]);
    }
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; update(); });
  }, { passive: true });
  addEventListener("resize", update);
  requestAnimationFrame(update);
}

// Scroll a list of links so that one of them is in view; the page itself stays.
function showWithin(list, link) {
  if (!link) return;
  const [outer, inner] = [list.getBoundingClientRect(), link.getBoundingClientRect()];
  if (inner.top < outer.top + 60 || inner.bottom > outer.bottom - 60) list.scrollTop += inner.top - outer.top - outer.height / 2;
}

// Who follows a link to a section arrives there, although explorers on the way grow as they come into
// view: the section is held in place until the reader moves on.
function holdTarget() {
  let held = location.hash;
  addEventListener("hashchange", () => { held = location.hash; });
  for (const move of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    addEventListener(move, () => { held = ""; }, { passive: true });
  }
  new ResizeObserver(() => {
    if (held) document.getElementById(decodeURIComponent(held.slice(1)))?.scrollIntoView({ behavior: "instant" });
  }).observe(find("article"));
}

// The drawers close when a place on this page was chosen -------------------------------------------

function drawers() {
  for (const drawer of all("[popover]")) {
    drawer.addEventListener("click", (event) => {
      if (event.target.closest("a[href^='#']") && drawer.matches(":popover-open")) drawer.hidePopover();
    });
  }
}

// The report says which section was in view --------------------------------------------------------

function report() {
  const link = find(".report");
  link?.addEventListener("click", () => {
    const url = new URL(link.href);
    const section = find(".contents a.now")?.firstChild?.textContent ?? "";
    url.searchParams.set("body", url.searchParams.get("body").replace(/^Section:.*$/m, `Section: ${section}`));
    link.href = url;
  });
}

// At home: the local app ---------------------------------------------------------------------------

function ownNotebooks() {
  const lesson = find(".frame").dataset.lesson;
  for (const link of all(".open-mine")) {
    const address = app.notebooks?.[link.dataset.name ?? lesson] ?? app.open;
    if (!address) continue;
    link.href = address;
    link.closest(".mine").hidden = false;
  }
  if (!app.open) return;
  for (const link of all(".to-notebook[data-cell]")) {
    link.href = `${app.open}#cell-id=${link.dataset.cell}`;
    if (link.title) link.title = "This section in my notebook";
    if (link.hasAttribute("aria-label")) link.setAttribute("aria-label", link.getAttribute("aria-label").replace("in Colab", "in my notebook"));
    else link.textContent = "Solve it in my notebook";
  }
}

function exerciseStates() {
  const states = app.states ?? {};
  for (const line of all("[data-exercise]")) {
    const state = states[line.dataset.exercise];
    const place = find(".state", line);
    if (!state?.attempts) continue;
    const attempts = state.attempts === 1 ? "1 attempt" : `${state.attempts} attempts`;
    place.textContent = state.passed ? `✓ Passed, ${attempts}` : `Not passed yet, ${attempts}`;
    place.classList.add(state.passed ? "passed" : "tried");
    place.hidden = false;
    const link = find(`.contents a[href="#exercise-${line.dataset.exercise}"]`);
    if (state.passed && link) {
      link.classList.add("passed");
      link.append(make("span", { className: "unseen", textContent: " (passed)" }));
    }
  }
  for (const step of all("li[data-exercises]")) {
    const names = step.dataset.exercises.split(" ").filter(Boolean);
    const passed = names.filter((name) => states[name]?.passed).length;
    if (!passed) continue;
    step.classList.toggle("done", passed === names.length);
    const place = find(".state", step);
    const said = passed === names.length ? "All exercises passed" : `${passed} of ${names.length} exercises passed`;
    if (place) place.textContent = said;
    else find("a", step)?.append(make("span", { className: "unseen", textContent: ` (${said.toLowerCase()})` }));
  }
}

themeButton();
copyButtons();
scrollers();
settle();
predictions();
reading();
holdTarget();
drawers();
report();
if (app) {
  ownNotebooks();
  exerciseStates();
}
})();
