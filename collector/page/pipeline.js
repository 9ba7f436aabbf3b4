// The health of the pipeline: rates, lag, partitions, losses, notifications.

import { SIGNS } from "./alerts.js";
import { get } from "./api.js";
import { cell, el, link, muted, numberCell, rowHeading, show, table, tile } from "./element.js";
import { subscribe } from "./events.js";
import { ago, bytes, count, duration, orDash } from "./format.js";
import { patch } from "./patch.js";

const RELOAD_EVERY = 4000;
const MAX_NOTIFICATIONS = 50;

const titled = (title, ...content) => el("section", null, el("h2", null, title), content);
const row = (heading, ...cells) => el("tr", null, rowHeading(heading), cells);
const warnIf = (value) => (value ? "warning" : "");

/** Measures the rate of readings between two looks at a counter. */
class Rate {
  #before = null;

  /** Returns readings a second since the last call, or null for the first. */
  measure(readings, now) {
    const before = this.#before;
    this.#before = { readings, now };
    return before && (readings - before.readings) / ((now - before.now) / 1000);
  }
}

function verdictList({ problems, warnings }) {
  const items = problems.map((text) => el("li", { class: "bad verdict" }, `✕ ${text}`));
  return [
    items.length
      ? el("ul", { class: "problems" }, items)
      : el("p", { class: "good-news" }, "✓ The pipeline is healthy."),
    warnings.length > 0 &&
      el(
        "ul",
        { class: "problems" },
        warnings.map((text) => el("li", null, `▲ ${text}`)),
      ),
  ];
}

/** Returns the verdict on the room, beside that on the pipeline; the demo has none. */
function roomLine(room) {
  if (!room) return null;
  const text = `Room: ${room.verdict}`;
  if (room.state === "well") return el("p", { class: "good-news verdict" }, `✓ ${text}`);
  if (room.state === "unknown") return el("p", { class: "bad" }, `✕ ${text}`);
  return el(
    "p",
    { class: `state verdict ${room.state}` },
    `${SIGNS[room.state]} ${text} `,
    link("#/incidents", "Incidents"),
  );
}

function figures(facts, readings, rate) {
  const { devices, dead, losses, redis, series } = facts;
  const rounded = (value) => count(Math.round(value));
  const memory = redis && (redis.maxmemory ? `of ${bytes(redis.maxmemory)}` : (redis.version ?? ""));
  return [
    tile(
      "Readings, this collector",
      count(readings),
      orDash(rate, (value) => `${rounded(value)}/s`),
    ),
    tile(
      "Entries, all partitions",
      orDash(facts.entries_per_second, (value) => `${rounded(value)}/s`),
    ),
    tile(
      "Devices",
      count(devices?.described),
      orDash(devices?.unplaced, (value) => `${count(value)} without a rack`),
    ),
    tile(
      "Dead letters",
      count(dead?.kept),
      orDash(dead?.last_hour, (value) => `${count(value)} in the last hour`),
      warnIf(dead?.last_hour),
    ),
    tile("Lost readings", count(losses?.readings_last_day), "in the last day", warnIf(losses?.readings_last_day)),
    redis && tile("Redis", bytes(redis.used_memory), memory),
    series && tile("Series", series.backend, `${bytes(series.projected_bytes)} at full retention`),
  ];
}

function partitionSection({ partitions, collectors, incidents }) {
  if (!partitions) return null;
  const rows = partitions.map(({ partition, owner }) =>
    row(partition, el("td", { class: owner ? "" : "bad" }, owner ?? "none")),
  );
  const members = collectors?.join(", ") || "none";
  return titled(
    "Partitions",
    table("Partitions and their owners", ["Partition", "Owner"], rows),
    muted(`Collectors: ${members}. Notification leader: ${incidents?.leader ?? "none"}.`),
  );
}

function groupSection({ groups }) {
  if (!groups) return null;
  const headings = ["Group", "Stream", ">Pending", ">Lag", ">Oldest pending", ">Oldest unread"];
  const rows = groups.map((group) =>
    row(
      group.name,
      cell(group.stream),
      numberCell(count(group.pending)),
      numberCell(orDash(group.lag, count)),
      numberCell(orDash(group.oldest_pending_ms, duration)),
      numberCell(orDash(group.oldest_unread_ms, duration)),
    ),
  );
  return titled("Consumer groups", table("Consumer groups", headings, rows));
}

function lossSection({ losses }, now) {
  if (!losses?.last?.length) return null;
  const rows = losses.last.map((loss) =>
    row(loss.agent, numberCell(count(loss.readings)), cell(loss.reason), cell(ago(loss.until_ms ?? loss.until, now))),
  );
  return titled("Lost readings", table("Lost readings", ["Agent", ">Readings", "Reason", "Until"], rows));
}

function deadLetterSection({ dead }) {
  if (!dead?.reasons?.length) return null;
  const reasons = dead.reasons.map((reason) => el("li", null, reason));
  return titled("Reasons of dead letters", el("ul", null, reasons));
}

function notificationSection(deliveries, now) {
  if (deliveries.length === 0) return titled("Notifications", muted("No notifications yet."));
  const rows = deliveries
    .slice(0, MAX_NOTIFICATIONS)
    .map((delivery) =>
      row(
        delivery.recipient ? `${delivery.notifier} to ${delivery.recipient}` : delivery.notifier,
        cell(link(`#/incident/${delivery.incident_id}`, delivery.title), el("small", null, delivery.event)),
        el(
          "td",
          { class: delivery.state === "failed" ? "bad" : "" },
          delivery.state,
          delivery.reason && el("small", null, delivery.reason),
        ),
        numberCell(delivery.attempts),
        cell(ago(delivery.at_ms, now)),
      ),
    );
  const headings = ["Notifier", "Incident", "State", ">Attempts", "Sent"];
  return titled("Notifications", table("Notifications, newest first", headings, rows));
}

/** Draws the pipeline's health, and keeps it up to date. */
export async function pipelinePage(place, _argument, isCurrent) {
  const body = el("div");
  const rate = new Rate();
  const draw = async () => {
    const [{ facts, verdict, room, collector }, { deliveries }] = await Promise.all([get("status"), get("deliveries")]);
    if (!isCurrent()) return;
    const now = Date.now();
    patch(
      body,
      verdictList(verdict),
      roomLine(room),
      el("dl", { class: "tiles" }, figures(facts, collector.readings, rate.measure(collector.readings, now))),
      partitionSection(facts),
      groupSection(facts),
      lossSection(facts, now),
      deadLetterSection(facts),
      notificationSection(deliveries, now),
      muted(`Redis: ${facts.endpoint}. In a terminal: `, el("code", null, "rackwatch-collector status")),
    );
  };
  show(place, el("h1", null, "Pipeline"), body);
  await draw();
  subscribe({}, {});
  const timer = setInterval(() => draw().catch(() => {}), RELOAD_EVERY);
  return () => clearInterval(timer);
}
