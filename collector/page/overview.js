// The whole site: its key figures, open incidents, and a map of its racks.

import { get } from "./api.js";
import { coolingTable } from "./cooling-table.js";
import { el, link, show, tile } from "./element.js";
import { subscribe } from "./events.js";
import { celsius, count, percent } from "./format.js";
import { incidentList } from "./incidents.js";
import { patch } from "./patch.js";
import { mapLegend, RackMap } from "./rack-map.js";

/** Figures of the whole site change without an event of any rack. */
const RELOAD_EVERY = 5000;
const MAX_INCIDENTS = 8;

class OverviewPage {
  constructor(isCurrent) {
    this.isCurrent = isCurrent;
    this.tiles = el("dl", { class: "tiles" });
    this.incidentSection = el("section", { "aria-labelledby": "incidents" });
    this.coolingSection = el("section", { "aria-labelledby": "cooling" });
  }

  async load() {
    const [site, incidents] = await Promise.all([get("site"), get("incidents")]);
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
    this.site.racks = this.site.racks.map((rack) => byName.get(rack.rack) ?? rack);
    this.map.update(rows);
    patch(this.tiles, siteTiles(this.site, this.incidents));
  }
}

function siteTiles(site, incidents) {
  const all = site.scopes.find((scope) => scope.scope === "site");
  const inlets = site.racks.map((rack) => rack.inlet_max).filter((value) => value !== null);
  const within = all?.outside === null || all?.outside === undefined ? null : 100 * (1 - all.outside);
  const unacknowledged = incidents.filter((one) => !one.acked_by).length;
  const isCritical = incidents.some((one) => one.severity === "critical");
  const worst = isCritical ? "critical" : incidents.length ? "warning" : "good";
  const faults = link("#/faults", count(site.faults));
  return [
    tile("Open incidents", count(incidents.length), incidents.length ? `${unacknowledged} unacknowledged` : "", worst),
    tile("Warmest inlet", celsius(inlets.length ? Math.max(...inlets) : null), `${site.racks.length} racks`),
    tile("Within recommended", percent(within), `class ${site.envelope.class}, ${count(all?.n ?? 0)} inlets`),
    tile("RCI high / low", `${percent(all?.rci_hi).replace(" %", "")} / ${percent(all?.rci_lo)}`, "100 % is best"),
    tile("Sensors", count(site.sensors), site.unplaced ? `${count(site.unplaced)} without a rack` : "all in racks"),
    tile("Sensor faults", faults, site.faults ? "" : "all sensors readable", site.faults ? "warning" : ""),
  ];
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
