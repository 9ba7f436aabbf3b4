// How well a room, a row or a rack was cooled: its indices over time.

import { get } from "./ask.js";
import { chart } from "./chart.js";
import { el, empty, show } from "./element.js";
import { listen } from "./live.js";
import { kelvin, length, percent } from "./words.js";

const DAY = 86_400;
const RANGES = [["24 h", DAY], ["7 d", 7 * DAY], ["30 d", 30 * DAY], ["90 d", 90 * DAY]];

/** What is drawn: the index, its title, what a point is called, its words, and which end is the bad one. */
const CHARTS = [
  ["outside", "Inlets within the recommended range", "Inlets", percent, Math.min, (value) => 100 * (1 - value)],
  ["rci_hi", "RCI high: 100 % where no inlet is too warm", "RCI high", percent, Math.min],
  ["rci_lo", "RCI low: 100 % where no inlet is too cold", "RCI low", percent, Math.min],
  ["delta_t", "ΔT: exhausts above inlets", "ΔT", kelvin, null],
  ["gradient", "Top above foot", "Difference", kelvin, Math.max],
];

/** Draws it. */
export async function coolingPage(place, which, current) {
  const [scope, ...rest] = which.split("/");
  const name = rest.join("/");
  let range = Number(sessionStorage.getItem("cooling")) || DAY;
  if (!RANGES.some(([, seconds]) => seconds === range)) range = DAY;
  const body = el("div", { class: "charts" });
  const trouble = el("p", { class: "muted" });
  const graphs = new Map();
  const buttons = RANGES.map(([text, seconds]) => el("button", { type: "button", "data-seconds": seconds, onclick: () => choose(seconds) }, text));

  const load = async () => {
    const to = Date.now();
    const data = await get(`indices/${encodeURIComponent(scope)}/${encodeURIComponent(name)}?from=${to - range * 1000}&to=${to}&points=400`);
    if (!current()) return;
    const some = CHARTS.filter(([index]) => data.indices[index]?.length);
    if (some.length === 0) {
      show(body, empty("No numbers in this time.", el("p", null, "A collector makes them once a minute, of racks with inlets; the demo makes none.")));
      trouble.textContent = "";
      return;
    }
    for (const [index, , what, words] of some) if (!graphs.has(index)) graphs.set(index, chart(what, words, words === percent ? 100 : undefined));
    show(body, some.map(([index, title, , words, worst, scale = (value) => value]) => {
      const values = data.indices[index].map(([, value]) => scale(value));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return el("section", { "aria-labelledby": index }, el("h2", { id: index }, title),
        el("p", null, el("strong", null, words(mean)), " on average", worst && `, ${words(worst(...values))} at worst`), graphs.get(index).node);
    }));
    for (const [index, , , , , scale = (value) => value] of some) {
      const points = data.indices[index].map(([at, value]) => [at, scale(value), scale(value), scale(value)]);
      graphs.get(index).draw({ from: data.from, to: data.to, every_ms: data.every_ms, points, limits: [], episodes: [] });
    }
    trouble.textContent = `each point is the average of ${length(data.every_ms)}`;
  };
  const again = () => load().catch((error) => {
    trouble.textContent = error.message;
  });
  const choose = (seconds) => {
    range = seconds;
    sessionStorage.setItem("cooling", seconds);
    for (const button of buttons) button.setAttribute("aria-pressed", Number(button.dataset.seconds) === seconds);
    return load();
  };
  show(place, el("p", { class: "crumbs" }, el("a", { href: "#/" }, "Overview"), scope === "rack" && [" › ", el("a", { href: `#/rack/${encodeURIComponent(name)}` }, `Rack ${name}`)]),
    el("h1", null, `How well ${scope} ${name} is cooled`),
    el("div", { class: "ranges", role: "group", "aria-label": "How far back" }, buttons), trouble, body);
  await choose(range);
  listen({}, { again });
  const timer = setInterval(again, 60_000);
  return () => {
    clearInterval(timer);
    for (const graph of graphs.values()) graph.close();
  };
}
