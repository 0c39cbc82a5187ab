// What the pages do beyond plain HTML. Everything works without it.
"use strict";

// A button that shows what was typed into a password field.
for (const box of document.querySelectorAll(".secret")) {
  const input = box.querySelector("input");
  const button = document.createElement("button");
  const say = (shown) => {
    button.textContent = shown ? box.dataset.hide : box.dataset.show;
    button.setAttribute("aria-label", shown ? box.dataset.hideLabel : box.dataset.showLabel);
  };
  button.type = "button";
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    say(shown);
  });
  say(false);
  box.classList.add("can-show");
  box.append(button);
}

// How far a new password is, counted as the server counts: code points after NFC.
const length = (text) => [...text.normalize("NFC")].length;

for (const form of document.querySelectorAll("form[data-min]")) {
  const words = form.dataset;
  const least = Number(words.min);
  const [password, confirmation] = ["password", "confirmation"].map((name) => form.elements[name]);
  const hint = (input) => {
    const line = document.createElement("p");
    const text = document.createElement("span");
    line.className = "hint";
    line.id = `${input.id}-hint`;
    text.setAttribute("role", "status");
    line.append(text);
    input.closest(".field").append(line);
    return { line, text };
  };
  const [enough, same] = [hint(password), hint(confirmation)];
  const bar = document.createElement("progress");
  bar.max = least;
  bar.setAttribute("aria-hidden", "true");
  enough.line.prepend(bar);
  const look = () => {
    const typed = length(password.value);
    bar.value = Math.min(typed, least);
    enough.text.textContent = typed < least ? words.more.replace("{n}", String(least - typed)) : words.enough;
    enough.line.classList.toggle("good", typed >= least);
    const match = password.value.normalize("NFC") === confirmation.value.normalize("NFC");
    same.text.textContent = confirmation.value === "" ? "" : match ? words.match : words.differ;
    same.line.classList.toggle("good", match);
  };
  form.addEventListener("input", look);
  look();
}

// One click, one request: a second one would spend a link or an attempt twice.
for (const form of document.querySelectorAll("form")) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-disabled", "true");
    for (const input of form.querySelectorAll(".secret input")) {
      input.type = "password";
    }
  });
  addEventListener("pageshow", () => button.removeAttribute("aria-disabled"));
}
