// The elevation of a rack: its sensors by height, at the front, inside and at the rear.

import { colour } from "./colour.js";
import { dataProblem, dataState, isLive } from "./data-state.js";
import { el, muted, setText, show, svg } from "./element.js";
import { degrees } from "./format.js";

/** Pixels a rack unit. */
const UNIT = 12;
const LEAST_UNITS = 42;
const TOP = 22;
const COLUMN = 86;
/** Sensors at one place are shifted, at most this often. */
const MAX_SHIFTS = 3;

export class Elevation {
  #marks = new Map();

  constructor(rack) {
    this.rack = rack;
    this.node = el("div", { class: "elevation" });
  }

  /** Draws the sensors whose height is known. */
  draw(sensors) {
    this.#marks.clear();
    const placed = sensors.filter((sensor) => sensor.u !== null);
    if (placed.length === 0) {
      show(this.node, noHeights());
      return;
    }
    const units = Math.max(LEAST_UNITS, ...placed.map((sensor) => sensor.u));
    const drawing = frame(units, `Elevation of rack ${this.rack}: ${placed.length} sensors by height`);
    const taken = new Map();
    for (const sensor of placed) {
      const column = columnOf(sensor.role);
      const place = `${column}/${sensor.u}`;
      const shift = taken.get(place) ?? 0;
      taken.set(place, shift + 1);
      const left = 36 + column * COLUMN + Math.min(shift, MAX_SHIFTS) * 8;
      drawing.append(this.#mark(sensor, left, TOP + (units - sensor.u) * UNIT - 3));
    }
    show(this.node, drawing);
  }

  /** Shows a sensor's reading and severity. */
  update(sensor, envelope) {
    const mark = this.#marks.get(sensor.id);
    if (!mark) return;
    const pair = isLive(sensor) && sensor.role === "inlet" ? colour(sensor.value, envelope) : null;
    mark.rect.setAttribute("fill", pair ? pair[0] : "var(--faint)");
    mark.text.setAttribute("fill", pair ? pair[1] : isLive(sensor) ? "var(--ink)" : "var(--ink-soft)");
    setText(mark.text, markText(sensor));
    mark.rect.setAttribute("stroke-dasharray", isLive(sensor) ? "none" : "4 3");
    const isAlert = ["critical", "warning"].includes(sensor.severity);
    const edge = isLive(sensor) ? "none" : "var(--ink-soft)";
    mark.rect.setAttribute("stroke", isAlert ? `var(--${sensor.severity})` : edge);
    const problem = dataProblem(sensor);
    const label = `${sensor.name || sensor.id} · U${sensor.u}`;
    setText(mark.title, problem ? `${label} · ${problem}` : label);
  }

  #mark(sensor, x, y) {
    const rect = svg("rect", { x, y, width: 76, height: UNIT + 6, rx: 3, "stroke-width": 2.5 });
    const text = svg("text", { x: x + 38, y: y + 13, class: "mark" });
    const title = svg("title");
    this.#marks.set(sensor.id, { rect, text, title });
    return svg(
      "a",
      { href: `#/sensor/${encodeURIComponent(sensor.id)}`, "aria-label": `${sensor.id}, U${sensor.u}` },
      rect,
      text,
      title,
    );
  }
}

function markText(sensor) {
  const value = degrees(sensor.value);
  const words = { live: value, faulty: "✕", unevaluated: `? ${value}`, stale: "no data", withdrawn: "withdrawn" };
  return words[dataState(sensor)] ?? "–";
}

const columnOf = (role) => ({ inlet: 0, exhaust: 2 })[role] ?? 1;

/** Draws the frame of a rack, with a rule every six units. */
function frame(units, label) {
  const height = units * UNIT;
  const rules = [];
  for (let u = 1; u <= units; u += 1) {
    if (u % 6 !== 0 && u !== 1) continue;
    const y = TOP + (units - u) * UNIT;
    rules.push(svg("text", { x: 24, y: y + 9, class: "small end" }, `U${u}`));
    rules.push(svg("line", { x1: 30, x2: 294, y1: y + UNIT, y2: y + UNIT, class: "rule" }));
  }
  return svg(
    "svg",
    { viewBox: `0 0 300 ${height + 34}`, role: "group", "aria-label": label },
    svg("text", { x: 74, y: 12, class: "small" }, "front"),
    svg("text", { x: 152, y: 12, class: "small" }, "inside"),
    svg("text", { x: 236, y: 12, class: "small" }, "rear"),
    svg("rect", { x: 30, y: 18, width: 264, height: height + 8, rx: 4, class: "frame" }),
    rules,
  );
}

const noHeights = () =>
  muted("No sensor heights. Set ", el("code", null, "u"), " in the agent's configuration or in the site file.");
