// Buttons that choose how much time a chart shows; the choice lasts for the browser's session.

import { el } from "./element.js";

export class RangeButtons {
  /** Takes [text, seconds] pairs, the key under which the choice is stored, and what to do when it changes. */
  constructor(ranges, key, changed) {
    const stored = Number(sessionStorage.getItem(key));
    this.seconds = ranges.some(([, seconds]) => seconds === stored) ? stored : ranges[0][1];
    this.buttons = ranges.map(([text, seconds]) => {
      const onclick = () => {
        sessionStorage.setItem(key, seconds);
        this.#press(seconds);
        changed();
      };
      return el("button", { type: "button", "data-seconds": seconds, onclick }, text);
    });
    this.node = el("div", { class: "ranges", role: "group", "aria-label": "Time range" }, this.buttons);
    this.#press(this.seconds);
  }

  #press(seconds) {
    this.seconds = seconds;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", Number(button.dataset.seconds) === seconds);
    }
  }
}
