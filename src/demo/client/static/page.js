// What all parts of the page share: texts, elements, times, and requests that notice a lost session.

const texts = JSON.parse(document.body.dataset.texts);

export const lang = document.documentElement.lang;
export const ext = document.body.dataset.ext;

/** The text of this key, with its {places} filled. */
export function t(key, places = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => places[name] ?? "");
}

/** Whether there is a text of this key. */
export const hasText = (key) => key in texts;

export const $ = (id) => document.getElementById(id);

export function show(element, shown) {
  element.hidden = !shown;
}

/** A new element with properties and children; strings become text, never markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { dataset = {}, attributes = {}, ...rest } = properties;
  Object.assign(element, rest);
  Object.assign(element.dataset, dataset);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const svg = "http://www.w3.org/2000/svg";

export function icon(path) {
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("class", "icon");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(svg, "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
}

export const handset =
  "M6.5 3.5 9.3 4l1.2 4-2 1.600a12 12 0 0 0 5.9 5.900l1.6-2 4 1.2.5 2.800a2.6 2.6 0 0 1-2.6 3C10.5 20.5 3.5 13.5 3.5 6.100a2.6 2.6 0 0 1 3-2.600z";

/** The name of somebody in the language of the page. */
export const nameOf = (peer) => (lang === "ja" && peer.name_ja) || peer.name;

/** The family name's first character, or two Latin initials. */
export function initials(name) {
  if (/^[+\d]/.test(name)) {
    return "#";
  }
  const words = name.split(/[\s・]+/).map((word) => [...word][0] ?? "");
  const latin = /^[A-Za-z]/.test(name);
  return (latin && words.length > 1 ? words[0] + words.at(-1) : (words[0] ?? "?")).toUpperCase();
}

/** One of eight calm colours, always the same for the same person. */
export function hue(text) {
  let sum = 0;
  for (const letter of text) {
    sum = (sum * 31 + letter.codePointAt(0)) % 8;
  }
  return `hue-${sum}`;
}

export const formatTime = (seconds, options) => new Intl.DateTimeFormat(lang, options).format(seconds * 1000);

export function formatDuration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** "0.4 sec" for what is over quickly, minutes and seconds for the rest. */
export function formatElapsed(seconds) {
  const style = { style: "unit", unit: "second", unitDisplay: "short", maximumFractionDigits: 1 };
  return seconds < 60 ? new Intl.NumberFormat(lang, style).format(seconds) : formatDuration(seconds);
}

export function formatBytes(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let index = 0;
  let value = bytes;
  while (value >= 1000 && index < units.length - 1) {
    value /= 1000;
    index += 1;
  }
  const digits = index === 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  const style = { style: "unit", unit: units[index], unitDisplay: index === 0 ? "long" : "short" };
  return new Intl.NumberFormat(lang, { ...style, maximumFractionDigits: digits }).format(value);
}

/**
 * A session that has ended is answered with 401 and the address of the login page. The gateway's script offers to sign in
 * from here, so that nothing on the page is lost; without it, the page goes there.
 */
export function followLogin(status, body) {
  if (status !== 401 || !body?.login_url) {
    return false;
  }
  if (!dispatchEvent(new Event("sekisho:check", { cancelable: true }))) {
    return true;
  }
  const login = new URL(body.login_url, location.href);
  if (login.protocol === "https:" || login.protocol === "http:") {
    location.assign(login);
    return true;
  }
  return false;
}

/** Fetches JSON; `null` when it failed or somebody has to sign in first. */
export async function api(path, options = {}) {
  try {
    const headers = { Accept: "application/json" };
    const response = await fetch(path, { headers, cache: "no-store", ...options });
    const body = await response.json().catch(() => null);
    return followLogin(response.status, body) || !response.ok ? null : body;
  } catch {
    return null;
  }
}

/** Says who is signed in; offers to sign in if the session has ended. */
export const checkSession = () => api("/me");
