// A chart of one sensor, or of one number: average, least and most, the limits, and what fired when. Drawn on a canvas; what is under the
// pointer, or reached by the arrow keys, is said in words.

import { el, say } from "./element.js";
import { celsius, clock, KINDS } from "./words.js";

const PAD = { left: 46, right: 12, top: 14, bottom: 26 };
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
const MINUTE = 60_000;
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440, 30 * 1440].map(
  (minutes) => minutes * MINUTE,
);

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A chart of what is called so and written so, which may have a number that it cannot pass; `draw(data)` shows what `/series` answers,
 * `push(at, value)` adds a reading.
 */
export function chart(what = "Temperature", words = celsius, ceiling = Infinity) {
  const canvas = el("canvas", { class: "chart", tabindex: 0, role: "img" });
  const readout = el("p", { class: "readout", "aria-live": "polite" }, " ");
  const node = el("figure", { class: "figure" }, canvas, readout);
  let data = null;
  let spot = null;
  let scale = null;

  const draw = () => {
    if (!data) return;
    const width = canvas.clientWidth || 600;
    const height = canvas.clientHeight || 300;
    const dense = devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const points = data.points;
    // Limits that are near are shown; those far away would flatten the line.
    let [least, most] = [Infinity, -Infinity];
    for (const [, , min, max] of points) {
      least = Math.min(least, min);
      most = Math.max(most, max);
    }
    if (points.length === 0) [least, most] = [18, 28];
    const reach = Math.max(3, (most - least) * 0.8);
    const limits = data.limits.filter((limit) => limit.at > least - reach && limit.at < most + reach);
    for (const limit of limits) {
      least = Math.min(least, limit.at);
      most = Math.max(most, limit.at);
    }
    const air = Math.max(0.5, (most - least) * 0.08);
    // What stays at its ceiling is a line at the top, not in the middle of nowhere.
    [least, most] =
      most >= ceiling ? [Math.min(least, ceiling - 5) - air, ceiling + air / 2] : [least - air, most + air];
    const x = (at) => PAD.left + ((at - data.from) / (data.to - data.from)) * (width - PAD.left - PAD.right);
    const y = (value) => height - PAD.bottom - ((value - least) / (most - least)) * (height - PAD.top - PAD.bottom);
    scale = { x, width };
    const ink = css("--ink-soft");
    pen.font = "12px system-ui, sans-serif";
    pen.clearRect(0, 0, width, height);

    // What fired when.
    const inside = (at) => Math.min(Math.max(at, data.from), data.to);
    const worst = ["info", "warning", "critical"];
    for (const episode of [...data.episodes].sort((a, b) => worst.indexOf(a.severity) - worst.indexOf(b.severity))) {
      const [from, to] = [x(inside(episode.from)), x(inside(episode.to ?? data.to))];
      if (to < PAD.left || (episode.to ?? data.to) < data.from) continue;
      pen.fillStyle = css(
        episode.severity === "critical"
          ? "--critical-wash"
          : episode.severity === "warning"
            ? "--warning-wash"
            : "--info-wash",
      );
      pen.fillRect(from, PAD.top, Math.max(2, to - from), height - PAD.top - PAD.bottom);
      pen.fillStyle = css(
        episode.severity === "critical" ? "--critical" : episode.severity === "warning" ? "--warning" : "--info",
      );
      pen.fillRect(from, PAD.top - 4, Math.max(2, to - from), 4);
    }

    // The grid.
    pen.strokeStyle = css("--line");
    pen.fillStyle = ink;
    pen.lineWidth = 1;
    pen.textAlign = "right";
    const step = STEPS.find((one) => (most - least) / one <= 7) ?? 100;
    for (let value = Math.ceil(least / step) * step; value <= most; value += step) {
      const at = Math.round(y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(PAD.left, at);
      pen.lineTo(width - PAD.right, at);
      pen.stroke();
      pen.fillText(value.toFixed(step < 1 ? 1 : 0), PAD.left - 6, at + 4);
    }
    pen.textAlign = "center";
    const span = data.to - data.from;
    const tick = TICKS.find((one) => span / one <= Math.max(3, width / 110)) ?? TICKS.at(-1);
    const shift = new Date(data.from).getTimezoneOffset() * MINUTE;
    for (let at = Math.ceil((data.from - shift) / tick) * tick + shift; at < data.to; at += tick) {
      const date = new Date(at);
      const text =
        tick >= 1440 * MINUTE || (date.getHours() === 0 && date.getMinutes() === 0)
          ? date.toLocaleDateString([], { day: "numeric", month: "short" })
          : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
      pen.fillText(text, x(at), height - 8);
      pen.fillRect(Math.round(x(at)), height - PAD.bottom, 1, 4);
    }

    // Limits.
    pen.textAlign = "left";
    for (const limit of limits) {
      const colour = css(
        limit.severity === "critical" ? "--critical" : limit.severity === "warning" ? "--warning" : "--info",
      );
      pen.strokeStyle = colour;
      pen.fillStyle = colour;
      pen.setLineDash([6, 4]);
      pen.beginPath();
      pen.moveTo(PAD.left, y(limit.at));
      pen.lineTo(width - PAD.right, y(limit.at));
      pen.stroke();
      pen.setLineDash([]);
      pen.fillText(`${limit.severity} ${limit.above ? "above" : "below"} ${limit.at}`, PAD.left + 6, y(limit.at) - 4);
    }

    // Least and most, then the average. A gap stays a gap.
    const usual = data.every_ms ?? median(points);
    const runs = [];
    points.forEach((point, index) => {
      if (index === 0 || point[0] - points[index - 1][0] > Math.max(usual * 3, 3000)) runs.push([]);
      runs.at(-1).push(point);
    });
    pen.lineWidth = 1.8;
    for (const run of runs) {
      pen.fillStyle = css("--accent-wash");
      pen.beginPath();
      for (const [at, , , max] of run) pen.lineTo(x(at), y(max));
      for (const [at, , min] of [...run].reverse()) pen.lineTo(x(at), y(min));
      pen.fill();
      pen.strokeStyle = css("--accent");
      pen.beginPath();
      for (const [at, avg] of run) pen.lineTo(x(at), y(avg));
      pen.stroke();
      if (run.length === 1) {
        pen.fillStyle = css("--accent");
        pen.fillRect(x(run[0][0]) - 1.5, y(run[0][1]) - 1.5, 3, 3);
      }
    }
    if (spot !== null && points[spot]) {
      const [at, avg] = points[spot];
      pen.strokeStyle = ink;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x(at), PAD.top);
      pen.lineTo(x(at), height - PAD.bottom);
      pen.stroke();
      pen.fillStyle = css("--accent");
      pen.beginPath();
      pen.arc(x(at), y(avg), 4, 0, 7);
      pen.fill();
    }
    const last = points.at(-1);
    canvas.setAttribute(
      "aria-label",
      points.length
        ? `${what} from ${clock(data.from)} to ${clock(data.to)}: between ${words(Math.min(...points.map((p) => p[2])))} and ${words(Math.max(...points.map((p) => p[3])))}, last ${words(last[1])}; ${data.episodes.length} episodes. Arrow keys read single points.`
        : "No readings in this time.",
    );
  };

  const tell = () => {
    const point = spot === null ? null : data?.points[spot];
    if (!point) {
      say(readout, data?.points.length === 0 ? "No readings in this time: choose a longer one." : " ");
      return;
    }
    const [at, avg, min, max] = point;
    const fired = data.episodes
      .filter((one) => one.from <= at && (one.to ?? Infinity) >= at)
      .map((one) => `${one.severity}: ${KINDS[one.type] ?? one.type}`);
    const range = min === max ? "" : ` (${min.toFixed(1)} to ${max.toFixed(1)})`;
    say(readout, `${clock(at)}  ${words(avg)}${range}${fired.length ? `  · ${fired.join(", ")}` : ""}`);
  };

  const look = (index) => {
    spot = index;
    draw();
    tell();
  };
  canvas.addEventListener("pointermove", (event) => {
    if (!data?.points.length || !scale) return;
    const at = event.clientX - canvas.getBoundingClientRect().left;
    let [low, high] = [0, data.points.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (scale.x(data.points[middle][0]) < at) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && at - scale.x(data.points[low - 1][0]) < scale.x(data.points[low][0]) - at) low -= 1;
    look(low);
  });
  canvas.addEventListener("pointerleave", () => look(null));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    const end = { Home: 0, End: Infinity }[event.key];
    if ((by === undefined && end === undefined) || !data?.points.length) return;
    event.preventDefault();
    const last = data.points.length - 1;
    look(Math.min(last, Math.max(0, end ?? (spot ?? last) + by)));
  });
  const watch = new ResizeObserver(draw);
  watch.observe(canvas);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  addEventListener("theme", draw);

  return {
    node,
    draw: (fresh) => {
      const held = data?.points[spot]?.[0];
      data = fresh;
      // A sensor that is new begins at the left, not in a corner.
      const first = data.points[0]?.[0];
      const late = first && first - data.from > (data.to - data.from) * 0.3;
      if (late && !data.every_ms) data.from = Math.min(first, data.to - 2 * MINUTE);
      // Whoever reads a point goes on reading it.
      const index = held === undefined ? -1 : data.points.findLastIndex(([at]) => at <= held);
      spot = index < 0 ? null : index;
      draw();
      tell();
    },
    push: (at, value) => {
      if (!data || data.every_ms || value === null) return;
      const shift = at - data.to;
      if (shift > 0) {
        data.to = at;
        if (data.to - data.from > 15 * MINUTE) data.from += shift;
      }
      if ((data.points.at(-1)?.[0] ?? 0) < at) data.points.push([at, value, value, value]);
      while (data.points.length && data.points[0][0] < data.from) data.points.shift();
      if (spot === null) draw();
    },
    data: () => data,
    close: () => {
      watch.disconnect();
      dark.removeEventListener("change", draw);
      removeEventListener("theme", draw);
    },
  };
}

function median(points) {
  const gaps = points
    .slice(1)
    .map((point, index) => point[0] - points[index][0])
    .sort((a, b) => a - b);
  return gaps[gaps.length >> 1] ?? 1000;
}
