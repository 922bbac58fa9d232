// What the settings do beyond their forms: to copy, and to keep no secret.

for (const button of document.querySelectorAll("button[data-copy]")) {
  // A browser gives the clipboard to pages that came over https, or from this machine.
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    const said = document.createElement("span");
    said.textContent = "Copied.";
    document.getElementById("said").replaceChildren(said);
  });
}

// Whoever comes back to this page must not find the secret, even where the browser has kept it.
addEventListener("pagehide", () => {
  document.getElementById("secret")?.closest("section").remove();
});
