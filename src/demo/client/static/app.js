// Starts the page: the parts, the sections and the language-dependent bits of who you are.

import { $, formatTime, show } from "./page.js";
import { startCalls } from "./calls.js";
import { startPhone } from "./phone.js";
import { loadRequest, startRequest } from "./request.js";
import { startUpload } from "./upload.js";

const views = ["people", "keypad", "calls", "upload", "request"];

function switchView() {
  const wanted = location.hash.slice(1);
  const view = views.includes(wanted) ? wanted : "keypad";
  document.body.dataset.view = view;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.views.split(" ").includes(view)) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
  if (view === "request") {
    loadRequest();
  }
}

function keepViewInLanguageLinks() {
  for (const link of document.querySelectorAll(".languages a")) {
    link.hash = location.hash;
  }
}

// On a narrow page the details about you are folded away at first.
function foldDetails() {
  const button = $("more");
  const narrow = matchMedia("(max-width: 859px)");
  const fold = (folded) => {
    show($("me-details"), !folded);
    button.setAttribute("aria-expanded", String(!folded));
  };
  const adapt = () => {
    show(button, narrow.matches);
    fold(narrow.matches);
  };
  button.addEventListener("click", () => fold(button.getAttribute("aria-expanded") === "true"));
  narrow.addEventListener("change", adapt);
  adapt();
}

function localTimes() {
  const since = $("me-since");
  since.textContent = formatTime(Date.parse(since.dateTime) / 1000, { dateStyle: "medium", timeStyle: "short" });
}

localTimes();
foldDetails();
switchView();
keepViewInLanguageLinks();
addEventListener("hashchange", () => {
  switchView();
  scrollTo(0, 0);
  keepViewInLanguageLinks();
});
startPhone();
startCalls();
startUpload();
startRequest();
