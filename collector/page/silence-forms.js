// The forms that start a silence and schedule a maintenance window.

import { post } from "./api.js";
import { el, showResult } from "./element.js";
import { clock } from "./format.js";

const SUBJECTS = [
  ["rack", "Rack"],
  ["device", "Sensor"],
  ["row", "Row"],
  ["room", "Room"],
];
const DURATIONS = [
  ["30 min", 30],
  ["1 h", 60],
  ["2 h", 120],
  ["4 h", 240],
  ["8 h", 480],
  ["24 h", 1440],
  ["3 d", 4320],
  ["7 d", 10080],
];
const DEFAULT_MINUTES = 120;

/** The operator's name, which the browser remembers. */
export const operatorName = {
  input: (attributes) =>
    el("input", { maxlength: 60, value: localStorage.getItem("by") ?? "", autocomplete: "name", ...attributes }),
  remember: (name) => localStorage.setItem("by", name),
};

/** Returns a matcher as text: `rack B07`. */
export const matcherText = (matcher) =>
  Object.entries(matcher)
    .map(([name, value]) => `${name === "device" ? "sensor" : name} ${value}`)
    .join(", ");

let fields = 0;

function field(text, input, hint) {
  fields += 1;
  input.id ||= `field-${fields}`;
  return el("label", { for: input.id }, text, " ", input, hint && el("small", null, hint));
}

function select(options, selected) {
  const choices = options.map(([text, value]) => el("option", { value, selected: value === selected }, text));
  return el("select", null, choices);
}

/** Returns the pattern that matches this name alone: a rack may be named `*`. */
function literal(name) {
  return name.replace(/[\\*?[\]{}]/g, "\\$&");
}

/** The fields that say what a silence or window covers, for what reason, and who creates it. */
function commonFields(preset) {
  const [key, value] = preset ? Object.entries(preset)[0] : [];
  const kind = select(
    SUBJECTS.map(([name, title]) => [title, name]),
    key,
  );
  const pattern = el("input", {
    required: true,
    maxlength: 200,
    value: literal(value ?? ""),
    placeholder: "B07 or B*",
  });
  const reason = el("input", { maxlength: 300, placeholder: "kernel updates" });
  const by = operatorName.input();
  return {
    subject: [field("Subject", kind), field("Name or pattern", pattern)],
    origin: [field("Reason", reason), field("Your name", by)],
    values: () => ({ matcher: { [kind.value]: pattern.value }, reason: reason.value, by: by.value }),
  };
}

/** Returns a form; `send` returns the text to show on success, `done` runs after it. */
function form(inputs, button, send, done) {
  const result = el("p", { role: "status" });
  const onsubmit = async (event) => {
    event.preventDefault();
    try {
      showResult(result, await send(), true);
      done?.();
    } catch (error) {
      showResult(result, error.message, false);
    }
  };
  return el("form", { class: "form", onsubmit }, inputs, el("button", { class: "primary" }, button), result);
}

/** Returns a form that starts a silence; `preset` is its matcher at first. */
export function silenceForm(preset, done) {
  const common = commonFields(preset);
  const minutes = select(DURATIONS, DEFAULT_MINUTES);
  const send = async () => {
    const values = common.values();
    operatorName.remember(values.by);
    const silence = await post("silences", { ...values, minutes: Number(minutes.value) });
    return `Silenced ${matcherText(values.matcher)} until ${clock(silence.until_ms)} (${silence.id}). Alerts are still recorded.`;
  };
  return form([common.subject, field("Duration", minutes), common.origin], "Silence", send, done);
}

/** The fields of a recurring window or of one that happens once; only those of the chosen kind show. */
function scheduleFields() {
  const kind = select([
    ["on a schedule", "cron"],
    ["once", "once"],
  ]);
  const cron = el("input", { value: "0 22 * * SUN", maxlength: 100 });
  const from = el("input", { type: "datetime-local" });
  const zone = el("input", { value: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC", maxlength: 60 });
  const cronField = field("Schedule", cron, "cron: minute, hour, day, month, weekday");
  const fromField = field("Starts at", from);
  const zoneField = field("Time zone", zone);
  const choose = () => {
    const isOnce = kind.value === "once";
    [cronField.hidden, zoneField.hidden, fromField.hidden] = [isOnce, isOnce, !isOnce];
  };
  kind.addEventListener("change", choose);
  choose();
  return {
    inputs: [field("Repeats", kind), cronField, fromField, zoneField],
    values: () =>
      kind.value === "cron" ? { cron: cron.value, zone: zone.value } : { from: new Date(from.value).getTime() || 0 },
  };
}

/** Returns a form that schedules a maintenance window. */
export function windowForm(done) {
  const common = commonFields(null);
  const schedule = scheduleFields();
  const hours = el("input", { type: "number", min: 0.1, max: 168, step: 0.1, value: 4 });
  const send = async () => {
    const minutes = Math.round(Number(hours.value) * 60);
    await post("windows", { ...common.values(), ...schedule.values(), minutes });
    return "Scheduled.";
  };
  const inputs = [common.subject, schedule.inputs, field("Duration in hours", hours), common.origin];
  return form(inputs, "Schedule", send, done);
}
