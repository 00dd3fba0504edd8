// The field of the chosen layer: a picture on the input, the line around what counts, and a cut through its peak.

const KIND_ORDER = ["energy", "paths", "edges", "support"];
const GUTTER = { left: 40, bottom: 22, top: 6, right: 16 };

function drawKinds(net, choose) {
  byId("kinds-choice").replaceChildren(...KIND_ORDER.filter((k) => net.kinds.includes(k)).map((kind) => el(
    "button", { type: "button", "aria-pressed": String(kind === state.kind), "data-kind": kind, on: { click: () => choose("kind", kind) } }, t(`kind_${kind}`),
  )));
  byId("view-choice").replaceChildren(...["field", "input"].map((view) => el(
    "button", { type: "button", "aria-pressed": String(view === state.view), "data-view": view, on: { click: () => choose("view", view) } }, t(`view_${view}`),
  )));
}

/** The part of the input that is shown, in pixels: [[first, end], [first, end]] for rows and columns. */
function frameOf(net, p) {
  const lengths = net.lengths.length === 1 ? [1, net.lengths[0]] : net.lengths.slice(-2);
  if (state.view === "input") return lengths.map((n) => [0, n]);
  return p.hull.map(([a, b], axis) => {
    const edge = net.lengths.length === 1 && axis === 0 ? 0 : Math.max(1, Math.round((b - a) * 0.06));
    return [Math.max(0, a - edge), Math.min(lengths[axis], b + edge)];
  });
}

function drawField(net, row, found) {
  const canvas = byId("heat"), cut = byId("cut");
  byId("field-about").textContent = `${t("field_of", { layer: row.name })}: ${t(`about_${state.kind}`)}.`;
  if (!found || found.missing || !found.bytes.length || !(found.field.max > 0)) {
    sharp(canvas, 10, 10);
    sharp(cut, 10, 10);
    canvas.parentElement.classList.add("none");
    byId("field-legend").textContent = found ? found.missing || t("unavailable") : t("computing");
    canvas.setAttribute("aria-label", byId("field-legend").textContent);
    return;
  }
  canvas.parentElement.classList.remove("none");
  const { field } = found;
  const p = fieldPlane(field, found.bytes);
  const frame = frameOf(net, p);
  const line = net.lengths.length === 1;
  const room = Math.min(canvas.parentElement.clientWidth || 480, 560);
  const [tall, wide] = frame.map(([a, b]) => b - a);
  const scale = Math.min((room - GUTTER.left - GUTTER.right) / wide, line ? Infinity : 420 / tall);
  const width = wide * scale, height = line ? 46 : Math.max(8, tall * scale);
  const pen = sharp(canvas, width + GUTTER.left + GUTTER.right, height + GUTTER.top + GUTTER.bottom);
  const x = (v) => GUTTER.left + (v - frame[1][0]) * scale;
  const y = (v) => GUTTER.top + (line ? (v - frame[0][0]) * height : (v - frame[0][0]) * scale);
  pen.fillStyle = colour("--field-ground");
  pen.fillRect(x(frame[1][0]), y(frame[0][0]), width, height);
  pen.save();
  pen.imageSmoothingEnabled = false;
  pen.translate(x(p.origin[1]), y(p.origin[0]));
  const sampleWide = p.step[1] * scale, sampleTall = line ? height : p.step[0] * scale;
  pen.beginPath();
  pen.rect(0, 0, x(p.hull[1][1]) - x(p.hull[1][0]), y(p.hull[0][1]) - y(p.hull[0][0]));
  pen.clip();
  pen.drawImage(heatPicture(p, () => 255), 0, 0, p.shape[1] * sampleWide, p.shape[0] * sampleTall);
  if (field.level != null) {
    pen.scale(sampleWide, sampleTall);
    const path = contour(p, field.level);
    strokeEven(pen, path, sampleWide, sampleTall);
  }
  pen.restore();
  pen.strokeStyle = colour("--accent");
  pen.setLineDash([5, 4]);
  pen.lineWidth = 2;
  pen.strokeRect(x(p.hull[1][0]) - 1, y(p.hull[0][0]) - 1, (p.hull[1][1] - p.hull[1][0]) * scale + 2, y(p.hull[0][1]) - y(p.hull[0][0]) + 2);
  pen.setLineDash([]);
  drawAxes(pen, frame, x, y, line);
  drawCut(cut, p, frame, scale, width);
  const sides = axesText(field.hull.map(([a, b]) => b - a));
  const whole = row.size && axesText(row.size);
  const erf = field.erf == null ? "–" : field.erf.toFixed(1);
  canvas.setAttribute("aria-label", t("field_label", { kind: t(`kind_${state.kind}`), layer: row.name, size: sides, erf }));
  const bar = el("span.bar-legend", {}, t("low"), ramp(), t("high"));
  byId("field-legend").replaceChildren(bar, el("span.key.box", {}, whole && whole !== sides ? t("box_inside", { whole, sides }) : `${t("box")} ${sides}`),
    ...(field.level == null ? [] : [el("span.key.contour", {}, `${t("contour")}: ${erf}`)]), ...(field.shape.length === 3 ? [el("span", {}, t("slice", { axis: net.axes[0] }))] : []));
}

function strokeEven(pen, path, wide, tall) {
  pen.lineWidth = 1.5 / Math.max(wide, tall);
  pen.strokeStyle = "rgba(255, 255, 255, 0.95)";
  pen.stroke(path);
}

function ramp() {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const pen = sharp(canvas, 90, 10);
  for (let i = 0; i < 90; i++) {
    pen.fillStyle = `rgb(${cividis(i / 89).join(" ")})`;
    pen.fillRect(i, 0, 1.5, 10);
  }
  return canvas;
}

function drawAxes(pen, frame, x, y, line) {
  pen.fillStyle = colour("--soft");
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  pen.textAlign = "center";
  const [first, end] = frame[1];
  for (const v of ticks(first, end, 5)) pen.fillText(String(v), x(v + 0.5), y(frame[0][1]) + 15);
  if (line) return;
  pen.textAlign = "right";
  for (const v of ticks(frame[0][0], frame[0][1], 5)) pen.fillText(String(v), GUTTER.left - 6, y(v + 0.5) + 4);
}

function ticks(first, end, count) {
  const size = Math.max(1, roundSteps(end - first, count)[1] || 1);
  const found = [];
  for (let v = Math.ceil(first / size) * size; v < end; v += size) found.push(v);
  return found;
}

/** The row through the peak, as a filled curve below the picture. */
function drawCut(canvas, p, frame, scale, width) {
  const high = 74;
  const pen = sharp(canvas, width + GUTTER.left + GUTTER.right, high + 18);
  let peak = 0;
  p.values.forEach((q, i) => { if (q > p.values[peak]) peak = i; });
  const row = Math.floor(peak / p.shape[1]) * p.shape[1];
  const left = (c) => GUTTER.left + Math.max(0, p.origin[1] + c * p.step[1] - frame[1][0]) * scale;
  pen.beginPath();
  pen.moveTo(left(0), high);
  for (let c = 0; c < p.shape[1]; c++) {
    const v = high - (high - 6) * (p.values[row + c] / 255) ** 2;
    pen.lineTo(left(c), v);
    pen.lineTo(Math.min(left(c + 1), GUTTER.left + width), v);
  }
  pen.lineTo(Math.min(left(p.shape[1]), GUTTER.left + width), high);
  pen.closePath();
  pen.fillStyle = colour("--effective-soft");
  pen.strokeStyle = colour("--effective");
  pen.lineWidth = 1.5;
  pen.fill();
  pen.stroke();
  pen.strokeStyle = colour("--line");
  pen.beginPath();
  pen.moveTo(GUTTER.left, high + 0.5);
  pen.lineTo(GUTTER.left + width, high + 0.5);
  pen.stroke();
  pen.fillStyle = colour("--soft");
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  pen.textAlign = "center";
  pen.fillText(t("profile"), GUTTER.left + width / 2, high + 14);
}

/** Edges between samples above and below the level, as a path in sample coordinates. */
function contour(p, level) {
  const path = new Path2D();
  const [height, width] = p.shape;
  const above = (r, c) => r >= 0 && c >= 0 && r < height && c < width && p.values[r * width + c] > level;
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      if (!above(r, c)) continue;
      if (!above(r - 1, c)) { path.moveTo(c, r); path.lineTo(c + 1, r); }
      if (!above(r + 1, c)) { path.moveTo(c, r + 1); path.lineTo(c + 1, r + 1); }
      if (!above(r, c - 1)) { path.moveTo(c, r); path.lineTo(c, r + 1); }
      if (!above(r, c + 1)) { path.moveTo(c + 1, r); path.lineTo(c + 1, r + 1); }
    }
  }
  return path;
}
