// The router: draws the page that the address after # names.

import { setKinds } from "./alerts.js";
import { get } from "./api.js";
import { coolingPage } from "./cooling.js";
import { el, emptyState, show } from "./element.js";
import { unsubscribe } from "./events.js";
import { faultsPage } from "./faults.js";
import { incidentPage } from "./incident.js";
import { incidentsPage } from "./incidents.js";
import { overviewPage } from "./overview.js";
import { pipelinePage } from "./pipeline.js";
import { rackPage } from "./rack.js";
import { sensorPage } from "./sensor.js";
import { silencesPage } from "./silences.js";

/** Name, title in the navigation and function of each page. The function may return another, which ends the page. */
const PAGES = [
  ["", "Overview", overviewPage],
  ["incidents", "Incidents", incidentsPage],
  ["faults", "Sensor faults", faultsPage],
  ["silences", "Silences", silencesPage],
  ["pipeline", "Pipeline", pipelinePage],
  ["rack", null, rackPage],
  ["sensor", null, sensorPage],
  ["incident", null, incidentPage],
  ["cooling", null, coolingPage],
];
/** The page in the navigation that a page without a title belongs to. */
const PARENTS = { incident: "incidents" };

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let visit = 0;
let close = null;

for (const [name, title] of PAGES.filter(([, title]) => title)) {
  nav.append(el("a", { href: `#/${name}`, "data-page": name }, title));
}

function markCurrent(name) {
  for (const link of nav.children) {
    if (link.dataset.page === (PARENTS[name] ?? name)) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

/** Draws the page of the current address; `moved` says that the reader came from another one. */
async function open(moved) {
  const [, first = "", ...rest] = (location.hash.slice(1) || "/").split("/");
  const [name, , draw] = PAGES.find(([known]) => known === first) ?? PAGES[0];
  visit += 1;
  const mine = visit;
  const isCurrent = () => mine === visit;
  close?.();
  close = null;
  unsubscribe();
  markCurrent(name);
  try {
    // Each page draws into an element of its own: one that is late overwrites nothing.
    const place = el("div", { class: "page" });
    const end = await draw(place, decodeURIComponent(rest.join("/")), isCurrent);
    if (!isCurrent()) {
      end?.();
      return;
    }
    close = end ?? null;
    show(main, place);
    const title = place.querySelector("h1")?.textContent;
    document.title = title ? `${title} · Rackwatch` : "Rackwatch";
  } catch (error) {
    if (!isCurrent()) return;
    showError(error);
  }
  if (moved) main.focus({ preventScroll: true });
  if (moved) scrollTo(0, 0);
}

function showError(error) {
  show(
    main,
    emptyState(
      error.message,
      el("p", null, "For details, run ", el("code", null, "rackwatch-collector status")),
      el("button", { type: "button", onclick: () => open(false) }, "Try again"),
    ),
  );
}

const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");

function setTheme(name) {
  if (name === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = name;
  themeButton.textContent = `Theme: ${name}`;
  // Charts take their colours from the theme when they draw.
  dispatchEvent(new Event("theme"));
  themeButton.onclick = () => {
    const next = THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];
    localStorage.setItem("theme", next);
    setTheme(next);
  };
}

const storedTheme = localStorage.getItem("theme");
setTheme(THEMES.includes(storedTheme) ? storedTheme : "auto");

addEventListener("hashchange", () => open(true));
// Without the names of kinds, pages show the types of alerts.
get("kinds")
  .then(({ kinds }) => setKinds(kinds))
  .catch(() => {})
  .finally(() => open(false));
get("site")
  .then((site) => {
    if (site.demo) document.querySelector(".brand").append(el("span", { class: "tag" }, "demo"));
  })
  .catch(() => {});
