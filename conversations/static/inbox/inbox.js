// The pages of the inbox, made quicker: all of them work by links and forms alone.
import { forgetAtLogout, startDrafts } from "./drafts.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startQueue } from "./queue.js";
import { startConversation } from "./conversation.js";
import { startMenus } from "./menus.js";

document.documentElement.classList.add("js");
startMenus();
forgetAtLogout();
startKeys();
if (document.body.classList.contains("is-queue")) startQueue();
if (document.body.classList.contains("is-conversation")) {
  startDrafts();
  startConversation();
}
if (document.body.dataset.stream) startLive(document.body.dataset);

const problem = document.getElementById("problem");

// Until what failed has succeeded.
let failed = null;

function tell(text, event) {
  problem.textContent = text;
  problem.hidden = !text;
  failed = event?.detail.requestConfig?.elt.id ?? null;
}

// A refresh that fails is tried again with the next one, and the state of the stream says so.
const isRefresh = (event) => event.detail.requestConfig?.verb === "get";

// An error page of a proxy, or of the service, is no part of this page.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, shouldSwap } = event.detail;
  if (!shouldSwap || xhr.getResponseHeader("X-Inbox")) return;
  event.detail.shouldSwap = false;
  event.detail.isError = true;
});
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 404) tell("This is not there any more. What you wrote is still on this page.", event);
  else if (status === 403) tell("This was refused. Reload the page; what you wrote is kept.", event);
  else if (!isRefresh(event)) {
    tell(`This was not done: the service answered ${status}. What you wrote is kept; try again.`, event);
  }
});
for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => {
    if (isRefresh(event)) return;
    tell("The service does not answer, so that this may not be done. What you wrote is kept; try again: nothing is done twice.", event);
  });
}
document.addEventListener("htmx:afterRequest", (event) => {
  const { successful, requestConfig } = event.detail;
  if (successful && !isRefresh(event) && requestConfig.elt.id === failed) tell("");
});
