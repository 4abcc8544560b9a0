// Show the observations of a trace as a tree of which only the visible rows are in the document.
const tree = document.querySelector("[data-tree]");
const list = tree.querySelector("[data-tree-rows]");
const search = tree.querySelector("[data-tree-search]");
const details = document.querySelector("[data-details]");
const ROW = 28;
const SPARE = 8;
// Positions of the fields of a row.
const [ID, DEPTH, BELOW, NAME, TYPE, LEVEL, MODEL, START, DURATION, SELF, TTFT, COST, , CRITICAL, , UNPRICED] =
  Array(16).keys();
const KINDS = new Set(
  ["generation", "span", "tool", "agent", "event", "retriever", "embedding", "chain", "evaluator"],
);
const SVG = "http://www.w3.org/2000/svg";
const locale = tree.dataset.locale;
const [MS, S, MIN, H] = document.body.dataset.durationUnits.split(" ");
const number = (digits) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits });
const DIGITS = [number(0), number(1), number(2)];

let all = [];
let length = 1;
let visible = [];
let matches = null;
const closed = new Set();
let selected = tree.dataset.selected;
const shown = new Map();
const spacer = document.createElement("li");

function rounded(value) {
  return DIGITS[value >= 100 ? 0 : value >= 10 ? 1 : 2].format(value);
}

function durationText(micros) {
  if (micros === null || micros < 0) return "–";
  if (micros < 1e6) return `${rounded(micros / 1e3)} ${MS}`;
  const seconds = micros / 1e6;
  if (seconds < 60) return `${rounded(seconds)} ${S}`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} ${MIN} ${String(whole % 60).padStart(2, "0")} ${S}`;
  return `${Math.floor(whole / 3600)} ${H} ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} ${MIN}`;
}

const money = new Map();
function costText(pico, unpriced) {
  if (!pico && !unpriced) return "";
  const usd = pico / 1e12;
  const digits = usd >= 1 || !usd ? 2 : Math.min(12, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(usd)))));
  // As in the rest of the page: a third digit below a dollar, unless it is zero.
  const most = usd >= 1 || !usd ? 2 : Math.min(12, digits + 1);
  const key = `${digits} ${most}`;
  if (!money.has(key)) {
    money.set(key, new Intl.NumberFormat(locale, {
      style: "currency", currency: "USD", minimumFractionDigits: digits, maximumFractionDigits: most,
    }));
  }
  return money.get(key).format(usd);
}

function made(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

function rect(name, start, width, y, height) {
  const element = document.createElementNS(SVG, "rect");
  const values = { class: name, x: start, width, y, height };
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  return element;
}

const share = (part) => `${((100 * part) / length).toFixed(3)}%`;

function rowElement(index) {
  const row = all[index];
  const element = made("li", "row");
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", row[DEPTH] + 1);
  const kind = row[TYPE].toLowerCase();
  const label = made("a", "label");
  label.href = `?observation=${encodeURIComponent(row[ID])}`;
  label.style.paddingLeft = `${Math.min(row[DEPTH], 30) * 14}px`;
  if (row[BELOW]) {
    const isClosed = closed.has(index) && !matches;
    element.setAttribute("aria-expanded", String(!isClosed));
    const toggle = made("span", "toggle", isClosed ? "▸" : "▾");
    toggle.dataset.toggle = "";
    label.append(toggle);
  } else {
    label.append(made("span", "toggle"));
  }
  const dot = made("span", `kind kind-${KINDS.has(kind) ? kind : "other"}`);
  dot.title = row[TYPE];
  label.append(dot, made("span", "text", row[NAME] || row[TYPE]));
  if (row[MODEL]) label.append(made("span", "model", row[MODEL]));
  const bar = document.createElementNS(SVG, "svg");
  bar.setAttribute("class", "bar");
  bar.setAttribute("aria-hidden", "true");
  const whole = rect("whole", share(row[START]), share(row[DURATION] ?? 0), 9, 10);
  whole.setAttribute("rx", 2);
  bar.append(whole);
  if (row[TTFT] !== null) bar.append(rect("ttft", share(row[START] + row[TTFT]), 2, 6, 16));
  const cost = made("span", "number cost", costText(row[COST], row[UNPRICED]));
  if (row[UNPRICED]) {
    const more = made("abbr", "unpriced", "+");
    more.title = tree.dataset.unpriced.replace("{count}", row[UNPRICED]);
    cost.append(more);
  }
  const own = row[BELOW] && row[DURATION] !== null ? tree.dataset.self.replace("{time}", durationText(row[SELF])) : "";
  element.append(label, bar, made("span", "number self", own), made("span", "number", durationText(row[DURATION])), cost);
  element.classList.toggle("critical", row[CRITICAL]);
  element.classList.toggle("failed", row[LEVEL] === "ERROR");
  element.classList.toggle("dimmed", matches !== null && !matches.has(index));
  element.dataset.index = index;
  return element;
}

function mark(element, index) {
  const isSelected = all[index][ID] === selected;
  element.classList.toggle("selected", isSelected);
  element.setAttribute("aria-selected", String(isSelected));
}

function draw() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
  const last = Math.min(visible.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
  const wanted = new Set(visible.slice(first, last));
  for (const [index, element] of shown) {
    if (!wanted.has(index)) {
      element.remove();
      shown.delete(index);
    }
  }
  const added = document.createDocumentFragment();
  for (let at = first; at < last; at += 1) {
    const index = visible[at];
    let element = shown.get(index);
    if (!element) {
      element = rowElement(index);
      shown.set(index, element);
      added.append(element);
    }
    element.style.transform = `translateY(${at * ROW}px)`;
    mark(element, index);
  }
  list.append(added);
}

function layout() {
  visible = [];
  for (let index = 0; index < all.length; index += 1) {
    if (kept && !kept.has(index)) continue;
    visible.push(index);
    if (!matches && closed.has(index)) index += all[index][BELOW];
  }
  for (const element of shown.values()) element.remove();
  shown.clear();
  spacer.style.height = `${visible.length * ROW}px`;
  spacer.textContent = visible.length ? "" : tree.dataset.none;
  draw();
}

let kept = null;
function find(text) {
  const wanted = text.trim().toLowerCase();
  matches = null;
  kept = null;
  if (wanted) {
    matches = new Set();
    kept = new Set();
    const above = [];
    all.forEach((row, index) => {
      above.length = row[DEPTH];
      above.push(index);
      if (`${row[NAME]}\n${row[TYPE]}\n${row[MODEL]}`.toLowerCase().includes(wanted)) {
        matches.add(index);
        for (const each of above) kept.add(each);
      }
    });
  }
  list.scrollTop = 0;
  layout();
}

details.addEventListener("click", (event) => {
  const link = event.target.closest("[data-formats] a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  load(link.getAttribute("href")).then(() => {
    details.querySelector("[data-formats] [aria-current]")?.focus();
  });
});

let loading = null;
async function open(index, { focus = false } = {}) {
  const row = all[index];
  selected = row[ID];
  reveal(index);
  const parameters = new URLSearchParams(location.search);
  parameters.set("observation", row[ID]);
  await load(`?${parameters}`);
  if (focus) details.focus();
}

async function load(url) {
  history.replaceState(null, "", url);
  loading?.abort();
  loading = new AbortController();
  try {
    const answer = await fetch(url, {
      headers: { accept: "text/html", "x-fragment": "details" }, signal: loading.signal,
    });
    if (answer.redirected || !answer.ok) {
      location.reload();
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    details.replaceChildren(...page.body.childNodes);
    details.scrollTop = 0;
    details.dispatchEvent(new Event("details-loaded"));
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

function reveal(index) {
  const at = visible.indexOf(index);
  if (at >= 0) {
    const top = at * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }
  draw();
}

function toggle(index, wanted = closed.has(index)) {
  if (!all[index][BELOW]) return;
  if (wanted) closed.delete(index);
  else closed.add(index);
  layout();
}

function onClick(event) {
  const element = event.target.closest(".row");
  if (!element || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const index = Number(element.dataset.index);
  if (event.target.closest("[data-toggle]")) toggle(index);
  else open(index);
}

function onKey(event) {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey) return;
  const at = visible.findIndex((index) => all[index][ID] === selected);
  const keys = {
    j: () => open(visible[Math.min(visible.length - 1, at + 1)]),
    k: () => open(visible[Math.max(0, at - 1)]),
    ArrowRight: () => at >= 0 && toggle(visible[at], true),
    ArrowLeft: () => at >= 0 && toggle(visible[at], false),
    Enter: () => at >= 0 && open(visible[at], { focus: true }),
  };
  if (!keys[event.key] || !visible.length || event.target.closest(".details, .top")) return;
  event.preventDefault();
  keys[event.key]();
}

async function start() {
  const answer = await fetch(tree.dataset.src, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(tree.dataset.failed);
  const found = await answer.json();
  all = found.rows;
  length = Math.max(1, found.length_us);
  list.replaceChildren(spacer);
  list.classList.add("virtual");
  list.setAttribute("role", "tree");
  spacer.setAttribute("role", "none");
  search.hidden = all.length < 6;
  const room = Math.min(all.length * ROW, Math.max(280, window.innerHeight - 130));
  list.style.height = `${room}px`;
  layout();
  const at = all.findIndex((row) => row[ID] === selected);
  if (at >= 0) reveal(at);
  let isDrawing = false;
  list.addEventListener("scroll", () => {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      draw();
    });
  }, { passive: true });
  list.addEventListener("click", onClick);
  search.addEventListener("input", () => find(search.value));
  document.addEventListener("keydown", onKey);
}

// Read the rows of a running trace again when it has new ones, unless it has too many.
const REFRESHED_MAX = 3000;
const isStarted = list.children.length > 0;
async function refresh() {
  if (!isStarted || all.length > REFRESHED_MAX) return;
  const answer = await fetch(tree.dataset.src, { headers: { accept: "application/json" } });
  if (!answer.ok) return;
  const found = await answer.json();
  const closedIds = new Set([...closed].map((index) => all[index][ID]));
  all = found.rows;
  length = Math.max(1, found.length_us);
  closed.clear();
  all.forEach((row, index) => closedIds.has(row[ID]) && closed.add(index));
  list.style.height = `${Math.min(all.length * ROW, Math.max(280, window.innerHeight - 130))}px`;
  search.hidden = all.length < 6;
  const top = list.scrollTop;
  find(search.value);
  list.scrollTop = top;
}

let observations = document.getElementById("totals").dataset.observations;
document.addEventListener("htmx:afterSettle", () => {
  const now = document.getElementById("totals").dataset.observations;
  if (now === observations) return;
  observations = now;
  if (isStarted) refresh();
  else location.reload();
});

if (isStarted) {
  start().catch((error) => {
    const note = made("p", "hint", tree.dataset.failed);
    list.before(note);
    console.error(error);
  });
}
