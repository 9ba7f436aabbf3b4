// A chart of one series on a canvas: average, min–max band, limits and episodes. A readout shows as text the point under the
// pointer, or the one that the arrow keys select.

import { kindName } from "./alerts.js";
import { drawLayers } from "./chart-layers.js";
import { nearestPoint, scaleOf } from "./chart-scale.js";
import { el, setText } from "./element.js";
import { celsius, clock } from "./format.js";

const MINUTE = 60_000;
/** A live chart shows at most this much, and then moves on. */
const LIVE_SPAN = 15 * MINUTE;
const NO_READINGS = "No readings in this time";

/** A chart in the element `node`; `close` ends it. */
export class Chart {
  #canvas = el("canvas", { class: "chart", tabindex: 0, role: "img" });
  #readout = el("p", { class: "readout", "aria-live": "polite" }, " ");
  #cursor = null;
  #scale = null;
  #draw = () => this.#drawNow();
  #resized = new ResizeObserver(this.#draw);
  #dark = matchMedia("(prefers-color-scheme: dark)");

  /** Takes the name of the value, a function that formats it, and a maximum that it cannot exceed. */
  constructor(name = "Temperature", format = celsius, ceiling = Number.POSITIVE_INFINITY) {
    this.name = name;
    this.format = format;
    this.ceiling = ceiling;
    this.data = null;
    this.node = el("figure", { class: "figure" }, this.#canvas, this.#readout);
    this.#canvas.addEventListener("pointermove", (event) => this.#onPointer(event));
    this.#canvas.addEventListener("pointerleave", () => this.#select(null));
    this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
    this.#resized.observe(this.#canvas);
    this.#dark.addEventListener("change", this.#draw);
    addEventListener("theme", this.#draw);
  }

  /** Shows data as `/series` returns it. A point that is being read stays selected. */
  draw(data) {
    const selected = this.data?.points[this.#cursor]?.[0];
    this.data = data;
    // A new sensor's few readings fill the chart, instead of a corner of it.
    const first = data.points[0]?.[0];
    const isLate = first && first - data.from > (data.to - data.from) * 0.3;
    if (isLate && !data.every_ms) data.from = Math.min(first, data.to - 2 * MINUTE);
    const index = selected === undefined ? -1 : data.points.findLastIndex(([at]) => at <= selected);
    this.#select(index < 0 ? null : index);
  }

  /** Adds a reading to a chart of raw readings. */
  push(at, value) {
    const data = this.data;
    if (!data || data.every_ms || value === null) return;
    const shift = at - data.to;
    if (shift > 0) {
      data.to = at;
      if (data.to - data.from > LIVE_SPAN) data.from += shift;
    }
    if ((data.points.at(-1)?.[0] ?? 0) < at) data.points.push([at, value, value, value]);
    while (data.points.length && data.points[0][0] < data.from) data.points.shift();
    if (this.#cursor === null) this.#drawNow();
  }

  close() {
    this.#resized.disconnect();
    this.#dark.removeEventListener("change", this.#draw);
    removeEventListener("theme", this.#draw);
  }

  #select(index) {
    this.#cursor = index;
    this.#drawNow();
    setText(this.#readout, this.#readoutText());
  }

  #drawNow() {
    if (!this.data) return;
    const width = this.#canvas.clientWidth || 600;
    const height = this.#canvas.clientHeight || 300;
    const density = devicePixelRatio || 1;
    this.#canvas.width = width * density;
    this.#canvas.height = height * density;
    const pen = this.#canvas.getContext("2d");
    pen.scale(density, density);
    this.#scale = scaleOf(this.data, width, height, this.ceiling);
    drawLayers(pen, this.data, this.#scale, this.#cursor);
    this.#canvas.setAttribute("aria-label", this.#label());
  }

  #label() {
    const { points, from, to, episodes } = this.data;
    if (points.length === 0) return `${NO_READINGS}.`;
    const low = this.format(Math.min(...points.map((point) => point[2])));
    const high = this.format(Math.max(...points.map((point) => point[3])));
    const range = `${this.name} from ${clock(from)} to ${clock(to)}: between ${low} and ${high}`;
    return `${range}, last ${this.format(points.at(-1)[1])}; ${episodes.length} episodes. Arrow keys select points.`;
  }

  #readoutText() {
    const point = this.#cursor === null ? null : this.data?.points[this.#cursor];
    if (!point) return this.data?.points.length === 0 ? `${NO_READINGS}: choose a longer one.` : " ";
    const [at, avg, min, max] = point;
    const range = min === max ? "" : ` (${min.toFixed(1)} to ${max.toFixed(1)})`;
    const firing = this.data.episodes
      .filter((episode) => episode.from <= at && (episode.to ?? Number.POSITIVE_INFINITY) >= at)
      .map((episode) => `${episode.severity}: ${kindName(episode.type)}`);
    return `${clock(at)}  ${this.format(avg)}${range}${firing.length ? `  · ${firing.join(", ")}` : ""}`;
  }

  #onPointer(event) {
    if (!this.data?.points.length || !this.#scale) return;
    const position = event.clientX - this.#canvas.getBoundingClientRect().left;
    this.#select(nearestPoint(this.data.points, this.#scale, position));
  }

  #onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    const end = { Home: 0, End: Number.POSITIVE_INFINITY }[event.key];
    if ((step === undefined && end === undefined) || !this.data?.points.length) return;
    event.preventDefault();
    const last = this.data.points.length - 1;
    this.#select(Math.min(last, Math.max(0, end ?? (this.#cursor ?? last) + step)));
  }
}
