// The list: which ticket the keyboard is at, which are selected, and where to come back to.

const selected = new Set();
let sent = [];
let at = null;
// The numbers of the rows when `at` was among them, to know what took its place.
let around = [];
// What had the keyboard in the bar above the list, when its form was sent.
let pressed = null;
let isLost = false;

export function startQueue() {
  keepPlace();
  const side = document.getElementById("side");
  const button = document.getElementById("show-side");
  button.addEventListener("click", () => {
    const open = side.classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
    if (open) side.querySelector("a").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && side.classList.contains("open")) {
      button.click();
      button.focus();
    }
    if (event.key === "Enter" && event.target.name === "ids") {
      // Else it would send the form of the selected ones.
      event.preventDefault();
      event.target.closest(".row").querySelector("a.to").click();
    }
  });
  document.addEventListener("focusin", current);
  document.addEventListener("change", (event) => {
    if (event.target.name === "ids") mark(event.target.value, event.target.checked);
    if (event.target.id === "select-all") {
      for (const box of boxes()) mark(box.value, event.target.checked);
    } else if (event.target.name !== "ids") return;
    show();
  });
  document.addEventListener("click", (event) => {
    if (event.target.id === "select-none") {
      selected.clear();
      show();
    }
  });
  // Of a ticket that is not on this page any more, nobody sees that it is selected.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id === "bulk") pressed = document.activeElement;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "queue") return;
    current();
    const focused = document.activeElement;
    isLost = Boolean(pressed) || Boolean(focused.closest("#queue"));
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id === "bulk" && !event.detail.successful) refocus();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    renewed();
    if (isLost) refocus();
    if (event.target.id === "views") markCurrent();
  });
  document.addEventListener("inbox:changed", () => sent.forEach((id) => selected.delete(id)));
  // Empty controls ask for nothing, and a change goes to the list as it is addressed now.
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters } = event.detail;
    if (elt.id === "filters") {
      for (const name of Object.keys(parameters)) {
        const values = [parameters[name]].flat().filter((value) => value !== "");
        if (values.length) parameters[name] = values.join(",");
        else delete parameters[name];
      }
    }
    if (elt.id === "bulk") {
      event.detail.path += location.search;
      sent = [...selected];
      parameters.ids = sent;
    }
    if (elt.id === "refresh") event.detail.path = location.pathname + location.search;
    if (elt.id === "views") {
      parameters.current = new URLSearchParams(location.search).get("view") ?? "";
    }
  });
  document.addEventListener("htmx:pushedIntoHistory", markCurrent);
  if (location.hash === "#search") document.getElementById("search").focus();
  for (const box of boxes()) if (box.checked) selected.add(box.value);
  show();
}

const boxes = () => document.querySelectorAll("#rows input[name=ids]");
export const rows = () => [...document.querySelectorAll("#rows .row")];

// No more than can be changed at once.
const most = () => Number(document.getElementById("bulk").dataset.most);

function mark(id, on) {
  if (!on) selected.delete(id);
  else if (selected.size < most()) selected.add(id);
}

function renewed() {
  const here = new Set([...boxes()].map((box) => box.value));
  for (const id of [...selected]) if (!here.has(id)) selected.delete(id);
  show();
  keepPlace();
  sayWrong();
}

// The list says what is wrong with its filters; here their controls do.
function sayWrong() {
  for (const control of document.querySelectorAll("#filters [name], #search")) {
    const told = document.getElementById(`error-${control.name}`);
    if (told) {
      control.setAttribute("aria-invalid", "true");
      control.setAttribute("aria-describedby", told.id);
    } else {
      control.removeAttribute("aria-invalid");
      control.removeAttribute("aria-describedby");
    }
  }
}

// What was replaced gives the keyboard to what is in its place.
function refocus() {
  isLost = false;
  const was = pressed;
  pressed = null;
  if (document.activeElement !== document.body) return;
  const bulk = document.getElementById("bulk");
  const ways = [() => current()?.querySelector("a.to"), () => document.getElementById("queue")];
  if (bulk.contains(document.getElementById(was?.id))) {
    ways.unshift(() => bulk.querySelector("[aria-invalid]"), () => document.getElementById(was.id));
  }
  for (const way of ways) {
    way()?.focus();
    if (document.activeElement !== document.body) return;
  }
}

function show() {
  for (const box of boxes()) {
    box.checked = selected.has(box.value);
    box.closest(".row").classList.toggle("selected", box.checked);
  }
  const bulk = document.getElementById("bulk");
  bulk.classList.toggle("shown", selected.size > 0);
  const full = selected.size >= most() && selected.size < boxes().length;
  bulk.querySelector(".count").textContent = selected.size
    ? `${selected.size} selected${full ? ", the most that can be changed at once" : ""}`
    : "";
  const all = document.getElementById("select-all");
  if (all) {
    all.checked = selected.size > 0 && selected.size === boxes().length;
    all.indeterminate = selected.size > 0 && !all.checked;
  }
}

// For who goes through a list ticket by ticket, see conversation.js.
function keepPlace() {
  const numbers = rows().map((row) => Number(row.dataset.number));
  const address = document.getElementById("queue").dataset.address;
  const place = { address, numbers };
  sessionStorage.setItem(`inbox:list:${document.body.dataset.project}`, JSON.stringify(place));
}

function markCurrent() {
  const here = decodeURIComponent(location.pathname + location.search);
  for (const link of document.querySelectorAll("#side a")) {
    const { pathname, search } = new URL(link.href);
    if (decodeURIComponent(pathname + search) === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// --- For the keyboard --------------------------------------------------------

export function current() {
  const row = document.activeElement.closest?.("#rows .row");
  if (row) at = row.dataset.number;
  const here = rows();
  const find = (number) => here.find((other) => other.dataset.number === number);
  if (at !== null && !find(at)) at = inPlaceOf(at, (number) => find(number));
  around = here.map((other) => other.dataset.number);
  return find(at) ?? null;
}

// The nearest one after it that is there still, else the nearest before it.
function inPlaceOf(number, isHere) {
  const place = around.indexOf(number);
  const after = around.slice(place + 1).find(isHere);
  return after ?? around.slice(0, Math.max(place, 0)).findLast(isHere) ?? null;
}

export function step(by) {
  const all = rows();
  const place = all.indexOf(current());
  const next = place < 0 ? (by > 0 ? 0 : all.length - 1) : place + by;
  const row = all[next];
  if (row) {
    at = row.dataset.number;
    row.querySelector("a.to").focus();
  }
}

// Selects the ticket of the keyboard, unless others are selected.
export function selectCurrent() {
  const row = current();
  if (!selected.size && row) toggleCurrent();
  return selected.size > 0;
}

export function toggleCurrent() {
  const box = current()?.querySelector("input[name=ids]");
  if (box) {
    mark(box.value, !box.checked);
    show();
  }
}
