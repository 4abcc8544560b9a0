// Download an export with its progress. Without this script, or for many rows, a link does it.
const ROWS_MAX = 200_000; // above it, the browser saves the file itself and does not keep it
const SHOWN_EACH_MS = 100;
const LINE_FEED = 10;
const QUOTE = 34;
const box = document.querySelector("[data-export-progress]");
let running;

function show(text, isFault = false) {
  box.hidden = false;
  const line = box.querySelector("[data-text]");
  line.textContent = text;
  line.classList.toggle("fault", isFault);
}

function sizeOf(bytes) {
  const [unit, divisor] = bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  const format = { style: "unit", unit, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(document.documentElement.lang, format).format(bytes / divisor);
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function lineCounter(isCsv) {
  let rows = isCsv ? -1 : 0; // the first line of CSV has the names
  let isQuoted = false;
  return (bytes) => {
    for (const byte of bytes) {
      if (isCsv && byte === QUOTE) isQuoted = !isQuoted;
      else if (byte === LINE_FEED && !isQuoted) rows += 1;
    }
    return Math.max(0, rows);
  };
}

function save(parts, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function receive(answer, total, format) {
  const numbers = new Intl.NumberFormat(document.documentElement.lang);
  const count = format === "parquet" ? null : lineCounter(format === "csv");
  const bar = box.querySelector("progress");
  bar.max = Math.max(1, total);
  if (count) bar.value = 0;
  else bar.removeAttribute("value");
  const parts = [];
  const reader = answer.body.getReader();
  let rows = 0;
  let bytes = 0;
  let shownAt = -SHOWN_EACH_MS;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    bytes += value.length;
    if (count) rows = count(value);
    if (performance.now() - shownAt >= SHOWN_EACH_MS) {
      shownAt = performance.now();
      if (count) bar.value = rows;
      const values = { rows: numbers.format(rows), total: numbers.format(total), size: sizeOf(bytes) };
      show(filled(count ? box.dataset.rows : box.dataset.bytes, values));
    }
  }
  bar.value = bar.max;
  show(filled(box.dataset.done, { rows: numbers.format(count ? rows : total), size: sizeOf(bytes) }));
  return parts;
}

async function start(link) {
  running?.abort();
  const own = (running = new AbortController());
  box.querySelector("[data-cancel]").hidden = false;
  box.querySelector("progress").removeAttribute("value");
  show(box.dataset.begin);
  try {
    const answer = await fetch(link.href, { signal: own.signal });
    if (!answer.ok) {
      const told = await answer.json().catch(() => ({}));
      throw new Error(told.error?.message ?? `${answer.status}`);
    }
    const total = Number(answer.headers.get("tracemill-rows"));
    if (total > ROWS_MAX) {
      own.abort();
      box.hidden = true;
      location.href = link.href;
      return;
    }
    const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition"))?.[1] ?? "";
    const type = answer.headers.get("content-type");
    save(await receive(answer, total, link.dataset.export), type, name);
  } catch (error) {
    if (running !== own) return;
    if (error.name === "AbortError") box.hidden = true;
    else show(error instanceof TypeError ? box.dataset.broken : error.message, true);
  } finally {
    if (running === own) box.querySelector("[data-cancel]").hidden = true;
  }
}

if (box && window.ReadableStream) {
  for (const link of document.querySelectorAll("[data-export]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      link.closest("details").open = false;
      start(link);
    });
  }
  box.querySelector("[data-cancel]").addEventListener("click", () => running?.abort());
}
