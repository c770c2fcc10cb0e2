/**
 * Building of page elements.
 *
 * Texts only ever become text nodes. No module of the playground writes `innerHTML`, so no text of a model, a tool or a
 * file can become markup.
 */

/**
 * Return a new element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes] A function is a listener: `{onclick: save}`. `false` and null are left out.
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice("on".length), value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  return fill(element, ...children);
}

/** Replace the children of an element. Empty values are left out. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter(Boolean));
  return element;
}

/** Replace the children of a list. The focus stays on the entry with the same `data-name`. */
export function refill(list, ...children) {
  const name = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  fill(list, ...children);
  if (name) list.querySelector(`[data-name="${CSS.escape(name)}"]`)?.focus();
}

/** Return the element of the page with this id. */
export function byId(id) {
  return /** @type {any} */ (document.getElementById(id));
}

/** Return a button; `attributes` as in `el`. */
export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}
