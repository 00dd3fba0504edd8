// Receptive field by layer: what can be read, what really is, and the input's own length.

let HIGH = 260;
const MARGIN = { left: 46, right: 14, top: 14, bottom: 30 };

/** Round steps for an axis up to ``top``. */
function steps(top, count) {
  const rough = top / count;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const size = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power;
  return Array.from({ length: Math.floor(top / size) + 1 }, (_, i) => i * size);
}

function drawChart(net, rows, chosen, grown, choose) {
  const box = byId("chart");
  const width = Math.max(280, box.clientWidth || 600);
  // Beside the field there is room for a taller chart.
  HIGH = matchMedia("(min-width: 1241px)").matches && width < 800 ? 540 : 270;
  const side = largest(net.lengths);
  const sizes = rows.map((row) => (row.size ? largest(row.size) : null));
  const seen = sizes.filter((n) => n != null);
  const top = Math.max(8, ...seen) * 1.06;
  const x = (i) => MARGIN.left + ((i + 0.5) / rows.length) * (width - MARGIN.left - MARGIN.right);
  const y = (v) => MARGIN.top + (1 - Math.min(v, top) / top) * (HIGH - MARGIN.top - MARGIN.bottom);
  const half = (width - MARGIN.left - MARGIN.right) / rows.length / 2;
  const parts = [];
  for (const value of steps(top, 4)) {
    parts.push(svg("line.grid", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    parts.push(svg("text.tick", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  parts.push(...strideMarks(rows, x, half));
  const at = rows.findIndex((row) => row.name === chosen);
  if (at >= 0) parts.push(svg("rect.chosen", { x: x(at) - half, y: MARGIN.top, width: Math.max(2 * half, 2), height: HIGH - MARGIN.top - MARGIN.bottom }));
  if (side <= top) {
    parts.push(svg("line.side", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(side), y2: y(side) }));
    parts.push(svg("text.side", { x: MARGIN.left + 6, y: y(side) - 5 }, `${t("input_side")} ${number(side)}`));
  }
  let line = "";
  sizes.forEach((v, i) => { if (v != null) line += `${line ? "L" : "M"}${x(i) - half},${y(v)}H${x(i) + half}`; });
  if (line) {
    const from = x(sizes.findIndex((v) => v != null)) - half;
    const to = x(sizes.findLastIndex((v) => v != null)) + half;
    parts.push(svg("path.area", { d: `${line}L${to},${y(0)}L${from},${y(0)}Z` }), svg("path.theoretical", { d: line }));
  }
  const points = rows.flatMap((row, i) => (grown?.[row.name] ? [[x(i), y(grown[row.name].erf)]] : []));
  if (points.length) parts.push(svg("path.effective", { d: `M${points.map((p) => p.join(",")).join("L")}` }));
  if (points.length < 60) parts.push(...points.map(([px, py]) => svg("circle.effective", { cx: px, cy: py, r: 3 })));
  if (at >= 0) parts.push(...label(rows[at], sizes[at], grown?.[rows[at].name]?.erf, x(at), y, width));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HIGH}`, height: HIGH, width: "100%", role: "slider", tabindex: 0,
    "aria-label": t("growth_label"), "aria-valuemin": 1, "aria-valuemax": rows.length, "aria-valuenow": at + 1,
    "aria-valuetext": at < 0 ? "" : `${rows[at].name}: ${axesText(rows[at].size)}` }, ...parts);
  const had = document.activeElement?.closest?.("#chart");
  box.replaceChildren(picture);
  if (had) picture.focus({ preventScroll: true });
  const pick = (event) => {
    const place = picture.getBoundingClientRect();
    const share = ((event.clientX - place.left) * (width / place.width) - MARGIN.left) / (2 * half);
    choose(rows[Math.max(0, Math.min(rows.length - 1, Math.floor(share)))].name);
  };
  picture.addEventListener("click", pick);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -rows.length, End: rows.length, PageUp: 10, PageDown: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(rows[Math.max(0, Math.min(rows.length - 1, at + step))].name);
  });
  byId("growth-legend").replaceChildren(el("span.key.theoretical", {}, t("theoretical")), el("span.key.effective", {}, t("effective")));
}

/** Below the axis, where the stride changes. */
function strideMarks(rows, x, half) {
  const parts = [];
  let last = null, free = -Infinity;
  rows.forEach((row, i) => {
    const stride = row.stride?.at(-1);
    if (stride == null || stride === last) return;
    const left = x(i) - half;
    if (last != null) parts.push(svg("line.stride", { x1: left, x2: left, y1: MARGIN.top, y2: HIGH - MARGIN.bottom }));
    if (left >= free) {
      parts.push(svg("text.tick", { x: left + 3, y: HIGH - 10 }, last == null ? t("stride_at", { stride: number(stride) }) : number(stride)));
      free = left + (last == null ? 60 : 22);
    }
    last = stride;
  });
  return parts;
}

function label(row, size, erf, at, y, width) {
  const right = at > width * 0.5;
  const spot = (v, sort) => svg(`circle.spot.${sort}`, { cx: at, cy: y(v), r: 4.5 });
  const text = svg("text.label", { x: at + (right ? -10 : 10), y: Math.max(MARGIN.top + 12, y(size ?? 0) - 10), "text-anchor": right ? "end" : "start" }, `${row.name} · ${axesText(row.size)}`);
  return [...(size == null ? [] : [spot(size, "theoretical")]), ...(erf == null ? [] : [spot(erf, "effective")]), text];
}
