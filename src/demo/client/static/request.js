// Shows a request as the application got it, and how its assertion was verified.

import { $, api, formatTime, hasText, icon, make, show, t } from "./page.js";

const order = "name ext email groups sub sid auth_time amr iss aud iat nbf exp jti".split(" ");
const times = ["iat", "nbf", "exp", "auth_time"];
const marks = {
  passed: "M5 12.500l4.5 4.500L19 7.5",
  failed: "M6 6l12 12M18 6L6 18",
  not_reached: "M6 12h12",
};

export function startRequest() {
  $("request-again").addEventListener("click", loadRequest);
}

export async function loadRequest() {
  const seen = await api("/headers");
  if (!seen) {
    $("request-line").textContent = t("request_failed");
    return;
  }
  const { assertion } = seen;
  $("request-line").textContent = `${seen.method} ${seen.path} ${seen.version}`;
  show($("seal"), assertion.verified);
  $("checks").replaceChildren(...assertion.checks.map(check));
  $("jose").replaceChildren(...Object.entries(assertion.header).map(claim));
  $("claims").replaceChildren(...Object.entries(assertion.claims).sort(inOrder).map(claim));
  $("headers").replaceChildren(...seen.headers.map((line) => header(line, assertion.name)));
}

const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
const inOrder = ([one], [other]) => place(one) - place(other);

function check({ name, mark, detail }) {
  const picture = make("span", { className: `check-mark ${mark}`, title: t(`mark_${mark}`) }, icon(marks[mark]));
  return make(
    "li",
    {},
    picture,
    make("div", {},
      make("p", {}, t(`step_${name}`), make("span", { className: "hidden" }, ` – ${t(`mark_${mark}`)}`)),
      make("code", {}, detail)),
  );
}

function claim([name, value]) {
  const label = hasText(`claim_${name}`) ? make("small", { className: "muted" }, t(`claim_${name}`)) : "";
  const shown = make("td", {}, make("code", {}, typeof value === "string" ? value : JSON.stringify(value)));
  if (times.includes(name)) {
    const text = formatTime(value, { dateStyle: "medium", timeStyle: "medium" });
    shown.append(make("small", { className: "muted" }, text));
  }
  return make("tr", {}, make("th", { scope: "row" }, make("code", {}, name), label), shown);
}

function header([name, value], assertionName) {
  const cell = make("td");
  if (name === assertionName) {
    // Header, claims and signature of a JWT, each in its colour.
    value.split(".").forEach((part, index) => {
      cell.append(index ? "." : "", make("span", { className: `jwt-${index}` }, part));
    });
  } else {
    cell.textContent = value;
  }
  return make(
    "tr",
    { className: name === assertionName ? "assertion" : "" },
    make("th", { scope: "row" }, make("code", {}, name)),
    make("td", {}, make("code", {}, ...cell.childNodes)),
  );
}
