// A part of the page as it is now, put in place of how it was: what differs is changed where it
// stands, so that the keyboard, open menus, and what somebody selects or types stay as they are.

// `keeps` says of an element whether it is left alone with all that is in it.
export function merge(old, next, keeps) {
  if (old.isEqualNode(next)) return;
  if (!isSame(old, next)) {
    old.replaceWith(next);
    htmx.process(next);
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = next.nodeValue;
  } else if (!keeps(old)) {
    const untouched = "value" in old && isUntouched(old);
    mergeAttributes(old, next);
    mergeChildren(old, next, keeps);
    if (untouched) restore(old);
  }
}

// Whether nobody has changed a control since it was made.
export function isUntouched(control) {
  if (control.type === "hidden") return true;
  if (["checkbox", "radio"].includes(control.type)) return control.checked === control.defaultChecked;
  if (control.tagName === "SELECT") return control.value === asMade(control);
  return !("defaultValue" in control) || control.value === control.defaultValue;
}

function asMade(select) {
  const options = [...select.options];
  // Where none is marked, the first is chosen.
  return (options.find((one) => one.defaultSelected) ?? options[0])?.value;
}

function restore(control) {
  if (["checkbox", "radio"].includes(control.type)) control.checked = control.defaultChecked;
  else if (control.tagName === "SELECT") control.value = asMade(control);
  else if ("defaultValue" in control) control.value = control.defaultValue;
}

const isSame = (old, next) => old.nodeName === next.nodeName && (old.id ?? "") === (next.id ?? "");

function mergeAttributes(old, next) {
  for (const { name, value } of [...next.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    // A menu that somebody has opened stays open.
    const isOpen = name === "open" && old.tagName === "DETAILS";
    if (!next.hasAttribute(name) && !isOpen) old.removeAttribute(name);
  }
}

function mergeChildren(old, next, keeps) {
  const wanted = new Set([...next.children].map((child) => child.id).filter(Boolean));
  let place = old.firstChild;
  for (const child of [...next.childNodes]) {
    const found = child.id ? childOf(old, child.id) : place && isSame(place, child) ? place : null;
    if (!found) {
      old.insertBefore(child, place);
      if (child.nodeType === Node.ELEMENT_NODE) htmx.process(child);
      continue;
    }
    while (place !== found && place && !wanted.has(place.id)) place = removed(place);
    if (place === found) place = place.nextSibling;
    else old.insertBefore(found, place);
    merge(found, child, keeps);
  }
  while (place) place = removed(place);
}

const childOf = (parent, id) => [...parent.children].find((child) => child.id === id);

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}
