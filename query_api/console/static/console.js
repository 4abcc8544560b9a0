// Set the viewer's time zone once, and handle the keyboard on all pages.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.body.dataset.zone && !document.cookie.includes("tracemill_zone=")) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `tracemill_zone=${zone}; path=/; max-age=31622400; samesite=lax${secure}`;
  if (document.cookie.includes("tracemill_zone=")) location.reload();
}
if (new URLSearchParams(location.search).has("followed")) {
  const url = new URL(location.href);
  url.searchParams.delete("followed");
  history.replaceState(null, "", url);
}

const shortcuts = document.getElementById("shortcuts");
document.querySelector("[data-shortcuts]")?.addEventListener("click", () => shortcuts.showModal());

// Select the next or previous row. Rows are looked up each time, because parts of pages are replaced.
function select(step) {
  const rows = [...document.querySelectorAll("[data-rows] tbody tr")];
  const before = rows.findIndex((row) => row.classList.contains("current"));
  const row = rows[Math.max(0, Math.min(rows.length - 1, before + step))];
  rows[before]?.classList.remove("current");
  row?.classList.add("current");
  row?.querySelector("a.open")?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key === "Escape" && isTyping) event.target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]:not([hidden])");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "?") {
    shortcuts?.showModal();
  } else if (event.key === "j") {
    select(1);
  } else if (event.key === "k") {
    select(-1);
  } else if (event.key === "Escape") {
    document.querySelector(".menu[open]")?.removeAttribute("open");
  }
});
document.addEventListener("click", (event) => {
  const menu = document.querySelector(".menu[open]");
  if (menu && !menu.contains(event.target)) menu.removeAttribute("open");
});

// Say when a part of the page could not be loaded, until one is. A request that a newer one replaces
// (htmx:sendAbort) changes nothing.
const unreachable = document.getElementById("unreachable");
for (const each of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(each, () => (unreachable.hidden = false));
}
document.addEventListener("htmx:beforeOnLoad", () => (unreachable.hidden = true));
