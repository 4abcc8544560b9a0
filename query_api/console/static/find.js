// Find a text in the inputs, outputs and metadata that a page shows, and open what contains it.
const details = document.querySelector("[data-details]");
const FOUND_MAX = 1000;
const canMark = "highlights" in CSS;
let found = [];
let at = -1;

function textNodes(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  return nodes;
}

function find(wanted) {
  found = [];
  at = -1;
  if (!wanted) return;
  for (const value of details.querySelectorAll(".value")) {
    for (const node of textNodes(value)) {
      const text = node.data.toLowerCase();
      // Lower case can change the length of a text, and positions would not fit.
      if (text.length !== node.length) continue;
      for (let from = text.indexOf(wanted); from >= 0; from = text.indexOf(wanted, from + wanted.length)) {
        if (found.length === FOUND_MAX) return;
        const range = new Range();
        range.setStart(node, from);
        range.setEnd(node, from + wanted.length);
        found.push(range);
      }
    }
  }
}

function mark(field) {
  const output = field.parentElement.querySelector("[data-found]");
  const count = found.length === FOUND_MAX ? `${FOUND_MAX}+` : String(found.length);
  output.textContent = field.value.trim()
    ? output.dataset.found.replace("{at}", String(at + 1)).replace("{all}", count)
    : "";
  if (!canMark) return;
  CSS.highlights.set("found", new Highlight(...found));
  CSS.highlights.set("current", new Highlight(...found.slice(at, at + 1)));
}

function show(field, index) {
  if (found.length) {
    at = (index + found.length) % found.length;
    const element = found[at].startContainer.parentElement;
    for (let each = element.closest("details"); each; each = each.parentElement.closest("details")) {
      each.open = true;
    }
    element.scrollIntoView({ block: "nearest" });
  }
  mark(field);
}

function start() {
  const field = details.querySelector("[data-find]");
  found = [];
  if (canMark) CSS.highlights.clear();
  if (!field) return;
  field.hidden = false;
  field.addEventListener("input", () => {
    find(field.value.trim().toLowerCase());
    show(field, 0);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    show(field, at + (event.shiftKey ? -1 : 1));
  });
}

details.addEventListener("details-loaded", start);
start();
