// Numbers and times as people read them.

/** `23.4`, or a dash. */
export function degrees(value) {
  return value === null || value === undefined ? "–" : value.toFixed(1);
}

/** `23.4 °C`, or a dash. */
export const celsius = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} °C`);

/** A difference. */
export const kelvin = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} K`);

/** Of a whole, as it is: 100 stands for nothing beyond. */
export const percent = (value) =>
  value === null || value === undefined ? "–" : `${value.toFixed(value > 99.95 || value < 10 ? 0 : 1)} %`;

/** `2 min`, the two largest units. */
export function length(ms) {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [];
  for (const [name, unit] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    const count = Math.floor(seconds / unit);
    if (count > 0) parts.push(`${count} ${name}`);
    seconds %= unit;
    if (parts.length === 2 || (parts.length === 1 && unit === 60)) break;
  }
  return parts.join(" ") || "0 s";
}

export const ago = (at, now) => (at ? `${length(now - at)} ago` : "never");

/** The time of day, with the day where it is not today. */
export function clock(ms) {
  const at = new Date(ms);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/** A number with thousands apart. */
export const count = (number) => Number(number ?? 0).toLocaleString();

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Whether that is a sensor: agents and targets that are silent stand in the same place, and have no page. */
export const isSensor = (id) => !/^(agent|target):/.test(id);

/** What stands beside a severity, so that it is told without colour. */
export const SIGNS = { critical: "◆", warning: "▲", info: "●" };

/** What kinds of alerts are called. */
export const KINDS = {
  high_temp: "too hot",
  low_temp: "too cold",
  spike: "rose fast",
  drop: "fell fast",
  drift: "drifts",
  runaway: "cooling is failing",
  outlier: "unlike its neighbours",
  stuck_sensor: "stuck",
  sensor_fault: "cannot be read",
  no_data: "no data",
  clock_skew: "clock is wrong",
};

/** The time until the critical limit. */
export function left(range) {
  if (!range) return null;
  const [least, most] = range;
  return most <= 0 ? "at the limit now" : `${length(least)} to ${length(most)} left`;
}
