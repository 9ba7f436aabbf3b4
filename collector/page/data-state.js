// Whether the value of a sensor is the present one, as words. Only live values may look like the present.

import { ago, celsius, clock, count, degrees } from "./format.js";

/** Returns the state of a sensor's data: live, faulty, unevaluated, stale, withdrawn or unknown. */
export function dataState({ value, fault }) {
  if (fault === "no_data") return "stale";
  if (fault === "withdrawn") return "withdrawn";
  if (fault === "not_evaluated") return "unevaluated";
  if (fault) return "faulty";
  return value === null || value === undefined ? "unknown" : "live";
}

/** The sign of each state but live. */
export const STATE_SIGNS = { stale: "∅", withdrawn: "∅", faulty: "✕", unevaluated: "?" };

/** Returns whether the value is the present one, and rules look at it. */
export const isLive = (sensor) => dataState(sensor) === "live";

/** Returns whether a value is of the past and is still worth showing. */
export const isPast = (sensor) => ["stale", "withdrawn"].includes(dataState(sensor)) && sensor.value !== null;

/** Returns whether readings arrive that no rule looks at: the value is new, and says nothing about the room. */
const isUnevaluated = (sensor) => dataState(sensor) === "unevaluated" && sensor.value !== null;

/** Returns why a sensor has no present value, or null where it has one. */
export function dataProblem(sensor) {
  const since = sensor.at ? ` since ${clock(sensor.at)}` : "";
  switch (dataState(sensor)) {
    case "stale":
      return `no data${since}`;
    case "withdrawn":
      return `withdrawn, no data${since}`;
    case "unevaluated":
      return "not evaluated, no valid description";
    case "faulty":
      return `read failure: ${sensor.fault.replaceAll("_", " ")}`;
    case "unknown":
      return "not read yet";
    default:
      return null;
  }
}

/** Returns the present value, the last one with its age, or a dash. */
export function valueText(sensor) {
  if (isLive(sensor) || isUnevaluated(sensor)) return degrees(sensor.value);
  return isPast(sensor) ? `${degrees(sensor.value)}, ${ago(sensor.at, Date.now())}` : "–";
}

/** Returns the same with its unit: `23.4 °C`, or `last 23.4 °C`. */
export function bigValueText(sensor) {
  if (isLive(sensor) || isUnevaluated(sensor)) return celsius(sensor.value);
  return isPast(sensor) ? `last ${celsius(sensor.value)}` : "–";
}

/** Lists how many sensors are not live, by state: `12 without data, 2 withdrawn`. Empty if all are. */
export function missingText({ not_evaluated, stale, withdrawn, unknown }) {
  const parts = [
    [not_evaluated, "not evaluated"],
    [stale, "without data"],
    [withdrawn, "withdrawn"],
    [unknown, "not read yet"],
  ];
  const some = parts.filter(([number]) => number > 0);
  return some.map(([number, words]) => `${count(number)} ${words}`).join(", ");
}
