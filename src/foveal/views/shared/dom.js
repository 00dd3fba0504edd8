// Elements and numbers. Texts are only ever set as text.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** What acts or cannot be seen in a text, such as a turned reading direction, written as code: \u202e. */
const visible = (text) =>
  text.replace(
    /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu,
    (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
const shown = (children) =>
  children.filter((child) => child != null).map((child) => (typeof child === "string" ? visible(child) : child));

/** el("button.strong", {type: "button", on: {click}}, "text", node): an element; strings are text, null is left out. */
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...shown(children));
  return node;
}

/** The same for SVG. */
function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElementNS(SVG, tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) if (value != null) node.setAttribute(key, value);
  node.append(...shown(children));
  return node;
}

/** 1 234 567, or two decimals; a dash for null. */
function number(value) {
  if (value == null) return "–";
  return Number.isInteger(value)
    ? value.toLocaleString("en").replace(/,/g, "\u202f")
    : String(Math.round(value * 100) / 100);
}

/** "11", or "7 × 1" where the axes differ; a dash for what there is not. */
function axesText(values) {
  if (!values || !values.length) return "–";
  const shown = values.map(number);
  return shown.every((v) => v === shown[0]) ? shown[0] : shown.join(" × ");
}

/** 1.23 M: three digits. */
function short(value) {
  if (value == null) return "–";
  for (const [size, unit] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (value >= 0.9995 * size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

/** "3.2 %"; never 100 % for what is less. */
const percent = (share) =>
  share == null ? "–" : share === 1 ? "100 %" : `${Math.min(99.9, 100 * share).toPrecision(share < 0.1 ? 2 : 3)} %`;

/** The largest of the known values, 0 where there is none. */
const largest = (values) => Math.max(...(values ?? []).filter((v) => v != null), 0);

/** A mark before a number that is a bound or depends on the data. */
const statusMark = (status) => ({ bound: "≤ ", "data-dependent": "~ " })[status] ?? "";

/** A canvas of this size in CSS pixels, sharp on every screen, cleared; returns its 2-D context. */
function sharp(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

/** A row of buttons of which one is pressed. options: [[value, label]]; choose(value) is called on a click. */
function choice(label, options, chosen, choose) {
  return el(
    "div.choice",
    { role: "group", "aria-label": label },
    ...options.map(([value, text]) =>
      el(
        "button",
        {
          type: "button",
          "aria-pressed": String(value === chosen),
          "data-value": value,
          on: { click: () => choose(value) },
        },
        text,
      ),
    ),
  );
}

/** Call ``act`` at most once per frame, with the last arguments. */
function eachFrame(act) {
  let waiting = null;
  return (...given) => {
    if (!waiting)
      requestAnimationFrame(() => {
        const last = waiting;
        waiting = null;
        act(...last);
      });
    waiting = given;
  };
}
