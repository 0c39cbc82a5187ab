// Keeps the list of letters fresh. Without it the page works the same, by reloading.
"use strict";
const list = document.getElementById("list");
let shown = null;

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(list.dataset.source, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = await answer.text();
    if (fresh === shown) return;
    const focused = document.activeElement && document.activeElement.id;
    list.innerHTML = fresh;
    shown = fresh;
    if (focused && focused.startsWith("row-")) document.getElementById(focused)?.focus();
  } catch {
    // The catcher is gone or restarting; the next round tries again.
  }
}

setInterval(refresh, 1500);
document.addEventListener("visibilitychange", refresh);
