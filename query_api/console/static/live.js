// Move the charts of the overview each second with the windows of the stream of events. What the
// stream has no values for, such as percentiles, is requested again while the page is open.
const STEP_S = 10;
const STEPS = 90;
const KEYS_MAX = 50_000;
const RELOAD_AFTER_MS = 60_000;
const RECONNECT_AFTER_MS = 5_000;

const place = document.getElementById("live");
const about = place.textContent;
const fresh = document.querySelector(".fresh");
const started = Date.now();
// The windows of the stream by start, and in each the totals by dimensions: they are absolute.
const windows = new Map();
let keys = 0;
let lastEvent = 0;

// Windows that began before the page are partly on the page, and only partly in the stream.
const whole = Math.ceil(started / 1000 / STEP_S) * STEP_S;
const before = { cost: new Map(), observations: new Map() };

function figure(name) {
  return document.querySelector(`[data-live="${name}"]`);
}

function note(name) {
  const chart = figure(name)?.chart;
  chart?.steps.forEach((step, at) => {
    before[name].set(step.from, chart.series.map((each) => each.values[at] ?? 0));
  });
}

function add({ data }) {
  const row = JSON.parse(data);
  const start = Date.parse(row.window_start) / 1000;
  let rows = windows.get(start);
  if (!rows) windows.set(start, (rows = new Map()));
  const key = [row.environment, row.model, row.name, row.type, row.level, row.prompt_name].join("\n");
  if (!rows.has(key)) {
    if (keys >= KEYS_MAX) return;
    keys += 1;
  }
  rows.set(key, [Number(row.cost_usd), row.count, row.errors]);
  lastEvent = Date.now();
}

function forget(oldest) {
  for (const [start, rows] of windows) {
    if (start >= oldest) continue;
    keys -= rows.size;
    windows.delete(start);
  }
  for (const values of Object.values(before)) {
    for (const start of values.keys()) if (start < oldest) values.delete(start);
  }
}

function totals(start) {
  const found = [0, 0, 0];
  for (const [cost, count, errors] of windows.get(start)?.values() ?? []) {
    found[0] += cost;
    found[1] += count;
    found[2] += errors;
  }
  const cost = [found[0]];
  const observations = [found[1] - found[2], found[2]];
  if (start >= whole) return { cost, observations };
  const larger = (values, earlier) => values.map((value, at) => Math.max(value, earlier?.[at] ?? 0));
  return {
    cost: larger(cost, before.cost.get(start)),
    observations: larger(observations, before.observations.get(start)),
  };
}

function address(from) {
  const url = new URL(place.dataset.list, location.href);
  url.searchParams.set("from", new Date(from * 1000).toISOString());
  url.searchParams.set("to", new Date((from + STEP_S) * 1000).toISOString());
  return url.href;
}

function draw() {
  const last = Math.floor(Date.now() / 1000 / STEP_S) * STEP_S;
  const first = last - (STEPS - 1) * STEP_S;
  forget(first);
  const steps = Array.from({ length: STEPS }, (_, at) => {
    const from = first + at * STEP_S;
    return { from, to: from + STEP_S, href: address(from) };
  });
  const found = steps.map((step) => totals(step.from));
  for (const name of ["cost", "observations"]) {
    const series = found[0][name].map((_, at) => found.map((each) => each[name][at]));
    figure(name)?.chart?.set(steps.map((step) => ({ ...step })), series);
  }
  if (fresh && lastEvent) {
    const age = `${((Date.now() - lastEvent) / 1000).toFixed(1)} ${document.body.dataset.durationUnits.split(" ")[1]}`;
    fresh.textContent = place.dataset.age.replace("{age}", age);
  }
}

function connect() {
  const source = new EventSource(place.dataset.stream);
  source.addEventListener("open", () => { place.textContent = about; });
  source.addEventListener("window", add);
  source.addEventListener("alert", () => htmx.trigger("#live-parts", "refresh"));
  source.addEventListener("missed", () => {
    // The page has the totals that the stream has not sent.
    if (Date.now() - started > RELOAD_AFTER_MS) location.reload();
  });
  source.addEventListener("end", ({ data }) => {
    if (JSON.parse(data).reason !== "unauthorized") return;
    source.close();
    place.textContent = place.dataset.ended;
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) place.textContent = place.dataset.lost;
    else if (place.textContent !== place.dataset.ended) setTimeout(connect, RECONNECT_AFTER_MS);
  });
}

// Do not replace a part that has the keyboard's focus, and none while the page is hidden.
document.addEventListener("htmx:beforeRequest", (event) => {
  const isFocused = document.activeElement?.closest("#numbers, #slower, #firing, .tops");
  const isLive = event.target.matches("#live-parts, .tops > [hidden]");
  if (isLive && (isFocused || document.hidden)) event.preventDefault();
});

note("cost");
note("observations");
connect();
setInterval(draw, 1_000);
