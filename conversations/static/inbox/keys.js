// Single keys as commands. They can be switched off (WCAG 2.2, 2.1.4), for who speaks to the
// computer, and mean nothing where somebody writes.
import * as queue from "./queue.js";
import * as conversation from "./conversation.js";

const OFF = "inbox:keys-off";
const byId = (id) => document.getElementById(id);
const isQueue = () => document.body.classList.contains("is-queue");
const isConversation = () => document.body.classList.contains("is-conversation");

const COMMANDS = {
  j: () => step(1),
  k: () => step(-1),
  x: () => isQueue() && queue.toggleCurrent(),
  r: () => write("reply"),
  n: () => write("note"),
  e: resolve,
  a: assign,
  u: () => isConversation() && byId("back").click(),
  "/": search,
  "?": () => byId("keys").showModal(),
};

export function startKeys() {
  if (!byId("keys")) return;
  byId("show-keys").addEventListener("click", COMMANDS["?"]);
  const on = byId("keys-on");
  on.checked = localStorage.getItem(OFF) === null;
  on.addEventListener("change", () => {
    if (on.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && writes(event.target)) event.target.blur();
    if (writes(event.target) || document.querySelector("dialog[open]") || !on.checked) return;
    const command = COMMANDS[event.key];
    if (command) {
      event.preventDefault();
      command();
    }
  });
}

function writes(target) {
  const types = ["checkbox", "radio", "button", "submit"];
  return (
    target.isContentEditable ||
    ["TEXTAREA", "SELECT"].includes(target.tagName) ||
    (target.tagName === "INPUT" && !types.includes(target.type))
  );
}

function step(by) {
  if (isQueue()) queue.step(by);
  if (isConversation()) conversation.step(by);
}

function write(kind) {
  if (isConversation()) conversation.write(kind);
  else if (isQueue() && queue.current()) {
    location.href = `${queue.current().querySelector("a.to").href}#${kind}`;
  }
}

function resolve() {
  if (isConversation()) document.querySelector("#state[data-to=resolved]")?.click();
  else if (isQueue() && queue.selectCurrent()) {
    byId("bulk-status").value = "resolved";
    document.querySelector("#bulk [name=act][value=status]").click();
  }
}

function assign() {
  if (isConversation()) byId("fact-assignee").focus();
  else if (isQueue() && queue.selectCurrent()) byId("bulk-assignee").focus();
}

async function search() {
  if (isQueue()) byId("search").focus();
  else if (!isConversation() || (await conversation.whenDone())) {
    location.href = `${byId("back").href}#search`;
  }
}
