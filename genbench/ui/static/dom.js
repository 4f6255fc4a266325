// Elements and words. All text goes in as text nodes: whatever a record says, it is no markup.

export const $ = (id) => document.getElementById(id);

// An element: el("a.quiet", {href: "#"}, "text", child). Functions are listeners.
export function el(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// A number as a table has it: four digits that count, no exponent where none is needed.
export function short(value) {
  if (typeof value === "string" || value === null || value === undefined) return value ?? "";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "object") return JSON.stringify(value);
  if (Number.isInteger(value)) {
    return (Math.abs(value) < 1e6 ? String(value) : value.toExponential(2)).replace("-", "−");
  }
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) return value.toExponential(2).replace("e-", "e−");
  return value.toFixed(Math.max(0, Math.min(6, 3 - Math.floor(Math.log10(size))))).replace("-", "−");
}

// A number as somebody set it: without zeros at its end.
export const tidy = (value, digits = 6) => (isNumber(value) ? String(Number(value.toPrecision(digits))).replace("-", "−") : short(value));

export function duration(seconds) {
  if (!isNumber(seconds)) return "";
  if (seconds < 119.5) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const whole = Math.round(seconds), minutes = Math.round(seconds / 60);
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// The part of a run's name that tells it from others: without the date.
export const brief = (name) => name.replace(/^\d{8}-/, "");

export async function get(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

export const path = (name) => `/api/runs/${encodeURIComponent(name)}`;

// A picture of a record; one that is damaged says so.
export function picture(src, alt) {
  const image = el("img", { alt, decoding: "async" });
  const shown = el("div.picture", {}, image);
  image.addEventListener("error", () => shown.classList.add("damaged"));
  image.addEventListener("load", () => shown.classList.remove("damaged"));
  shown.append(el("span.problem", {}, "this picture is damaged or not there"));
  shown.show = (url, text) => {
    if (image.getAttribute("src") !== url) image.src = url;
    if (text) image.alt = text;
  };
  if (src) shown.show(src);
  return shown;
}

export function table(head, rows, numeric = () => false) {
  const cell = (kind, value, i) =>
    el(numeric(i, value) ? `${kind}.number` : kind, {}, value instanceof Node ? value : short(value));
  return el("div.scroll", {}, el("table", {},
    el("thead", {}, el("tr", {}, head.map((value, i) => cell("th", value, i)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((v, i) => cell("td", v, i))))),
  ));
}
