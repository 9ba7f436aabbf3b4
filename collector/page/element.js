// Elements, made without markup: what others have written is text, and stays text.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name in node && name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element of HTML. */
export function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An element of SVG. */
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Other children in the place of those that are there. */
export function show(node, ...children) {
  node.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
}

/** Another text, where it is another: what reads the page aloud is not told of what has stayed. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A table, with a caption for those who cannot see where it stands. A heading that begins with > is of numbers. */
export function table(caption, headings, rows, attributes) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", attributes,
      el("caption", { class: "unseen" }, caption),
      el("thead", null, el("tr", null, headings.map((heading) => el("th", { scope: "col", class: heading.startsWith(">") && "right" }, heading.replace(">", ""))))),
      el("tbody", null, rows)));
}

/** What is shown where there is nothing to show, and what to do. */
export function empty(text, ...more) {
  return el("div", { class: "empty" }, el("p", null, text), more);
}
