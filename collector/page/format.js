// Numbers, durations and times as text.

const NONE = "–";
const isMissing = (value) => value === null || value === undefined;

/** Formats a value, or returns a dash if it is missing. */
export const orDash = (value, format) => (isMissing(value) ? NONE : format(value));

/** Formats a temperature without its unit: `23.4`. */
export const degrees = (value) => orDash(value, () => value.toFixed(1));

/** Formats a temperature: `23.4 °C`. */
export const celsius = (value) => orDash(value, () => `${value.toFixed(1)} °C`);

/** Formats a difference of temperatures: `3.4 K`. */
export const kelvin = (value) => orDash(value, () => `${value.toFixed(1)} K`);

/** Formats a percentage with a decimal from 10 to 99.95, so that 99.9 does not show as 100 %. */
export const percent = (value) => orDash(value, () => `${value.toFixed(value > 99.95 || value < 10 ? 0 : 1)} %`);

/** Formats a count with thousands separators. */
export const count = (number) => Number(number ?? 0).toLocaleString();

/** Formats a duration in milliseconds by its two largest units, seconds only below a minute: `2 h 5 min`. */
export function duration(ms) {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [];
  const units = [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  for (const [name, unit] of units) {
    const whole = Math.floor(seconds / unit);
    if (whole > 0) parts.push(`${whole} ${name}`);
    seconds %= unit;
    if (parts.length === 2 || (parts.length === 1 && unit === 60)) break;
  }
  return parts.join(" ") || "0 s";
}

/** Formats the time since an instant. */
export const ago = (at, now) => (at ? `${duration(now - at)} ago` : "never");

/** Formats the expected range of time until the critical limit is reached. */
export function timeLeft(range) {
  if (!range) return null;
  const [least, most] = range;
  return most <= 0 ? "at the limit now" : `${duration(least)} to ${duration(most)} left`;
}

/** Formats an instant as time of day, with the date unless it is today. */
export function clock(ms) {
  const at = new Date(ms);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/** Formats a number of bytes in decimal units. */
export function bytes(value) {
  if (isMissing(value)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${scaled.toFixed(unit && scaled < 100 ? 1 : 0)} ${units[unit]}`;
}
