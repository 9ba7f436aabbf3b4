// The layers of a chart, each drawn on a canvas by a scale: episodes, axes, limits, series, cursor.

import { PAD } from "./chart-scale.js";

const VALUE_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440, 30 * 1440];
const BY_SEVERITY = ["info", "warning", "critical"];
/** A pause longer than this many usual distances between points, and than `LEAST_GAP`, is a gap. */
const GAP = 3;
const LEAST_GAP = 3000;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const severityColour = (severity) => css(BY_SEVERITY.includes(severity) ? `--${severity}` : "--info");

/** Draws all layers. `cursor` is the index of the point that is read, or null. */
export function drawLayers(pen, data, scale, cursor) {
  pen.font = "12px system-ui, sans-serif";
  pen.clearRect(0, 0, scale.width, scale.height);
  drawEpisodes(pen, data, scale);
  drawValueAxis(pen, scale);
  drawTimeAxis(pen, data, scale);
  drawLimits(pen, scale);
  drawSeries(pen, data, scale);
  const point = cursor === null ? null : data.points[cursor];
  if (point) drawCursor(pen, point, scale);
}

/** Washes the time of each episode in its severity's colour, the worst on top. */
function drawEpisodes(pen, data, { x, height }) {
  const clamp = (at) => Math.min(Math.max(at, data.from), data.to);
  const rank = (episode) => BY_SEVERITY.indexOf(episode.severity);
  for (const episode of [...data.episodes].sort((a, b) => rank(a) - rank(b))) {
    const to = episode.to ?? data.to;
    const [left, right] = [x(clamp(episode.from)), x(clamp(to))];
    if (right < PAD.left || to < data.from) continue;
    const width = Math.max(2, right - left);
    pen.fillStyle = css(`--${episode.severity}-wash`);
    pen.fillRect(left, PAD.top, width, height - PAD.top - PAD.bottom);
    pen.fillStyle = severityColour(episode.severity);
    pen.fillRect(left, PAD.top - 4, width, 4);
  }
}

function drawValueAxis(pen, { low, high, y, width }) {
  pen.strokeStyle = css("--line");
  pen.fillStyle = css("--ink-soft");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  const step = VALUE_STEPS.find((one) => (high - low) / one <= 7) ?? 100;
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    const at = Math.round(y(value)) + 0.5;
    stroke(pen, [PAD.left, at], [width - PAD.right, at]);
    pen.fillText(value.toFixed(step < 1 ? 1 : 0), PAD.left - 6, at + 4);
  }
}

function drawTimeAxis(pen, data, { x, width, height }) {
  pen.fillStyle = css("--ink-soft");
  pen.textAlign = "center";
  const most = Math.max(3, width / 110);
  const steps = TIME_STEPS.map((minutes) => minutes * MINUTE);
  const step = steps.find((one) => (data.to - data.from) / one <= most) ?? steps.at(-1);
  const shift = new Date(data.from).getTimezoneOffset() * MINUTE;
  for (let at = Math.ceil((data.from - shift) / step) * step + shift; at < data.to; at += step) {
    pen.fillText(tickText(new Date(at), step), x(at), height - 8);
    pen.fillRect(Math.round(x(at)), height - PAD.bottom, 1, 4);
  }
}

function tickText(date, step) {
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  if (step >= DAY || isMidnight) return date.toLocaleDateString([], { day: "numeric", month: "short" });
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function drawLimits(pen, { limits, y, width }) {
  pen.textAlign = "left";
  for (const limit of limits) {
    const colour = severityColour(limit.severity);
    pen.strokeStyle = colour;
    pen.fillStyle = colour;
    pen.setLineDash([6, 4]);
    stroke(pen, [PAD.left, y(limit.at)], [width - PAD.right, y(limit.at)]);
    pen.setLineDash([]);
    pen.fillText(`${limit.severity} ${limit.above ? "above" : "below"} ${limit.at}`, PAD.left + 6, y(limit.at) - 4);
  }
}

/** Draws the min–max band and the average above it. A gap in the data stays a gap. */
function drawSeries(pen, data, { x, y }) {
  pen.lineWidth = 1.8;
  pen.strokeStyle = css("--accent");
  for (const run of runsOf(data)) {
    pen.fillStyle = css("--accent-wash");
    pen.beginPath();
    for (const [at, , , max] of run) pen.lineTo(x(at), y(max));
    for (const [at, , min] of [...run].reverse()) pen.lineTo(x(at), y(min));
    pen.fill();
    stroke(pen, ...run.map(([at, avg]) => [x(at), y(avg)]));
    if (run.length === 1) {
      pen.fillStyle = css("--accent");
      pen.fillRect(x(run[0][0]) - 1.5, y(run[0][1]) - 1.5, 3, 3);
    }
  }
}

/** Splits the points at gaps. */
function runsOf({ points, every_ms }) {
  const gap = Math.max((every_ms ?? medianDistance(points)) * GAP, LEAST_GAP);
  const runs = [];
  points.forEach((point, index) => {
    if (index === 0 || point[0] - points[index - 1][0] > gap) runs.push([]);
    runs.at(-1).push(point);
  });
  return runs;
}

function medianDistance(points) {
  const distances = points
    .slice(1)
    .map((point, index) => point[0] - points[index][0])
    .sort((a, b) => a - b);
  return distances[distances.length >> 1] ?? 1000;
}

function drawCursor(pen, [at, avg], { x, y, height }) {
  pen.strokeStyle = css("--ink-soft");
  pen.lineWidth = 1;
  stroke(pen, [x(at), PAD.top], [x(at), height - PAD.bottom]);
  pen.fillStyle = css("--accent");
  pen.beginPath();
  pen.arc(x(at), y(avg), 4, 0, 7);
  pen.fill();
}

function stroke(pen, ...corners) {
  pen.beginPath();
  for (const [left, top] of corners) pen.lineTo(left, top);
  pen.stroke();
}
