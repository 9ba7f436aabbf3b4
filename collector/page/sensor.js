// A sensor: its current reading, its alerts, and a chart.

import { kindName, rackHref, severityText } from "./alerts.js";
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { bigValueText, dataProblem, dataState, isLive, STATE_SIGNS } from "./data-state.js";
import { collapsed, crumbs, el, fact, link, muted, numberCell, rowHeading, setText, show, table } from "./element.js";
import { subscribe } from "./events.js";
import { ago, celsius, clock, duration } from "./format.js";
import { newest } from "./newest.js";
import { patch } from "./patch.js";
import { RangeButtons } from "./ranges.js";
import { silenceForm } from "./silence-forms.js";

const DAY = 86_400;
const RANGES = [
  ["15 min", 15 * 60],
  ["1 h", 3600],
  ["6 h", 6 * 3600],
  ["24 h", DAY],
  ["7 d", 7 * DAY],
  ["30 d", 30 * DAY],
  ["90 d", 90 * DAY],
];
/** Live readings extend charts up to this range. Charts of longer ranges show averages, and are reloaded. */
const LIVE_SECONDS = 20 * 60;
const RELOAD_EVERY = 30_000;
const MAX_ROWS = 200;

class SensorPage {
  #getDevice = newest(get);
  #getSeries = newest(get);

  constructor(id, isCurrent) {
    Object.assign(this, { id, isCurrent });
    this.chart = new Chart();
    this.value = el("p", { class: "big" });
    this.state = el("div");
    this.resolution = el("p", { class: "muted" });
    this.table = el("details", { ontoggle: () => this.drawTable() }, el("summary", null, "Show as table"), el("div"));
    this.ranges = new RangeButtons(RANGES, "range", () => this.loadChart());
  }

  async load() {
    const answer = await this.#getDevice(`devices/${encodeURIComponent(this.id)}`);
    if (answer) this.device = answer.device;
  }

  drawCurrent() {
    const { device } = this;
    setText(this.value, bigValueText(device));
    this.value.classList.toggle("past", !isLive(device));
    this.value.dataset.severity = isLive(device) ? (device.severity ?? "") : "";
    patch(this.state, stateLines(device));
  }

  async loadChart() {
    const to = Date.now();
    const query = `from=${to - this.ranges.seconds * 1000}&to=${to}&points=600`;
    try {
      const data = await this.#getSeries(`devices/${encodeURIComponent(this.id)}/series?${query}`);
      if (!data || !this.isCurrent()) return;
      this.chart.draw(data);
      setText(this.resolution, resolutionText(data.every_ms));
    } catch (error) {
      setText(this.resolution, error.message);
    }
    this.drawTable();
  }

  drawTable() {
    if (!this.table.open) return;
    const points = (this.chart.data?.points ?? []).slice(-MAX_ROWS).reverse();
    const rows = points.map(([at, ...values]) =>
      el(
        "tr",
        null,
        rowHeading(clock(at)),
        values.map((value) => numberCell(celsius(value))),
      ),
    );
    show(
      this.table.lastElementChild,
      table(`Readings of ${this.id}, newest first`, ["Time", ">Average", ">Min", ">Max"], rows),
    );
  }

  async reload() {
    try {
      await this.load();
    } catch {
      // The header shows that the connection is lost; the page keeps the last data.
      return;
    }
    if (!this.isCurrent()) return;
    this.drawCurrent();
    this.loadChart();
  }

  /** Applies changed readings of the rack: arrays of id, value, fault, time and severity. */
  updateReadings(changes) {
    for (const [id, value, fault, at, severity] of changes) {
      if (id !== this.id) continue;
      const severityChanged = severity !== this.device.severity;
      Object.assign(this.device, { value, fault, at, severity });
      if (!fault || fault === "not_evaluated") this.chart.push(at, value);
      this.drawCurrent();
      if (severityChanged) this.reload();
    }
  }

  nodes() {
    const { device, id } = this;
    const rack = link(rackHref(device.rack ?? ""), device.rack ? `Rack ${device.rack}` : "no rack");
    const name = device.name && device.name !== id ? `${device.name} ` : "";
    return [
      crumbs(link("#/", "Overview"), " › ", rack),
      el("h1", null, name, el("small", null, id)),
      el("div", { class: "now" }, this.value, this.state),
      this.ranges.node,
      this.chart.node,
      this.resolution,
      this.table,
      el("dl", { class: "facts" }, sensorFacts(device)),
      collapsed("Silence this sensor …", silenceForm({ device: id })),
    ];
  }
}

const resolutionText = (everyMs) => (everyMs ? `Average over ${duration(everyMs)}, with min–max band` : "Raw readings");

function stateLines(device) {
  const alerts = device.open.map((open) => {
    const text = `${severityText(open.severity)}: ${kindName(open.type)} (rule ${open.rule}) since ${clock(open.since)}`;
    return el("p", { class: `state ${open.severity}` }, text);
  });
  const isHealthy = isLive(device) && device.open.length === 0;
  const problem = dataProblem(device);
  const sign = STATE_SIGNS[dataState(device)] ?? "∅";
  return [
    problem && el("p", { class: "bad" }, `${sign} ${problem}`),
    alerts,
    isHealthy && el("p", { class: "good-news" }, "✓ No open alerts"),
    device.board_severity && muted(`The sensor's own board reports ${device.board_severity}.`),
    muted(`Last read ${ago(device.at, Date.now())}`),
  ];
}

function sensorFacts(device) {
  const limits = Object.entries({ low_critical: "low", high_warning: "high", high_critical: "critical" })
    .filter(([key]) => device.limits?.[key] !== undefined)
    .map(([key, name]) => `${name} ${device.limits[key]}`);
  return [
    fact("Role", device.role),
    fact("Height", device.u === null ? null : `U${device.u}`),
    fact("Room", device.room === "default" ? null : device.room),
    fact("Row", device.row),
    fact("Source", device.source),
    fact("Target", device.target),
    fact("Agent", device.agent),
    fact("Interval", device.interval_ms ? duration(device.interval_ms) : null),
    fact("Hardware limits", limits.join(", ") || null),
  ];
}

/** Draws a sensor, and keeps it up to date. */
export async function sensorPage(place, id, isCurrent) {
  const page = new SensorPage(id, isCurrent);
  await page.load();
  show(place, page.nodes());
  page.drawCurrent();
  page.loadChart();
  const handlers = { devices: (changes) => page.updateReadings(changes), reload: () => page.reload() };
  subscribe({ rack: page.device.rack ?? "" }, handlers);
  const timer = setInterval(() => page.ranges.seconds > LIVE_SECONDS && page.loadChart(), RELOAD_EVERY);
  return () => {
    clearInterval(timer);
    page.chart.close();
  };
}
