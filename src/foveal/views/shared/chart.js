// Receptive field by layer: what can be read, what really is, where the stride changes, and the input's own length.

const CHART_EDGE = { left: 54, right: 16, top: 26, bottom: 48 };

/** Round steps of an axis up to ``top``, at most about ``count``. */
function roundSteps(top, count) {
  const rough = top / count,
    power = 10 ** Math.floor(Math.log10(rough || 1));
  const size = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power;
  return Array.from({ length: Math.floor(top / size) + 1 }, (_, i) => i * size);
}

/**
 * Draw the sizes of ``rows`` over depth into ``box``; a click or an arrow key calls choose(row).
 * about: {side: the input's length, row: the chosen row, at: its place in rows (-1 for none), effective: [[place, side]],
 * mine: the chosen row's effective side, legend: element, log: logarithmic sizes, least and high: width and height}.
 */
function sizeChart(box, rows, about, choose) {
  const { at, row, effective, least = 300, high = 300 } = about;
  const width = Math.max(least, box.clientWidth);
  const plan = chartPlan(rows, about, width, high);
  const picture = svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${high}`,
      height: high,
      width: "100%",
      role: "slider",
      tabindex: 0,
      "aria-label": t("growth_label"),
      "aria-valuemin": 1,
      "aria-valuemax": rows.length,
      "aria-valuenow": at + 1,
      "aria-valuetext": row ? `${row.name}: ${axesText(row.size)}` : "",
    },
    ...chartGrid(plan, width),
    ...chartStrides(rows, plan),
    at < 0
      ? null
      : svg("rect.chosen", {
          x: plan.x(at) - Math.max(plan.half, 1.5),
          y: CHART_EDGE.top,
          width: Math.max(2 * plan.half, 3),
          height: high - CHART_EDGE.top - CHART_EDGE.bottom,
        }),
    ...chartCurve(rows, plan),
    ...chartPoints(effective, plan),
    ...chartLabel(about, plan, width),
    ...chartAxes(about, plan, width),
  );
  const over = svg("g.over", { "aria-hidden": "true" });
  picture.append(over);
  const had = box.contains(document.activeElement);
  box.replaceChildren(picture);
  if (had) picture.focus({ preventScroll: true });
  chartMoves(picture, rows, at, choose);
  chartHover(picture, over, rows, effective, plan, width);
  about.legend.replaceChildren(
    el("span.key.theoretical", {}, t("theoretical")),
    ...(effective.length ? [el("span.key.effective", {}, t("effective"))] : []),
  );
}

/** Where things stand: x of a place in ``rows``, y of a size, half a step, the top and the input's side. */
function chartPlan(rows, { side, log }, width, high) {
  const sizes = rows.map((row) => (row.size?.some((n) => n != null) ? largest(row.size) : null));
  const top = Math.max(8, ...sizes.filter((v) => v != null)) * 1.08;
  const tall = high - CHART_EDGE.top - CHART_EDGE.bottom,
    wide = width - CHART_EDGE.left - CHART_EDGE.right;
  const share = log ? (v) => Math.log(Math.max(v, 1)) / Math.log(top) : (v) => v / top;
  return {
    side,
    sizes,
    top,
    log,
    high,
    half: wide / rows.length / 2,
    x: (i) => CHART_EDGE.left + ((i + 0.5) / rows.length) * wide,
    y: (v) => CHART_EDGE.top + (1 - Math.min(1, share(v))) * tall,
  };
}

function chartGrid(plan, width) {
  const ticks = plan.log
    ? [1, 10, 100, 1000, 1e4, 1e5, 1e6]
        .flatMap((n) => (plan.top < 100 ? [n, 2 * n, 5 * n] : [n]))
        .filter((n) => n <= plan.top)
    : roundSteps(plan.top, 4);
  const line = (kind, v) =>
    svg(`line.${kind}`, { x1: CHART_EDGE.left, x2: width - CHART_EDGE.right, y1: plan.y(v), y2: plan.y(v) });
  const parts = ticks.flatMap((v) => [
    line("grid", v),
    svg("text.tick", { x: CHART_EDGE.left - 8, y: plan.y(v) + 4, "text-anchor": "end" }, number(v)),
  ]);
  if (plan.side > plan.top) return parts;
  return [
    ...parts,
    line("side", plan.side),
    svg("text.side", { x: CHART_EDGE.left + 6, y: plan.y(plan.side) + (plan.y(plan.side) < CHART_EDGE.top + 12 ? 14 : -5) }, `${t("input_side")} ${number(plan.side)}`),
  ];
}

/** Along the axis, where the stride changes. */
function chartStrides(rows, plan) {
  const parts = [];
  let last = null,
    free = -Infinity;
  rows.forEach((row, i) => {
    const stride = row.stride?.at(-1);
    if (stride == null || stride === last) return;
    const left = plan.x(i) - plan.half;
    if (last != null)
      parts.push(svg("line.stride", { x1: left, x2: left, y1: CHART_EDGE.top, y2: plan.high - CHART_EDGE.bottom }));
    const text = last == null ? t("stride_at", { stride: number(stride) }) : number(stride);
    if (left >= free) {
      parts.push(svg("text.tick", { x: left + 3, y: plan.high - CHART_EDGE.bottom + 16 }, text));
      free = left + 7 * text.length + 12;
    }
    last = stride;
  });
  return parts;
}

function chartCurve(rows, plan) {
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

/** The effective sides: a line, and dots where there is room for them. */
function chartPoints(effective, plan) {
  const points = effective.map(([at, side]) => [plan.x(at), plan.y(side)]);
  if (!points.length) return [];
  return [
    svg("path.effective", { d: `M${points.map((p) => p.join(",")).join("L")}` }),
    ...(points.length < 60 ? points.map(([x, y]) => svg("circle.effective", { cx: x, cy: y, r: 3.2 })) : []),
  ];
}

/** What the axes count. */
const chartAxes = ({ unit = "" }, plan, width) => [
  svg("text.tick.axis", { x: 8, y: 14 }, unit ? t("chart_size", { unit }) : ""),
  svg("text.tick.axis", { x: width - CHART_EDGE.right, y: plan.high - 10, "text-anchor": "end" }, t("chart_depth")),
];

/** Beside the pointer: the layer there and its numbers. */
function chartHover(picture, over, rows, effective, plan, width) {
  const sides = new Map(effective);
  const draw = eachFrame((event) => {
    if (event.type === "pointerleave") return over.replaceChildren();
    const place = picture.getBoundingClientRect(),
      share = (event.clientX - place.left - CHART_EDGE.left) / (place.width - CHART_EDGE.left - CHART_EDGE.right);
    const i = Math.max(0, Math.min(rows.length - 1, Math.floor(share * rows.length))),
      row = rows[i];
    const lines = [
      row.name.length > 44 ? `…${row.name.slice(-43)}` : row.name,
      `${t("chart_field")} ${plan.sizes[i] == null ? "–" : statusMark(row.status) + axesText(row.size)}`,
      ...(sides.has(i) ? [`${t("chart_effective")} ${number(Math.round(10 * sides.get(i)) / 10)}`] : []),
      `${t("chart_stride")} ${axesText(row.stride)}`,
    ];
    const wide = 7.2 * Math.max(...lines.map((line) => [...line].reduce((n, c) => n + (c > "\u2e80" ? 1.8 : 1), 0))) + 18,
      x = Math.max(2, Math.min(plan.x(i) + 12, width - wide - 2)),
      y = CHART_EDGE.top + 4;
    over.replaceChildren(
      svg("line.at", { x1: plan.x(i), x2: plan.x(i), y1: CHART_EDGE.top, y2: plan.high - CHART_EDGE.bottom }),
      svg("rect.tip", { x, y, width: wide, height: 17 * lines.length + 10, rx: 6 }),
      ...lines.map((line, k) => svg(k ? "text.tick" : "text.head", { x: x + 9, y: y + 18 + 17 * k }, line)),
    );
  });
  picture.addEventListener("pointermove", draw);
  picture.addEventListener("pointerleave", draw);
}

function chartLabel({ at, row, mine }, plan, width) {
  if (at < 0 || plan.sizes[at] == null) return [];
  const x = plan.x(at),
    y = plan.y(plan.sizes[at]),
    right = x > width * 0.6;
  return [
    svg("circle.spot.theoretical", { cx: x, cy: y, r: 4.5 }),
    mine == null ? null : svg("circle.spot.effective", { cx: x, cy: plan.y(mine), r: 4.5 }),
    svg(
      "text.label",
      { x: x + (right ? -10 : 10), y: Math.max(CHART_EDGE.top + 10, y - 10), "text-anchor": right ? "end" : "start" },
      `${row.name} · ${statusMark(row.status)}${axesText(row.size)}`,
    ),
  ];
}

/** Choose by pointer and by key. */
function chartMoves(picture, rows, at, choose) {
  const nearest = (i) => rows[Math.max(0, Math.min(rows.length - 1, i))];
  picture.addEventListener("click", (event) => {
    const place = picture.getBoundingClientRect();
    const share = (event.clientX - place.left - CHART_EDGE.left) / (place.width - CHART_EDGE.left - CHART_EDGE.right);
    choose(nearest(Math.floor(share * rows.length)));
  });
  picture.addEventListener("keydown", (event) => {
    const all = rows.length;
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
    choose(nearest(at + step));
  });
}
