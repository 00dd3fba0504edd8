// A field as a surface that one can turn: heights are weights, colours those of the field. A line becomes a curve.

const SURFACE_CELLS = 44,
  SURFACE_HIGH = 0.5;

/** The surface: {node, draw(plane)}; plane as of fieldPlane(), or null. */
function makeSurface() {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const surface = {
    canvas,
    node: el("div.x-surface", { tabindex: "0", role: "application", id: "x-surface" }, canvas),
    yaw: 0.7,
    pitch: 0.62,
    mesh: null,
    plane: null,
  };
  surface.draw = (plane) => {
    if (surface.plane?.values !== plane?.values || !plane)
      surface.mesh = plane && plane.shape[0] > 1 ? surfaceMesh(plane) : null;
    surface.plane = plane;
    surfaceDraw(surface);
  };
  surfaceTurn(surface);
  return surface;
}

/** At most SURFACE_CELLS heights (0 to 1) per side: the largest of each block, so that no peak is lost. */
function surfaceMesh(plane) {
  const [tall, wide] = plane.shape;
  const rows = Math.min(tall, SURFACE_CELLS),
    columns = Math.min(wide, SURFACE_CELLS);
  const heights = new Float32Array(rows * columns);
  for (let y = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++) {
      const at = Math.floor((y * rows) / tall) * columns + Math.floor((x * columns) / wide);
      heights[at] = Math.max(heights[at], (plane.values[y * wide + x] / 255) ** 2);
    }
  }
  const real = [tall * plane.step[0], wide * plane.step[1]];
  return { rows, columns, heights, half: real.map((n) => n / Math.max(...real) / 2) };
}

function surfaceDraw(surface) {
  const width = Math.min(420, surface.node.clientWidth || 320),
    height = Math.round(width * 0.68);
  const pen = sharp(surface.canvas, width, height);
  if (surface.mesh) surfaceQuads(pen, surface, width, height);
  else if (surface.plane) surfaceCurve(pen, surface.plane, width, height);
}

/** Quadrangles from the farthest to the nearest, seen from above at a slant. */
function surfaceQuads(pen, { mesh, yaw, pitch }, width, height) {
  const { rows, columns, heights, half } = mesh;
  const [cos, sin, up, flat] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const scale = Math.min(width * 0.66, height * 0.9, (height * 0.4) / (0.71 * flat));
  const at = (r, c, h) => {
    const x = ((c / Math.max(1, columns - 1)) * 2 - 1) * half[1],
      y = ((r / Math.max(1, rows - 1)) * 2 - 1) * half[0];
    return [
      width / 2 + scale * (x * cos - y * sin),
      height * 0.58 + scale * ((x * sin + y * cos) * flat - h * SURFACE_HIGH * up),
    ];
  };
  const order = (count, rising) =>
    Array.from({ length: Math.max(0, count - 1) }, (_, i) => (rising ? i : count - 2 - i));
  const down = order(rows, cos > 0),
    across = order(columns, sin > 0);
  surfaceFloor(pen, at, rows, columns);
  for (const r of down) {
    for (const c of across) {
      const corners = [
        [r, c],
        [r, c + 1],
        [r + 1, c + 1],
        [r + 1, c],
      ];
      const levels = corners.map(([i, j]) => heights[i * columns + j]);
      const top = Math.max(...levels);
      if (top <= 0) continue;
      const slope = (levels[0] + levels[3] - levels[1] - levels[2]) * 2.2;
      const shade = 1 + Math.max(-0.2, Math.min(0.2, slope));
      const tone = cividis(Math.sqrt(levels.reduce((a, b) => a + b, 0) / 4)).map((n) =>
        Math.min(255, Math.round(n * shade)),
      );
      pen.fillStyle = pen.strokeStyle = `rgb(${tone.join(" ")})`;
      surfacePath(
        pen,
        corners.map(([i, j], k) => at(i, j, levels[k])),
      );
      pen.fill();
      pen.lineWidth = 0.6;
      pen.stroke();
    }
  }
}

function surfaceFloor(pen, at, rows, columns) {
  surfacePath(
    pen,
    [
      [0, 0],
      [0, columns - 1],
      [rows - 1, columns - 1],
      [rows - 1, 0],
    ].map(([r, c]) => at(r, c, 0)),
  );
  pen.fillStyle = colour("--faint");
  pen.fill();
  pen.strokeStyle = colour("--line");
  pen.lineWidth = 1;
  pen.stroke();
}

function surfacePath(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
}

/** A field over a line: weight over position. */
function surfaceCurve(pen, plane, width, height) {
  const n = plane.shape[1],
    base = height - 26,
    x = (i) => 8 + (i / n) * (width - 16);
  pen.beginPath();
  pen.moveTo(x(0), base);
  for (let i = 0; i < n; i++) {
    const y = base - (base - 10) * (plane.values[i] / 255) ** 2;
    pen.lineTo(x(i), y);
    pen.lineTo(x(i + 1), y);
  }
  pen.lineTo(x(n), base);
  pen.closePath();
  pen.fillStyle = colour("--effective-soft");
  pen.fill();
  pen.strokeStyle = colour("--effective");
  pen.lineWidth = 1.5;
  pen.stroke();
  pen.fillStyle = colour("--soft");
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  pen.fillText(String(plane.origin[1]), 8, height - 8);
  pen.textAlign = "right";
  pen.fillText(String(plane.origin[1] + n * plane.step[1] - 1), width - 8, height - 8);
}

/** Drag or arrow keys turn it; Home turns it back. */
function surfaceTurn(surface) {
  const redraw = eachFrame(() => surfaceDraw(surface));
  const turn = (yaw, pitch) => {
    surface.yaw += yaw;
    surface.pitch = Math.min(1.45, Math.max(0.12, surface.pitch + pitch));
    surface.node.dataset.yaw = surface.yaw.toFixed(2);
    redraw();
  };
  let last = null;
  surface.canvas.addEventListener("pointerdown", (event) => {
    last = [event.clientX, event.clientY];
    surface.canvas.setPointerCapture(event.pointerId);
  });
  surface.canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    turn((last[0] - event.clientX) / 120, (event.clientY - last[1]) / 160);
    last = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"])
    surface.canvas.addEventListener(end, () => {
      last = null;
    });
  surface.node.addEventListener("keydown", (event) => {
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    if (dx || dy) turn(0.12 * dx, 0.1 * dy);
    else if (event.key === "Home") (([surface.yaw, surface.pitch] = [0.7, 0.62]), turn(0, 0));
    else return;
    event.preventDefault();
  });
}
