// How far the units of each layer can see (TRF), and the side of what has weight (ERF), over depth.

const GROWTH_HIGH = 300;
const GROWTH_EDGE = { left: 54, right: 16, top: 16, bottom: 30 };
let growthLog = false;

/** The leaves of a source (all layers where there are no leaves): what the chart walks along. */
function growthRows(source) {
  const rows = rowsOf(source),
    leaves = rows.filter((row) => row.leaf);
  return leaves.length ? leaves : rows;
}

/** Side of the effective field of a row along its longest axis; null where the page has no field of it. */
function growthErf(row) {
  const kinds = kindsOf(row);
  const packed = packedField(row, kinds.includes("energy") ? "energy" : kinds[0]);
  return packed?.erf == null ? null : Math.max(...[packed.erf].flat());
}

function startGrowth() {
  const draw = () => {
    byId("growth-tools").replaceChildren(
      choice(
        t("scale"),
        [
          ["linear", t("linear")],
          ["log", t("log")],
        ],
        growthLog ? "log" : "linear",
        (value) => {
          growthLog = value === "log";
          draw();
          byId("growth-tools").querySelector(`[data-value='${value}']`).focus();
        },
      ),
      exportButtons("growth", () => byId("growth").querySelector("svg")),
    );
    drawGrowth();
  };
  state.onSelect(drawGrowth);
  onLanguage.push(draw);
  byId("growth").addEventListener("click", (event) => growthPick(event));
  byId("growth").addEventListener("keydown", growthKey);
  new ResizeObserver(eachFrame(drawGrowth)).observe(byId("growth"));
  draw();
}

/** Round steps of an axis up to ``top``, at most about ``count``. */
function roundSteps(top, count) {
  const rough = top / count,
    power = 10 ** Math.floor(Math.log10(rough || 1));
  const size = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power;
  return Array.from({ length: Math.floor(top / size) + 1 }, (_, i) => i * size);
}

function drawGrowth() {
  const box = byId("growth"),
    width = Math.max(300, box.clientWidth);
  const rows = growthRows(state.source),
    plan = growthPlan(rows, width);
  const at = growthPlace(rows),
    erfs = growthEffective(rows);
  const picture = svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${GROWTH_HIGH}`,
      height: GROWTH_HIGH,
      width: "100%",
      role: "slider",
      tabindex: 0,
      "aria-label": t("growth_label"),
      "aria-valuemin": 1,
      "aria-valuemax": rows.length,
      "aria-valuenow": at + 1,
      "aria-valuetext": `${state.row.name}: ${axesText(state.row.size)}`,
    },
    ...growthGrid(plan, width),
    ...growthStrides(rows, plan),
    at < 0
      ? null
      : svg("rect.chosen", {
          x: plan.x(at) - Math.max(plan.half, 1.5),
          y: GROWTH_EDGE.top,
          width: Math.max(2 * plan.half, 3),
          height: GROWTH_HIGH - GROWTH_EDGE.top - GROWTH_EDGE.bottom,
        }),
    ...growthCurve(rows, plan),
    ...growthPoints(erfs, plan),
    ...growthLabel(at, plan, width),
  );
  const had = box.contains(document.activeElement);
  box.replaceChildren(picture);
  if (had) picture.focus({ preventScroll: true });
  byId("growth-legend").replaceChildren(
    el("span.key.theoretical", {}, t("theoretical")),
    ...(erfs.length ? [el("span.key.effective", {}, t("effective"))] : []),
  );
}

/** Where things stand: x of a place in ``rows``, y of a size, half a step, the top and the input's side. */
function growthPlan(rows, width) {
  const side = largest(DATA.sources[state.source].lengths);
  const sizes = rows.map((row) => (row.size?.some((n) => n != null) ? largest(row.size) : null));
  const top = Math.max(8, ...sizes.filter((v) => v != null)) * 1.08;
  const high = GROWTH_HIGH - GROWTH_EDGE.top - GROWTH_EDGE.bottom,
    wide = width - GROWTH_EDGE.left - GROWTH_EDGE.right;
  const share = growthLog ? (v) => Math.log(Math.max(v, 1)) / Math.log(top) : (v) => v / top;
  return {
    side,
    sizes,
    top,
    half: wide / rows.length / 2,
    x: (i) => GROWTH_EDGE.left + ((i + 0.5) / rows.length) * wide,
    y: (v) => GROWTH_EDGE.top + (1 - Math.min(1, share(v))) * high,
  };
}

function growthGrid(plan, width) {
  const ticks = growthLog
    ? [1, 10, 100, 1000, 1e4, 1e5, 1e6]
        .flatMap((n) => (plan.top < 100 ? [n, 2 * n, 5 * n] : [n]))
        .filter((n) => n <= plan.top)
    : roundSteps(plan.top, 4);
  const line = (kind, v) =>
    svg(`line.${kind}`, { x1: GROWTH_EDGE.left, x2: width - GROWTH_EDGE.right, y1: plan.y(v), y2: plan.y(v) });
  const parts = ticks.flatMap((v) => [
    line("grid", v),
    svg("text.tick", { x: GROWTH_EDGE.left - 8, y: plan.y(v) + 4, "text-anchor": "end" }, number(v)),
  ]);
  if (plan.side > plan.top) return parts;
  return [
    ...parts,
    line("side", plan.side),
    svg("text.side", { x: GROWTH_EDGE.left + 6, y: plan.y(plan.side) - 5 }, `${t("input_side")} ${number(plan.side)}`),
  ];
}

/** Along the axis, where the stride changes. */
function growthStrides(rows, plan) {
  const parts = [];
  let last = null,
    free = -Infinity;
  rows.forEach((row, i) => {
    const stride = row.stride?.at(-1);
    if (stride == null || stride === last) return;
    const left = plan.x(i) - plan.half;
    if (last != null)
      parts.push(svg("line.stride", { x1: left, x2: left, y1: GROWTH_EDGE.top, y2: GROWTH_HIGH - GROWTH_EDGE.bottom }));
    const text = last == null ? t("stride_at", { stride: number(stride) }) : number(stride);
    if (left >= free) {
      parts.push(svg("text.tick", { x: left + 3, y: GROWTH_HIGH - 10 }, text));
      free = left + 7 * text.length + 12;
    }
    last = stride;
  });
  return parts;
}

function growthCurve(rows, plan) {
  let line = "",
    area = "",
    from = null;
  const close = (to) => {
    if (from != null) area += `L${to},${plan.y(0)}L${from},${plan.y(0)}Z`;
    from = null;
  };
  plan.sizes.forEach((v, i) => {
    const [left, right] = [plan.x(i) - plan.half, plan.x(i) + plan.half];
    if (v == null) return close(left);
    const step = `${from == null ? "M" : "L"}${left},${plan.y(v)}H${right}`;
    if (from == null) from = left;
    line += step;
    area += step;
  });
  close(plan.x(rows.length - 1) + plan.half);
  return line ? [svg("path.area", { d: area }), svg("path.theoretical", { d: line })] : [];
}

/** [[place, side]] of the layers with fields; a module stands where its last leaf stands. */
function growthEffective(rows) {
  const found = new Map();
  for (const row of rowsOf(state.source)) {
    const erf = growthErf(row),
      at = erf == null ? -1 : growthPlace(rows, row);
    if (at >= 0) found.set(at, erf);
  }
  return [...found].sort((a, b) => a[0] - b[0]);
}

function growthPoints(erfs, plan) {
  const points = erfs.map(([at, erf]) => [plan.x(at), plan.y(erf)]);
  if (!points.length) return [];
  return [
    svg("path.effective", { d: `M${points.map((p) => p.join(",")).join("L")}` }),
    ...points.map(([x, y]) => svg("circle.effective", { cx: x, cy: y, r: 3.2 })),
  ];
}

function growthLabel(at, plan, width) {
  if (at < 0 || plan.sizes[at] == null) return [];
  const x = plan.x(at),
    y = plan.y(plan.sizes[at]),
    right = x > width * 0.6,
    erf = growthErf(state.row);
  const text = `${state.row.name} · ${statusMark(state.row.status)}${axesText(state.row.size)}`;
  return [
    svg("circle.spot.theoretical", { cx: x, cy: y, r: 4.5 }),
    erf == null ? null : svg("circle.spot.effective", { cx: x, cy: plan.y(erf), r: 4.5 }),
    svg(
      "text.label",
      { x: x + (right ? -10 : 10), y: Math.max(GROWTH_EDGE.top + 10, y - 10), "text-anchor": right ? "end" : "start" },
      text,
    ),
  ];
}

/** The place of a row among the leaves: its own, or, for a module, that of the last leaf inside it; -1 for none. */
function growthPlace(rows, row = state.row) {
  const own = rows.indexOf(row);
  return own >= 0 ? own : rows.findLastIndex((other) => other.name.startsWith(`${row.name}.`));
}

function growthPick(event) {
  const picture = byId("growth").querySelector("svg"),
    place = picture.getBoundingClientRect(),
    rows = growthRows(state.source);
  const share = (event.clientX - place.left - GROWTH_EDGE.left) / (place.width - GROWTH_EDGE.left - GROWTH_EDGE.right);
  state.select(rows[Math.max(0, Math.min(rows.length - 1, Math.floor(share * rows.length)))].id);
}

function growthKey(event) {
  const rows = growthRows(state.source),
    all = rows.length;
  const step = {
    ArrowRight: 1,
    ArrowUp: 1,
    ArrowLeft: -1,
    ArrowDown: -1,
    Home: -all,
    End: all,
    PageUp: 10,
    PageDown: -10,
  }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  state.select(rows[Math.max(0, Math.min(all - 1, growthPlace(rows) + step))].id);
}
