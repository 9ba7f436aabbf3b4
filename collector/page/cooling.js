// The cooling of a room, a row or a rack: its indices over time.

import { rackHref } from "./alerts.js";
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { crumbs, el, emptyState, link, setText, show } from "./element.js";
import { subscribe } from "./events.js";
import { duration, kelvin, percent } from "./format.js";
import { newest } from "./newest.js";
import { RangeButtons } from "./ranges.js";

const DAY = 86_400;
const RANGES = [
  ["24 h", DAY],
  ["7 d", 7 * DAY],
  ["30 d", 30 * DAY],
  ["90 d", 90 * DAY],
];
const RELOAD_EVERY = 60_000;

/** The charts, in order. `worst` picks the bad end, where an index has one; `convert` turns an index into what is shown. */
const CHARTS = [
  {
    index: "outside",
    title: "Inlets within the recommended range",
    name: "Inlets",
    format: percent,
    worst: Math.min,
    convert: (value) => 100 * (1 - value),
  },
  {
    index: "rci_hi",
    title: "RCI high: 100 % when no inlet is too warm",
    name: "RCI high",
    format: percent,
    worst: Math.min,
  },
  {
    index: "rci_lo",
    title: "RCI low: 100 % when no inlet is too cold",
    name: "RCI low",
    format: percent,
    worst: Math.min,
  },
  { index: "delta_t", title: "ΔT: exhaust above inlet", name: "ΔT", format: kelvin },
  { index: "gradient", title: "Top-to-bottom ΔT", name: "Top-to-bottom ΔT", format: kelvin, worst: Math.max },
  {
    index: "coverage",
    title: "Inlets with data: below 50 %, the other indices are unknown",
    name: "Inlets with data",
    format: percent,
    worst: Math.min,
    convert: (value) => 100 * value,
  },
];

/** A chart of one index under its heading. It stays in the page when it is redrawn, and keeps the focus. */
class IndexPanel {
  constructor({ index, title, name, format, worst, convert = (value) => value }) {
    Object.assign(this, { index, format, worst, convert });
    this.chart = new Chart(name, format, format === percent ? 100 : undefined);
    this.mean = el("strong");
    this.rest = el("span");
    const heading = el("h2", { id: index }, title);
    const summary = el("p", null, this.mean, this.rest);
    this.node = el("section", { "aria-labelledby": index }, heading, summary, this.chart.node);
  }

  draw(data) {
    const points = data.indices[this.index].map(([at, value]) => [at, this.convert(value)]);
    const values = points.map(([, value]) => value);
    setText(this.mean, this.format(values.reduce((sum, value) => sum + value, 0) / values.length));
    const worst = this.worst ? `, ${this.format(this.worst(...values))} at worst` : "";
    setText(this.rest, ` on average${worst}`);
    const flat = points.map(([at, value]) => [at, value, value, value]);
    this.chart.draw({ ...data, points: flat, limits: [], episodes: [] });
  }
}

class CoolingPage {
  #get = newest(get);

  constructor(scope, name, isCurrent) {
    Object.assign(this, { scope, name, isCurrent });
    this.panels = CHARTS.map((chart) => new IndexPanel(chart));
    this.body = el("div", { class: "charts" });
    this.resolution = el("p", { class: "muted" });
    this.ranges = new RangeButtons(RANGES, "cooling", () => this.reload());
    this.drawn = null;
  }

  async load() {
    const to = Date.now();
    const path = `indices/${encodeURIComponent(this.scope)}/${encodeURIComponent(this.name)}`;
    const data = await this.#get(`${path}?from=${to - this.ranges.seconds * 1000}&to=${to}&points=400`);
    if (!data || !this.isCurrent()) return;
    const filled = this.panels.filter(({ index }) => data.indices[index]?.length);
    const drawn = filled.map(({ index }) => index).join();
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      show(this.body, filled.length ? filled.map(({ node }) => node) : noData());
    }
    for (const panel of filled) panel.draw(data);
    setText(this.resolution, filled.length ? `Each point is the average of ${duration(data.every_ms)}` : "");
  }

  reload() {
    return this.load().catch((error) => setText(this.resolution, error.message));
  }

  nodes() {
    const rack = this.scope === "rack" && [" › ", link(rackHref(this.name), `Rack ${this.name}`)];
    return [
      crumbs(link("#/", "Overview"), rack),
      el("h1", null, `Cooling of ${this.scope} ${this.name}`),
      this.ranges.node,
      this.resolution,
      this.body,
    ];
  }
}

const noData = () =>
  emptyState(
    "No data in this time.",
    el("p", null, "Collectors compute the indices of racks with inlets once a minute; the demo computes none."),
  );

/** Draws the indices of a scope such as `rack/B07`. */
export async function coolingPage(place, argument, isCurrent) {
  const [scope, ...rest] = argument.split("/");
  const page = new CoolingPage(scope, rest.join("/"), isCurrent);
  show(place, page.nodes());
  await page.load();
  const reload = () => page.reload();
  subscribe({}, { reload });
  const timer = setInterval(reload, RELOAD_EVERY);
  return () => {
    clearInterval(timer);
    for (const { chart } of page.panels) chart.close();
  };
}
