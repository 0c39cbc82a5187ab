// Sends a file and shows what the other side received.

import { $, followLogin, formatBytes, formatDuration, formatElapsed, make, show, t } from "./page.js";

/** Up to this size the browser computes the digest too; it would have to hold larger files in memory. */
const COMPARED = 64 * 1024 * 1024;
const KEPT = 5;
let request = null;

export function startUpload() {
  $("file").addEventListener("change", (event) => {
    begin(event.target.files[0]);
    event.target.value = "";
  });
  $("upload-cancel").addEventListener("click", () => request?.abort());
  const drop = $("drop");
  for (const type of ["dragenter", "dragover"]) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    begin(event.dataTransfer.files[0]);
  });
}

function begin(file) {
  if (!file || request) {
    return;
  }
  const started = performance.now();
  // XMLHttpRequest, because fetch tells nothing about the progress of an upload.
  request = new XMLHttpRequest();
  request.open("POST", "/upload");
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => progress(event, started));
  request.addEventListener("load", () => finish(file));
  request.addEventListener("error", () => fail(file, t("upload_failed", { code: "network" })));
  request.addEventListener("abort", () => fail(file, t("upload_cancelled")));
  $("progress-text").textContent = t("upload_sending", { name: file.name });
  $("progress-bar").value = 0;
  $("progress-detail").textContent = formatBytes(file.size);
  show($("progress"), true);
  show($("drop"), false);
  request.send(file);
}

function progress(event, started) {
  const seconds = (performance.now() - started) / 1000;
  const rate = event.loaded / Math.max(seconds, 0.001);
  $("progress-bar").value = event.total ? event.loaded / event.total : 1;
  $("progress-detail").textContent = [
    `${formatBytes(event.loaded)} / ${formatBytes(event.total)}`,
    t("upload_rate", { rate: formatBytes(rate) }),
    t("upload_left", { time: formatDuration((event.total - event.loaded) / rate) }),
  ].join(" · ");
}

function done() {
  request = null;
  show($("progress"), false);
  show($("drop"), true);
}

function fail(file, text) {
  done();
  add(file, make("p", { className: "bad" }, text));
}

async function finish(file) {
  const { status, responseText } = request;
  done();
  const receipt = parse(responseText);
  if (followLogin(status, receipt)) {
    return;
  }
  if (status !== 200 || !receipt) {
    fail(file, t("upload_failed", { code: status }));
    return;
  }
  const rate = t("upload_rate", { rate: formatBytes(receipt.bytes / Math.max(receipt.seconds, 0.001)) });
  const verdict = make("p", { className: "verdict" });
  const digest = make("code", { id: "upload-digest" }, receipt.sha256);
  add(
    file,
    make("dl", {},
      fact(t("upload_received"), formatBytes(receipt.bytes)),
      fact(t("upload_took"), formatElapsed(receipt.seconds)),
      fact(t("upload_speed"), rate),
      fact(t("upload_digest"), digest, "whole")),
    verdict,
  );
  await compare(file, receipt.sha256, verdict);
}

async function compare(file, expected, verdict) {
  if (!globalThis.crypto?.subtle || file.size > COMPARED) {
    return;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  const own = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  verdict.className = own === expected ? "verdict good" : "verdict bad";
  verdict.textContent = own === expected ? t("upload_matches") : t("upload_differs");
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const fact = (name, value, className = "") =>
  make("div", { className }, make("dt", {}, name), make("dd", {}, value));

function add(file, ...content) {
  const list = $("uploads");
  list.prepend(make("article", { className: "upload" }, make("h3", {}, file.name), ...content));
  while (list.children.length > KEPT) {
    list.lastChild.remove();
  }
}
