// Sensor faults: sensors that cannot be read, or whose readings cannot be trusted.

import { rackLink, sensorLink, severityText } from "./alerts.js";
import { get } from "./api.js";
import { missingText } from "./data-state.js";
import { cell, el, muted, numberCell, rowHeading, show, table } from "./element.js";
import { subscribe } from "./events.js";
import { ago, degrees } from "./format.js";
import { newest } from "./newest.js";
import { patch } from "./patch.js";

const MOST = 500;
const RELOAD_EVERY = 5000;
const HEADINGS = ["Sensor", "Fault", "Rack", "Target", ">Last °C", "Last read", "Alert"];
const EXPLANATION =
  "Sensors that cannot be read, are stuck, send no data or differ from their neighbours, that no rule looks at, and " +
  "sensors whose own board reports another state than Rackwatch. A sensor that was never read is absent, and raises no alert.";

function faultRow(sensor, now) {
  return el(
    "tr",
    { "data-key": sensor.id, "data-severity": sensor.severity ?? "" },
    rowHeading(sensorLink(sensor.id)),
    cell(sensor.problem.replaceAll("_", " ")),
    cell(rackLink(sensor.rack)),
    cell(sensor.target || "–"),
    numberCell(degrees(sensor.value)),
    cell(ago(sensor.at, now)),
    cell(sensor.severity ? severityText(sensor.severity) : "–"),
  );
}

function faultTable({ faults, states, now }) {
  const missing = missingText(states);
  if (faults.length === 0 && missing) return muted(`No faults. Sensors that are not live: ${missing}.`);
  if (faults.length === 0) return el("p", { class: "good-news" }, "✓ All sensors are readable.");
  const rows = faults.slice(0, MOST).map((sensor) => faultRow(sensor, now));
  return [table("Sensor faults", HEADINGS, rows), faults.length > MOST && muted(`and ${faults.length - MOST} more`)];
}

/** Draws the sensor faults, and keeps them up to date. */
export async function faultsPage(place, _argument, isCurrent) {
  const body = el("div");
  const getFaults = newest(get);
  const draw = async () => {
    const answer = await getFaults("faults");
    if (answer && isCurrent()) patch(body, faultTable(answer));
  };
  show(place, el("h1", null, "Sensor faults"), muted(EXPLANATION), body);
  await draw();
  const reload = () => draw().catch(() => {});
  subscribe({}, { reload });
  const timer = setInterval(reload, RELOAD_EVERY);
  return () => clearInterval(timer);
}
