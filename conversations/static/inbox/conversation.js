// A conversation: reading marks as read, what is half done stays, and macros fill the box.
import { isUntouched, merge } from "./merge.js";

const byId = (id) => document.getElementById(id);

export function startConversation() {
  const list = placeInList();
  if (list) byId("back").href = list.address;

  document.addEventListener("htmx:confirm", (event) => {
    const { elt, verb, triggeringEvent } = event.detail;
    // From the queue the same event comes again.
    if (verb !== "post" || pressed.has(triggeringEvent)) return;
    if (elt.id === "composer") {
      // The second half of a double click.
      if (isSending()) {
        event.preventDefault();
        return;
      }
      // What was typed now would be gone with the box that is emptied.
      byId("message").readOnly = true;
    }
    pressed.set(triggeringEvent, whatIsSent(elt, triggeringEvent.submitter));
  });
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters, triggeringEvent } = event.detail;
    if (elt.id === "refresh") tellWhatIsKnown(parameters);
    const sent = pressed.get(triggeringEvent);
    if (!sent) return;
    goOnFromOurs(sent);
    sent.shown = byId("properties").dataset.version;
    for (const name of Object.keys(parameters)) delete parameters[name];
    for (const name of new Set(sent.keys())) {
      const values = sent.getAll(name);
      parameters[name] = values.length > 1 ? values : values[0];
    }
  });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr, requestConfig } = event.detail;
    const sent = pressed.get(requestConfig.triggeringEvent);
    answer = { xhr, elt: requestConfig.elt, sent };
    sawEnd = seesEnd();
  });
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const next = fragment.getElementById?.(target.id);
    if (!next) return;
    event.detail.shouldSwap = false;
    learn(next);
    if (target.id === "thread") learnOfEdit(next);
    if (target.id === "properties") keepUnsaved(target, next);
    if (target.id === "activity") keepEarlier(target, next);
    if (target.id === "thread") keepLost(target, next);
    if (target.id !== "notice" || isNews(target, next)) merge(target, next, isKept);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    const { elt, triggeringEvent } = requestConfig;
    const sent = pressed.get(triggeringEvent);
    pressed.delete(triggeringEvent);
    if (elt.id === "composer") byId("message").readOnly = false;
    if (sent && isDone(xhr)) finish(elt, sent);
    else if (sent) {
      refused += 1;
      // What it says is not stored, and nobody has said why.
      if (elt.matches(CHANGES) && ![400, 409].includes(xhr.status)) elt.classList.add("unsaved");
    }
    answer = null;
    showKind();
    if (sawEnd) showEnd();
    look();
  });
  document.addEventListener("htmx:validation:halted", (event) => {
    pressed.delete(event.detail.triggeringEvent);
  });
  document.addEventListener("inbox:sent", () => {
    const sent = answer?.sent;
    if (sent && byId("message").value !== sent.get("message")) return;
    byId("message").value = "";
    if (byId("macro")) byId("macro").value = "";
    byId("filled").value = "";
    // A note is followed by a note until the agent says otherwise: nothing goes to the customer
    // because it was typed before the answer was there.
  });
  document.addEventListener("visibilitychange", look);
  addEventListener("scroll", look, { passive: true });
  document.addEventListener("change", (event) => {
    if (event.target.name === "kind") showKind();
    if (event.target.id === "macro") takeMacro(event.target.selectedOptions[0]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (event.target.id === "message") {
      event.preventDefault();
      byId("send").click();
    } else if (event.target.matches?.(".change textarea")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });
  byId("below").addEventListener("click", () => {
    showEnd();
    put(end());
  });
  startChanges();
  startMenusThatSave();
  startEarlier();
  startGoingBack();
  showKind();
  showEnd();
  look();
  if (["#reply", "#note"].includes(location.hash)) write(location.hash.slice(1));
}

// --- Requests and their answers ----------------------------------------------

// What an agent does goes to the service in the order in which it was done, one after the other,
// see hx-sync in page.html: as it was when they did it, whatever the page shows by its turn.
const pressed = new Map();
const CHANGES = "#head form[hx-post], #properties form";

function whatIsSent(form, submitter) {
  const sent = new FormData(form, submitter);
  sent.set("since", byId("thread").dataset.first);
  // Each message has versions of its own.
  sent.of = form.matches(".change form") ? form.id : "ticket";
  if (form.matches(CHANGES)) {
    sent.set("version", form.dataset.version ?? byId("properties").dataset.version);
  }
  return sent;
}

const isSending = () => [...pressed.keys()].some((event) => event.target?.id === "composer");

// The version of the ticket and the place of the conversation that came of what the agent did
// themself, by those that they did it to: what waits for its turn goes on from there. What came
// of somebody else is not among them, so that it is told.
const ours = new Map();
const PLACES = ["version", "seen"];

function learn({ dataset }) {
  if (!answer?.sent || !isDone(answer.xhr)) return;
  const { sent } = answer;
  for (const name of PLACES) {
    const before = sent.getAll(name);
    // Who sends and resolves, or sends what a macro says, changes the ticket as well.
    if (name === "version" && (sent.get("then") || sent.get("macro"))) before.push(sent.shown);
    if (!dataset[name] || Number(dataset[name]) !== Math.max(...before.map(Number)) + 1) continue;
    for (const value of before) ours.set(`ticket ${name} ${value}`, dataset[name]);
  }
}

// The version of a message, which no other form has.
function learnOfEdit(next) {
  if (!answer?.sent || !isDone(answer.xhr) || !answer.elt.matches(".change form")) return;
  const made = next.querySelector(`#${answer.elt.id} [name=version]`);
  const before = answer.sent.get("version");
  if (!made || before === null || before === made.value) return;
  ours.set(`${answer.sent.of} version ${before}`, made.value);
  answer.elt.elements.version.value = made.value;
}

function goOnFromOurs(sent) {
  for (const name of PLACES) {
    const values = sent.getAll(name);
    sent.delete(name);
    for (let value of values) {
      while (ours.has(`${sent.of} ${name} ${value}`)) value = ours.get(`${sent.of} ${name} ${value}`);
      sent.append(name, value);
    }
  }
}

// For whoever leaves the page: what they did is done first.
// Whether it was: else there is something to be read here.
export async function whenDone() {
  const [end, before] = [Date.now() + PATIENCE, refused];
  while (pressed.size && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
  return !pressed.size && refused === before;
}

const PATIENCE = 10_000;
let refused = 0;

// The answer that is being put in place.
let answer = null;

const isDone = (xhr) => xhr.status >= 200 && xhr.status < 300;

// What the page shows of the conversation, and what it has said about it: said again for as long
// as it holds.
function tellWhatIsKnown(parameters) {
  // What comes anew begins where the page does.
  parameters.since = byId("thread").dataset.first;
  const refused = byId("notice").dataset.refused;
  if (refused) parameters.refused = refused;
  if (refused || isWriting()) parameters.seen = byId("seen").value;
}

// An empty notice takes one away only where it was asked for by a refresh or by the composer; and
// why something was not sent stays until it is.
function isNews(old, next) {
  if (next.childElementCount) return true;
  if (answer?.elt.id === "composer") return true;
  if (answer?.elt.id === "refresh") return !old.querySelector(".error");
  return old.dataset.refused === "resolve" && answer?.elt.matches("#head form");
}

// A form that was done shows what is stored, and the menu that it stands in is closed.
function finish(form, sent) {
  if (form.id === "composer" || !form.isConnected || !isAsSent(form, sent)) return;
  form.reset();
  const hadKeyboard = form.contains(document.activeElement);
  let menu = null;
  for (let one = form.closest("details"); one; one = one.parentElement.closest("details")) menu = one;
  if (!menu) return;
  for (const open of [menu, ...menu.querySelectorAll("details[open]")]) open.open = false;
  if (hadKeyboard) menu.querySelector("summary").focus();
}

// --- The end of the conversation ---------------------------------------------

let sawEnd = false;

const end = () => document.querySelector("#messages > :last-child");

function showEnd() {
  end()?.scrollIntoView({ block: "nearest" });
  look();
}

function seesEnd() {
  const box = end()?.getBoundingClientRect();
  if (!box) return true;
  const composer = byId("composer");
  const covered = getComputedStyle(composer).position === "sticky" ? composer.offsetHeight : 0;
  return box.top < innerHeight - covered && box.bottom > 0;
}

function look() {
  const below = byId("below");
  const isUnseen = byId("thread").dataset.unread !== "0" && !seesEnd();
  below.hidden = !isUnseen;
  if (!isUnseen) markRead();
}

// --- Reading -----------------------------------------------------------------

let marking = false;

// Only what somebody can see is read, and only up to where the page shows it.
async function markRead() {
  const thread = byId("thread");
  if (marking || document.hidden || thread.dataset.unread === "0") return;
  marking = true;
  const form = byId("read");
  const body = new URLSearchParams(new FormData(form));
  body.set("seen", thread.dataset.seen);
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body,
      headers: { "HX-Request": "true" },
    });
    if (response.ok) thread.dataset.unread = "0";
    else if (response.status === 409) htmx.trigger("#refresh", "inbox:live");
  } catch {
    // It stays unread, and is tried again with the next refresh.
  } finally {
    marking = false;
  }
}

// --- What is half done -------------------------------------------------------

const isUnsaved = (form) =>
  form.classList.contains("unsaved") || ![...form.elements].every(isUntouched);

// Whether nobody has changed a form since it was sent.
const isAsSent = (form, sent) =>
  [...form.elements].every(
    (control) =>
      control.type === "hidden" ||
      isUntouched(control) ||
      (control.type === "checkbox" ? control.checked === sent.has(control.name) : control.value === sent.get(control.name)),
  );

// Forms with something unsaved stay as they are, but for the one that was answered, unless its
// agent has gone on meanwhile.
const isKept = (element) =>
  element.tagName === "FORM" &&
  isUnsaved(element) &&
  !(element === answer?.elt && isAsSent(element, answer.sent));

// They are about the version that they were made for, so that saving them tells if somebody else
// was quicker; what this page itself has changed meanwhile is no surprise to who sits before it.
function keepUnsaved(old, next) {
  const isOurs =
    answer.sent && ours.get(`ticket version ${old.dataset.version}`) === next.dataset.version;
  const unsaved = [...old.querySelectorAll("form")].filter(isKept);
  if (!isOurs) for (const form of unsaved) form.dataset.version ??= old.dataset.version;
  if (answer.elt.matches(CHANGES) || !unsaved.length) return;
  // What was said of them is said for as long as they are there.
  for (const told of [...old.querySelectorAll(":scope > .notice, :scope > .error")].reverse()) {
    if (!next.querySelector(`:scope > #${told.id}`)) next.prepend(told.cloneNode(true));
  }
}

// A message that somebody has deleted stays while its text is being edited.
function keepLost(old, next) {
  const place = (message) => Number(message.id.slice("message-".length));
  for (const form of [...old.querySelectorAll(".change form")].filter(isKept)) {
    const message = form.closest(".message");
    if (next.querySelector(`#${message.id}`)) continue;
    const others = [...next.querySelectorAll("#messages > .message")];
    const following = others.find((one) => place(one) > place(message));
    next.querySelector("#messages").insertBefore(message.cloneNode(true), following ?? null);
  }
}

// Who has asked for what happened before goes on seeing it.
function keepEarlier(old, next) {
  const [shown, news] = [old, next].map((part) => part.querySelector(".timeline"));
  const ids = new Set([...news.children].map((child) => child.id));
  const oldest = news.querySelector("li[id]:last-child, li[id]:has(+ .more)");
  const last = oldest && shown.querySelector(`#${oldest.id}`);
  if (!last) return;
  const before = [];
  for (let one = last.nextElementSibling; one; one = one.nextElementSibling) before.push(one);
  if (!before.some((one) => one.id && !ids.has(one.id))) return;
  news.querySelector(".more")?.remove();
  news.append(...before.map((one) => one.cloneNode(true)));
}

export const isWriting = () => byId("message").value.trim() !== "";

// --- Messages that are changed -----------------------------------------------

function startChanges() {
  document.addEventListener("click", (event) => {
    const summary = event.target.closest?.(".change > summary");
    // It opens after this.
    if (summary) setTimeout(() => summary.parentElement.querySelector("textarea")?.focus());
  });
  document.addEventListener("reset", (event) => {
    const change = event.target.closest(".change");
    // A form that was answered is reset as well, see finish.
    if (!change || answer) return;
    event.target.classList.remove("unsaved");
    change.open = false;
    change.querySelector("summary").focus();
  });
}

// --- Choosing is saving ------------------------------------------------------

// A select is saved when something is chosen in it; by who walks through it with the keyboard, when
// it is left or Enter is pressed, since each step chooses.
function startMenusThatSave() {
  let walked = null;
  const isFact = (element) => element.matches?.(".fact > select");
  const save = (select) => {
    walked = null;
    // What is being saved may be changed back.
    const last = [...pressed].findLast(([event]) => event.target === select.form);
    const isSaved = last ? last[1].get(select.name) === select.value : isUntouched(select);
    if (!isSaved) select.form.requestSubmit();
  };
  const onKey = (event) => {
    if (!isFact(event.target)) return;
    if (event.key === "Escape") {
      walked = null;
      event.target.form.reset();
      event.target.form.classList.remove("unsaved");
    } else if (event.key === "Enter" && walked === event.target) {
      event.preventDefault();
      save(event.target);
    } else if (!["Tab", "Shift"].includes(event.key)) walked = event.target;
  };
  // Before the commands, for which Escape leaves the control.
  document.addEventListener("keydown", onKey, { capture: true });
  document.addEventListener("pointerdown", (event) => {
    if (event.target === walked) walked = null;
  });
  document.addEventListener("change", (event) => {
    if (!isFact(event.target)) return;
    if (walked === event.target) event.target.form.classList.add("unsaved");
    else save(event.target);
  });
  document.addEventListener("focusout", (event) => {
    if (!walked || event.target !== walked) return;
    if (isUntouched(walked)) walked.form.classList.remove("unsaved");
    save(walked);
  });
}

// --- Earlier messages, and where the agent came from -------------------------

// They come above what is read: that stays where it is, and the keyboard is at the first of them.
function startEarlier() {
  let height = 0;
  const isAsked = (event) => event.detail.elt.closest?.(".more") !== null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (isAsked(event)) height = document.documentElement.scrollHeight;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const { elt } = event.detail.requestConfig;
    if (!height) return;
    if (elt.tagName === "A") {
      const top = scrollY;
      const grown = document.documentElement.scrollHeight - height;
      // Where the browser has not done it by itself, as it does not at the very top.
      if (top === 0) scrollTo(0, grown);
      put(document.querySelector("#earlier .more a, #earlier .message"));
    } else {
      put(document.querySelector(".timeline .more button, .timeline > :last-child"));
    }
    height = 0;
  });
}

// The keyboard, where there may be nothing to press.
function put(element) {
  if (!element) return;
  if (!element.matches("a, button")) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

function startGoingBack() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]:not([target], [hx-get])");
    if (!link || !pressed.size || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    whenDone().then((isDone) => isDone && (location.href = link.href));
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("hx-post") || !pressed.size) return;
    event.preventDefault();
    whenDone().then((isDone) => isDone && form.requestSubmit(event.submitter));
  });
  // The second click of a slow double click, on what the button says by then.
  document.addEventListener("click", (event) => {
    if (event.detail > 1 && event.target.closest?.("#state")) event.preventDefault();
  });

  const form = byId("mark-unread").form;
  form.addEventListener("submit", () => {
    const { pathname, search } = new URL(byId("back").href);
    form.elements.next.value = pathname + search;
  });
}

// --- Writing -----------------------------------------------------------------

export function write(kind) {
  byId(`kind-${kind}`).checked = true;
  showKind();
  byId("message").focus();
}

function showKind() {
  const composer = byId("composer");
  const isNote = byId("kind-note").checked;
  composer.dataset.kind = isNote ? "note" : "reply";
  byId("message").placeholder = isNote
    ? "Write to your team; the customer never sees it …"
    : "Write to the customer …";
  byId("send").textContent = isNote ? "Add note" : "Send";
  sayWhatMacroDoes(isNote);
}

function takeMacro(option) {
  const message = byId("message");
  const content = option.dataset.content ?? "";
  // What is taken out of the box again is not to be sent.
  byId("filled").value = option.value;
  if (content) {
    message.value = message.value.trim() ? `${message.value.trimEnd()}\n\n${content}` : content;
    message.dispatchEvent(new Event("input", { bubbles: true }));
    message.focus();
  }
  showKind();
}

function sayWhatMacroDoes(isNote) {
  const does = byId("macro")?.selectedOptions[0]?.dataset.does;
  const says = isNote ? "A note does nothing else of what the macro does." : `The macro ${does}.`;
  byId("macro-does").textContent = does ? says : "";
}

// --- For the keyboard --------------------------------------------------------

// The ticket before or after this one in the list that the agent came from.
export async function step(by) {
  if (!(await whenDone())) return;
  const { project, ticket } = document.body.dataset;
  const list = placeInList();
  const place = list ? list.numbers.indexOf(Number(ticket)) : -1;
  const next = place < 0 ? undefined : list.numbers[place + by];
  if (next !== undefined) location.href = `/inbox/${project}/tickets/${next}`;
}

function placeInList() {
  const kept = sessionStorage.getItem(`inbox:list:${document.body.dataset.project}`);
  return kept ? JSON.parse(kept) : null;
}
