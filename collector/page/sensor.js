// A sensor: what it says now, and a chart.

import { get } from "./ask.js";
import { chart } from "./chart.js";
import { el, fact, renew, say, show, table } from "./element.js";
import { listen } from "./live.js";
import { silenceForm } from "./quiet.js";
import { ago, celsius, clock, KINDS, length, SIGNS } from "./words.js";

const RANGES = [
  ["15 min", 15 * 60],
  ["1 h", 3600],
  ["6 h", 6 * 3600],
  ["24 h", 86400],
  ["7 d", 7 * 86400],
  ["30 d", 30 * 86400],
  ["90 d", 90 * 86400],
];

/** Draws it. */
export async function sensorPage(place, id, current) {
  let { device } = await get(`devices/${encodeURIComponent(id)}`);
  let range = Number(sessionStorage.getItem("range")) || RANGES[0][1];
  if (!RANGES.some(([, seconds]) => seconds === range)) range = RANGES[0][1];
  const graph = chart();
  const number = el("p", { class: "big" });
  const state = el("div");
  const trouble = el("p", { class: "muted" });
  const numbers = el(
    "details",
    { ontoggle: () => drawNumbers() },
    el("summary", null, "The same as a table"),
    el("div"),
  );
  const buttons = RANGES.map(([text, seconds]) =>
    el("button", { type: "button", "data-seconds": seconds, onclick: () => choose(seconds) }, text),
  );

  const drawNow = () => {
    say(number, device.fault ? "–" : celsius(device.value));
    number.dataset.severity = device.severity ?? "";
    const parts = [
      device.fault && el("p", { class: "bad" }, `✕ cannot be read: ${device.fault.replaceAll("_", " ")}`),
      device.open.map((open) =>
        el(
          "p",
          { class: `state ${open.severity}` },
          `${SIGNS[open.severity]} ${open.severity}: ${KINDS[open.type] ?? open.type} (rule ${open.rule}) since ${clock(open.since)}`,
        ),
      ),
      !device.fault && device.open.length === 0 && el("p", { class: "good-news" }, "✓ nothing fires"),
      device.board_says && el("p", { class: "muted" }, `Its own board says ${device.board_says}.`),
      el("p", { class: "muted" }, `read ${ago(device.at, Date.now())}`),
    ];
    renew(state, parts);
  };

  const drawNumbers = () => {
    if (!numbers.open) return;
    const data = graph.data();
    const rows = (data?.points ?? []).slice(-200).reverse();
    show(
      numbers.lastElementChild,
      table(
        `Readings of ${id}, the newest first`,
        ["Time", ">Average", ">Least", ">Most"],
        rows.map(([at, avg, min, max]) =>
          el(
            "tr",
            null,
            el("th", { scope: "row" }, clock(at)),
            [avg, min, max].map((value) => el("td", { class: "right" }, celsius(value))),
          ),
        ),
      ),
    );
  };

  const load = async () => {
    const to = Date.now();
    try {
      const data = await get(`devices/${encodeURIComponent(id)}/series?from=${to - range * 1000}&to=${to}&points=600`);
      if (!current()) return;
      graph.draw(data);
      say(
        trouble,
        data.every_ms
          ? `each point is ${length(data.every_ms)}: its average, and the band from least to most`
          : "each reading as it came",
      );
    } catch (error) {
      say(trouble, error.message);
    }
    drawNumbers();
  };
  const choose = (seconds) => {
    range = seconds;
    sessionStorage.setItem("range", seconds);
    for (const button of buttons) button.setAttribute("aria-pressed", Number(button.dataset.seconds) === seconds);
    load();
  };

  const limits = device.limits;
  show(
    place,
    el(
      "p",
      { class: "crumbs" },
      el("a", { href: "#/" }, "Overview"),
      " › ",
      el(
        "a",
        { href: `#/rack/${encodeURIComponent(device.rack ?? "")}` },
        device.rack ? `Rack ${device.rack}` : "no rack",
      ),
    ),
    el("h1", null, device.name && device.name !== id ? `${device.name} ` : "", el("small", null, id)),
    el("div", { class: "now" }, number, state),
    el("div", { class: "ranges", role: "group", "aria-label": "How far back" }, buttons),
    graph.node,
    trouble,
    numbers,
    el(
      "dl",
      { class: "facts" },
      fact("Role", device.role),
      fact("Height", device.u === null ? null : `U${device.u}`),
      fact("Room", device.room === "default" ? null : device.room),
      fact("Row", device.row),
      fact("Source", device.source),
      fact("Target", device.target),
      fact("Agent", device.agent),
      fact("Read every", device.interval_ms ? length(device.interval_ms) : null),
      fact(
        "Its hardware's limits",
        limits &&
          [
            limits.low_critical !== undefined && `low ${limits.low_critical}`,
            limits.high_warning !== undefined && `high ${limits.high_warning}`,
            limits.high_critical !== undefined && `critical ${limits.high_critical}`,
          ]
            .filter(Boolean)
            .join(", "),
      ),
    ),
    el("details", { class: "act" }, el("summary", null, "Silence this sensor …"), silenceForm({ device: id })),
  );
  drawNow();
  choose(range);

  const again = async () => {
    try {
      const fresh = await get(`devices/${encodeURIComponent(id)}`);
      if (!current()) return;
      device = fresh.device;
      drawNow();
      load();
    } catch {
      // What was there stays; the stream says that there is no connection.
    }
  };
  listen(
    { rack: device.rack ?? "" },
    {
      devices: (rows) => {
        for (const [other, value, fault, at, severity] of rows) {
          if (other !== id) continue;
          const fires = severity !== device.severity;
          Object.assign(device, { value, fault, at, severity });
          if (!fault) graph.push(at, value);
          drawNow();
          if (fires) again();
        }
      },
      again,
    },
  );
  // Longer ranges have no point for each reading.
  const timer = setInterval(() => range > 20 * 60 && load(), 30_000);
  return () => {
    clearInterval(timer);
    graph.close();
  };
}
