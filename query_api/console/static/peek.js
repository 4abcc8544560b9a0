// Show the row of a list beside it. The address has the row that is shown as the parameter `peek`.
const panel = document.getElementById("peek");
const START = `${panel.dataset.base}/traces/`;
let loading = null;

// Return what follows the path of traces in the link of a row.
function keyOf(link) {
  return link.getAttribute("href").slice(START.length);
}

function keep(key) {
  const url = new URL(location.href);
  if (key) url.searchParams.set("peek", key);
  else url.searchParams.delete("peek");
  history.replaceState(null, "", url);
}

async function show(key) {
  const url = new URL(START + key, location.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(START)) return;
  loading?.abort();
  loading = new AbortController();
  try {
    const answer = await fetch(url, {
      headers: { accept: "text/html", "x-fragment": "peek" }, signal: loading.signal,
    });
    if (answer.redirected || !answer.ok) return close();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    panel.replaceChildren(...page.body.childNodes);
    panel.scrollTop = 0;
    panel.hidden = false;
    keep(key);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

function close() {
  loading?.abort();
  panel.hidden = true;
  panel.replaceChildren();
  keep("");
}

const linkIn = (element) => element?.closest("[data-rows] tbody tr")?.querySelector("a.open");

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-peek-close]")) close();
  else if (event.target.closest("[data-peek]")) show(keyOf(linkIn(event.target)));
});
// With an open panel, moving to another row shows that one.
document.addEventListener("focusin", (event) => {
  if (!panel.hidden && event.target.matches("[data-rows] a.open")) show(keyOf(event.target));
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !panel.hidden) close();
  if (event.key !== "p") return;
  const link = linkIn(document.activeElement) ?? document.querySelector("[data-rows] a.open");
  if (!panel.hidden) close();
  else if (link) show(keyOf(link));
});

const wanted = new URLSearchParams(location.search).get("peek");
if (wanted) show(wanted);
