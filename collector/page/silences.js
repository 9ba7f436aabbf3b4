// Silences and maintenance windows: alerts that they cover are recorded, without a notification.

import { get, remove } from "./api.js";
import { cell, collapsed, el, emptyState, muted, rowHeading, show, showResult, table } from "./element.js";
import { subscribe } from "./events.js";
import { clock, duration } from "./format.js";
import { patch } from "./patch.js";
import { matcherText, silenceForm, windowForm } from "./silence-forms.js";

const RELOAD_EVERY = 15_000;

class SilencesPage {
  constructor(isCurrent) {
    this.isCurrent = isCurrent;
    this.silences = el("section", { "aria-labelledby": "silences" });
    this.windows = el("section", { "aria-labelledby": "windows" });
    this.error = el("p", { role: "status" });
  }

  async load() {
    const [{ silences, now }, { windows }] = await Promise.all([get("silences"), get("windows")]);
    if (!this.isCurrent()) return;
    const silenceRows = silences.map((silence) => this.#silenceRow(silence, now));
    patch(this.silences, el("h2", { id: "silences" }, "Silences"), silenceTable(silenceRows));
    const windowRows = windows.map((planned) => this.#windowRow(planned));
    patch(this.windows, el("h2", { id: "windows" }, "Maintenance windows"), windowTable(windowRows));
  }

  #silenceRow(silence, now) {
    return el(
      "tr",
      { "data-key": silence.id },
      rowHeading(matcherText(silence.matcher)),
      cell(duration(silence.until_ms - now)),
      cell(silence.reason),
      cell(silence.by),
      cell(this.#removeButton(`silences/${encodeURIComponent(silence.id)}`, "Expire")),
    );
  }

  #windowRow({ window, open_until, next }) {
    const schedule = window.cron
      ? [el("code", null, window.cron), ` for ${duration(window.length_ms)}, ${window.zone}`]
      : `${clock(window.from_ms)} to ${clock(window.until_ms)}`;
    return el(
      "tr",
      { "data-key": window.id },
      rowHeading(matcherText(window.matcher)),
      cell(schedule),
      cell(windowState(window, open_until, next)),
      cell(window.reason),
      cell(window.by),
      cell(this.#removeButton(`windows/${encodeURIComponent(window.id)}`, "Delete")),
    );
  }

  #removeButton(path, text) {
    const onclick = async () => {
      try {
        await remove(path);
        await this.load();
      } catch (error) {
        showResult(this.error, error.message, false);
      }
    };
    return el("button", { type: "button", "data-removes": path, onclick }, text);
  }
}

const silenceTable = (rows) =>
  rows.length
    ? table("Silences", ["Matcher", "Ends in", "Reason", "Created by", ""], rows)
    : emptyState("No silences.");

const windowTable = (rows) =>
  rows.length
    ? table("Maintenance windows", ["Matcher", "Schedule", "State", "Reason", "Created by", ""], rows)
    : emptyState("No maintenance windows.");

function windowState(window, openUntil, next) {
  if (openUntil) return `open until ${clock(openUntil)}`;
  if (next) return `opens ${clock(next)}`;
  return window.until_ms ? "past" : "never opens";
}

/** Draws silences and maintenance windows, and keeps them up to date. */
export async function silencesPage(place, _argument, isCurrent) {
  const page = new SilencesPage(isCurrent);
  const reload = () => page.load().catch(() => {});
  show(
    place,
    el("h1", null, "Silences and maintenance windows"),
    muted(
      "Silenced alerts are recorded and shown here. You are notified of those that still fire when a silence ends.",
    ),
    page.error,
    page.silences,
    collapsed("New silence …", silenceForm(null, reload)),
    page.windows,
    collapsed("New maintenance window …", windowForm(reload)),
  );
  await page.load();
  subscribe({}, { silences: reload, reload });
  const timer = setInterval(reload, RELOAD_EVERY);
  return () => clearInterval(timer);
}
