// The page: which part of it is shown, by the address after the #.

import { get } from "./ask.js";
import { coolingPage } from "./cooling.js";
import { el, empty, show } from "./element.js";
import { incidentPage, incidentsPage } from "./incidents.js";
import { hush } from "./live.js";
import { overviewPage } from "./overview.js";
import { pipelinePage } from "./pipeline.js";
import { quietPage } from "./quiet.js";
import { rackPage } from "./rack.js";
import { sensorPage } from "./sensor.js";
import { troublesPage } from "./troubles.js";

const PAGES = [
  ["", "Overview", overviewPage],
  ["incidents", "Incidents", incidentsPage],
  ["troubles", "Sensor trouble", troublesPage],
  ["quiet", "Silences", quietPage],
  ["pipeline", "Pipeline", pipelinePage],
  ["rack", null, rackPage],
  ["sensor", null, sensorPage],
  ["incident", null, incidentPage],
  ["cooling", null, coolingPage],
];

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let visit = 0;
let leave = null;

for (const [name, title] of PAGES.filter(([, title]) => title)) {
  nav.append(el("a", { href: `#/${name}`, "data-page": name }, title));
}

async function open(moved) {
  const [, name = "", ...rest] = (location.hash.slice(1) || "/").split("/");
  const page = PAGES.find(([known]) => known === name) ?? PAGES[0];
  const mine = ++visit;
  leave?.();
  leave = null;
  hush();
  for (const link of nav.children) {
    const here = link.dataset.page === page[0] || (link.dataset.page === "incidents" && page[0] === "incident");
    if (here) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  try {
    // A page draws into what is its own, so that one that comes late draws over nothing.
    const place = el("div", { class: "page" });
    const left = await page[2](place, decodeURIComponent(rest.join("/")), () => mine === visit);
    if (mine !== visit) {
      left?.();
      return;
    }
    leave = left ?? null;
    show(main, place);
    const title = place.querySelector("h1")?.textContent;
    document.title = title ? `${title} · Rackwatch` : "Rackwatch";
  } catch (error) {
    if (mine !== visit) return;
    show(
      main,
      empty(
        error.message,
        el("p", null, "The terminal says more: ", el("code", null, "rackwatch-collector status")),
        el("button", { type: "button", onclick: () => open(false) }, "Try again"),
      ),
    );
  }
  if (moved) main.focus({ preventScroll: true });
  if (moved) scrollTo(0, 0);
}

const THEMES = ["auto", "light", "dark"];
const button = document.getElementById("theme");
function theme(name) {
  if (name === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = name;
  button.textContent = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[name];
  // What is drawn with these colours, not only styled with them.
  dispatchEvent(new Event("theme"));
  button.onclick = () => {
    const next = THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];
    localStorage.setItem("theme", next);
    theme(next);
  };
}
theme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");

addEventListener("hashchange", () => open(true));
open(false);
get("site")
  .then((site) => {
    if (site.demo) document.querySelector(".brand").append(el("span", { class: "tag" }, "demo"));
  })
  .catch(() => {});
