// The live connection: presence, dialling and the call of the moment.

import {
  $, checkSession, ext, formatDuration, handset, hue, icon, initials, make, nameOf, show, t,
} from "./page.js";

const SESSION_ENDED = 4401;
const ECHO_EVERY = 10_000;

const people = new Map();
let socket = null;
let attempt = 0;
let echoTimer = 0;
let call = { state: "idle" };
let callTimer = 0;

export function startPhone() {
  $("people-filter").addEventListener("input", drawPeople);
  $("my-status").addEventListener("change", (event) => send({ type: "status", status: event.target.value }));
  $("answer").addEventListener("click", () => send({ type: "answer" }));
  $("decline").addEventListener("click", () => send({ type: "hang_up" }));
  $("hang-up").addEventListener("click", () => send({ type: "hang_up" }));
  startKeypad();
  connect();
}

function connect() {
  line("connecting", t("line_connecting"));
  socket = new WebSocket(new URL("/ws", location.href.replace(/^http/, "ws")));
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => closed(event.code));
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify(message));
  }
}

async function closed(code) {
  clearInterval(echoTimer);
  $("my-status").disabled = true;
  if (call.state !== "idle") {
    setCall({ state: "idle" });
  }
  document.body.dataset.closeCode = code;
  if (code === SESSION_ENDED) {
    line("ended", t("line_ended"));
  }
  // The gateway knows where people sign in; a page that is still signed in just connects again.
  const me = await checkSession();
  if (code === SESSION_ENDED && !me) {
    addEventListener("sekisho:signed-in", connect, { once: true });
    return;
  }
  attempt += 1;
  const wait = Math.min(30, 2 ** Math.min(attempt, 5)) * (0.75 + Math.random() / 2);
  countDown(Math.max(1, Math.round(wait)), code);
}

function countDown(seconds, code) {
  if (seconds <= 0) {
    connect();
    return;
  }
  line("closed", t("line_closed", { code, seconds }));
  setTimeout(() => countDown(seconds - 1, code), 1000);
}

function line(state, text) {
  $("line").dataset.state = state;
  if ($("line-text").textContent !== text) {
    $("line-text").textContent = text;
  }
}

function receive(message) {
  switch (message.type) {
    case "hello":
      attempt = 0;
      people.clear();
      message.people.forEach((person) => people.set(person.ext, person));
      $("my-status").disabled = false;
      line("live", t("line_live"));
      echo();
      echoTimer = setInterval(echo, ECHO_EVERY);
      drawPeople();
      break;
    case "presence":
      people.set(message.person.ext, message.person);
      drawPeople();
      break;
    case "gone":
      people.delete(message.ext);
      drawPeople();
      break;
    case "call":
      setCall({ ...message, since: Date.now() });
      break;
    case "echo":
      $("line").title = t("line_ms", { ms: Math.round(performance.now() - message.at) });
      break;
  }
}

const echo = () => send({ type: "echo", at: performance.now() });

/* ---- people */

function drawPeople() {
  const wanted = $("people-filter").value.trim().toLowerCase();
  const others = [...people.values()].filter((person) => person.ext !== ext);
  const shown = others
    .filter((person) => describe(person).toLowerCase().includes(wanted))
    .sort((one, other) => Number(other.real) - Number(one.real) || one.ext.localeCompare(other.ext));
  const free = others.filter((person) => person.status === "available").length;
  $("people-count").textContent = t("people_count", { free, all: others.length });
  const me = people.get(ext);
  if (me && ["available", "meeting", "away"].includes(me.status)) {
    $("my-status").value = me.status;
  }
  updateRows($("people-list"), shown);
  $("people-empty").textContent = t("people_nobody");
  show($("people-empty"), shown.length === 0);
}

const describe = (person) => `${person.name} ${person.name_ja ?? ""} ${person.ext} ${t(`team_${person.team}`)}`;

// Rows are kept, so that the focus stays where it is while somebody's presence changes.
function updateRows(list, shown) {
  const rows = new Map([...list.children].map((row) => [row.dataset.ext, row]));
  shown.forEach((person, index) => {
    const row = rows.get(person.ext) ?? makeRow(person);
    rows.delete(person.ext);
    row.dataset.status = person.status;
    row.querySelector(".row-name").textContent = nameOf(person);
    row.querySelector(".row-detail").textContent = `${t(`team_${person.team}`)} · ${person.ext}`;
    row.querySelector(".row-status").textContent = t(`status_${person.status}`);
    if (list.children[index] !== row) {
      list.insertBefore(row, list.children[index] ?? null);
    }
  });
  rows.forEach((row) => row.remove());
}

function makeRow(person) {
  const name = nameOf(person);
  const label = t("call_person", { name, ext: person.ext });
  const button = make("button", { type: "button", className: "round", title: label }, icon(handset));
  button.setAttribute("aria-label", label);
  button.addEventListener("click", () => dial(person.ext));
  const avatar = make("span", { className: `avatar ${hue(person.ext)}`, ariaHidden: "true" }, initials(name));
  avatar.append(make("span", { className: "dot" }));
  return make(
    "li",
    { dataset: { ext: person.ext } },
    avatar,
    make("div", { className: "row-main" },
      make("p", { className: "row-name" }),
      make("p", { className: "row-detail muted" })),
    make("span", { className: "row-status" }),
    button,
  );
}

/* ---- keypad */

function startKeypad() {
  const number = $("number");
  for (const key of document.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      number.value = (number.value + key.dataset.key).slice(0, number.maxLength);
    });
  }
  $("erase").addEventListener("click", () => {
    number.value = number.value.slice(0, -1);
  });
  $("dial").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = number.value.trim();
    if (wanted) {
      dial(wanted);
    } else {
      number.focus();
    }
  });
}

function dial(to) {
  if (call.state === "idle" || call.state === "ended") {
    $("number").value = to;
    send({ type: "dial", to });
  }
}

/* ---- the call */

function setCall(next) {
  call = next;
  clearInterval(callTimer);
  const state = call.state;
  $("call").dataset.state = state;
  show($("place"), state === "idle" || state === "ended");
  show($("answer"), state === "incoming");
  show($("decline"), state === "incoming");
  show($("hang-up"), state === "calling" || state === "connected");
  $("call-timer").textContent = "";
  const said = state === "ended" ? t(`ending_${call.reason}`) : t(`call_${state}`);
  const name = call.peer ? nameOf(call.peer) : "";
  $("call-state").textContent = name && name !== call.peer.ext ? `${said} · ${call.peer.ext}` : said;
  $("call-name").textContent = name;
  $("call-avatar").textContent = name ? initials(name) : "";
  $("call-avatar").className = `avatar large ${call.peer ? hue(call.peer.ext) : ""}`;
  if (state === "connected") {
    const tick = () => ($("call-timer").textContent = formatDuration((Date.now() - call.since) / 1000));
    tick();
    callTimer = setInterval(tick, 1000);
  }
  if (state === "ended") {
    callTimer = setTimeout(() => setCall({ state: "idle" }), 5000);
  }
  if (state === "incoming" || state === "calling") {
    location.hash = "#keypad";
  }
}
