// One incident: what is wrong, the suspected cause, its timeline, its notifications, and what an operator can do.

import { isSensor, openAlerts, rackLink, sensorLink } from "./alerts.js";
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { dataProblem, isLive, valueText } from "./data-state.js";
import { cell, crumbs, el, fact, link, muted, numberCell, rowHeading, show, table } from "./element.js";
import { subscribe } from "./events.js";
import { ago, celsius, clock, timeLeft } from "./format.js";
import { IncidentActions } from "./incident-actions.js";
import { incidentAge, incidentChip, isResolved } from "./incidents.js";
import { newest } from "./newest.js";
import { patch } from "./patch.js";

const RELOAD_EVERY = 5000;
/** The chart shows at least this much before and after the incident. */
const LEAST_MARGIN = 5 * 60_000;

class IncidentPage {
  #getIncident = newest(get);
  #getSeries = newest(get);

  constructor(id, isCurrent) {
    Object.assign(this, { id, isCurrent });
    this.head = el("div");
    this.actions = new IncidentActions(id);
    this.chart = new Chart();
    const title = el("h2", { id: "rise" }, "First sensor");
    this.rise = el("section", { "aria-labelledby": "rise", hidden: true }, title, this.chart.node);
    this.sensors = el("section", { "aria-labelledby": "sensors" });
    this.timeline = el("section", { "aria-labelledby": "timeline" });
    this.notifications = el("section", { "aria-labelledby": "notifications" });
  }

  nodes() {
    return [this.head, this.actions.node, this.rise, this.sensors, this.timeline, this.notifications];
  }

  async load() {
    const answer = await this.#getIncident(`incidents/${encodeURIComponent(this.id)}`);
    if (!answer || !this.isCurrent()) return;
    const { incident, timeline, sensors, deliveries } = answer;
    patch(this.head, incidentHead(incident));
    this.actions.draw(incident);
    patch(
      this.timeline,
      el("h2", { id: "timeline" }, "Timeline"),
      el("ol", { class: "timeline" }, timeline.map(entry)),
    );
    patch(this.sensors, el("h2", { id: "sensors" }, "Sensors"), sensorTable(incident, sensors));
    patch(this.notifications, el("h2", { id: "notifications" }, "Notifications"), notificationTable(deliveries));
    // The series may be gone by now; the rest of the page does not need it.
    this.drawRise(incident).catch(() => {});
  }

  /** Draws the first sensor from a little before the incident to now, or to a little after it. */
  async drawRise({ first, since, until }) {
    if (!isSensor(first)) return;
    const margin = Math.max(LEAST_MARGIN, ((until ?? Date.now()) - since) / 4);
    const from = Math.round(since - margin);
    const to = Math.round(Math.min(Date.now(), until ? until + margin : Number.POSITIVE_INFINITY));
    const path = `devices/${encodeURIComponent(first)}/series?from=${from}&to=${to}&points=600`;
    const data = await this.#getSeries(path);
    if (!data || !this.isCurrent()) return;
    this.rise.hidden = data.points.length === 0;
    if (!this.rise.hidden) this.chart.draw(data);
  }
}

function incidentHead(incident) {
  const isOpen = !isResolved(incident);
  return [
    crumbs(link("#/incidents", "Incidents")),
    el("h1", null, incident.title),
    el(
      "p",
      null,
      incidentChip(incident),
      ` for ${incidentAge(incident)}`,
      incident.acked_by ? ` · acknowledged by ${incident.acked_by}` : isOpen && " · unacknowledged",
    ),
    incident.left_ms && isOpen && el("p", { class: "big", "data-severity": "critical" }, timeLeft(incident.left_ms)),
    el("dl", { class: "facts" }, incidentFacts(incident)),
  ];
}

function incidentFacts(incident) {
  const racks = incident.racks.map((rack, index) => [index > 0 && ", ", rackLink(rack)]);
  const hasPeak = incident.peak !== undefined && !isResolved(incident);
  const peak = (value) => (value === undefined ? null : celsius(value));
  return [
    fact("First sensor", sensorLink(incident.first)),
    fact("Suspected cause", incident.cause_name ? `${incident.cause} ${incident.cause_name}` : incident.cause),
    fact("Since", clock(incident.since)),
    fact("Racks", racks),
    fact("Alerts", `${incident.alerts}, ${incident.open} open`),
    fact("Peak when notified", peak(incident.peak)),
    fact("Peak now", peak(incident.now) ?? (hasPeak && "no data")),
    fact("ID", el("code", null, incident.incident_id)),
  ];
}

const EVENTS = {
  pending: () => "Detected, waiting for related alerts",
  changed: alertChange,
  acked: (record) => (record.acked_by ? `Acknowledged by ${record.acked_by}` : "Acknowledged"),
  resolving: () => "All alerts cleared",
  opened: () => "Notification sent",
  worse: () => "Escalated, notification sent",
  repeat: () => "Notification repeated",
  resolved: () => "Resolved",
};

/** Returns how many alerts a record adds to the one before, and how many are open. */
function alertChange(record, before) {
  const added = record.alerts - (before?.alerts ?? 0);
  const open = `${record.open} open`;
  if (added > 0) return `+${added} ${added === 1 ? "alert" : "alerts"} (${open})`;
  return `Alerts changed (${open})`;
}

function entry(record, index, timeline) {
  const text = EVENTS[record.event]?.(record, timeline[index - 1]) ?? record.event;
  return el(
    "li",
    null,
    el("time", { datetime: new Date(record.timestamp).toISOString() }, clock(record.timestamp)),
    ` ${text}`,
    el("span", { class: "muted" }, ` · ${record.severity}, ${record.open} of ${record.alerts} alerts open`),
  );
}

function sensorTable(incident, sensors) {
  if (sensors.length === 0) return muted(`Subjects: ${incident.devices.join(", ")}`);
  const rows = sensors.map((sensor) =>
    el(
      "tr",
      { "data-key": sensor.id, "data-severity": sensor.severity ?? "" },
      rowHeading(sensorLink(sensor.id), sensor.id === incident.first && el("small", null, "first sensor")),
      cell(rackLink(sensor.rack)),
      cell(sensor.role),
      el("td", { class: isLive(sensor) ? "right" : "right past" }, valueText(sensor)),
      cell([dataProblem(sensor), openAlerts(sensor.open)].filter(Boolean).join(" · ") || "ok"),
    ),
  );
  const more = incident.device_count - sensors.length;
  return [
    table("Sensors of this incident", ["Sensor", "Rack", "Role", ">°C", "Alerts"], rows),
    more > 0 && muted(`and ${more} more`),
  ];
}

function notificationTable(deliveries) {
  if (deliveries.length === 0) {
    return muted("No notifications. Notifiers are ", el("code", null, "[[notify]]"), " sections of collector.toml.");
  }
  const rows = deliveries.map((delivery) =>
    el(
      "tr",
      null,
      rowHeading(delivery.recipient ? `${delivery.notifier} to ${delivery.recipient}` : delivery.notifier),
      cell(delivery.event),
      cell(delivery.state, delivery.reason && el("small", null, delivery.reason)),
      cell(ago(delivery.at_ms, Date.now())),
      numberCell(delivery.attempts),
    ),
  );
  return table("Notifications", ["Notifier", "Event", "State", "Sent", ">Attempts"], rows);
}

/** Draws one incident, and keeps it up to date. */
export async function incidentPage(place, id, isCurrent) {
  const page = new IncidentPage(id, isCurrent);
  show(place, page.nodes());
  await page.load();
  const reload = () => page.load().catch(() => {});
  const isMine = (record) => record.incident_id === id;
  subscribe({}, { incidents: (records) => records.some(isMine) && reload(), reload });
  const timer = setInterval(reload, RELOAD_EVERY);
  return () => {
    clearInterval(timer);
    page.chart.close();
  };
}
