// What an operator can do about an incident: acknowledge it, or silence what it is about.

import { post } from "./api.js";
import { collapsed, el, show, showResult } from "./element.js";
import { isResolved } from "./incidents.js";
import { operatorName, silenceForm } from "./silence-forms.js";

export class IncidentActions {
  #id;
  #drawn = null;

  constructor(id) {
    this.#id = id;
    this.node = el("div");
  }

  /** Draws the forms again only where they differ, so that text being entered stays. */
  draw(incident) {
    const state = `${isResolved(incident)}/${incident.acked_by ?? ""}`;
    if (state === this.#drawn) return;
    this.#drawn = state;
    const matcher = incident.racks.length === 1 ? { rack: incident.racks[0] } : { device: incident.first };
    show(
      this.node,
      !isResolved(incident) && this.#acknowledgeForm(incident),
      collapsed("Silence this …", silenceForm(matcher)),
    );
  }

  #acknowledgeForm(incident) {
    const note = el("input", { id: "note", maxlength: 300, placeholder: "on my way" });
    const name = operatorName.input({ id: "by" });
    const result = el("p", { role: "status" });
    const onsubmit = async (event) => {
      event.preventDefault();
      operatorName.remember(name.value);
      try {
        const ack = await post(`incidents/${encodeURIComponent(this.#id)}/ack`, { by: name.value, note: note.value });
        showResult(result, `Acknowledged by ${ack.by}. Notifications stop unless it gets worse.`, true);
      } catch (error) {
        showResult(result, error.message, false);
      }
    };
    return el(
      "form",
      { class: "form", onsubmit },
      el("label", { for: "by" }, "Your name ", name),
      el("label", { for: "note" }, "Note ", note),
      el("button", { class: "primary" }, incident.acked_by ? "Acknowledge again" : "Acknowledge"),
      result,
    );
  }
}
