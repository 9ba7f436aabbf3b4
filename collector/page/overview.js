// The whole site: its key figures, open incidents, and a map of its racks.

import { get } from "./api.js";
import { coolingTable, withinText } from "./cooling-table.js";
import { missingText } from "./data-state.js";
import { el, link, show, tile } from "./element.js";
import { subscribe } from "./events.js";
import { celsius, count, percent } from "./format.js";
import { incidentList } from "./incidents.js";
import { newest } from "./newest.js";
import { patch } from "./patch.js";
import { mapLegend, RackMap } from "./rack-map.js";

/** Figures of the whole site change without an event of any rack. */
const RELOAD_EVERY = 5000;
const MAX_INCIDENTS = 8;

class OverviewPage {
  #get = newest(() => Promise.all([get("site"), get("incidents")]));

  constructor(isCurrent) {
    this.isCurrent = isCurrent;
    this.tiles = el("dl", { class: "tiles" });
    this.incidentSection = el("section", { "aria-labelledby": "incidents" });
    this.coolingSection = el("section", { "aria-labelledby": "cooling" });
  }

  async load() {
    const answer = await this.#get();
    if (!answer) return;
    const [site, incidents] = answer;
    this.site = site;
    this.incidents = incidents.open;
  }

  /** Draws what is not the map. */
  drawFigures() {
    patch(this.tiles, siteTiles(this.site, this.incidents));
    patch(this.incidentSection, openIncidents(this.incidents));
    patch(this.coolingSection, coolingTable(this.site.scopes));
  }

  async reload() {
    try {
      await this.load();
    } catch {
      // The header shows that the connection is lost; the page keeps the last data.
      return;
    }
    if (!this.isCurrent()) return;
    this.drawFigures();
    this.map.draw(this.site);
  }

  /** Takes rows of racks that have changed. The tiles above the map show the same numbers. */
  updateRacks(rows) {
    const byName = new Map(rows.map((row) => [row.rack, row]));
    // Counts and indices of the site come with the whole site, and must not contradict the map.
    const changed = this.site.racks.some((rack) => dataOf(byName.get(rack.rack) ?? rack) !== dataOf(rack));
    this.site.racks = this.site.racks.map((rack) => byName.get(rack.rack) ?? rack);
    this.map.update(rows);
    if (changed) this.reload();
    else patch(this.tiles, siteTiles(this.site, this.incidents));
  }
}

/** Returns the counts of sensors that are not live as one text, to compare racks by. */
const dataOf = (rack) => `${rack.faults} ${rack.not_evaluated} ${rack.stale} ${rack.withdrawn}`;

function siteTiles(site, incidents) {
  const all = site.scopes.find((scope) => scope.scope === "site");
  const inlets = site.racks.map((rack) => rack.inlet_max).filter((value) => value !== null);
  const unacknowledged = incidents.filter((one) => !one.acked_by).length;
  const isCritical = incidents.some((one) => one.severity === "critical");
  const worst = isCritical ? "critical" : incidents.length ? "warning" : "good";
  return [
    tile("Open incidents", count(incidents.length), incidents.length ? `${unacknowledged} unacknowledged` : "", worst),
    warmestTile(site, inlets),
    withinTile(site, all),
    rciTile(all),
    sensorTile(site),
    faultTile(site),
  ];
}

function warmestTile({ racks }, inlets) {
  if (inlets.length === 0) return tile("Warmest inlet", "no data", `${racks.length} racks`);
  const missing = racks.length - inlets.length;
  const rest = missing > 0 ? `, ${missing} without a live inlet` : "";
  return tile("Warmest inlet", celsius(Math.max(...inlets)), `${racks.length} racks${rest}`);
}

function withinTile({ envelope }, all) {
  const name = "Within recommended";
  if (isUnknown(all)) return tile(name, "unknown", coverageText(all), "warning");
  if ((all?.outside ?? null) === null)
    return tile(name, "no data", `class ${envelope.class}, no live inlet`, "warning");
  const inlets = all.missing ? `${count(all.missing)} inlets without data` : `${count(all.n)} inlets`;
  return tile(name, withinText(all), `class ${envelope.class}, ${inlets}`, all.missing ? "warning" : "");
}

/** Returns whether some inlets have data, but too few to compute an index of. */
const isUnknown = (all) => all?.n > 0 && all.rci_hi === null;

const coverageText = ({ n, missing }) => `only ${count(n)} of ${count(n + missing)} inlets have data`;

function rciTile(all) {
  const name = "RCI high / low";
  if (isUnknown(all)) return tile(name, "unknown", coverageText(all), "warning");
  if ((all?.rci_hi ?? null) === null) return tile(name, "no data", "no live inlet");
  const hint = all.missing > 0 ? `of the ${count(all.n)} live inlets` : "100 % is best";
  return tile(name, `${percent(all.rci_hi).replace(" %", "")} / ${percent(all.rci_lo)}`, hint);
}

function sensorTile({ sensors, unplaced, states }) {
  const missing = missingText(states);
  const place = unplaced ? `${count(unplaced)} without a rack` : "all in racks";
  if (!missing) return tile("Sensors", count(sensors), place);
  return tile(
    "Live sensors",
    `${count(states.live)} of ${count(sensors)}`,
    missing,
    states.stale + states.not_evaluated ? "warning" : "",
  );
}

function faultTile({ faults, sensors, states }) {
  const readable = states.live === sensors ? "all sensors readable" : missingText(states);
  return tile(
    "Sensor faults",
    link("#/faults", count(faults)),
    faults ? missingText(states) : readable,
    faults && "warning",
  );
}

function openIncidents(incidents) {
  const rest = incidents.length > MAX_INCIDENTS;
  return [
    el("h2", { id: "incidents" }, "Open incidents"),
    incidents.length
      ? incidentList(incidents.slice(0, MAX_INCIDENTS))
      : el("p", { class: "good-news" }, "✓ No open incidents."),
    rest && el("p", null, link("#/incidents", `All ${incidents.length} incidents`)),
  ];
}

function rackSection(page) {
  const find = el("input", { type: "search", id: "find", placeholder: "B07", autocomplete: "off" });
  find.addEventListener("input", () => page.map.filter(find.value));
  const head = el(
    "div",
    { class: "head" },
    el("h2", { id: "racks" }, "Racks by warmest inlet"),
    el("label", { class: "find", for: "find" }, "Find rack ", find),
  );
  return el("section", { "aria-labelledby": "racks" }, head, mapLegend(page.site.envelope), page.map.node);
}

/** Draws the site, and keeps it up to date. */
export async function overviewPage(place, _argument, isCurrent) {
  const page = new OverviewPage(isCurrent);
  await page.load();
  page.map = new RackMap(page.site);
  page.drawFigures();
  const heading = el("h1", { class: "unseen" }, "Overview");
  show(place, heading, page.tiles, page.incidentSection, rackSection(page), page.coolingSection);
  const reload = () => page.reload();
  subscribe({ racks: true }, { racks: (rows) => page.updateRacks(rows), incidents: reload, reload });
  const timer = setInterval(reload, RELOAD_EVERY);
  return () => clearInterval(timer);
}
