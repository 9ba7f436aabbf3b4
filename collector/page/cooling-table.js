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

function row(scope) {
  const href = `#/cooling/${scope.scope}/${encodeURIComponent(scope.name)}`;
  const within = scope.outside === null ? null : 100 * (1 - scope.outside);
  const numbers = [
    count(scope.n),
    percent(scope.rci_hi),
    percent(scope.rci_lo),
    percent(within),
    kelvin(scope.delta_t),
    kelvin(scope.gradient),
  ];
  return el("tr", null, rowHeading(link(href, `${scope.scope} ${scope.name}`)), numbers.map(numberCell));
}
