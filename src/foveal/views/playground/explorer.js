// One unit of one layer: its box on the input, its field, and the way back from a position to the units.

const DATA = JSON.parse(byId("data").textContent);
const KINDS_SHOWN = ["none", ...DATA.kinds];
const look = { layer: "", source: DATA.sources[0].name, kind: DATA.kinds[0] ?? "none", unit: [], position: null, slice: 0 };
const fieldsKnown = new Map();
let arrays = [], backdrop = { kind: "none" }, image = null, field = null, waiting = 0;

const rowsOf = () => DATA.layers.filter((row) => row.source === look.source);
const chosenRow = () => rowsOf().find((row) => row.name === look.layer) ?? rowsOf().at(-1);
const source = () => DATA.sources.find((s) => s.name === look.source);

let known = null, grown = null, filtered = null;

/** The network in the form that the numbers, the chart and the table take. */
function network() {
  if (known?.source === look.source) return known;
  const layers = rowsOf().map((row) => ({ ...row, shape: row.shape.slice(1), start: startOf(row) }));
  known = { source: look.source, lengths: source().lengths, axes: source().axes, layers, kinds: DATA.kinds, findings: DATA.findings,
    parameters: DATA.totals.parameters, adds: DATA.totals.multiply_adds, adds_status: DATA.totals.adds_status };
  return known;
}

function startOf(row) {
  const box = row.tables && !row.grid.includes(0) ? boxOf(row.tables, arrays, row.grid.map(() => 0), false) : null;
  return source().lengths.map((_, axis) => box?.[axis]?.[0] ?? null);
}

function effective() {
  if (grown?.source === look.source) return grown.found;
  const found = {};
  for (const [key, kinds] of Object.entries(DATA.fields)) {
    if (key.endsWith(`@${look.source}`) && kinds.energy) found[key.slice(0, -look.source.length - 1)] = { erf: kinds.energy.erf };
  }
  grown = { source: look.source, found };
  return found;
}

async function chooseSource(name) {
  look.source = name;
  const at = DATA.sources.findIndex((s) => s.name === name);
  backdrop = DATA.backdrops[at];
  image = null;
  if (backdrop.kind === "image") {
    image = new Image();
    image.src = backdrop.uri;
    await image.decode();
  } else if (backdrop.kind === "volume") image = { shape: backdrop.shape, bytes: await unpack(backdrop.data) };
  byId("foveated-figure").hidden = backdrop.kind !== "image";
  byId("layer").replaceChildren(...rowsOf().map((row) => el("option", { value: row.name }, row.name)));
  await chooseLayer(chosenRow().name);
}

async function chooseLayer(name) {
  look.layer = name;
  const row = chosenRow();
  byId("layer").value = row.name;
  look.unit = row.grid.map((n) => Math.floor(n / 2));
  drawAll();
  await chooseUnit(look.unit);
}

async function chooseUnit(unit) {
  look.unit = unit;
  const row = chosenRow();
  const box = boxOf(row.tables, arrays, unit, true);
  if (source().lengths.length > 2 && box) look.slice = Math.floor((box[0][0] + box[0][1] - 1) / 2);
  field = null;
  drawView();
  if (look.kind === "none") return;
  const mine = ++waiting;
  try {
    const found = await fieldFor(row, unit);
    if (mine === waiting && found) { field = found; drawView(); }
  } catch (error) { byId("said").textContent = error.message; }
}

/** The field of a unit: one that the page holds, else the server's. */
async function fieldFor(row, unit) {
  const key = JSON.stringify([row.name, row.source, look.kind, unit]);
  if (fieldsKnown.has(key)) return fieldsKnown.get(key);
  const held = DATA.fields[`${row.name}@${row.source}`]?.[look.kind];
  let packed = held && held.unit.join() === unit.join() ? held : null;
  if (!packed && DATA.live) {
    byId("stage-note").textContent = t("computing");
    const said = await ask(`/api/networks/${DATA.live.network}/field`, { layer: row.name, source: row.source, kind: look.kind, at: unit });
    if (!said) return null;
    if (said.missing) throw new Refused(said.missing, null);
    packed = said.field;
  }
  if (!packed) return null;
  const found = { field: packed, bytes: await unpack(packed.data) };
  fieldsKnown.set(key, found);
  if (fieldsKnown.size > 200) fieldsKnown.delete(fieldsKnown.keys().next().value);
  return found;
}

function drawView() {
  const row = chosenRow();
  const clipped = boxOf(row.tables, arrays, look.unit, true), unclipped = boxOf(row.tables, arrays, look.unit, false);
  const local = row.tables?.local ? boxOf(row.tables.local, arrays, look.unit, false) : null;
  const canvas = byId("stage");
  const pen = layOut(canvas, source().lengths);
  drawBackdrop(pen, backdrop, image, look.slice);
  if (field) drawOverlay(pen, field.field, field.bytes, look.slice);
  outline(pen, unclipped, colour("--accent"), 1.5, [5, 4]);
  outline(pen, clipped, colour("--accent"), 2.2, []);
  outline(pen, local, colour("--effective"), 1.5, [2, 3]);
  if (look.position) drawCross(pen, look.position, colour("--wrong"));
  const erf = field && look.kind === "energy" ? { ...effective(), [row.name]: { erf: field.field.erf } } : effective();
  drawNumbers(network(), network().layers.find((r) => r.name === row.name), erf);
  Object.assign(canvas.dataset, { layer: row.name, unit: JSON.stringify(look.unit), clipped: JSON.stringify(clipped), unclipped: JSON.stringify(unclipped), field: field ? look.kind : "" });
  if (backdrop.kind === "image") drawFoveated(byId("foveated"), image, field?.field, field?.bytes, source().lengths);
  drawUnits(byId("grid"), row.grid, look.unit, seenUnits(row));
  drawBoxes(row, clipped, unclipped, local);
  const axes = source().axes;
  byId("stage-note").textContent = [backdrop.name, axes.length > 2 ? `${axes[0]} = ${look.slice}` : "", field ? t(`about_${look.kind}`) : ""].filter(Boolean).join(" · ");
}

/** For the shown units of the grid, whether each sees the chosen position. */
function seenUnits(row) {
  if (!look.position || !row.tables) return null;
  const [rows, columns] = row.grid.length === 0 ? [1, 1] : row.grid.length === 1 ? [1, row.grid[0]] : row.grid.slice(-2);
  const lead = look.unit.slice(0, -2);
  return Array.from({ length: rows * columns }, (_, i) => {
    const unit = row.grid.length === 0 ? [] : row.grid.length === 1 ? [i] : [...lead, Math.floor(i / columns), i % columns];
    return sees(row.tables, arrays, unit, look.position);
  });
}

function drawBoxes(row, clipped, unclipped, local) {
  const axes = source().axes;
  const said = (box) => (box ? box.map((side, axis) => `${axes[axis]} ${side ? `${side[0]} … ${side[1] - 1} (${side[1] - side[0]})` : "–"}`).join(", ") : t("reads_nothing"));
  const center = unclipped?.every(Boolean) ? unclipped.map(([a, b]) => number((a + b - 1) / 2)).join(", ") : "–";
  const lines = row.tables
    ? [["unit", look.unit.length ? `(${look.unit.join(", ")})` : t("single_unit")], ["unclipped", said(unclipped)], ["clipped", said(clipped)], ["center", center], ...(local ? [["local_rf", said(local)]] : [])]
    : [["unit", t("no_tables")]];
  const seen = seenUnits(row);
  if (seen) lines.push(["seen_by", t("seen_count", { count: seen.filter(Boolean).length, position: look.position.join(", ") })]);
  byId("boxes").replaceChildren(...lines.flatMap(([key, text]) => [el("dt", {}, t(key)), el("dd", { id: `box-${key}` }, text)]));
  byId("said").textContent = "";
}

function drawAll() {
  const net = network();
  const row = net.layers.find((r) => r.name === chosenRow().name);
  const leaves = net.layers.filter((r) => r.leaf);
  const words = byId("filter").value.trim().toLowerCase();
  drawNumbers(net, row, effective());
  drawFindings(net);
  drawChart(net, leaves.length ? leaves : net.layers, row.name, effective(), chooseLayer);
  if (filtered?.net !== net || filtered.words !== words) {
    filtered = { net, words, layers: words ? net.layers.filter((r) => `${r.name} ${r.type}`.toLowerCase().includes(words)) : net.layers };
  }
  drawLayers(filtered, row.name, chooseLayer);
  byId("kinds-choice").replaceChildren(...KINDS_SHOWN.map((kind) => el("button", { type: "button", "aria-pressed": String(kind === look.kind), "data-kind": kind,
    on: { click: () => { look.kind = kind; drawAll(); byId("kinds-choice").querySelector("[aria-pressed='true']").focus(); chooseUnit(look.unit); } } }, t(`kind_${kind}`))));
  byId("leading").replaceChildren(...row.grid.slice(0, -2).map((n, axis) => {
    const input = el("input", { type: "number", min: 0, max: n - 1, value: look.unit[axis] });
    input.addEventListener("input", () => chooseUnit(look.unit.map((v, i) => (i === axis ? Math.max(0, Math.min(n - 1, Number(input.value) || 0)) : v))));
    return el("label", {}, el("span", {}, `${t("unit")} [${axis}]`), input);
  }));
  byId("stage-legend").replaceChildren(el("span.key", {}, t("clipped")), el("span.key.box", {}, t("unclipped")), ...(row.local ? [el("span.key.effective", {}, t("local_rf"))] : []));
  byId("provenance").textContent = [DATA.provenance.command, ...Object.entries(DATA.provenance.versions).map((pair) => pair.join(" "))].filter(Boolean).join(" · ");
  byId("filter").placeholder = t("filter");
}

function listen() {
  const grid = byId("grid"), canvas = byId("stage");
  const move = (event) => { const unit = unitAt(event, grid, chosenRow().grid, look.unit); if (unit.join() !== look.unit.join()) chooseUnit(unit); };
  grid.addEventListener("pointermove", move);
  grid.addEventListener("pointerdown", move);
  grid.addEventListener("keydown", (event) => {
    const unit = unitBy(event, chosenRow().grid, look.unit);
    if (!unit) return;
    event.preventDefault();
    chooseUnit(unit);
  });
  canvas.addEventListener("click", (event) => { look.position = positionAt(event, canvas, look.slice); drawView(); });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { look.position = null; drawView(); return; }
    const lengths = source().lengths;
    const next = unitBy(event, lengths, look.position ?? lengths.map((n) => Math.floor(n / 2)));
    if (!next) return;
    event.preventDefault();
    look.position = next;
    drawView();
  });
  byId("layer").addEventListener("change", () => chooseLayer(byId("layer").value));
  byId("source").append(...DATA.sources.map((s) => el("option", { value: s.name }, s.name)));
  byId("source-pick").hidden = DATA.sources.length < 2;
  byId("source").addEventListener("change", () => chooseSource(byId("source").value));
  byId("filter").addEventListener("input", drawAll);
  for (const link of document.querySelectorAll("a.live")) link.hidden = !DATA.live;
  if (DATA.live) byId("report").href = `/report/${DATA.live.network}`;
  for (const list of [onLanguage, onTheme]) list.push(() => { drawAll(); drawView(); });
  new ResizeObserver(() => { drawAll(); drawView(); }).observe(document.querySelector("main"));
}

async function start() {
  startLook();
  arrays = await readTables(DATA.tables);
  await chooseSource(look.source);
  listen();
  document.body.dataset.ready = "true";
}
start();
