// What an operator can do about an incident: acknowledge it, silence what it is about, or resolve it by hand.

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
      !isResolved(incident) && collapsed("Resolve by hand …", this.#resolveForm()),
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

  #resolveForm() {
    const why = el("input", { id: "why", maxlength: 300, placeholder: "the sensors were removed" });
    const name = operatorName.input({ id: "resolved-by" });
    const result = el("p", { role: "status" });
    const onsubmit = async (event) => {
      event.preventDefault();
      operatorName.remember(name.value);
      try {
        const path = `incidents/${encodeURIComponent(this.#id)}/resolve`;
        showResult(result, resolveResult(await post(path, { by: name.value, note: why.value })), true);
      } catch (error) {
        showResult(result, error.message, false);
      }
    };
    return [
      el(
        "p",
        { class: "muted" },
        "Ends all open alerts of this incident. Use it for sensors that are gone: no reading will end their alerts. ",
        "A sensor that still crosses its limit alerts again.",
      ),
      el(
        "form",
        { class: "form", onsubmit },
        el("label", { for: "resolved-by" }, "Your name ", name),
        el("label", { for: "why" }, "Why ", why),
        el("button", { class: "primary" }, "Resolve"),
        result,
      ),
    ];
  }
}

function resolveResult({ alerts, left, by }) {
  const count = `${alerts} ${alerts === 1 ? "alert" : "alerts"}`;
  const rest = left > 0 ? ` ${left} more are left: resolve again in a minute.` : "";
  return `${count} resolved by ${by}. A sensor that still crosses its limit alerts again.${rest}`;
}
