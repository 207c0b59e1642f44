// What a page gains from JavaScript: local times, a scanner that needs no click, and the live line.
"use strict";

const QUIET_MS = 2500; // the server speaks every second: after so long without a word the data may be old
const DROP_MS = 8000; // a socket that is silent for so long is dropped and made anew
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10000;
const ENDED = 4401;

let clockAheadMs = 0; // the server's clock less this computer's

function two(number) {
  return String(number).padStart(2, "0");
}

function timeOf(at) {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function dayOf(at) {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function serverNow() {
  return new Date(Date.now() + clockAheadMs);
}

function showElapsed(element) {
  const seconds = Math.max(0, Math.floor((serverNow() - new Date(element.dateTime)) / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const text = hours >= 48 ? `${Math.floor(hours / 24)} days` : `${hours ? `${hours}:` : ""}${rest}`;
  if (element.textContent !== text) element.textContent = text;
}

function isShort(element, at) {
  return dayOf(at) === dayOf(serverNow()) && !element.classList.contains("whole");
}

function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    element.title = `${element.classList.contains("elapsed") ? "since " : ""}${dayOf(at)} ${timeOf(at)} (${element.dateTime})`;
    if (element.classList.contains("elapsed")) showElapsed(element);
    else element.textContent = isShort(element, at) ? timeOf(at) : `${dayOf(at)} ${timeOf(at)}`;
  }
}

// The form says UTC without this script; with it people enter their own time, and UTC is sent.
function useLocalTimeIn(form) {
  const input = form.querySelector("input[type=datetime-local]");
  const sent = document.createElement("input");
  sent.type = "hidden";
  sent.name = input.name;
  input.removeAttribute("name");
  if (input.value) {
    const at = new Date(`${input.value}Z`);
    input.value = `${dayOf(at)}T${timeOf(at)}`;
  }
  form.append(sent);
  form.querySelector(".zone").textContent = "(local time)";
  form.addEventListener("submit", () => {
    sent.value = input.value ? new Date(input.value).toISOString() : "";
  });
}

// A badge or serial scanner types like a keyboard: what nobody else takes goes to the search box.
function catchScans(search) {
  document.addEventListener("keydown", (event) => {
    const isText = event.key.length === 1 && /[\w[\]()]/.test(event.key);
    const isFree = document.activeElement === document.body || document.activeElement?.tagName === "A";
    if (isText && isFree && !event.ctrlKey && !event.metaKey && !event.altKey) {
      search.value = "";
      search.focus();
    }
  });
}

// Only what changed is replaced, so that scrolling, focus and unfolded lists elsewhere stay as they are.
function replaceChanged(container, shown, html) {
  const arrived = document.createElement("template");
  arrived.innerHTML = html;
  for (const element of arrived.content.querySelectorAll("[id]")) {
    const old = document.getElementById(element.id);
    if (old instanceof HTMLDetailsElement && old.open) element.open = true;
  }
  const parts = sourcesOf(arrived.content);
  const isSameShape = [...parts.keys()].join() === [...shown.keys()].join() && outlineOf(arrived.content) === outlineOf(container);
  if (isSameShape) {
    for (const [id, source] of parts) {
      if (source !== shown.get(id)) replaceOne(document.getElementById(id), arrived.content.getElementById(id));
    }
  } else {
    container.replaceChildren(arrived.content);
    showTimes(container);
  }
  return parts;
}

const PARTS = "#totals, .station";

function sourcesOf(root) {
  return new Map([...root.querySelectorAll(PARTS)].map((part) => [part.id, part.outerHTML]));
}

// What stands around the parts: lines and their headings.
function outlineOf(root) {
  return [...root.querySelectorAll(".line")].map((line) => line.id + line.querySelector("h2").textContent).join();
}

function replaceOne(old, arrived) {
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(arrived);
  showTimes(arrived);
  arrived.classList.add("changed");
  if (focused) [...arrived.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
}

class LiveLine {
  constructor(container) {
    this.container = container;
    this.parts = sourcesOf(container);
    this.digest = container.dataset.digest;
    this.at = new Date(container.dataset.at);
    this.heardAt = performance.now();
    this.waitMs = FIRST_WAIT_MS;
    this.banner = document.getElementById("banner");
    this.state = document.getElementById("live-state");
    this.socket = null;
    this.retry = null;
    setInterval(() => this.watch(), 250);
    document.addEventListener("visibilitychange", () => this.watch());
  }

  connect() {
    this.retry = null;
    const address = new URL(this.container.dataset.live, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("shown", this.digest);
    this.heardAt = Math.max(this.heardAt, performance.now() - QUIET_MS);
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.onmessage = (message) => socket === this.socket && this.hear(JSON.parse(message.data));
    socket.onclose = (event) => socket === this.socket && this.lose(event.code);
  }

  hear(beat) {
    this.heardAt = performance.now();
    this.waitMs = FIRST_WAIT_MS;
    clockAheadMs = new Date(beat.now) - Date.now();
    if (beat.assets !== document.body.dataset.assets && this.mayReload()) location.reload();
    if (beat.at) this.at = new Date(beat.at);
    if (beat.html !== undefined) {
      this.parts = replaceChanged(this.container, this.parts, beat.html);
      this.digest = beat.digest;
    }
    this.state.textContent = `Live ${timeOf(new Date(beat.now))}`;
    if (beat.is_fresh) this.hideBanner();
    else this.showBanner("The MES can't read its database");
  }

  // After an upgrade a wall screen loads the new page by itself; at most once a minute.
  mayReload() {
    const last = Number(sessionStorage.getItem("reloaded") ?? 0);
    if (Date.now() - last < 60000) return false;
    sessionStorage.setItem("reloaded", String(Date.now()));
    return true;
  }

  lose(code) {
    this.socket = null;
    if (code === ENDED) location.reload();
    this.showBanner("Connection lost");
    if (this.retry) return;
    this.retry = setTimeout(() => this.tryAgain(), this.waitMs * (0.5 + Math.random()));
    this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
  }

  // A refused socket doesn't say why: a log-in that has ended shows as a redirect to it.
  async tryAgain() {
    try {
      const answer = await fetch("/health", { headers: { Accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(5000) });
      if (answer.type === "opaqueredirect") location.reload();
    } catch {
      // not reachable: the socket will say so too
    }
    this.connect();
  }

  watch() {
    for (const element of this.container.querySelectorAll("time.elapsed")) showElapsed(element);
    const silentMs = performance.now() - this.heardAt;
    if (silentMs > QUIET_MS) this.showBanner("Connection lost");
    if (silentMs > DROP_MS && this.socket) {
      const frozen = this.socket;
      this.lose(0);
      frozen.close();
    }
  }

  showBanner(what) {
    const text = `${what}; data as of ${timeOf(this.at)}. Trying again ...`;
    if (this.banner.textContent !== text) this.banner.textContent = text;
    this.banner.hidden = false;
    this.state.textContent = "Not live";
    document.body.classList.add("is-old");
  }

  hideBanner() {
    this.banner.hidden = true;
    document.body.classList.remove("is-old");
  }
}

const live = document.querySelector("[data-live]");
const liveLine = live && new LiveLine(live);
showTimes(document);
for (const form of document.querySelectorAll(".look-back")) useLocalTimeIn(form);
const searchBox = document.getElementById("search");
if (searchBox) catchScans(searchBox);
if (liveLine) liveLine.connect();
