// Elements and numbers. Texts are only ever set as text.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; strings become text. */
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElementNS(SVG, tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) if (value != null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** "11", or "7 × 1" where the axes differ; a dash for what there is not. */
function axesText(values) {
  if (!values || !values.length) return "–";
  const shown = values.map((v) => (v == null ? "–" : number(v)));
  return shown.every((v) => v === shown[0]) ? shown[0] : shown.join(" × ");
}

function number(value) {
  if (value == null) return "–";
  return Number.isInteger(value) ? value.toLocaleString("en").replace(/,/g, "\u202f") : String(Math.round(value * 100) / 100);
}

/** 1.23 M: three digits. */
function short(value) {
  if (value == null) return "–";
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

const largest = (values) => Math.max(...(values || []).filter((v) => v != null), 0);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
