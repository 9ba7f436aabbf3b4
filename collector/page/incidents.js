// All incidents: open ones and past ones.

import { severityChip } from "./alerts.js";
import { get } from "./api.js";
import { el, muted, show } from "./element.js";
import { subscribe } from "./events.js";
import { celsius, clock, duration, timeLeft } from "./format.js";
import { patch } from "./patch.js";

/** Returns how long an incident lasted, or has lasted by now. */
export function incidentAge(incident, now = Date.now()) {
  const end = isResolved(incident) ? (incident.until ?? incident.timestamp) : now;
  return duration(end - incident.since);
}

/** Returns whether an incident is resolved. */
export const isResolved = (incident) => incident.event === "resolved";

/** Returns the label of an incident's severity, or that it is resolved. */
export const incidentChip = (incident) =>
  isResolved(incident) ? el("span", { class: "chip resolved" }, "✓ resolved") : severityChip(incident.severity);

/** Returns incidents as a list of cards. */
export function incidentList(incidents) {
  const items = incidents.map((one) => el("li", { "data-key": one.incident_id }, incidentCard(one)));
  return el("ul", { class: "cards" }, items);
}

function incidentCard(incident) {
  const facts = isResolved(incident) ? resolvedFacts(incident) : openFacts(incident);
  return el(
    "a",
    {
      class: `card ${isResolved(incident) ? "resolved" : incident.severity}`,
      href: `#/incident/${incident.incident_id}`,
    },
    el("span", { class: "line" }, incidentChip(incident), el("strong", null, incident.title)),
    el("span", { class: "muted" }, facts.filter(Boolean).join(" · ")),
  );
}

const sensorCount = ({ device_count: count }) => `${count} ${count === 1 ? "sensor" : "sensors"}`;

const resolvedFacts = (incident) => [`${clock(incident.since)}, for ${incidentAge(incident)}`, sensorCount(incident)];

const openFacts = (incident) => [
  `since ${clock(incident.since)}`,
  timeLeft(incident.left_ms),
  peakText(incident),
  sensorCount(incident),
  incident.acked_by ? `acknowledged by ${incident.acked_by}` : "unacknowledged",
];

/** Returns the worst temperature that its sensors have now, or had at the last notification. */
function peakText({ now, peak }) {
  if (now !== undefined) return `${celsius(now)} now`;
  return peak !== undefined && `${celsius(peak)} when notified, no data now`;
}

/** Draws open and past incidents, and keeps them up to date. */
export async function incidentsPage(place, _argument, isCurrent) {
  const open = el("section", { "aria-labelledby": "open" });
  const past = el("section", { "aria-labelledby": "past" });
  const draw = async () => {
    const all = await get("incidents?past=true");
    if (!isCurrent()) return;
    patch(
      open,
      el("h2", { id: "open" }, `Open (${all.open.length})`),
      all.open.length ? incidentList(all.open) : el("p", { class: "good-news" }, "✓ No open incidents."),
    );
    patch(
      past,
      el("h2", { id: "past" }, "Resolved"),
      all.past.length ? incidentList(all.past) : muted("No past incidents."),
    );
  };
  show(place, el("h1", null, "Incidents"), open, past);
  await draw();
  const reload = () => draw().catch(() => {});
  subscribe({}, { incidents: reload, reload });
}
