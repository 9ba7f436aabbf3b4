// The map of racks by room and row, each coloured by its warmest inlet.

import { rackHref, SIGNS } from "./alerts.js";
import { legendSteps, paint } from "./colour.js";
import { missingText } from "./data-state.js";
import { el, emptyState, link, muted, setText, show } from "./element.js";
import { celsius, count, degrees } from "./format.js";

/** The signs of racks whose sensors send no data, beside the hatching, and of racks with sensors that no rule looks at. */
const NO_DATA_SIGN = "∅";
const NOT_EVALUATED_SIGN = "?";

export class RackMap {
  #cells = new Map();
  #site;
  #search = "";

  constructor(site) {
    this.node = el("div", { class: "map" });
    this.#drawAll(site);
  }

  /** Shows a site: changes cells where racks stand where they stood, and draws a new map otherwise. */
  draw(site) {
    if (positions(site) !== positions(this.#site)) {
      this.#drawAll(site);
      return;
    }
    this.#site = site;
    this.update(site.racks);
  }

  /** Takes rows of racks that have changed. */
  update(racks) {
    for (const rack of racks) {
      const cell = this.#cells.get(rack.rack);
      if (cell) fillCell(cell, rack, this.#site.envelope);
    }
  }

  /** Hides the racks whose name does not contain a text. */
  filter(text) {
    this.#search = text.trim().toLowerCase();
    for (const [rack, { node }] of this.#cells) node.hidden = !rack.toLowerCase().includes(this.#search);
  }

  #drawAll(site) {
    this.#site = site;
    this.#cells.clear();
    if (site.racks.length === 0) show(this.node, noRacks(site));
    else show(this.node, this.#rooms(site.racks), unplacedLink(site, muted));
    this.filter(this.#search);
  }

  #rooms(racks) {
    const rooms = Map.groupBy(racks, (rack) => rack.room);
    const isOnlyRoom = rooms.size === 1;
    return [...rooms].map(([room, some]) => {
      const title = room === "default" && isOnlyRoom ? "Racks" : room || "no room";
      const rows = [...Map.groupBy(some, (rack) => rack.row)];
      return el(
        "section",
        { class: "room" },
        el("h3", null, title),
        rows.map(([row, inRow]) => this.#row(row, inRow)),
      );
    });
  }

  #row(row, racks) {
    const cells = racks.map((rack) => this.#cell(rack));
    return el("div", { class: "row" }, row && el("h4", null, `row ${row}`), el("div", { class: "cells" }, cells));
  }

  #cell(rack) {
    const number = el("span", { class: "number" });
    const sign = el("span", { class: "sign", "aria-hidden": "true" });
    const name = el("span", { class: "name" }, rack.rack);
    const node = el("a", { class: "cell", href: rackHref(rack.rack) }, name, number, sign);
    const cell = { node, number, sign };
    this.#cells.set(rack.rack, cell);
    fillCell(cell, rack, this.#site.envelope);
    return node;
  }
}

/** The positions of all racks as one text, to compare maps by. */
const positions = (site) => site.racks.map(({ rack, row, room }) => `${rack} ${row} ${room}`).join();

function fillCell({ node, number, sign }, rack, envelope) {
  const missing = rack.stale + rack.withdrawn;
  const isBlind = rack.inlet_max === null && missing + rack.not_evaluated > 0;
  const blind = rack.not_evaluated > 0 ? "not evaluated" : rack.stale > 0 ? "no data" : "withdrawn";
  setText(number, isBlind ? blind : degrees(rack.inlet_max));
  const own = missing > 0 ? NO_DATA_SIGN : rack.faults > 0 ? "✕" : "";
  const unevaluated = rack.not_evaluated > 0 && NOT_EVALUATED_SIGN;
  setText(sign, [rack.severity && SIGNS[rack.severity], own, unevaluated].filter(Boolean).join(" "));
  node.dataset.severity = rack.severity ?? "";
  node.classList.toggle("blind", isBlind);
  paint(node, rack.inlet_max, envelope);
  const label = [
    `rack ${rack.rack}`,
    isBlind ? `no live inlet: ${blind}` : `warmest inlet ${celsius(rack.inlet_max)}`,
    rack.severity && `${rack.severity} alert`,
    missingText(rack) && `sensors: ${missingText(rack)}`,
    rack.faults > 0 && `${rack.faults} sensor faults`,
  ]
    .filter(Boolean)
    .join(", ");
  if (node.getAttribute("aria-label") === label) return;
  node.setAttribute("aria-label", label);
  node.title = label;
}

function noRacks(site) {
  const explanation = el(
    "p",
    null,
    "Set the rack of an agent's sensors with ",
    el("code", null, "agent.rack"),
    " in agent.toml, or in the site file: ",
    el("code", null, "rackwatch-collector site apply site.toml"),
    ".",
  );
  return emptyState(
    "No racks yet.",
    explanation,
    unplacedLink(site, (...content) => el("p", null, content)),
  );
}

function unplacedLink(site, paragraph) {
  return site.unplaced > 0 && paragraph(link(rackHref(""), `${count(site.unplaced)} sensors without a rack`));
}

/** Returns the legend of colours and signs. */
export function mapLegend(envelope) {
  const steps = legendSteps(envelope).map((step) => {
    const swatch = el("span", { class: "swatch" });
    swatch.style.backgroundColor = step.colour[0];
    return el("li", null, swatch, el("span", null, step.text), el("span", { class: "unseen" }, `: ${step.meaning}`));
  });
  const blind = el("li", null, el("span", { class: "swatch blind" }), el("span", null, "no live inlet"));
  const text = `◆ critical  ▲ warning  ● info  ✕ sensor fault  ${NO_DATA_SIGN} sensors without data  ${NOT_EVALUATED_SIGN} sensors not evaluated`;
  const signs = el("li", null, el("span", null, text));
  return el("ul", { class: "legend", "aria-label": "Legend" }, steps, blind, signs);
}
