// What happens in the project, as it happens: one tab reads the stream, for all of a browser.
//
// Read with fetch and not with EventSource, which does not tell that nothing comes any more:
// the service sends a line every 15 seconds, so that silence means that we are behind.
// A browser has six connections to a host for all of its tabs, which is why they share one.

const SILENCE = 40_000;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

let project;
let channel;
let number = null;
let state = "starting";
let leads = false;

export function startLive({ project: id, stream }) {
  project = id;
  if ("BroadcastChannel" in window) {
    channel = new BroadcastChannel(`inbox:${project}`);
    channel.onmessage = (event) => hear(event.data);
  }
  addEventListener("offline", () => show("offline"));
  const begin = () => {
    leads = true;
    return new Reader(stream).run();
  };
  if (navigator.locks && channel) {
    navigator.locks.request(`inbox:${project}`, begin);
    channel.postMessage({ kind: "asks" });
  } else {
    begin();
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) flush();
  });
  document.addEventListener("htmx:afterSettle", showTitle);
  document.addEventListener("htmx:beforeSend", (event) => {
    const { xhr, elt } = event.detail;
    if (isRefresh(elt)) {
      begun.set(xhr, asked);
      refreshing = true;
      xhr.addEventListener("loadend", () => (refreshing = false));
      return;
    }
    asked += 1;
    asking.add(xhr);
    xhr.addEventListener("loadend", () => asking.delete(xhr));
  });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr, elt } = event.detail;
    if (!isRefresh(elt) || begun.get(xhr) === asked) return;
    // It is older than what the agent has asked for since.
    event.preventDefault();
    waits = true;
    schedule();
  });
}

function tell(said) {
  channel?.postMessage(said);
  hear(said);
}

function hear(said) {
  if (said.kind === "asks" && leads) {
    channel.postMessage({ kind: "state", state });
    if (number !== null) channel.postMessage({ kind: "count", count: number });
  } else if (said.kind === "state") {
    show(said.state);
  } else if (said.kind === "count") {
    count(said.count);
    // What is read or unread shows in the list.
    if (!document.body.dataset.ticket) happened({});
  } else if (said.kind === "event") {
    happened(said);
  } else if (said.kind === "everything") {
    happened({});
  }
}

class Reader {
  constructor(url) {
    this.url = url;
    this.pause = FIRST_PAUSE;
  }

  async run() {
    for (;;) {
      this.attempt = new AbortController();
      try {
        await this.read();
      } catch {
        // Cut off, silent, or not to be reached: all the same to who waits for news.
      }
      clearTimeout(this.watch);
      if (this.isOver) {
        tell({ kind: "state", state: "over" });
        return;
      }
      tell({ kind: "state", state: navigator.onLine ? "behind" : "offline" });
      await this.wait();
    }
  }

  async read() {
    this.expectSomething();
    const wake = () => this.attempt.abort();
    addEventListener("offline", wake, { signal: this.attempt.signal });
    const response = await fetch(this.url, {
      headers: { Accept: "text/event-stream" },
      signal: this.attempt.signal,
      cache: "no-store",
    });
    if (response.status === 401 || response.status === 403) {
      this.isOver = true;
      return;
    }
    if (!response.ok) throw new Error(String(response.status));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let isNew = true;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.expectSomething();
      if (isNew) {
        isNew = false;
        this.pause = FIRST_PAUSE;
        tell({ kind: "state", state: "live" });
        // Whatever happened while nobody listened.
        tell({ kind: "everything" });
      }
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.forEach(understand);
    }
  }

  expectSomething() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.attempt.abort(), SILENCE);
  }

  // Until the pause is over, or there is a reason to try at once.
  wait() {
    const pause = this.pause * (0.75 + Math.random() / 2);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
    return new Promise((resolve) => {
      const done = new AbortController();
      const now = () => {
        done.abort();
        resolve();
      };
      setTimeout(now, pause);
      addEventListener("online", now, { signal: done.signal });
      document.addEventListener("visibilitychange", now, { signal: done.signal });
    });
  }
}

function understand(block) {
  const lines = block.split("\n");
  const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const type = field("event");
  const data = field("data");
  if (!type || !data) return;
  const told = JSON.parse(data);
  if (type === "unread_count") tell({ kind: "count", count: told.count });
  else tell({ kind: "event", ticket: told.ticket_number });
}

// --- What becomes of it ------------------------------------------------------

const QUIET = 400;
const EVERY = 2_000;
const isRefresh = (element) => element.id === "refresh";
// Requests of the agent: those under way, and how many there were when a refresh began.
const asking = new Set();
const begun = new WeakMap();
let asked = 0;
let refreshing = false;
let due = null;
let last = 0;
let waits = false;
const VIEWS_EVERY = 10_000;
let viewsDue = null;
let lastViews = 0;

// One refresh for many events, at once where it has been quiet; none while nobody looks.
function happened({ ticket }) {
  const mine = document.body.dataset.ticket;
  if (mine && ticket !== undefined && String(ticket) !== mine) return;
  waits = true;
  if (!document.hidden) schedule();
}

function schedule() {
  if (due !== null) return;
  const wait = Math.max(QUIET, last + EVERY - Date.now());
  due = setTimeout(flush, wait);
}

function flush() {
  clearTimeout(due);
  due = null;
  if (!waits || document.hidden) return;
  if (asking.size || refreshing) {
    // What an agent has asked for comes first; what it brings may be from before the event.
    schedule();
    return;
  }
  waits = false;
  last = Date.now();
  const part = document.getElementById("refresh");
  if (part) htmx.trigger(part, "inbox:live");
  refreshViews();
}

// Their numbers cost more than a list does, the more the more is unread.
function refreshViews() {
  const views = document.getElementById("views");
  if (!views || viewsDue !== null) return;
  const refresh = () => {
    viewsDue = null;
    lastViews = Date.now();
    htmx.trigger(views, "inbox:views");
  };
  viewsDue = setTimeout(refresh, Math.max(0, lastViews + VIEWS_EVERY - Date.now()));
}

const TEXTS = {
  starting: "",
  live: "Live",
  behind: "Behind: connecting again …",
  offline: "Offline: this page may be out of date",
  over: "No access any more: reload this page",
};

function show(next) {
  state = next;
  const live = document.getElementById("live");
  live.dataset.state = state;
  live.querySelector(".live-text").textContent = TEXTS[state];
}

let title = document.title;
let shownTitle = title;

// Another list has another title.
function showTitle() {
  if (document.title !== shownTitle) title = document.title;
  shownTitle = number ? `(${number}) ${title}` : title;
  document.title = shownTitle;
}

function count(next) {
  number = next;
  showTitle();
  for (const place of document.querySelectorAll("[data-unread-count]")) {
    place.textContent = number || "";
  }
  const mark = number
    ? `<circle cx="11.5" cy="4.5" r="4.5" fill="#dc2626"/><text x="11.5" y="6.9" font-family="sans-serif" font-size="6.5" font-weight="700" fill="#fff" text-anchor="middle">${number > 9 ? "9+" : number}</text>`
    : "";
  const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#1d4ed8" d="M3 1h10a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H8l-4 4v-4H3a2 2 0 0 1-2-2V3a2 2 0 0 1 2-2z"/>${mark}</svg>`;
  document.querySelector("link[rel=icon]").href = `data:image/svg+xml,${encodeURIComponent(picture)}`;
}
