// A conversation: reading marks as read, what is half done stays, and macros fill the box.

export function startConversation() {
  const list = placeInList();
  if (list) document.getElementById("back").href = list.address;

  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters, verb } = event.detail;
    const first = document.getElementById("thread").dataset.first;
    // So that what comes anew begins where the page does.
    if (elt.id === "conversation" || verb === "post") parameters.since = first;
    if (elt.id === "conversation" && isWriting()) {
      parameters.seen = document.getElementById("seen").value;
    }
  });
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const next = fragment.getElementById?.(target.id) ?? fragment.firstElementChild;
    if (!next || !target.id) return;
    if (target.contains(document.activeElement)) {
      refocus = waysBackTo(document.activeElement);
    }
    if (target.id === "thread") atEnd = seesEnd();
    keepTokens(target, next);
    keepOpen(target, next);
    // What is as it was stays, with what somebody has selected in it, unless it was sent: what
    // was typed there is saved, however it was written.
    if (!target.contains(submitted) && target.isEqualNode(next)) {
      event.detail.shouldSwap = false;
    } else {
      keepLost(target, next);
      keepUnsaved(target, next);
    }
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    submitted = event.detail.requestConfig.verb === "post" ? event.detail.elt : null;
    // What was typed now would be gone with the box that is emptied.
    if (event.detail.elt.id === "composer") document.getElementById("message").readOnly = true;
  });
  document.addEventListener("htmx:afterRequest", () => {
    document.getElementById("message").readOnly = false;
  });
  document.addEventListener("htmx:afterSettle", () => {
    markRead();
    showKind();
    if (atEnd) showEnd();
    atEnd = false;
    for (const way of refocus) {
      if (document.activeElement === document.body) document.querySelector(way)?.focus();
    }
    refocus = [];
  });
  document.addEventListener("visibilitychange", markRead);
  document.addEventListener("change", (event) => {
    if (event.target.name === "kind") showKind();
    if (event.target.id === "macro") takeMacro(event.target.selectedOptions[0]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      if (event.target.id === "message") {
        event.preventDefault();
        document.getElementById("send").click();
      } else if (event.target.matches?.(".change textarea")) {
        event.preventDefault();
        event.target.form.requestSubmit();
      }
    }
  });
  document.addEventListener("reset", (event) => {
    const change = event.target.closest(".change");
    if (!change) return;
    event.target.classList.remove("unsaved");
    change.open = false;
    change.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    const summary = event.target.closest?.(".change > summary");
    // It opens after this.
    if (summary) setTimeout(() => summary.parentElement.querySelector("textarea")?.focus());
  });
  showKind();
  sayWhatMacroDoes();
  markRead();
  showEnd();
  if (["#reply", "#note"].includes(location.hash)) write(location.hash.slice(1));
}

// --- The end of the conversation ---------------------------------------------

let atEnd = false;

const end = () => document.querySelector("#messages > :last-child");
const showEnd = () => end()?.scrollIntoView({ block: "nearest" });

function seesEnd() {
  const box = end()?.getBoundingClientRect();
  return box ? box.top < innerHeight && box.bottom > 0 : true;
}

// --- The focus ---------------------------------------------------------------

let refocus = [];

// What has the keyboard when this is replaced: a message that is being edited; the menu that it
// stands in, which is closed then; and a ticket that was resolved can be reopened.
function waysBackTo(control) {
  const ways = control.matches(".change textarea") ? [`#${control.id}`] : [];
  const form = control.closest("details")?.querySelector("form");
  if (form) ways.push(`details:has(#${form.id}) > summary`);
  if (control.closest("#head")) ways.push("#head .acts button");
  if (control.closest("#thread")) ways.push("#main");
  return ways;
}

// --- Reading -----------------------------------------------------------------

let marking = false;

// Only what somebody can see is read, and only up to where the page shows it.
async function markRead() {
  const thread = document.getElementById("thread");
  if (marking || document.hidden || thread.dataset.unread === "0") return;
  marking = true;
  const form = document.getElementById("read");
  const body = new URLSearchParams(new FormData(form));
  body.set("seen", thread.dataset.seen);
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body,
      headers: { "HX-Request": "true" },
    });
    if (response.ok) thread.dataset.unread = "0";
    else if (response.status === 409) htmx.trigger("#conversation", "inbox:live");
  } catch {
    // It stays unread, and is tried again with the next refresh.
  } finally {
    marking = false;
  }
}

// --- What is half done -------------------------------------------------------

let submitted = null;

const isChanged = (form) =>
  [...form.elements].some((control) => {
    if (control.type === "hidden") return false;
    if (control.type === "checkbox") return control.checked !== control.defaultChecked;
    if (control.tagName === "SELECT") {
      const options = [...control.options];
      // Where none is marked, the first is chosen.
      return control.value !== (options.find((one) => one.defaultSelected) ?? options[0]).value;
    }
    return "defaultValue" in control && control.value !== control.defaultValue;
  });

const isUnsaved = (form) =>
  form !== submitted && (form.classList.contains("unsaved") || isChanged(form));

// Each answer writes them in another way.
function keepTokens(old, next) {
  const token = old.querySelector("[name=csrfmiddlewaretoken]")?.getAttribute("value");
  for (const input of next.querySelectorAll("[name=csrfmiddlewaretoken]")) {
    if (token) input.setAttribute("value", token);
  }
  for (const input of old.querySelectorAll("[name=csrfmiddlewaretoken]")) {
    input.setAttribute("value", token);
  }
}

function keepOpen(old, next) {
  for (const menu of old.querySelectorAll("details[open]")) {
    const inside = menu.querySelector("form");
    const same = menu.id
      ? next.querySelector(`#${menu.id}`)
      : inside && next.querySelector(`#${inside.id}`)?.closest("details");
    if (same && !menu.contains(submitted)) same.open = true;
  }
}

// Forms with something unsaved stay as they are, with the version that they were made for, so
// that saving them tells if somebody else was quicker.
function keepUnsaved(old, next) {
  for (const form of old.querySelectorAll("form[id]")) {
    const made = next.querySelector(`#${form.id}`);
    if (made && !made.classList.contains("unsaved") && isUnsaved(form)) made.replaceWith(form);
  }
}

// A message that somebody has deleted stays while its text is being edited.
function keepLost(old, next) {
  for (const form of old.querySelectorAll("form[id]")) {
    const message = form.closest(".message");
    if (!message || !isUnsaved(form) || next.querySelector(`#${message.id}`)) continue;
    const messages = next.querySelector("#messages");
    const place = (one) => Number(one.id.slice("message-".length));
    const following = [...messages.children].find((one) => place(one) > place(message));
    messages.insertBefore(message, following ?? null);
  }
}

export const isWriting = () => document.getElementById("message").value.trim() !== "";

// --- Writing -----------------------------------------------------------------

export function write(kind) {
  document.getElementById(`kind-${kind}`).checked = true;
  showKind();
  document.getElementById("message").focus();
}

function showKind() {
  const composer = document.getElementById("composer");
  const isNote = document.getElementById("kind-note").checked;
  composer.dataset.kind = isNote ? "note" : "reply";
  document.getElementById("message").placeholder = isNote
    ? "Write to your team; the customer never sees it …"
    : "Write to the customer …";
  document.getElementById("send").textContent = isNote ? "Add note" : "Send";
}

function takeMacro(option) {
  const message = document.getElementById("message");
  const content = option.dataset.content ?? "";
  if (content) {
    message.value = message.value.trim() ? `${message.value.trimEnd()}\n\n${content}` : content;
    message.dispatchEvent(new Event("input", { bubbles: true }));
    message.focus();
  }
  sayWhatMacroDoes();
}

function sayWhatMacroDoes() {
  const does = document.getElementById("macro")?.selectedOptions[0]?.dataset.does;
  document.getElementById("macro-does").textContent = does ? `The macro ${does}.` : "";
}

// --- For the keyboard --------------------------------------------------------

// The ticket before or after this one in the list that the agent came from.
export function step(by) {
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
