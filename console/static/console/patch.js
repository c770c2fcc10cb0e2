/* Changes a part of the page into a newer version of it, and keeps each element that is in both: with it the focus, a
   text that was typed, the scroll position, open details and playing audio. */

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
  // Whether details are open is the choice of the person.
  const isOwn = ({ name }) => name === "open" && element.nodeName === "DETAILS";
  for (const attribute of [...element.attributes]) {
    if (!newer.hasAttribute(attribute.name) && !isOwn(attribute)) element.removeAttribute(attribute.name);
  }
  for (const attribute of newer.attributes) {
    if (element.getAttribute(attribute.name) !== attribute.value && !isOwn(attribute)) {
      element.setAttribute(attribute.name, attribute.value);
    }
  }
}
