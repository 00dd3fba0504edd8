// Building by hand: buttons that add layers at the end of the text.

const QUICK = [
  ["quick_conv", (c) => `conv3x${c}`],
  ["quick_stride", (c) => `conv3x${c},s2`],
  ["quick_dilated", (c) => `conv3x${c},d2`],
  ["quick_pool", () => "pool2"],
  ["quick_residual", () => "[conv3,bn,relu conv3,bn | id] relu"],
  ["quick_up", () => "up2"],
  ["quick_gap", () => "gap"],
  ["quick_fc", () => "fc10"],
];
const BUILT = ["conv", "pool", "avgpool", "tconv", "up", "adaptive", "fc", "gap", "bn", "gn", "ln", "relu", "gelu", "se", "attention", "shuffle", "unshuffle", "dropout"];

const isYaml = (text) => /^\s*(-\s+)?\{?\s*["']?layers["']?\s*:\s/m.test(text);

/** The text with one more layer at its end. */
function withLayer(text, token) {
  if (!isYaml(text)) return text.trim() ? `${text.trimEnd()} ${token}` : token;
  const items = text.split("\n").filter((line) => /^\s*- /.test(line));
  const indent = items.length ? items[0].match(/^\s*/)[0] : "  ";
  const quoted = /^[[{<*]/.test(token) ? `"${token}"` : token;
  return `${text.trimEnd()}\n${indent}- ${quoted}\n`;
}

function token(kinds) {
  const kind = byId("b-kind").value;
  const takes = kinds[kind];
  const value = (id) => Math.max(1, Math.trunc(Number(byId(id).value)) || 1);
  let made = kind;
  if (takes.size !== "none") made += value("b-size");
  if (takes.channels !== "none") made += `x${value("b-channels")}`;
  if (takes.options.includes("s") && (value("b-s") > 1 || /pool/.test(kind))) made += `,s${value("b-s")}`;
  if (takes.options.includes("d") && value("b-d") > 1) made += `,d${value("b-d")}`;
  return made;
}

/** Only the numbers that the chosen layer takes can be written. */
function fitForm(kinds) {
  const takes = kinds[byId("b-kind").value];
  byId("b-size").disabled = takes.size === "none";
  byId("b-channels").disabled = takes.channels === "none";
  byId("b-s").disabled = !takes.options.includes("s");
  byId("b-d").disabled = !takes.options.includes("d");
}

function startPalette(kinds, changed) {
  const add = (text) => {
    setText(withLayer(spec.value, text));
    spec.scrollTop = spec.scrollHeight;
    changed();
  };
  const draw = () => {
    const channels = Math.max(1, Math.trunc(Number(byId("b-channels").value)) || 1);
    byId("quick").replaceChildren(...QUICK.map(([key, make]) => {
      const shown = key === "quick_residual" ? "[conv3 … | id]" : make(channels);
      const told = { type: "button", title: t(key), "aria-label": `${shown}: ${t(key)}` };
      return el("button", { ...told, on: { click: () => add(make(channels)) } }, el("code", {}, shown));
    }));
  };
  draw();
  onLanguage.push(draw);
  byId("b-channels").addEventListener("input", draw);
  byId("b-kind").append(...BUILT.map((kind) => el("option", { value: kind }, kind)));
  byId("b-kind").addEventListener("change", () => {
    const usual = { pool: [2, 2], avgpool: [2, 2], tconv: [2, 2], up: [2, 1], shuffle: [2, 1], unshuffle: [2, 1], fc: [10, 1], adaptive: [7, 1], attention: [8, 1], gn: [32, 1], se: [16, 1] };
    const [size, stride] = usual[byId("b-kind").value] ?? [3, 1];
    byId("b-size").value = size;
    byId("b-s").value = stride;
    fitForm(kinds);
  });
  byId("build").addEventListener("submit", (event) => { event.preventDefault(); add(token(kinds)); });
  byId("kinds").textContent = Object.keys(kinds).join(" ");
  fitForm(kinds);
}
