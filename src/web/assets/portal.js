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
const points = (text) => [...text.normalize("NFC")];

// The kinds of characters that some rules ask for, as the server tells them apart.
const kinds = {
  upper: (text) => /\p{Uppercase}/u.test(text),
  lower: (text) => /\p{Lowercase}/u.test(text),
  digit: (text) => /\p{N}/u.test(text),
  special: (text) => /[^\p{N}\p{Uppercase}\p{Lowercase}]/u.test(text),
};

// Rows of a keyboard; a step to the left or right on one is as easy to guess as a step in the alphabet.
const rows = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];

const isStep = (one, other) => {
  if (one === other || Math.abs(one.codePointAt(0) - other.codePointAt(0)) === 1) {
    return true;
  }
  return rows.some((row) => {
    const [from, to] = [row.indexOf(one), row.indexOf(other)];
    return from >= 0 && to >= 0 && Math.abs(from - to) === 1;
  });
};

// A rough estimate of how hard a password is to guess, for orientation while typing; it never leaves the page, and the
// server judges for itself. Counted are the characters that do not follow from others: own words, runs and repetitions
// count little, a script with many characters counts more.
const estimate = (text, words) => {
  let plain = text.normalize("NFKC").toLowerCase();
  let own = 0;
  for (const word of words) {
    while (plain.includes(word)) {
      plain = plain.replace(word, "");
      own += 1;
    }
  }
  // Where a capital, a digit or a sign stands is one more thing to guess.
  const kind = (c) => Object.keys(kinds).find((name) => kinds[name](c));
  const typed = [...text];
  const changes = typed.filter((c, at) => at > 0 && kind(c) !== kind(typed[at - 1])).length;
  let bits = 2 * own + (own > 0 ? 0 : changes);
  let run = 0;
  const seen = new Set();
  let before = null;
  for (const c of plain) {
    if (before !== null && isStep(before, c)) {
      bits += 0.5;
      run += 1;
    } else {
      const fresh = seen.has(c) ? 2 : 3.5;
      bits += c.codePointAt(0) > 0x2e80 ? fresh + 2 : fresh;
    }
    seen.add(c);
    before = c;
  }
  return { bits, own: own > 0, run: run > 2 };
};

for (const form of document.querySelectorAll("form[data-min]")) {
  const words = form.dataset;
  const least = Number(words.min);
  const own = (words.words ?? "")
    .normalize("NFKC")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => [...word].length >= 3)
    .sort((one, other) => other.length - one.length);
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
  bar.max = 60;
  bar.setAttribute("aria-hidden", "true");
  enough.line.prepend(bar);
  const rules = [...form.querySelectorAll("[data-rule]")].map((item) => {
    const mark = document.createElement("span");
    mark.className = "met";
    item.append(mark);
    return { item, mark, name: item.dataset.rule };
  });
  const advise = ({ bits, own: isOwn, run }) => {
    if (bits >= 45) {
      return [words.strong, true];
    }
    const advice = isOwn ? words.own : run ? words.run : words.longer;
    return [`${bits < 30 ? words.weak : words.fair} – ${advice}`, false];
  };
  const look = () => {
    const typed = points(password.value);
    const missing = least - typed.length;
    const judged = estimate(password.value, own);
    const [advice, good] = advise(judged);
    bar.value = Math.min(judged.bits, bar.max);
    enough.text.textContent = missing > 0 ? words.more.replace("{n}", String(missing)) : advice;
    enough.line.classList.toggle("good", missing <= 0 && good);
    for (const { item, mark, name } of rules) {
      const met = typed.length > 0 && (name === "length" ? missing <= 0 : kinds[name](password.value));
      item.classList.toggle("good", met);
      mark.textContent = met ? ` ✓ ${words.met}` : "";
    }
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
