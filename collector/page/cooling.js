// How well a room, a row or a rack was cooled: its indices over time.

import { get } from "./ask.js";
import { chart } from "./chart.js";
import { el, empty, say, show } from "./element.js";
import { listen } from "./live.js";
import { kelvin, length, percent } from "./words.js";

const DAY = 86_400;
const RANGES = [
  ["24 h", DAY],
  ["7 d", 7 * DAY],
  ["30 d", 30 * DAY],
  ["90 d", 90 * DAY],
];

/** What is drawn, in this order. `worst` is the bad end, where one is; `shown` makes of a number what people read. */
const CHARTS = [
  {
    index: "outside",
    title: "Inlets within the recommended range",
    what: "Inlets",
    words: percent,
    worst: Math.min,
    shown: (value) => 100 * (1 - value),
  },
  {
    index: "rci_hi",
    title: "RCI high: 100 % where no inlet is too warm",
    what: "RCI high",
    words: percent,
    worst: Math.min,
  },
  {
    index: "rci_lo",
    title: "RCI low: 100 % where no inlet is too cold",
    what: "RCI low",
    words: percent,
    worst: Math.min,
  },
  { index: "delta_t", title: "ΔT: exhausts above inlets", what: "ΔT", words: kelvin },
  { index: "gradient", title: "Top above foot", what: "Difference", words: kelvin, worst: Math.max },
];

/** One chart, which stays as it is drawn again, and with it the focus. */
function panel({ index, title, what, words, worst, shown = (value) => value }) {
  const graph = chart(what, words, words === percent ? 100 : undefined);
  const mean = el("strong");
  const rest = el("span");
  const node = el(
    "section",
    { "aria-labelledby": index },
    el("h2", { id: index }, title),
    el("p", null, mean, rest),
    graph.node,
  );
  return {
    index,
    node,
    draw: (data) => {
      const points = data.indices[index].map(([at, value]) => [at, shown(value)]);
      const values = points.map(([, value]) => value);
      say(mean, words(values.reduce((sum, value) => sum + value, 0) / values.length));
      say(rest, ` on average${worst ? `, ${words(worst(...values))} at worst` : ""}`);
      graph.draw({ ...data, points: points.map(([at, value]) => [at, value, value, value]), limits: [], episodes: [] });
    },
    close: graph.close,
  };
}

/** Draws it. */
export async function coolingPage(place, which, current) {
  const [scope, ...rest] = which.split("/");
  const name = rest.join("/");
  let range = Number(sessionStorage.getItem("cooling")) || DAY;
  if (!RANGES.some(([, seconds]) => seconds === range)) range = DAY;
  const panels = CHARTS.map(panel);
  const body = el("div", { class: "charts" });
  const trouble = el("p", { class: "muted" });
  const buttons = RANGES.map(([text, seconds]) =>
    el("button", { type: "button", "data-seconds": seconds, onclick: () => choose(seconds).catch(wrong) }, text),
  );
  let there = null;

  const load = async () => {
    const to = Date.now();
    const data = await get(
      `indices/${encodeURIComponent(scope)}/${encodeURIComponent(name)}?from=${to - range * 1000}&to=${to}&points=400`,
    );
    if (!current()) return;
    const some = panels.filter(({ index }) => data.indices[index]?.length);
    const these = some.map(({ index }) => index).join();
    if (these !== there) {
      there = these;
      show(
        body,
        some.length
          ? some.map(({ node }) => node)
          : empty(
              "No numbers in this time.",
              el("p", null, "A collector makes them once a minute, of racks with inlets; the demo makes none."),
            ),
      );
    }
    for (const one of some) one.draw(data);
    say(trouble, some.length ? `each point is the average of ${length(data.every_ms)}` : "");
  };
  const wrong = (error) => say(trouble, error.message);
  const again = () => load().catch(wrong);
  const choose = (seconds) => {
    range = seconds;
    sessionStorage.setItem("cooling", seconds);
    for (const button of buttons) button.setAttribute("aria-pressed", Number(button.dataset.seconds) === seconds);
    return load();
  };
  show(
    place,
    el(
      "p",
      { class: "crumbs" },
      el("a", { href: "#/" }, "Overview"),
      scope === "rack" && [" › ", el("a", { href: `#/rack/${encodeURIComponent(name)}` }, `Rack ${name}`)],
    ),
    el("h1", null, `How well ${scope} ${name} is cooled`),
    el("div", { class: "ranges", role: "group", "aria-label": "How far back" }, buttons),
    trouble,
    body,
  );
  await choose(range);
  listen({}, { again });
  const timer = setInterval(again, 60_000);
  return () => {
    clearInterval(timer);
    for (const one of panels) one.close();
  };
}
