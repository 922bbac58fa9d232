// What is written and not sent yet outlives a reload, and a session that ended.

const DRAFTS = "inbox:draft:";

// Of this agent: another one may sit down at the same browser.
function key() {
  const { agent, project, ticket } = document.body.dataset;
  return `${DRAFTS}${agent}:${project}:${ticket}`;
}

// Who logs out leaves nothing behind.
export function forgetAtLogout() {
  document.querySelector("form[action='/logout']")?.addEventListener("submit", () => {
    const drafts = Object.keys(localStorage).filter((name) => name.startsWith(DRAFTS));
    drafts.forEach((name) => localStorage.removeItem(name));
  });
}

export function startDrafts() {
  restore();
  document.addEventListener("input", (event) => {
    if (event.target.closest?.("#composer")) keep();
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest?.("#composer")) keep();
  });
  document.addEventListener("inbox:sent", () => {
    const kept = localStorage.getItem(key());
    // What another tab of the same ticket has written is not sent.
    if (kept && JSON.parse(kept).text === document.getElementById("message").value) {
      localStorage.removeItem(key());
    }
  });
  // In another tab of the same ticket.
  addEventListener("storage", (event) => {
    const message = document.getElementById("message");
    if (event.key === key() && event.newValue === null && event.oldValue) {
      if (message.value === JSON.parse(event.oldValue).text) message.value = "";
      else keep();
    }
  });
}

function keep() {
  const text = document.getElementById("message").value;
  const macro = document.getElementById("macro")?.value ?? "";
  const filled = document.getElementById("filled").value;
  const kind = document.getElementById("composer").elements.kind.value;
  if (text || macro) localStorage.setItem(key(), JSON.stringify({ text, kind, macro, filled }));
  else localStorage.removeItem(key());
}

function restore() {
  const message = document.getElementById("message");
  const kept = localStorage.getItem(key());
  if (!kept || message.value) return;
  const { text, kind, macro, filled } = JSON.parse(kept);
  message.value = text;
  document.getElementById("filled").value = filled ?? "";
  document.getElementById(`kind-${kind}`).checked = true;
  const chosen = document.getElementById("macro");
  if (chosen && [...chosen.options].some((option) => option.value === macro)) chosen.value = macro;
}
