// Incidents: what is wrong, what is suspected, who was told, and what to do.

import { get, post } from "./ask.js";
import { chart } from "./chart.js";
import { el, fact, renew, show, table } from "./element.js";
import { listen } from "./live.js";
import { said, silenceForm } from "./quiet.js";
import { ago, celsius, clock, degrees, isSensor, KINDS, left, length, SIGNS } from "./words.js";

const EVENTS = {
  pending: "was noticed, and waited for companions",
  changed: "other alerts joined or ended",
  acked: "was taken on",
  quiet: "has no open alert any more",
  opened: "people were told",
  worse: "became worse",
  reminder: "people were reminded",
  resolved: "is over",
};

const chip = (severity) => el("span", { class: `chip ${severity}` }, `${SIGNS[severity]} ${severity}`);

/** The worst that its sensors say now, or that was told. */
const degreesNow = (one) =>
  one.now !== undefined ? `${celsius(one.now)} now` : one.extreme !== undefined && `${celsius(one.extreme)} as told`;

/** An incident in a few lines. */
export function incidentCard(one) {
  const over = one.event === "resolved";
  return el(
    "a",
    { class: `card ${over ? "over" : one.severity}`, href: `#/incident/${one.incident_id}` },
    el(
      "span",
      { class: "line" },
      over ? el("span", { class: "chip over" }, "✓ over") : chip(one.severity),
      el("strong", null, one.title),
    ),
    el(
      "span",
      { class: "muted" },
      [
        over
          ? `${clock(one.since)}, for ${length((one.until ?? one.timestamp) - one.since)}`
          : `since ${clock(one.since)}`,
        !over && one.left_ms && left(one.left_ms),
        !over && degreesNow(one),
        `${one.device_count} ${one.device_count === 1 ? "sensor" : "sensors"}`,
        !over && (one.acked_by ? `taken on by ${one.acked_by}` : "nobody has taken it on"),
      ]
        .filter(Boolean)
        .join(" · "),
    ),
  );
}

/** All of them. */
export async function incidentsPage(place, _name, current) {
  const open = el("section", { "aria-labelledby": "open" });
  const past = el("section", { "aria-labelledby": "past" });
  const draw = async () => {
    const all = await get("incidents?past=true");
    if (!current()) return;
    const list = (some) =>
      el(
        "ul",
        { class: "cards" },
        some.map((one) => el("li", { "data-key": one.incident_id }, incidentCard(one))),
      );
    renew(
      open,
      el("h2", { id: "open" }, `Open (${all.open.length})`),
      all.open.length ? list(all.open) : el("p", { class: "good-news" }, "✓ No incident is open."),
    );
    renew(
      past,
      el("h2", { id: "past" }, "Over"),
      all.past.length ? list(all.past) : el("p", { class: "muted" }, "None that is remembered."),
    );
  };
  show(place, el("h1", null, "Incidents"), open, past);
  await draw();
  const again = () => draw().catch(() => {});
  listen({}, { incidents: again, again });
}

/** One of them. */
export async function incidentPage(place, id, current) {
  const head = el("div");
  const acts = el("div");
  const story = el("section", { "aria-labelledby": "story" });
  const members = el("section", { "aria-labelledby": "members" });
  const told = el("section", { "aria-labelledby": "told" });
  const graph = chart();
  const rise = el(
    "section",
    { "aria-labelledby": "rise", hidden: true },
    el("h2", { id: "rise" }, "The first sensor"),
    graph.node,
  );
  let drawn = null;

  // The sensor that was first, from a little before to what it says now, or said when it was over.
  const drawRise = async (one) => {
    if (!isSensor(one.first)) return;
    const around = Math.max(5 * 60_000, ((one.until ?? Date.now()) - one.since) / 4);
    const to = Math.round(Math.min(Date.now(), one.until ? one.until + around : Infinity));
    const data = await get(
      `devices/${encodeURIComponent(one.first)}/series?from=${Math.round(one.since - around)}&to=${to}&points=600`,
    );
    if (!current()) return;
    rise.hidden = data.points.length === 0;
    if (!rise.hidden) graph.draw(data);
  };

  const draw = async () => {
    const all = await get(`incidents/${encodeURIComponent(id)}`);
    if (!current()) return;
    const one = all.incident;
    const over = one.event === "resolved";
    const cause = one.cause_name ? `${one.cause} ${one.cause_name}` : one.cause;
    renew(
      head,
      el("p", { class: "crumbs" }, el("a", { href: "#/incidents" }, "Incidents")),
      el("h1", null, one.title),
      el(
        "p",
        null,
        over ? el("span", { class: "chip over" }, "✓ over") : chip(one.severity),
        over ? ` lasted ${length((one.until ?? one.timestamp) - one.since)}` : ` for ${length(Date.now() - one.since)}`,
        one.acked_by && ` · taken on by ${one.acked_by}`,
      ),
      one.left_ms && !over && el("p", { class: "big", "data-severity": "critical" }, left(one.left_ms)),
      el(
        "dl",
        { class: "facts" },
        fact(
          "First mover",
          isSensor(one.first) ? el("a", { href: `#/sensor/${encodeURIComponent(one.first)}` }, one.first) : one.first,
        ),
        fact("Suspected", cause),
        fact("Since", clock(one.since)),
        fact(
          "Racks",
          one.racks.map((rack, index) => [
            index > 0 && ", ",
            el("a", { href: `#/rack/${encodeURIComponent(rack)}` }, rack),
          ]),
        ),
        fact("Alerts", `${one.alerts}, ${one.open} open`),
        fact("Worst as told", one.extreme === undefined ? null : celsius(one.extreme)),
        fact("Worst now", one.now === undefined ? null : celsius(one.now)),
        fact("Id", el("code", null, one.incident_id)),
      ),
    );

    // What somebody is writing stays.
    const shape = `${over}/${one.acked_by ?? ""}`;
    if (shape !== drawn) {
      drawn = shape;
      const note = el("input", { id: "note", maxlength: 300, placeholder: "on my way" });
      const name = el("input", {
        id: "by",
        maxlength: 60,
        value: localStorage.getItem("by") ?? "",
        autocomplete: "name",
      });
      const answer = el("p", { role: "status" });
      show(
        acts,
        !over &&
          el(
            "form",
            {
              class: "form",
              onsubmit: async (event) => {
                event.preventDefault();
                localStorage.setItem("by", name.value);
                try {
                  const done = await post(`incidents/${encodeURIComponent(id)}/ack`, {
                    by: name.value,
                    note: note.value,
                  });
                  said(answer, `Taken on by ${done.by}: nobody is reminded of it until it gets worse.`, true);
                } catch (error) {
                  said(answer, error.message, false);
                }
              },
            },
            el("label", { for: "by" }, "Your name ", name),
            el("label", { for: "note" }, "Note ", note),
            el("button", { class: "primary" }, one.acked_by ? "Take it over" : "Take it on"),
            answer,
          ),
        el(
          "details",
          { class: "act" },
          el("summary", null, "Silence what this is about …"),
          silenceForm(one.racks.length === 1 ? { rack: one.racks[0] } : { device: one.first }),
        ),
      );
    }

    renew(
      story,
      el("h2", { id: "story" }, "What became of it"),
      el(
        "ol",
        { class: "story" },
        all.story.map((record) =>
          el(
            "li",
            null,
            el("time", { datetime: new Date(record.timestamp).toISOString() }, clock(record.timestamp)),
            " ",
            EVENTS[record.event] ?? record.event,
            record.event === "acked" && record.acked_by ? ` by ${record.acked_by}` : "",
            el("span", { class: "muted" }, ` · ${record.severity}, ${record.open} of ${record.alerts} alerts open`),
          ),
        ),
      ),
    );

    const rows = all.members.map((sensor) =>
      el(
        "tr",
        { "data-key": sensor.id, "data-severity": sensor.severity ?? "" },
        el(
          "th",
          { scope: "row" },
          el("a", { href: `#/sensor/${encodeURIComponent(sensor.id)}` }, sensor.id),
          sensor.id === one.first && el("small", null, "first mover"),
        ),
        el("td", null, sensor.rack ? el("a", { href: `#/rack/${encodeURIComponent(sensor.rack)}` }, sensor.rack) : "–"),
        el("td", null, sensor.role),
        el("td", { class: "right" }, sensor.fault ? "✕" : degrees(sensor.value)),
        el(
          "td",
          null,
          sensor.open.length
            ? sensor.open.map((open) => `${SIGNS[open.severity]} ${KINDS[open.type] ?? open.type}`).join(", ")
            : "ok",
        ),
      ),
    );
    const more = one.device_count - all.members.length;
    renew(
      members,
      el("h2", { id: "members" }, "Sensors"),
      rows.length
        ? table("Sensors of this incident", ["Sensor", "Rack", "Role", ">°C", "Fires"], rows)
        : el("p", { class: "muted" }, `It is about ${one.devices.join(", ")}.`),
      more > 0 && rows.length > 0 && el("p", { class: "muted" }, `and ${more} more`),
    );

    renew(
      told,
      el("h2", { id: "told" }, "Who was told"),
      all.deliveries.length
        ? table(
            "Deliveries",
            ["Channel", "What", "State", "When", ">Tries"],
            all.deliveries.map((delivery) =>
              el(
                "tr",
                null,
                el("th", { scope: "row" }, delivery.channel),
                el("td", null, delivery.event),
                el("td", null, delivery.state, delivery.why && el("small", null, delivery.why)),
                el("td", null, ago(delivery.at_ms, Date.now())),
                el("td", { class: "right" }, delivery.tries),
              ),
            ),
          )
        : el(
            "p",
            { class: "muted" },
            "No notifier is configured, or none has begun: ",
            el("code", null, "[[notify]]"),
            " in collector.toml.",
          ),
    );
    // It may be known no more, or kept no longer: the rest is there all the same.
    drawRise(one).catch(() => {});
  };
  show(place, head, acts, rise, members, story, told);
  await draw();
  const again = () => draw().catch(() => {});
  listen({}, { incidents: (records) => records.some((record) => record.incident_id === id) && again(), again });
  const timer = setInterval(again, 5000);
  return () => {
    clearInterval(timer);
    graph.close();
  };
}
