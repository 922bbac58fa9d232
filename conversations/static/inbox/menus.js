// Menus are <details>: here they close as menus do, and say what is chosen in them.

export function startMenus() {
  document.addEventListener("click", (event) => {
    // Enter in a field clicks its form's button, which may stand outside the menu.
    if (event.detail) closeOthers(event.target);
  });
  document.addEventListener("focusin", (event) => closeOthers(event.target));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });
  document.addEventListener("change", (event) => {
    const menu = event.target.closest?.("details.filter");
    if (menu) sayChosen(menu);
    const filter = event.target.closest?.("label.filter");
    if (filter) filter.classList.toggle("on", event.target.value !== "");
  });
}

function closeOthers(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
}

function sayChosen(menu) {
  const chosen = [...menu.querySelectorAll("input:checked")].map((box) =>
    box.parentElement.textContent.trim(),
  );
  const filled = [...menu.querySelectorAll("input[type=text]")].some((input) => input.value);
  menu.classList.toggle("on", chosen.length > 0 || filled);
  const summary = menu.querySelector("summary");
  summary.textContent = menu.dataset.label + (chosen.length ? `: ${chosen.join(", ")}` : "");
}
