// How the pipeline is doing: rates, lag, who owns what, what was lost, who was told.

import { get } from "./ask.js";
import { el, renew, show, table } from "./element.js";
import { listen } from "./live.js";
import { ago, bytes, count, length } from "./words.js";

const or = (value, words) => (value === null || value === undefined ? "–" : words(value));

/** Draws it, again every few seconds. */
export async function pipelinePage(place, _name, current) {
  const body = el("div");
  let before = null;
  const draw = async () => {
    const [status, told] = await Promise.all([get("status"), get("deliveries")]);
    if (!current()) return;
    const { facts, verdict, collector } = status;
    const now = Date.now();
    const rate = before ? (collector.readings - before.readings) / ((now - before.at) / 1000) : null;
    before = { readings: collector.readings, at: now };
    const tile = (name, value, hint, kind) =>
      el(
        "div",
        { class: `tile ${kind ?? ""}` },
        el("dt", null, name),
        el("dd", null, value, hint && el("small", null, hint)),
      );
    const wrong = verdict.wrong.length
      ? el(
          "ul",
          { class: "wrong" },
          verdict.wrong.map((text) => el("li", { class: "bad" }, `✕ ${text}`)),
        )
      : el("p", { class: "good-news" }, "✓ All is well.");
    renew(
      body,
      wrong,
      verdict.warnings.length > 0 &&
        el(
          "ul",
          { class: "wrong" },
          verdict.warnings.map((text) => el("li", null, `▲ ${text}`)),
        ),
      el(
        "dl",
        { class: "tiles" },
        tile(
          "Readings by this collector",
          count(collector.readings),
          or(rate, (value) => `${count(Math.round(value))} a second`),
        ),
        tile(
          "Entries, all partitions",
          or(facts.entries_per_second, (value) => `${count(Math.round(value))}/s`),
        ),
        tile(
          "Devices",
          count(facts.devices?.described),
          or(facts.devices?.unplaced, (value) => `${count(value)} in no rack`),
        ),
        tile(
          "Dead letters",
          count(facts.dead?.kept),
          or(facts.dead?.last_hour, (value) => `${count(value)} in the last hour`),
          facts.dead?.last_hour ? "warning" : "",
        ),
        tile(
          "Readings lost",
          count(facts.losses?.readings_last_day),
          "in the last day",
          facts.losses?.readings_last_day ? "warning" : "",
        ),
        facts.redis &&
          tile(
            "Redis",
            bytes(facts.redis.used_memory),
            facts.redis.maxmemory ? `of ${bytes(facts.redis.maxmemory)}` : (facts.redis.version ?? ""),
          ),
        facts.series && tile("Series", facts.series.backend, `${bytes(facts.series.projected_bytes)} once full`),
      ),
      facts.partitions &&
        el(
          "section",
          null,
          el("h2", null, "Partitions"),
          table(
            "Partitions and their owners",
            ["Partition", "Owner"],
            facts.partitions.map((one) =>
              el(
                "tr",
                null,
                el("th", { scope: "row" }, one.partition),
                el("td", { class: one.owner ? "" : "bad" }, one.owner ?? "nobody"),
              ),
            ),
          ),
          el(
            "p",
            { class: "muted" },
            `Collectors: ${facts.collectors?.join(", ") || "none"}. Incidents are made by ${facts.incidents?.told_by ?? "nobody"}.`,
          ),
        ),
      facts.groups &&
        el(
          "section",
          null,
          el("h2", null, "Consumer groups"),
          table(
            "Consumer groups",
            ["Group", "Stream", ">Pending", ">Unread", ">Oldest pending", ">Oldest unread"],
            facts.groups.map((one) =>
              el(
                "tr",
                null,
                el("th", { scope: "row" }, one.name),
                el("td", null, one.stream),
                el("td", { class: "right" }, count(one.pending)),
                el("td", { class: "right" }, or(one.lag, count)),
                el("td", { class: "right" }, or(one.oldest_pending_ms, length)),
                el("td", { class: "right" }, or(one.oldest_unread_ms, length)),
              ),
            ),
          ),
        ),
      facts.losses?.last?.length > 0 &&
        el(
          "section",
          null,
          el("h2", null, "What was lost"),
          table(
            "Losses",
            ["Agent", ">Readings", "Why", "Before"],
            facts.losses.last.map((one) =>
              el(
                "tr",
                null,
                el("th", { scope: "row" }, one.agent),
                el("td", { class: "right" }, count(one.readings)),
                el("td", null, one.reason),
                el("td", null, ago(one.until_ms ?? one.until, now)),
              ),
            ),
          ),
        ),
      facts.dead?.reasons?.length > 0 &&
        el(
          "section",
          null,
          el("h2", null, "Why entries were dead letters"),
          el(
            "ul",
            null,
            facts.dead.reasons.map((reason) => el("li", null, reason)),
          ),
        ),
      el(
        "section",
        null,
        el("h2", null, "Deliveries"),
        told.deliveries.length
          ? table(
              "Deliveries, the newest first",
              ["Channel", "What", "State", ">Tries", "When"],
              told.deliveries
                .slice(0, 50)
                .map((one) =>
                  el(
                    "tr",
                    null,
                    el("th", { scope: "row" }, one.channel),
                    el(
                      "td",
                      null,
                      el("a", { href: `#/incident/${one.incident_id}` }, one.title),
                      el("small", null, one.event),
                    ),
                    el(
                      "td",
                      { class: one.state === "failed" ? "bad" : "" },
                      one.state,
                      one.why && el("small", null, one.why),
                    ),
                    el("td", { class: "right" }, one.tries),
                    el("td", null, ago(one.at_ms, now)),
                  ),
                ),
            )
          : el("p", { class: "muted" }, "Nobody was told anything yet."),
      ),
      el(
        "p",
        { class: "muted" },
        `Redis: ${facts.endpoint}. The same in a terminal: `,
        el("code", null, "rackwatch-collector status"),
      ),
    );
  };
  show(place, el("h1", null, "Pipeline"), body);
  await draw();
  listen({}, {});
  const timer = setInterval(() => draw().catch(() => {}), 4000);
  return () => clearInterval(timer);
}
