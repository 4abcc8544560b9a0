// Draw the tables of charts with uPlot: bars, stacked bars and lines, with tooltips and zoom.
const PADDING = [8, 18, 0, 0];
const LOCALE = document.documentElement.lang;
const ZONE = document.body.dataset.zone || "UTC";
const [MS, S, MIN, H] = document.body.dataset.durationUnits.split(" ");
const HOUR_S = 3600;
const DAY_S = 86400;
const probe = document.createElement("span");

function colorOf(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.hidden = true;
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function compact(value) {
  const options = { notation: Math.abs(value) >= 10000 ? "compact" : "standard", maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(LOCALE, options).format(value);
}

// Return the places of values without neighbours, for uPlot's filter of points.
function isolated(chart, number) {
  const values = chart.data[number];
  return values.flatMap((value, at) => {
    const isAlone = value != null && values[at - 1] == null && values[at + 1] == null;
    return isAlone ? [at] : [];
  });
}

function duration(micros) {
  if (micros < 1e6) return `${compact(micros / 1e3)} ${MS}`;
  if (micros < 6e7) return `${compact(micros / 1e6)} ${S}`;
  return micros < 36e8 ? `${compact(micros / 6e7)} ${MIN}` : `${compact(micros / 36e8)} ${H}`;
}

// Steps of axes of durations in microseconds: decimal ones, or whole seconds, minutes, hours.
const DURATION_STEPS = [
  ...[1, 10, 100, 1e3, 1e4, 1e5].flatMap((unit) => [unit, 2 * unit, 5 * unit]),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * 1e6),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * 6e7),
  ...[1, 2, 3, 6, 12, 24, 48, 120, 240, 480, 1200].map((count) => count * 36e8),
];

// Return a duration at a tick, in whole units: `1 min 30 s`, not `1.5 min`.
function wholeDuration(micros) {
  if (!micros) return "0";
  const seconds = Math.round(micros / 1e6);
  if (seconds < 60) return duration(micros);
  const parts = seconds < HOUR_S
    ? [[Math.floor(seconds / 60), MIN], [seconds % 60, S]]
    : [[Math.floor(seconds / HOUR_S), H], [Math.floor((seconds % HOUR_S) / 60), MIN]];
  return parts.filter(([count]) => count).map(([count, unit]) => `${compact(count)} ${unit}`).join(" ");
}

const texts = {
  number: compact,
  usd: (value) => new Intl.NumberFormat(LOCALE, {
    style: "currency", currency: "USD", currencyDisplay: "symbol", maximumSignificantDigits: 3,
    minimumSignificantDigits: 1, notation: Math.abs(value) >= 10000 ? "compact" : "standard",
  }).format(value),
  duration,
  percent: (value) => new Intl.NumberFormat(LOCALE, { style: "percent", maximumSignificantDigits: 3 }).format(value),
};

function timeFormat(stepS) {
  const options = stepS >= DAY_S ? { month: "short", day: "numeric" }
    : { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(stepS < 60 && { second: "2-digit" }) };
  return new Intl.DateTimeFormat(LOCALE, { ...options, timeZone: ZONE });
}

const dayFormat = timeFormat(DAY_S);
const timeLabel = new Intl.DateTimeFormat(LOCALE, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: ZONE,
});

function timeTexts(splits, step) {
  const format = timeFormat(step);
  return splits.map((at) => {
    const text = format.format(at * 1000);
    // The first minute of a day is its date.
    return step < DAY_S && text === "00:00" ? dayFormat.format(at * 1000) : text;
  });
}

export class Chart {
  constructor(figure) {
    this.figure = figure;
    this.plot = figure.querySelector(".plot");
    this.isTime = figure.dataset.chart === "time";
    this.text = texts[figure.dataset.unit];
    this.read();
    this.draw();
  }

  // Read the values and texts of the table.
  read() {
    const heads = [...this.figure.querySelectorAll("thead th[data-kind]")];
    const rows = [...this.figure.querySelectorAll("tbody tr")];
    this.series = heads.map((head, at) => ({
      name: head.textContent,
      kind: head.dataset.kind,
      color: head.dataset.color,
      values: rows.map((row) => {
        const value = row.cells[at + 1].dataset.value;
        return value === undefined ? null : Number(value);
      }),
      texts: rows.map((row) => row.cells[at + 1].textContent),
    }));
    this.steps = rows.map((row, at) => ({
      from: this.isTime ? row.dataset.from / 1000 : at,
      to: this.isTime ? row.dataset.to / 1000 : at + 1,
      label: row.cells[0].textContent,
      href: row.querySelector("a")?.href,
    }));
  }

  // Replace all values; texts are formatted here. Steps have from, to (in seconds) and href.
  set(steps, values) {
    for (const step of steps) step.label ??= timeLabel.format(step.from * 1000);
    this.steps = steps;
    this.series.forEach((each, at) => {
      each.values = values[at];
      each.texts = values[at].map((value) => (value === null ? "–" : this.text(value)));
    });
    if (!this.chart) return this.draw();
    this.chart.setData(this.data());
  }

  data() {
    const stacked = [];
    let below = this.steps.map(() => 0);
    for (const each of this.series) {
      if (each.kind === "stacked") {
        below = below.map((sum, at) => sum + (each.values[at] ?? 0));
        stacked.push(below);
      } else {
        stacked.push(each.values);
      }
    }
    // The tallest of stacked bars is drawn first.
    return [this.steps.map((step) => step.from), ...stacked.reverse()];
  }

  options() {
    const quiet = colorOf("quiet");
    const axis = {
      stroke: quiet,
      font: "11px system-ui, sans-serif",
      grid: { stroke: colorOf("line"), width: 1 },
      ticks: { show: false },
    };
    const isDuration = this.figure.dataset.unit === "duration";
    const tick = isDuration ? wholeDuration : this.text;
    const first = () => this.steps[0]?.from ?? 0;
    const last = () => this.steps.at(-1)?.to ?? 1;
    const series = this.series.map((each) => this.shape(each, colorOf(each.color))).reverse();
    return {
      width: this.plot.clientWidth,
      height: this.plot.clientHeight,
      padding: PADDING,
      legend: { show: false },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), ZONE),
      scales: {
        x: { time: this.isTime, range: () => [first(), last()] },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : isDuration ? 1e6 : 1] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 24,
          gap: 4,
          space: 64,
          values: (_, splits, __, ___, step) => (this.isTime ? timeTexts(splits, step)
            : splits.map((at) => (Number.isInteger(at) ? this.steps[at]?.label ?? "" : ""))),
        },
        {
          ...axis,
          gap: 6,
          space: 36,
          size: (self, values) => 12 + 6.6 * Math.max(3, ...(values ?? []).map((text) => text.length)),
          ...(isDuration && { incrs: DURATION_STEPS }),
          values: (_, splits) => splits.map(tick),
        },
      ],
      series: [{}, ...series],
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: this.figure.hasAttribute("data-zoom"), y: false, setScale: false },
      },
      hooks: {
        setCursor: [() => this.showTip()],
        setSelect: [(self) => this.zoom(self)],
        ready: [(self) => self.over.addEventListener("click", () => this.follow())],
      },
    };
  }

  shape(series, color) {
    if (series.kind === "line" || series.kind === "dashed") {
      return {
        stroke: color,
        width: series.kind === "line" ? 1.75 : 1.25,
        dash: series.kind === "dashed" ? [5, 4] : undefined,
        // A line does not show a value between two gaps.
        points: { show: false, filter: isolated, size: 5, width: 0, fill: color, stroke: color },
        paths: this.isTime ? undefined : uPlot.paths.linear({ alignGaps: 0 }),
      };
    }
    return {
      fill: color,
      stroke: color,
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ align: 1, size: [0.82, 64], radius: 0.08 }),
    };
  }

  draw() {
    this.chart?.destroy();
    this.chart = null;
    if (!this.plot.clientWidth || !this.steps.length) return;
    this.plot.classList.toggle("leads", this.steps.some((step) => step.href));
    this.chart = new uPlot(this.options(), this.data(), this.plot);
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.chart.over.append(this.tip);
  }

  // Return the step below the pointer.
  pointed() {
    const { left } = this.chart.cursor;
    if (left < 0) return -1;
    const at = this.chart.posToVal(left, "x");
    return this.steps.findIndex((step) => step.from <= at && at < step.to);
  }

  showTip() {
    const at = this.chart && this.tip ? this.pointed() : -1;
    if (at < 0) {
      if (this.tip) this.tip.hidden = true;
      return;
    }
    const when = document.createElement("p");
    when.textContent = this.steps[at].label;
    const list = document.createElement("dl");
    for (const each of this.series) {
      const name = document.createElement("dt");
      name.className = `of-${each.color}`;
      name.textContent = each.name;
      const value = document.createElement("dd");
      value.textContent = each.texts[at];
      list.append(name, value);
    }
    this.tip.replaceChildren(when, list);
    this.tip.hidden = false;
    const { left } = this.chart.cursor;
    const room = this.chart.over.clientWidth;
    const width = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, left + 14 + width > room ? left - width - 14 : left + 14)}px`;
    this.tip.style.top = "4px";
  }

  zoom(chart) {
    const { left, width } = chart.select;
    if (width < 4) return;
    const from = this.stepAt(chart.posToVal(left, "x"))?.from;
    const to = this.stepAt(chart.posToVal(left + width, "x"))?.to;
    this.isZooming = true;
    if (from === undefined || to === undefined) return;
    const url = new URL(location.href);
    url.searchParams.delete("range");
    url.searchParams.delete("live");
    url.searchParams.set("from", new Date(from * 1000).toISOString().replace(".000", ""));
    url.searchParams.set("to", new Date(to * 1000).toISOString().replace(".000", ""));
    location.assign(url);
  }

  stepAt(value) {
    return this.steps.find((step) => step.from <= value && value < step.to) ?? this.steps.at(-1);
  }

  follow() {
    if (this.isZooming) {
      this.isZooming = false;
      return;
    }
    const href = this.steps[this.pointed()]?.href;
    if (href) location.assign(href);
  }

  resize() {
    if (!this.chart) return this.draw();
    this.chart.setSize({ width: this.plot.clientWidth, height: this.plot.clientHeight });
  }
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.closest(".chart").chart?.resize();
});

function drawAll(root) {
  const found = root.matches?.("[data-chart]") ? [root] : root.querySelectorAll("[data-chart]");
  for (const figure of found) {
    if (figure.chart) continue;
    figure.chart = new Chart(figure);
    sizes.observe(figure.chart.plot);
  }
}

function drawAgain() {
  for (const figure of document.querySelectorAll("[data-chart]")) figure.chart?.draw();
}

// uPlot has listeners on the window, which must be removed with a chart.
document.addEventListener("htmx:beforeCleanupElement", ({ detail: { elt } }) => {
  if (!elt.chart) return;
  sizes.unobserve(elt.chart.plot);
  elt.chart.chart?.destroy();
  elt.chart = null;
});
drawAll(document);
document.addEventListener("htmx:load", (event) => drawAll(event.detail.elt));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
new MutationObserver(drawAgain).observe(document.documentElement, { attributeFilter: ["data-theme"] });
