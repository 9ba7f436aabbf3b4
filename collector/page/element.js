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
  node.append(...shown(children));
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

const shown = (children) =>
  children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);

/** Other children in the place of those that are there. */
export function show(node, ...children) {
  node.replaceChildren(...shown(children));
}

/**
 * The same for what is drawn again and again: what is there is changed only where it differs, so that neither the focus nor a
 * selection is lost, and nobody is read the whole again. Nodes with the same `data-key` are the same thing. What acts when it is
 * pressed keeps its old function: it has to say in an attribute what it acts on.
 */
export function renew(node, ...children) {
  const fresh = document.createDocumentFragment();
  fresh.append(...shown(children));
  settle(node, [...fresh.childNodes]);
}

function settle(node, fresh) {
  const keyed = new Map([...node.children].filter((old) => old.dataset.key).map((old) => [old.dataset.key, old]));
  let at = node.firstChild;
  const pass = () => {
    const old = at;
    at = at.nextSibling;
    return old;
  };
  for (const child of fresh) {
    const key = child.dataset?.key;
    const known = key && keyed.get(key);
    const isAhead =
      known?.parentNode === node &&
      at &&
      (at === known || at.compareDocumentPosition(known) & Node.DOCUMENT_POSITION_FOLLOWING);
    if (isAhead) {
      // To move the focus is to lose it: others make way.
      while (at !== known) pass().remove();
    }
    if (at && at.dataset?.key === key && becomes(at, child)) at = at.nextSibling;
    else if (at && !key && !at.dataset?.key) pass().replaceWith(child);
    else node.insertBefore(child, at);
  }
  while (at) pass().remove();
}

/** Makes an old node what a new one is, if it can be. A link to elsewhere is another link. */
function becomes(old, child) {
  if (old.isEqualNode(child)) return true;
  if (old.nodeName !== child.nodeName || old.href !== child.href) return false;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = child.data;
    return true;
  }
  for (const { name } of [...old.attributes]) if (!child.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of child.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  settle(old, [...child.childNodes]);
  return true;
}

/** Another text, where it is another: what reads the page aloud is not told of what has stayed. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A table, with a caption for those who cannot see where it stands. A heading that begins with > is of numbers. */
export function table(caption, headings, rows, attributes) {
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      attributes,
      el("caption", { class: "unseen" }, caption),
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          headings.map((heading) =>
            el("th", { scope: "col", class: heading.startsWith(">") && "right" }, heading.replace(">", "")),
          ),
        ),
      ),
      el("tbody", null, rows),
    ),
  );
}

/** A fact of a list of facts (`dl`); nothing, where there is none. */
export function fact(word, value) {
  return value && el("div", null, el("dt", null, word), el("dd", null, value));
}

/** What is shown where there is nothing to show, and what to do. */
export function empty(text, ...more) {
  return el("div", { class: "empty" }, el("p", null, text), more);
}
