// What is written and not sent yet outlives a reload, and a session that ended.

const key = () => `inbox:draft:${document.body.dataset.project}:${document.body.dataset.ticket}`;

export function startDrafts() {
  restore();
  document.addEventListener("input", (event) => {
    if (event.target.closest?.("#composer")) keep();
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest?.("#composer")) keep();
  });
  document.addEventListener("inbox:sent", () => localStorage.removeItem(key()));
  // In another tab of the same ticket.
  addEventListener("storage", (event) => {
    const message = document.getElementById("message");
    if (event.key === key() && event.newValue === null && event.oldValue) {
      if (message.value === JSON.parse(event.oldValue).text) message.value = "";
    }
  });
}

function keep() {
  const text = document.getElementById("message").value;
  const macro = document.getElementById("macro")?.value ?? "";
  const kind = document.getElementById("composer").elements.kind.value;
  if (text || macro) localStorage.setItem(key(), JSON.stringify({ text, kind, macro }));
  else localStorage.removeItem(key());
}

function restore() {
  const message = document.getElementById("message");
  const kept = localStorage.getItem(key());
  if (!kept || message.value) return;
  const { text, kind, macro } = JSON.parse(kept);
  message.value = text;
  document.getElementById(`kind-${kind}`).checked = true;
  const chosen = document.getElementById("macro");
  if (chosen && [...chosen.options].some((option) => option.value === macro)) chosen.value = macro;
}
