// The network as a graph that one can zoom, with modules to open, and in each box how much of the input it sees.

const SMALL = 26;
const net = {
  tree: null,
  open: new Set(),
  boxes: [],
  links: [],
  view: { x: 0, y: 0, k: 1 },
  size: [0, 0],
  at: null,
  drag: null,
  source: 0,
};

function startNetwork() {
  net.tree = networkTree();
  const roots = net.tree.items.get(null).children.filter((item) => item.row);
  if (net.tree.items.get(null).leaves <= SMALL)
    for (const item of net.tree.items.values()) {
      if (item.children.length && item.id !== null) net.open.add(item.id);
    }
  else if (roots.length === 1) net.open.add(roots[0].id);
  layNetwork();
  const box = byId("network");
  drawNetwork();
  fitNetwork(0.8);
  drawNetworkTools();
  state.onSelect(() => {
    if (state.source === net.source) markChosen();
    else drawNetwork();
    showInNetwork(shownItem(state.row.id));
  });
  onLanguage.push(() => {
    drawNetworkTools();
    drawNetwork();
  });
  addEventListener(
    "resize",
    eachFrame(() => {
      if (Math.abs(byId("network").clientWidth - 48 - net.room) > 40) relayNetwork();
    }),
  );
  box.addEventListener("pointerdown", networkDown);
  box.addEventListener("pointermove", networkMove);
  for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, networkUp);
  box.addEventListener("wheel", networkWheel, { passive: false });
  box.addEventListener("click", networkClick);
  box.addEventListener("dblclick", networkDouble);
  box.addEventListener("keydown", networkKey);
  box.addEventListener("focusin", (event) => {
    net.at = itemOf(event) ?? net.at;
    markTab();
  });
  // On paper nobody can move it: all of it, and afterwards the view as it was.
  let kept = null;
  addEventListener("beforeprint", () => {
    kept = { ...net.view };
    fitNetwork(0.02, 700);
  });
  addEventListener("afterprint", () => {
    Object.assign(net.view, kept);
    placeView();
  });
}

function drawNetworkTools() {
  const button = (key, act) => el("button.quiet", { type: "button", on: { click: act } }, t(key));
  byId("network-tools").replaceChildren(
    button("open_all", openLevel),
    button("close_all", closeAll),
    el(
      "button.quiet",
      { type: "button", "aria-label": t("zoom_out"), title: t("zoom_out"), on: { click: () => zoomNetwork(1 / 1.3) } },
      "−",
    ),
    el(
      "button.quiet",
      { type: "button", "aria-label": t("zoom_in"), title: t("zoom_in"), on: { click: () => zoomNetwork(1.3) } },
      "+",
    ),
    button("fit", () => fitNetwork(0.02)),
    exportButtons("network", () => byId("network").querySelector("svg")),
  );
}

function layNetwork() {
  net.room = Math.max(BOX.wide, (byId("network").clientWidth || 1000) - 48);
  const layout = networkLayout(net.tree, net.open, net.room);
  net.boxes = flatBoxes(layout);
  net.links = drawnLinks(net.tree, net.boxes);
  net.size = [layout.wide, layout.high];
}

/** The row of an item for the source that the page looks at. */
const itemRow = (item) => (item.row ? (rowOf(item.row.id, state.source) ?? item.row) : null);

/** The innermost item on the drawing that holds a layer: its own box or the closed module around it. */
function shownItem(id) {
  const known = new Map(net.boxes.map((box) => [box.item.id, box]));
  const path = pathTo(net.tree.items, id);
  return path.find((at) => known.has(at) && !known.get(at).open) ?? path.findLast((at) => known.has(at));
}

function drawNetwork() {
  const box = byId("network"),
    had = box.contains(document.activeElement);
  const ids = net.boxes.map((b) => b.item.id);
  if (!ids.includes(net.at)) net.at = ids.includes(state.row.id) ? state.row.id : (shownItem(state.row.id) ?? ids[0]);
  net.source = state.source;
  for (const link of net.links) link.node = svg("path.link", { d: link.path });
  const frames = net.boxes.filter((b) => b.open).map((b) => networkFrame(b));
  const nodes = net.boxes.filter((b) => !b.open).map((b) => networkNode(b));
  const view = svg(
    "g",
    { id: "network-view", role: "none" },
    ...frames,
    svg("g", { "aria-hidden": "true" }, ...net.links.map((link) => link.node)),
    ...nodes,
  );
  box.replaceChildren(svg("svg", { role: "tree", "aria-label": t("network_label") }, view));
  markChosen();
  placeView();
  if (had) focusItem(net.at);
}

/** Shows which box is, or holds, the chosen layer, and its links. */
function markChosen() {
  const chosen = shownItem(state.row.id),
    view = byId("network-view");
  for (const node of view.querySelectorAll(".chosen")) {
    node.classList.remove("chosen");
    node.setAttribute("aria-selected", "false");
  }
  for (const id of new Set([chosen, state.row.id])) view.querySelector(`[data-item='${id}']`)?.classList.add("chosen");
  view.querySelector(`[data-item='${state.row.id}']`)?.setAttribute("aria-selected", "true");
  for (const { from, to, node } of net.links) node.classList.toggle("on", from === chosen || to === chosen);
  markTab();
}

/** The Tab key reaches one box: the one that was last worked with. */
function markTab() {
  const view = byId("network-view");
  for (const node of view.querySelectorAll("[tabindex='0']")) node.setAttribute("tabindex", -1);
  view.querySelector(`[data-item='${net.at}']`)?.setAttribute("tabindex", 0);
}

/** The attributes of a box as a part of a tree; only one of them can be reached with the Tab key. */
function itemAttributes(b) {
  const { item } = b;
  return {
    role: "treeitem",
    tabindex: -1,
    "data-item": item.id,
    "aria-level": item.level,
    "aria-selected": "false",
    "aria-expanded": item.children.length ? String(b.open) : null,
    transform: `translate(${b.x},${b.y})`,
  };
}

/** The name of a box for those who do not see it, and when the pointer rests on it. */
function itemLabel(item) {
  const row = itemRow(item);
  if (!row) return `${t("source")} ${DATA.sources[-1 - item.id].name}`;
  return t("node_label", {
    layer: item.behind ? t("behind") : item.name,
    type: item.group ? counted("parts", item.leaves) : row.type,
    size: row.size ? statusMark(row.status) + axesText(row.size) : t("unavailable"),
    output: row.shape.join("×"),
  });
}

function networkFrame(b) {
  const row = itemRow(b.item);
  return svg(
    "g.node.frame",
    itemAttributes(b),
    svg("title", {}, itemLabel(b.item)),
    svg("rect.body", { width: b.wide, height: b.high, rx: 14 }),
    networkToggle(20, 20, true),
    svg("text.name", { x: 38, y: 25 }, clippedText(shortName(b.item), (b.wide - 110) / 7.4)),
    svg(
      "text.value",
      { x: b.wide - 14, y: 25, "text-anchor": "end" },
      row.size ? statusMark(row.status) + axesText(row.size) : "",
    ),
  );
}

function networkNode(b) {
  const { item } = b,
    row = itemRow(item),
    source = row ? null : DATA.sources[-1 - item.id];
  const value = item.behind ? "" : row ? (row.size ? statusMark(row.status) + axesText(row.size) : "?") : source.lengths.join(" × ");
  const about = item.times
    ? `×\u2009${item.times}`
    : item.children.length
      ? counted("parts", item.leaves)
      : row
        ? row.type
        : "";
  const many = item.children.length > 0;
  const room = (BOX.wide - (many ? 84 : 58)) / 7.8,
    rest = (BOX.wide - 66 - 8.6 * value.length) / 7.2;
  return svg(
    `g.node.${row ? (many ? "module" : "leaf") : "input"}`,
    itemAttributes(b),
    svg("title", {}, itemLabel(item)),
    many ? svg("rect.stack", { x: 5, y: -5, width: b.wide - 10, height: 20, rx: 8 }) : null,
    svg("rect.body", { width: b.wide, height: b.high, rx: 10 }),
    ...seesGlyph(row, source),
    svg("text.name", { x: 50, y: 25 }, clippedText(shortName(item).replace(/ … .*/, " …"), room)),
    svg("text.value", { x: 50, y: 43 }, clippedText(value, 13)),
    svg(
      "text.about",
      { x: b.wide - 10, y: 43, "text-anchor": "end" },
      rest < (many ? about.length : 3) ? "" : clippedText(about, rest),
    ),
    many ? networkToggle(b.wide - 17, 19, false) : null,
  );
}

/** A small frame for the input and in it what a middle unit sees of it. */
function seesGlyph(row, source) {
  const lengths = (source ?? DATA.sources[state.source]).lengths,
    sees = row ? row.clipped : lengths;
  const side = 28,
    longest = Math.max(...lengths, 1);
  const flat = lengths.slice(-2).length === 1;
  const pair = (values) => (flat ? [null, values[0]] : values.slice(-2));
  const size = pair(lengths).map((n) => (n == null ? 10 : Math.max(6, (side * n) / longest)));
  const parts = [
    svg("rect.whole", {
      x: 11 + (side - size[1]) / 2,
      y: 15 + (side - size[0]) / 2,
      width: size[1],
      height: size[0],
      rx: 1.5,
    }),
  ];
  if (!sees?.length || sees.some((n) => n == null)) return lengths.length ? parts : [];
  const part = pair(sees).map((n, i) => (n == null ? size[i] : Math.max(2.5, (size[i] * n) / pair(lengths)[i])));
  return [
    ...parts,
    svg("rect.sees", {
      x: 11 + (side - part[1]) / 2,
      y: 15 + (side - part[0]) / 2,
      width: part[1],
      height: part[0],
      rx: 1,
    }),
  ];
}

const networkToggle = (x, y, open) =>
  svg(
    "g.toggle",
    { transform: `translate(${x},${y})`, "aria-hidden": "true" },
    svg("circle", { r: 8.5 }),
    svg("path", { d: open ? "M-4,0H4" : "M-4,0H4M0,-4V4" }),
  );

/** The part of a name that its module does not say already. */
function shortName(item) {
  if (item.behind) return t("behind_short");
  const above = item.parent === null ? "" : net.tree.items.get(item.parent).prefix;
  return item.name.startsWith(above) ? item.name.slice(above.length) : item.name;
}

/** At most ``room`` letters; numbers at the end, which tell layers apart, stay. */
function clippedText(text, room) {
  if (text.length <= room) return text;
  const end = Math.max(1, Math.floor(room / 3));
  return `${text.slice(0, Math.max(1, Math.floor(room) - end - 1))}…${text.slice(-end)}`;
}

// ---- opening and closing

function toggleItem(id) {
  const item = net.tree.items.get(id);
  if (!item?.children.length) return;
  const before = net.boxes.find((b) => b.item.id === id);
  if (net.open.has(id)) net.open.delete(id);
  else net.open.add(id);
  layNetwork();
  const after = net.boxes.find((b) => b.item.id === id);
  net.view.x += (before.x - after.x) * net.view.k;
  net.view.y += (before.y - after.y) * net.view.k;
  net.at = id;
  drawNetwork();
  growNetwork();
}

/** Room for what was opened; the view stays where it is. */
function growNetwork() {
  const box = byId("network"),
    before = box.clientHeight;
  const after = Math.max(before, Math.min(innerHeight * 0.72, 640, net.size[1] * net.view.k + 96));
  box.style.height = `${after}px`;
  if (after === before) return;
  net.view.y = Math.max(24, (after - net.size[1] * net.view.k) / 2);
  placeView();
}

function openLevel() {
  for (const { item } of net.boxes) openFolds(item);
  relayNetwork();
}

/** Folded blocks are no level of the network's own: they open with what holds them, and what is in them with them. */
function openFolds(item) {
  if (!item.children.length) return;
  net.open.add(item.id);
  for (const child of item.children) if (item.times || child.times) openFolds(child);
}

function closeAll() {
  net.open.clear();
  relayNetwork();
}

function relayNetwork() {
  layNetwork();
  drawNetwork();
  fitNetwork(0.75);
}

// ---- choosing

const itemOf = (event) => {
  const node = event.target.closest("[data-item]");
  return node ? Number(node.dataset.item) : null;
};

function focusItem(id) {
  byId("network").querySelector(`[data-item='${id}']`)?.focus({ preventScroll: true });
}

function networkClick(event) {
  const id = itemOf(event);
  if (id === null) return;
  net.at = id;
  if (event.target.closest(".toggle")) return toggleItem(id);
  chooseItem(id);
}

function networkDouble(event) {
  const id = itemOf(event);
  if (id !== null && !event.target.closest(".toggle")) toggleItem(id);
}

function chooseItem(id) {
  net.at = id;
  if (id < 0 && DATA.sources.length > 1) return state.select(state.row.id, -1 - id);
  if (id >= 0) state.select(net.tree.items.get(id).row.id);
  markChosen();
  focusItem(id);
}

function networkKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const order = net.boxes.map((b) => b.item.id),
    at = order.indexOf(net.at);
  const next = net.links.find((link) => link.from === net.at)?.to,
    back = net.links.find((link) => link.to === net.at)?.from;
  const go = {
    ArrowRight: next ?? order[at + 1],
    ArrowLeft: back ?? order[at - 1],
    ArrowDown: order[at + 1],
    ArrowUp: order[at - 1],
    Home: order[0],
    End: order.at(-1),
  }[event.key];
  const act = {
    Enter: () => chooseItem(net.at),
    " ": () => toggleItem(net.at),
    "+": () => zoomNetwork(1.3),
    "=": () => zoomNetwork(1.3),
    "-": () => zoomNetwork(1 / 1.3),
    0: () => fitNetwork(0.02),
  }[event.key];
  if (go == null && !act) return;
  event.preventDefault();
  if (act) return act();
  focusItem(go);
  showInNetwork(go);
}
