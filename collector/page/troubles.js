// Sensors that say nothing, or nothing that can be meant.

import { get } from "./ask.js";
import { el, renew, show, table } from "./element.js";
import { listen } from "./live.js";
import { ago, degrees, isSensor, SIGNS } from "./words.js";

const MOST = 500;

/** Lists them. */
export async function troublesPage(place, _name, current) {
  const body = el("div");
  const draw = async () => {
    const { now, troubles } = await get("troubles");
    if (!current()) return;
    renew(
      body,
      troubles.length
        ? [
            table(
              "Sensors in trouble",
              ["Sensor", "What", "Rack", "Target", ">Last °C", "Last read", "Alert"],
              troubles
                .slice(0, MOST)
                .map((one) =>
                  el(
                    "tr",
                    { "data-key": one.id, "data-severity": one.severity ?? "" },
                    el(
                      "th",
                      { scope: "row" },
                      isSensor(one.id) ? el("a", { href: `#/sensor/${encodeURIComponent(one.id)}` }, one.id) : one.id,
                    ),
                    el("td", null, one.what.replaceAll("_", " ")),
                    el(
                      "td",
                      null,
                      one.rack ? el("a", { href: `#/rack/${encodeURIComponent(one.rack)}` }, one.rack) : "–",
                    ),
                    el("td", null, one.target || "–"),
                    el("td", { class: "right" }, degrees(one.value)),
                    el("td", null, ago(one.at, now)),
                    el("td", null, one.severity ? `${SIGNS[one.severity]} ${one.severity}` : "–"),
                  ),
                ),
            ),
            troubles.length > MOST && el("p", { class: "muted" }, `and ${troubles.length - MOST} more`),
          ]
        : el("p", { class: "good-news" }, "✓ Every sensor can be read."),
    );
  };
  show(
    place,
    el("h1", null, "Sensor trouble"),
    el(
      "p",
      { class: "muted" },
      "Sensors that cannot be read, are stuck, silent or unlike their neighbours, and those whose own board says otherwise than we do. A sensor that never read is absent: it alerts nobody.",
    ),
    body,
  );
  await draw();
  const again = () => draw().catch(() => {});
  listen({}, { again });
  const timer = setInterval(again, 5000);
  return () => clearInterval(timer);
}
