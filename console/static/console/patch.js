/* Changes a part of the page into a newer version of it, and keeps each element that is in both: with it the focus, a
   text that was typed, the scroll position, open details and playing audio. */

/** Details that the person opened or closed. The page opens others by itself, such as those of a call that failed. */
const toggled = new WeakSet();
document.addEventListener("click", ({ target }) => {
  const summary = target.closest("summary");
  if (summary) toggled.add(summary.parentElement);
});

/** Make the children of `part` those of `other`, whose nodes are used up. */
export function patch(part, other) {
  const unused = [...part.childNodes];
  const take = (matches) => {
    const place = unused.findIndex(matches);
    return place < 0 ? null : unused.splice(place, 1)[0];
  };
  const children = [...other.childNodes].map((node) => {
    const same = take((old) => old.isEqualNode(node));
    if (same) return same;
    const earlier = take((old) => old.nodeName === node.nodeName && key(old) === key(node));
    if (!earlier) return node;
    if (node.nodeType === Node.ELEMENT_NODE) {
      copyAttributes(earlier, node);
      patch(earlier, node);
    } else earlier.data = node.data;
    return earlier;
  });
  for (const old of unused) old.remove();
  // A node that stays in its place is not inserted again, which would take its focus away.
  let next = part.firstChild;
  for (const child of children) {
    if (child === next) next = next.nextSibling;
    else part.insertBefore(child, next);
  }
}

/** Return what tells an element from its neighbours: its id, its name, or the first link in it, such as that of a row. */
function key(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  const named = node.id || node.getAttribute("name") || node.getAttribute("href");
  return named || (node.querySelector("a[href]")?.getAttribute("href") ?? "");
}

function copyAttributes(element, newer) {
  for (const { name } of [...element.attributes]) {
    // What is open is being read.
    if (!newer.hasAttribute(name) && name !== "open") element.removeAttribute(name);
  }
  for (const { name, value } of newer.attributes) {
    const isChosen = name === "open" && toggled.has(element);
    if (element.getAttribute(name) !== value && !isChosen) element.setAttribute(name, value);
  }
}
