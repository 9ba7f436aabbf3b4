// A rack: its elevation, and its sensors with live readings.

import { openAlerts, severityText } from "./alerts.js";
import { get } from "./api.js";
import { paint } from "./colour.js";
import { dataProblem, dataState, isLive, isPast, missingText, STATE_SIGNS, valueText } from "./data-state.js";
import {
  cell,
  collapsed,
  crumbs,
  el,
  emptyState,
  fact,
  link,
  numberCell,
  rowHeading,
  setText,
  show,
  table,
} from "./element.js";
import { Elevation } from "./elevation.js";
import { subscribe } from "./events.js";
import { celsius, degrees, duration, kelvin } from "./format.js";
import { newest } from "./newest.js";
import { patch } from "./patch.js";
import { silenceForm } from "./silence-forms.js";

const HEADINGS = ["Sensor", "Role", ">U", ">°C", "State", "Source", ">Interval"];

/** One rack, or with an empty name the sensors without a rack. */
class RackPage {
  #rows = new Map();
  #get = newest(get);

  constructor(name, isCurrent) {
    Object.assign(this, { name, isCurrent });
    this.hasRack = name !== "";
    this.facts = el("dl", { class: "facts" });
    this.body = el("div");
    this.elevation = new Elevation(name);
  }

  async load() {
    const path = this.hasRack ? `racks/${encodeURIComponent(this.name)}` : "devices?rack=";
    const answer = await this.#get(path);
    if (!answer) return;
    const { rack, sensors } = this.hasRack ? answer : { rack: null, sensors: answer };
    Object.assign(this, { rack, sensors });
  }

  draw() {
    this.#rows.clear();
    const rows = this.sensors.map((sensor) => this.#row(sensor));
    const caption = this.hasRack ? `Sensors of rack ${this.name}` : "Sensors without a rack";
    const back = el("p", null, link("#/", "Back to the map"));
    show(this.body, rows.length ? table(caption, HEADINGS, rows) : emptyState("No sensors in this rack.", back));
    if (this.hasRack) this.elevation.draw(this.sensors);
    this.drawReadings();
  }

  drawReadings() {
    this.sensors.forEach((sensor) => {
      this.update(sensor);
    });
    if (this.rack) patch(this.facts, rackFacts(this.sensors));
  }

  update(sensor) {
    const row = this.#rows.get(sensor.id);
    if (!row) return;
    setText(row.value, valueText(sensor));
    row.value.classList.toggle("past", isPast(sensor));
    paint(row.value, sensor.role === "inlet" && isLive(sensor) ? sensor.value : null, this.envelope);
    setText(row.state, stateText(sensor));
    row.node.dataset.severity = sensor.severity ?? "";
    this.elevation.update(sensor, this.envelope);
  }

  #row(sensor) {
    const value = el("td", { class: "value" });
    const state = el("td");
    const label = sensor.name && sensor.name !== sensor.id && el("small", null, sensor.name);
    const node = el(
      "tr",
      null,
      rowHeading(link(`#/sensor/${encodeURIComponent(sensor.id)}`, sensor.id), label),
      cell(sensor.role),
      numberCell(sensor.u ?? "–"),
      value,
      state,
      cell(sensor.source || "plain client"),
      numberCell(sensor.interval_ms ? duration(sensor.interval_ms) : "–"),
    );
    this.#rows.set(sensor.id, { node, value, state });
    return node;
  }

  async reload() {
    const before = positions(this.sensors);
    try {
      await this.load();
    } catch {
      // The header shows that the connection is lost; the page keeps the last data.
      return;
    }
    if (!this.isCurrent()) return;
    if (positions(this.sensors) === before) this.drawReadings();
    else this.draw();
  }

  /** Takes changed readings: arrays of id, value, fault, time and severity. */
  updateReadings(changes) {
    for (const [id, value, fault, at, severity] of changes) {
      const sensor = this.sensors.find((known) => known.id === id);
      if (!sensor) continue;
      const severityChanged = sensor.severity !== severity;
      Object.assign(sensor, { value, fault, at, severity });
      if (severityChanged && !severity) sensor.open = [];
      this.update(sensor);
      // The change names the severity only; the alerts behind it have to be read.
      if (severityChanged) this.reload();
    }
    if (this.rack) patch(this.facts, rackFacts(this.sensors));
  }

  nodes() {
    const { rack, name, hasRack } = this;
    const position = rack && [rack.room !== "default" && rack.room, rack.row && `row ${rack.row}`].filter(Boolean);
    return [
      crumbs(link("#/", "Overview"), position?.length > 0 && ` › ${position.join(", ")}`),
      el("h1", null, hasRack ? `Rack ${name}` : "Sensors without a rack"),
      this.facts,
      hasRack && el("p", null, link(`#/cooling/rack/${encodeURIComponent(name)}`, "Cooling over time")),
      el("div", { class: "split" }, this.elevation.node, this.body),
      hasRack && collapsed(`Silence rack ${name} …`, silenceForm({ rack: name })),
    ];
  }
}

/** The ids, names and heights of all sensors as one text, to compare racks by. */
const positions = (sensors) => sensors.map(({ id, u, name }) => `${id} ${u} ${name}`).join();

function stateText(sensor) {
  const problem = dataProblem(sensor);
  const sign = STATE_SIGNS[dataState(sensor)];
  const alerts = sensor.open?.length ? openAlerts(sensor.open) : "";
  // Without data an alert stays open: what is unknown is not resolved.
  if (problem) return [sign ? `${sign} ${problem}` : problem, alerts].filter(Boolean).join(" · ");
  if (alerts) return alerts;
  return sensor.severity ? severityText(sensor.severity) : "ok";
}

function rackFacts(sensors) {
  const readings = (role) =>
    sensors.filter((sensor) => sensor.role === role && isLive(sensor)).map((sensor) => sensor.value);
  const noneOf = (role) => (sensors.some((sensor) => sensor.role === role) ? "no data" : "none");
  const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
  const inlets = readings("inlet");
  const [inlet, exhaust] = [mean(inlets), mean(readings("exhaust"))];
  const range = inlets.length ? `${degrees(Math.min(...inlets))} to ${celsius(Math.max(...inlets))}` : noneOf("inlet");
  const states = { unevaluated: 0, stale: 0, withdrawn: 0, unknown: 0, faulty: 0, live: 0 };
  for (const sensor of sensors) states[dataState(sensor)] += 1;
  return [
    fact("Inlets", range),
    fact("Exhaust", exhaust === null ? noneOf("exhaust") : celsius(exhaust)),
    fact("ΔT", exhaust === null || inlet === null ? "–" : kelvin(exhaust - inlet)),
    fact("Sensors", String(sensors.length)),
    fact("Not live", missingText({ ...states, not_evaluated: states.unevaluated })),
    fact("Sensor faults", String(states.faulty)),
  ];
}

/** Draws a rack, and keeps it up to date. */
export async function rackPage(place, name, isCurrent) {
  const page = new RackPage(name, isCurrent);
  page.envelope = (await get("site")).envelope;
  await page.load();
  show(place, page.nodes());
  page.draw();
  subscribe({ rack: name }, { devices: (changes) => page.updateReadings(changes), reload: () => page.reload() });
}
