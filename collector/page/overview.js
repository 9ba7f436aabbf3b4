// The whole site: a map of racks, by room and row, and what people have to know first.

import { get } from "./ask.js";
import { paint, steps } from "./colour.js";
import { el, empty, renew, say, show, table } from "./element.js";
import { incidentCard } from "./incidents.js";
import { listen } from "./live.js";
import { celsius, count, degrees, kelvin, percent, SIGNS } from "./words.js";

/** Draws it, and keeps it up to date. */
export async function overviewPage(place, _name, current) {
  let site = await get("site");
  let incidents = (await get("incidents")).open;
  const cells = new Map();
  const tiles = el("dl", { class: "tiles" });
  const told = el("section", { "aria-labelledby": "told" });
  const map = el("div", { class: "map" });
  const find = el("input", {
    type: "search",
    id: "find",
    placeholder: "B07",
    autocomplete: "off",
    oninput: () => filter(),
  });

  const filter = () => {
    const text = find.value.trim().toLowerCase();
    for (const [rack, cell] of cells) cell.node.hidden = text !== "" && !rack.toLowerCase().includes(text);
  };

  const cell = (rack) => {
    const number = el("span", { class: "number" });
    const sign = el("span", { class: "sign", "aria-hidden": "true" });
    const node = el(
      "a",
      { class: "cell", href: `#/rack/${encodeURIComponent(rack.rack)}` },
      el("span", { class: "name" }, rack.rack),
      number,
      sign,
    );
    const known = { node, number, sign };
    cells.set(rack.rack, known);
    update(rack);
    return node;
  };

  const update = (rack) => {
    const known = cells.get(rack.rack);
    if (!known) return false;
    const { node, number, sign } = known;
    say(number, degrees(rack.inlet_max));
    say(sign, rack.severity ? SIGNS[rack.severity] : rack.faults > 0 ? "✕" : "");
    node.dataset.severity = rack.severity ?? "";
    paint(node, rack.inlet_max, site.envelope);
    const words = [
      `rack ${rack.rack}`,
      `warmest inlet ${celsius(rack.inlet_max)}`,
      rack.severity && `${rack.severity} alert`,
      rack.faults > 0 && `${rack.faults} sensors cannot be read`,
    ];
    const label = words.filter(Boolean).join(", ");
    if (node.getAttribute("aria-label") !== label) {
      node.setAttribute("aria-label", label);
      node.title = label;
    }
    known.rack = rack;
    return true;
  };

  const drawTiles = () => {
    const all = site.scopes.find((scope) => scope.scope === "site");
    const inlets = site.racks.map((rack) => rack.inlet_max).filter((value) => value !== null);
    const outside = all?.outside === null || all?.outside === undefined ? null : 100 * (1 - all.outside);
    const tile = (name, value, hint, kind) =>
      el(
        "div",
        { class: `tile ${kind ?? ""}` },
        el("dt", null, name),
        el("dd", null, value, hint && el("small", null, hint)),
      );
    const worst = incidents.some((one) => one.severity === "critical")
      ? "critical"
      : incidents.length
        ? "warning"
        : "good";
    renew(
      tiles,
      tile(
        "Open incidents",
        count(incidents.length),
        incidents.length ? `${incidents.filter((one) => !one.acked_by).length} not taken on` : "nothing is wrong",
        worst,
      ),
      tile("Warmest inlet", celsius(inlets.length ? Math.max(...inlets) : null), `${site.racks.length} racks`),
      tile("Within recommended", percent(outside), `class ${site.envelope.class}, ${count(all?.n ?? 0)} inlets`),
      tile("RCI high / low", `${percent(all?.rci_hi).replace(" %", "")} / ${percent(all?.rci_lo)}`, "100 % is best"),
      tile("Sensors", count(site.sensors), site.unplaced ? `${count(site.unplaced)} in no rack` : "all placed"),
      tile(
        "Sensor trouble",
        el("a", { href: "#/troubles" }, count(site.troubles)),
        site.troubles ? "to be looked at" : "all can be read",
        site.troubles ? "warning" : "",
      ),
    );
  };

  const drawIncidents = () => {
    renew(
      told,
      el("h2", { id: "told" }, "What is wrong now"),
      incidents.length
        ? el(
            "ul",
            { class: "cards" },
            incidents.slice(0, 8).map((one) => el("li", { "data-key": one.incident_id }, incidentCard(one))),
          )
        : el("p", { class: "good-news" }, "✓ No incident is open."),
      incidents.length > 8 && el("p", null, el("a", { href: "#/incidents" }, `all ${incidents.length} incidents`)),
    );
  };

  const drawMap = () => {
    cells.clear();
    if (site.racks.length === 0) {
      show(
        map,
        empty(
          "No rack is known yet.",
          el(
            "p",
            null,
            "Agents say which rack their sensors are in (",
            el("code", null, "agent.rack"),
            " in agent.toml), or the site file does: ",
            el("code", null, "rackwatch-collector site apply site.toml"),
            ".",
          ),
          site.unplaced > 0 && el("p", null, el("a", { href: "#/rack/" }, `${site.unplaced} sensors in no rack`)),
        ),
      );
      return;
    }
    const rooms = Map.groupBy(site.racks, (rack) => rack.room);
    show(
      map,
      [...rooms].map(([room, racks]) =>
        el(
          "section",
          { class: "room" },
          el("h3", null, room === "default" && rooms.size === 1 ? "Racks" : room || "no room"),
          [...Map.groupBy(racks, (rack) => rack.row)].map(([row, some]) =>
            el(
              "div",
              { class: "row" },
              row && el("h4", null, `row ${row}`),
              el("div", { class: "cells" }, some.map(cell)),
            ),
          ),
        ),
      ),
      site.unplaced > 0 &&
        el("p", { class: "muted" }, el("a", { href: "#/rack/" }, `${count(site.unplaced)} sensors are in no rack`)),
    );
    filter();
  };

  const cooled = el("section", { "aria-labelledby": "cooled" });
  const drawCooled = () => {
    const some = site.scopes.filter((scope) => scope.scope !== "site");
    renew(
      cooled,
      some.length > 0 && [
        el("h2", { id: "cooled" }, "How well rooms and rows are cooled"),
        table(
          "Rooms and rows",
          ["Room or row", ">Inlets", ">RCI high", ">RCI low", ">Within recommended", ">ΔT", ">Top above foot"],
          some.map((scope) =>
            el(
              "tr",
              null,
              el(
                "th",
                { scope: "row" },
                el(
                  "a",
                  { href: `#/cooling/${scope.scope}/${encodeURIComponent(scope.name)}` },
                  `${scope.scope} ${scope.name}`,
                ),
              ),
              el("td", { class: "right" }, count(scope.n)),
              [
                percent(scope.rci_hi),
                percent(scope.rci_lo),
                percent(scope.outside === null ? null : 100 * (1 - scope.outside)),
                kelvin(scope.delta_t),
                kelvin(scope.gradient),
              ].map((text) => el("td", { class: "right" }, text)),
            ),
          ),
        ),
      ],
    );
  };

  const legend = el(
    "ul",
    { class: "legend", "aria-label": "Colours of the map" },
    steps(site.envelope).map((step) => {
      const swatch = el("span", { class: "swatch" });
      swatch.style.backgroundColor = step.colour[0];
      return el("li", null, swatch, el("span", null, step.text), el("span", { class: "unseen" }, `: ${step.what}`));
    }),
    el("li", null, el("span", null, "◆ critical  ▲ warning  ● note  ✕ cannot be read")),
  );

  drawTiles();
  drawIncidents();
  drawMap();
  show(
    place,
    el("h1", { class: "unseen" }, "Overview"),
    tiles,
    told,
    el(
      "section",
      { "aria-labelledby": "racks" },
      el(
        "div",
        { class: "head" },
        el("h2", { id: "racks" }, "Racks by their warmest inlet"),
        el("label", { class: "find", for: "find" }, "Find a rack ", find),
      ),
      legend,
      map,
    ),
    cooled,
  );
  drawCooled();

  const again = async () => {
    try {
      const fresh = await Promise.all([get("site"), get("incidents")]);
      if (!current()) return;
      const same =
        fresh[0].racks.map((rack) => rack.rack + rack.row + rack.room).join() ===
        site.racks.map((rack) => rack.rack + rack.row + rack.room).join();
      [site, incidents] = [fresh[0], fresh[1].open];
      drawTiles();
      drawIncidents();
      drawCooled();
      if (same) site.racks.forEach(update);
      else drawMap();
    } catch {
      // The stream says that there is no connection; what was there stays.
    }
  };
  listen(
    { racks: true },
    {
      racks: (rows) => {
        const byName = new Map(rows.map((row) => [row.rack, row]));
        site.racks = site.racks.map((rack) => byName.get(rack.rack) ?? rack);
        rows.forEach(update);
        // What the map shows and what stands above it is the same.
        drawTiles();
      },
      incidents: again,
      again,
    },
  );
  // Numbers of the whole site are no news of any rack.
  const timer = setInterval(again, 5000);
  return () => clearInterval(timer);
}
