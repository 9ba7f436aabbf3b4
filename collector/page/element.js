// HTML and SVG elements, made without markup: text from devices and operators stays text.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...present(children));
  return node;
}

/** Returns an HTML element; children that are null, undefined or false are left out. */
export function el(name, attributes, ...children) {
  return build(document.createElement(name), attributes, children);
}

/** Returns an SVG element, built as `el` builds HTML. */
export function svg(name, attributes, ...children) {
  return build(document.createElementNS(SVG, name), attributes, children);
}

/** Returns the children that are to be drawn, flattened. */
export const present = (children) =>
  children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);

/** Replaces all children of a node. */
export function show(node, ...children) {
  node.replaceChildren(...present(children));
}

/** Sets the text of a node if it differs, so that screen readers announce only changes. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows the outcome of an action beside its form. */
export function showResult(node, text, succeeded) {
  setText(node, text);
  node.className = succeeded ? "good-news" : "bad";
}

/** Returns a table with a hidden caption. A heading that begins with > belongs to a column of numbers. */
export function table(caption, headings, rows, attributes) {
  const columns = headings.map((heading) =>
    el("th", { scope: "col", class: heading.startsWith(">") && "right" }, heading.replace(">", "")),
  );
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      attributes,
      el("caption", { class: "unseen" }, caption),
      el("thead", null, el("tr", null, columns)),
      el("tbody", null, rows),
    ),
  );
}

/** Returns a table cell. */
export const cell = (...content) => el("td", null, content);

/** Returns a table cell with a number. */
export const numberCell = (content) => el("td", { class: "right" }, content);

/** Returns the table cell that heads a row. */
export const rowHeading = (...content) => el("th", { scope: "row" }, content);

/** Returns a link to an address. */
export const link = (href, ...content) => el("a", { href }, content);

/** Returns a paragraph of muted text. */
export const muted = (...content) => el("p", { class: "muted" }, content);

/** Returns the line of links above a page's heading. */
export const crumbs = (...content) => el("p", { class: "crumbs" }, content);

/** Returns a collapsed form or the like, under a summary. */
export function collapsed(summary, ...content) {
  return el("details", { class: "action" }, el("summary", null, summary), content);
}

/** Returns one term of a `dl` of facts, or nothing where the value is missing. */
export function fact(term, value) {
  return value && el("div", null, el("dt", null, term), el("dd", null, value));
}

/** Returns one figure of a `dl` of tiles. */
export function tile(name, value, hint, kind) {
  return el(
    "div",
    { class: `tile ${kind ?? ""}` },
    el("dt", null, name),
    el("dd", null, value, hint && el("small", null, hint)),
  );
}

/** Returns what a page shows in place of missing content: why, and what to do. */
export function emptyState(text, ...more) {
  return el("div", { class: "empty" }, el("p", null, text), more);
}
