// Silences and maintenance windows: what people do not want to hear of for a while. It is recorded all the same.

import { get, post, remove } from "./ask.js";
import { el, empty, renew, say, show, table } from "./element.js";
import { listen } from "./live.js";
import { clock, length } from "./words.js";

/** An answer beside a form. */
export function said(node, text, well) {
  say(node, text);
  node.className = well ? "good-news" : "bad";
}

const words = (matcher) =>
  Object.entries(matcher)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
const KEYS = [
  ["rack", "Rack"],
  ["device", "Sensor"],
  ["row", "Row"],
  ["room", "Room"],
];
const LENGTHS = [
  ["30 min", 30],
  ["1 h", 60],
  ["2 h", 120],
  ["4 h", 240],
  ["8 h", 480],
  ["24 h", 1440],
  ["3 d", 4320],
  ["7 d", 10080],
];
let forms = 0;

const field = (text, input, hint) => {
  input.id ||= `field-${++forms}`;
  return el("label", { for: input.id }, text, " ", input, hint && el("small", null, hint));
};

const whatFields = (preset) => {
  const kind = el(
    "select",
    null,
    KEYS.map(([key, title]) => el("option", { value: key, selected: preset && key in preset }, title)),
  );
  const glob = el("input", {
    required: true,
    maxlength: 200,
    value: preset ? Object.values(preset)[0] : "",
    placeholder: "B07, or B* for all that begin so",
  });
  return { kind, glob, matcher: () => ({ [kind.value]: glob.value }) };
};

const whoFields = () => {
  const reason = el("input", { maxlength: 300, placeholder: "kernel updates" });
  const by = el("input", { maxlength: 60, value: localStorage.getItem("by") ?? "", autocomplete: "name" });
  return { reason, by };
};

const form = (fields, button, send, done) => {
  const answer = el("p", { role: "status" });
  return el(
    "form",
    {
      class: "form",
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          said(answer, await send(), true);
          done?.();
        } catch (error) {
          said(answer, error.message, false);
        }
      },
    },
    fields,
    el("button", { class: "primary" }, button),
    answer,
  );
};

/** A form that begins a silence, of what is preset. */
export function silenceForm(preset, done) {
  const what = whatFields(preset);
  const who = whoFields();
  const lasts = el(
    "select",
    null,
    LENGTHS.map(([text, minutes]) => el("option", { value: minutes, selected: minutes === 120 }, text)),
  );
  return form(
    [
      field("What", what.kind),
      field("which", what.glob),
      field("for", lasts),
      field("Reason", who.reason),
      field("Your name", who.by),
    ],
    "Silence",
    async () => {
      localStorage.setItem("by", who.by.value);
      const silence = await post("silences", {
        matcher: what.matcher(),
        minutes: Number(lasts.value),
        reason: who.reason.value,
        by: who.by.value,
      });
      return `Silent until ${clock(silence.until_ms)}. It is recorded all the same.`;
    },
    done,
  );
}

function windowForm(done) {
  const what = whatFields(null);
  const who = whoFields();
  const again = el(
    "select",
    null,
    el("option", { value: "cron" }, "again and again"),
    el("option", { value: "once" }, "once"),
  );
  const cron = el("input", { value: "0 22 * * SUN", maxlength: 100 });
  const from = el("input", { type: "datetime-local" });
  const hours = el("input", { type: "number", min: 0.1, max: 168, step: 0.1, value: 4 });
  const zone = el("input", { value: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC", maxlength: 60 });
  const cronField = field("opens at", cron, "minute, hour, day, month, weekday, as cron has them");
  const fromField = field("from", from);
  const zoneField = field("Time zone", zone);
  const choose = () => {
    [cronField.hidden, zoneField.hidden, fromField.hidden] = [
      again.value !== "cron",
      again.value !== "cron",
      again.value !== "once",
    ];
  };
  again.addEventListener("change", choose);
  choose();
  return form(
    [
      field("What", what.kind),
      field("which", what.glob),
      field("comes", again),
      cronField,
      fromField,
      zoneField,
      field("lasts, in hours", hours),
      field("Reason", who.reason),
      field("Your name", who.by),
    ],
    "Plan",
    async () => {
      const minutes = Math.round(Number(hours.value) * 60);
      const when =
        again.value === "cron" ? { cron: cron.value, zone: zone.value } : { from: new Date(from.value).getTime() || 0 };
      await post("windows", { matcher: what.matcher(), minutes, ...when, reason: who.reason.value, by: who.by.value });
      return "Planned.";
    },
    done,
  );
}

const opens = ({ window: one, open_until: until, next }) => {
  if (until) return `open until ${clock(until)}`;
  return next ? `opens ${clock(next)}` : one.until_ms ? "over" : "never opens";
};

/** All silences and windows. */
export async function quietPage(place, _name, current) {
  const silences = el("section", { "aria-labelledby": "silences" });
  const windows = el("section", { "aria-labelledby": "windows" });
  const trouble = el("p", { role: "status" });
  const drop = (path, text) =>
    el(
      "button",
      {
        type: "button",
        "data-drops": path,
        onclick: async () => {
          try {
            await remove(path);
            await draw();
          } catch (error) {
            said(trouble, error.message, false);
          }
        },
      },
      text,
    );
  const draw = async () => {
    const all = await get("quiet");
    if (!current()) return;
    renew(
      silences,
      el("h2", { id: "silences" }, "Silences"),
      all.silences.length
        ? table(
            "Silences",
            ["What", "Ends in", "Reason", "By", ""],
            all.silences.map((one) =>
              el(
                "tr",
                { "data-key": one.id },
                el("th", { scope: "row" }, words(one.matcher)),
                el("td", null, length(one.until_ms - all.now)),
                el("td", null, one.reason),
                el("td", null, one.by),
                el("td", null, drop(`silences/${encodeURIComponent(one.id)}`, "End")),
              ),
            ),
          )
        : empty("Nothing is silenced."),
    );
    renew(
      windows,
      el("h2", { id: "windows" }, "Maintenance windows"),
      all.windows.length
        ? table(
            "Maintenance windows",
            ["What", "When", "Now", "Reason", "By", ""],
            all.windows.map((planned) => {
              const one = planned.window;
              return el(
                "tr",
                { "data-key": one.id },
                el("th", { scope: "row" }, words(one.matcher)),
                el(
                  "td",
                  null,
                  one.cron
                    ? [el("code", null, one.cron), ` for ${length(one.length_ms)}, ${one.zone}`]
                    : `${clock(one.from_ms)} to ${clock(one.until_ms)}`,
                ),
                el("td", null, opens(planned)),
                el("td", null, one.reason),
                el("td", null, one.by),
                el("td", null, drop(`windows/${encodeURIComponent(one.id)}`, "Take back")),
              );
            }),
          )
        : empty("No window is planned."),
    );
  };
  const again = () => draw().catch(() => {});
  show(
    place,
    el("h1", null, "Silences and windows"),
    el(
      "p",
      { class: "muted" },
      "What is silent is recorded, and shown here; people are told of what still fires when it ends.",
    ),
    trouble,
    silences,
    el("details", { class: "act" }, el("summary", null, "Silence something …"), silenceForm(null, again)),
    windows,
    el("details", { class: "act" }, el("summary", null, "Plan a window …"), windowForm(again)),
  );
  await draw();
  listen({}, { silences: again, again });
  const timer = setInterval(again, 15_000);
  return () => clearInterval(timer);
}
