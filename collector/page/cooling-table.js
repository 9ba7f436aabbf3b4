// The cooling indices of rooms and rows, as a table.

import { el, link, numberCell, rowHeading, table } from "./element.js";
import { count, kelvin, percent } from "./format.js";

const HEADINGS = ["Room or row", ">Inlets", ">RCI high", ">RCI low", ">Within recommended", ">ΔT", ">Top-to-bottom ΔT"];

/** Returns heading and table, or nothing where no room or row has indices. */
export function coolingTable(scopes) {
  const parts = scopes.filter((scope) => scope.scope !== "site");
  if (parts.length === 0) return null;
  return [el("h2", { id: "cooling" }, "Cooling of rooms and rows"), table("Rooms and rows", HEADINGS, parts.map(row))];
}

/** Returns the share of inlets within the recommended range; counts while some have no data, since those may be anywhere. */
export function withinText({ outside, n, missing }) {
  if (outside === null) return n > 0 ? "unknown" : "no data";
  if (missing === 0) return percent(100 * (1 - outside));
  return `${count(Math.round(n * (1 - outside)))} of ${count(n + missing)}`;
}

function row(scope) {
  const href = `#/cooling/${scope.scope}/${encodeURIComponent(scope.name)}`;
  const numbers = [
    scope.missing > 0 ? `${count(scope.n)} of ${count(scope.n + scope.missing)} live` : count(scope.n),
    ...(scope.rci_hi === null && scope.missing > 0
      ? Array(3).fill(scope.n > 0 ? "unknown" : "no data")
      : [percent(scope.rci_hi), percent(scope.rci_lo), withinText(scope)]),
    kelvin(scope.delta_t),
    kelvin(scope.gradient),
  ];
  return el("tr", null, rowHeading(link(href, `${scope.scope} ${scope.name}`)), numbers.map(numberCell));
}
