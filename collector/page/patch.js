// Redrawing in place: changes only what differs, so that focus and selection survive.

import { present } from "./element.js";

/**
 * Makes the children of a node equal to new ones, in place. Elements with the same `data-key` are the same thing. A kept
 * element keeps its event handlers: they read what they act on from its attributes.
 */
export function patch(node, ...children) {
  const fresh = document.createDocumentFragment();
  fresh.append(...present(children));
  patchChildren(node, [...fresh.childNodes]);
}

function patchChildren(node, fresh) {
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
    // A moved element loses the focus: the ones before it make way instead.
    if (known && isAhead(node, at, known)) while (at !== known) pass().remove();
    if (at && at.dataset?.key === key && become(at, child)) at = at.nextSibling;
    else if (at && !key && !at.dataset?.key) pass().replaceWith(child);
    else node.insertBefore(child, at);
  }
  while (at) pass().remove();
}

function isAhead(parent, at, known) {
  if (known.parentNode !== parent || !at) return false;
  return at === known || Boolean(at.compareDocumentPosition(known) & Node.DOCUMENT_POSITION_FOLLOWING);
}

/** Makes an old node equal to a new one where possible. A link to another address is another link. */
function become(old, child) {
  if (old.isEqualNode(child)) return true;
  if (old.nodeName !== child.nodeName || old.href !== child.href) return false;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = child.data;
    return true;
  }
  for (const { name } of [...old.attributes]) if (!child.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of child.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  patchChildren(old, [...child.childNodes]);
  return true;
}
