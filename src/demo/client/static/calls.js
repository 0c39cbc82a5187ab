// The call log: server-sent events, newest on top.

import { $, checkSession, ext, formatDuration, formatTime, make, nameOf, show, t } from "./page.js";

const KEPT = 50;
let source = null;

export function startCalls() {
  source = new EventSource("/events");
  source.addEventListener("open", () => feed("live", t("calls_live")));
  source.addEventListener("call", (event) => add(JSON.parse(event.data)));
  source.addEventListener("error", lost);
}

// The browser reconnects by itself unless it was refused; then the session may have ended.
async function lost() {
  feed("closed", t("calls_off"));
  if (source.readyState === EventSource.CLOSED) {
    if (await checkSession()) {
      setTimeout(startCalls, 5000);
    } else {
      addEventListener("sekisho:signed-in", startCalls, { once: true });
    }
  }
}

function feed(state, text) {
  $("feed").dataset.state = state;
  $("feed-text").textContent = text;
}

function add(record) {
  const list = $("calls-list");
  const id = String(record.id);
  if ([...list.children].some((row) => row.dataset.id === id)) {
    return;
  }
  list.prepend(makeRow(record, id));
  while (list.children.length > KEPT) {
    list.lastChild.remove();
  }
  show($("calls-empty"), false);
}

function makeRow(record, id) {
  const answered = record.seconds !== undefined && record.seconds !== null;
  const mine = record.from.ext === ext || record.to.ext === ext;
  const time = formatTime(record.at, { hour: "2-digit", minute: "2-digit" });
  const row = make(
    "li",
    { dataset: { id, ending: answered ? "answered" : "missed" } },
    make("span", { className: "call-mark", ariaHidden: "true" }),
    make("div", { className: "row-main" },
      make("p", { className: "row-name" }, nameOf(record.from), make("span", { className: "arrow" }, " → "), nameOf(record.to)),
      make("p", { className: "row-detail muted" },
        make("time", { dateTime: new Date(record.at * 1000).toISOString() }, time),
        answered ? "" : ` · ${t(`ending_${record.ending}`)}`)),
    make("span", { className: "row-status" }, answered ? formatDuration(record.seconds) : ""),
  );
  if (mine) {
    row.querySelector(".row-detail").append(" ", make("span", { className: "chip" }, t("calls_mine")));
  }
  return row;
}
