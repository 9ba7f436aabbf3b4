// Severities and kinds of alerts as text, and links to what they are about.

import { el, link } from "./element.js";

/** The sign beside each severity, which does not depend on colour. */
export const SIGNS = { critical: "◆", warning: "▲", info: "●" };

const kindNames = new Map();

/** Takes over the names of all kinds of alerts, as `/kinds` lists them. */
export function setKinds(kinds) {
  for (const { type, title } of kinds) kindNames.set(type, title);
}

/** Returns the name of a kind of alert; its type until the names are known. */
export const kindName = (kind) => kindNames.get(kind) ?? kind;

/** Returns a severity with its sign. */
export const severityText = (severity) => `${SIGNS[severity]} ${severity}`;

/** Returns a severity as a coloured label. */
export const severityChip = (severity) => el("span", { class: `chip ${severity}` }, severityText(severity));

/** Lists the kinds of open alerts, each with the sign of its severity. */
export const openAlerts = (open) => open.map((one) => `${SIGNS[one.severity]} ${kindName(one.type)}`).join(", ");

/** Returns whether an id is that of a sensor. Agents and targets have alerts too, but no page. */
export const isSensor = (id) => !/^(agent|target):/.test(id);

/** Returns a link to a sensor's page; for agents and targets, which have none, their id. */
export const sensorLink = (id) => (isSensor(id) ? link(`#/sensor/${encodeURIComponent(id)}`, id) : id);

/** Returns the address of a rack's page. */
export const rackHref = (rack) => `#/rack/${encodeURIComponent(rack)}`;

/** Returns a link to a rack's page, or a dash where there is no rack. */
export const rackLink = (rack) => (rack ? link(rackHref(rack), rack) : "–");
