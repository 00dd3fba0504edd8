// The stage: the image, waveform or slice of a volume that a network was given, with the boxes and the field of
// one unit.
// Drawn in source positions: pixel i covers i to i + 1, so a box [first, end] lies exactly on its pixels.

const STAGE_ZOOM = 1.35,
  STAGE_MARGIN = 0.04;
/** Height of a waveform's drawing, in drawing units; the width is the number of samples. */
const WAVE = 100;

/** Which source axes lie along x and y, and which one is turned through by a slider (null where there is none). */
function stageAxes(lengths) {
  if (lengths.length === 1) return { x: 0, y: null, depth: null };
  if (lengths.length === 2) return { x: 1, y: 0, depth: null };
  return lengths.length === 3 ? { x: 2, y: 1, depth: 0 } : null;
}

/**
 * The stage of the chosen source: {node, show(row), draw(view), setMode(mode)}. probe(position) is told of
 * chosen pixels, turn(slice) of slices.
 */
function makeStage(probe, turn) {
  const parts = stageParts();
  const stage = {
    ...parts,
    axes: null,
    lengths: [],
    mode: "input",
    frame: null,
    view: null,
    slice: 0,
    cursor: null,
    drawnField: null,
  };
  stage.node = el("div.x-stage", { tabindex: "0", role: "application", id: "x-stage" }, parts.picture);
  stagePointer(stage, probe);
  stageKeys(stage, probe, turn);
  stage.show = (row) => stageShow(stage, row);
  stage.draw = (view) => {
    stage.view = view;
    stageDraw(stage);
  };
  stage.setMode = (mode) => {
    stage.mode = mode;
    stageFrame(stage);
    stageDraw(stage);
  };
  stage.zoom = (factor) => stageZoom(stage, factor);
  return stage;
}

function stageParts() {
  const parts = {
    ground: svg("g.x-ground"),
    clip: svg("rect"),
    heat: svg("image.x-heat", { preserveAspectRatio: "none" }),
    veil: svg("path.x-veil", { "fill-rule": "evenodd" }),
    edge: svg("rect.x-edge"),
    unclipped: svg("rect.x-unclipped", { id: "x-unclipped" }),
    local: svg("rect.x-local", { id: "x-local" }),
    clipped: svg("rect.x-clipped", { id: "x-clipped" }),
    halo: svg("path.x-halo"),
    centre: svg("path.x-centre", { id: "x-centre" }),
    probe: svg("path.x-probe", { id: "x-probe" }),
  };
  const inside = svg("g", { "clip-path": "url(#x-inside)" }, parts.heat);
  parts.picture = svg(
    "svg.x-picture",
    { "aria-hidden": "true", xmlns: SVG },
    svg("defs", {}, svg("clipPath", { id: "x-inside" }, parts.clip)),
    parts.ground,
    inside,
    parts.veil,
    parts.edge,
    parts.unclipped,
    parts.local,
    parts.clipped,
    parts.halo,
    parts.centre,
    parts.probe,
  );
  return parts;
}

/** Another layer: the backdrop of its source, and the whole input in view. */
function stageShow(stage, row) {
  const source = DATA.sources[sourceOf(row)];
  const changed = stage.source !== source;
  stage.source = source;
  stage.axes = stageAxes(source.lengths);
  stage.lengths = source.lengths;
  stage.row = row;
  stage.drawnField = null;
  if (!stage.axes) return;
  const flat = stage.axes.y === null;
  const [wide, tall] = [source.lengths[stage.axes.x], flat ? WAVE : source.lengths[stage.axes.y]];
  stage.size = { wide, tall };
  stage.picture.setAttribute("preserveAspectRatio", flat ? "none" : "xMidYMid meet");
  const aspect = flat ? 3.2 : Math.min(2.2, Math.max(0.8, wide / tall));
  stage.picture.style.aspectRatio = String(aspect);
  stage.picture.style.maxWidth = flat ? "" : `${Math.round(560 * aspect)}px`;
  if (changed) {
    if (stage.axes.depth !== null) stage.slice = Math.floor(source.lengths[0] / 2);
    stageGround(stage);
    stage.cursor = null;
  }
  stageFrame(stage);
}

/** Sets the part of the plane that is in view, from the mode: the input, the input and all boxes, or the unit's box. */
function stageFrame(stage) {
  if (!stage.axes) return;
  const { wide, tall } = stage.size;
  let [x0, y0, x1, y1] = [0, 0, wide, tall];
  if (stage.mode === "outside")
    for (const unit of extremeUnits(stage.row)) {
      const found = stageRect(stage, boxes(stage.row, unit, { clip: false }));
      if (found)
        [x0, y0, x1, y1] = [
          Math.min(x0, found.x),
          Math.min(y0, found.y),
          Math.max(x1, found.x + found.wide),
          Math.max(y1, found.y + found.tall),
        ];
    }
  if (stage.mode === "near" && stage.view) {
    const found = stageRect(stage, stage.view.clipped);
    if (found)
      [x0, y0, x1, y1] = [
        found.x - found.wide / 4,
        found.y - found.tall / 4,
        found.x + 1.25 * found.wide,
        found.y + 1.25 * found.tall,
      ];
  }
  const edge = stage.axes.y === null ? 0 : STAGE_MARGIN;
  const [mx, my] = [(x1 - x0) * STAGE_MARGIN, (y1 - y0) * edge];
  stage.frame = [x0 - mx, y0 - my, x1 - x0 + 2 * mx, y1 - y0 + 2 * my];
  if (stage.axes.y === null) [stage.frame[1], stage.frame[3]] = [0, WAVE];
}

/** The first and the last unit: their boxes reach farthest out. */
const extremeUnits = (row) => [row.grid.map(() => 0), row.grid.map((n) => n - 1)];

/**
 * A box (per source axis [first, last] or null) as a rectangle of the drawing, or null; axes that are withheld
 * are left out.
 */
function stageRect(stage, box) {
  const x = box?.[stage.axes.x],
    y = stage.axes.y === null ? [0, WAVE - 1] : box?.[stage.axes.y];
  return x && y ? { x: x[0], y: y[0], wide: x[1] - x[0] + 1, tall: y[1] - y[0] + 1 } : null;
}

/** Put a rectangle on a box; data-box holds [first, end] per source axis as in receptive_field(...).box. */
function placeBox(stage, node, box) {
  const found = stageRect(stage, box);
  node.classList.toggle("x-none", !found);
  if (!found) return node.removeAttribute("data-box");
  const inset = stage.axes.y === null ? 2 : 0;
  for (const [key, value] of [
    ["x", found.x],
    ["y", found.y + inset],
    ["width", found.wide],
    ["height", found.tall - 2 * inset],
  ])
    node.setAttribute(key, value);
  node.dataset.box = JSON.stringify(box.map((side) => side && [side[0], side[1] + 1]));
}

function stageDraw(stage) {
  const { view } = stage;
  if (!stage.axes || !view) return;
  if (stage.mode === "near" && !stage.moved) stageFrame(stage);
  const [x, y, wide, tall] = stage.frame;
  stage.picture.setAttribute("viewBox", stage.frame.join(" "));
  placeBox(stage, stage.clipped, view.clipped);
  placeBox(stage, stage.unclipped, view.reachesOut ? view.unclipped : null);
  placeBox(stage, stage.local, view.local);
  const off =
    stage.axes.depth !== null &&
    view.clipped?.[0] &&
    (stage.slice < view.clipped[0][0] || stage.slice > view.clipped[0][1]);
  stage.picture.classList.toggle("x-off", Boolean(off));
  const hole = off ? null : stageRect(stage, view.clipped);
  const far = 4 * Math.max(wide, tall);
  const inner = hole ? `M${hole.x} ${hole.y}h${hole.wide}v${hole.tall}h${-hole.wide}z` : "";
  stage.veil.setAttribute(
    "d",
    `M${x - far} ${y - far}h${wide + 2 * far}v${tall + 2 * far}h${-wide - 2 * far}z${inner}`,
  );
  for (const [key, value] of Object.entries(
    hole ? { x: hole.x, y: hole.y, width: hole.wide, height: hole.tall } : { x: 0, y: 0, width: 0, height: 0 },
  ))
    stage.clip.setAttribute(key, value);
  stageMarks(stage, view);
  stageHeat(stage, view);
}

/** The center as a cross; the chosen pixel as a ring, both of the same size on the screen at any zoom. */
function stageMarks(stage, view) {
  const [, , wide, tall] = stage.frame;
  const box = stage.picture.getBoundingClientRect();
  const unit =
    stage.axes.y === null
      ? [wide / (box.width || 600), tall / (box.height || 190)]
      : Array(2).fill(Math.max(wide / (box.width || 600), tall / (box.height || 600)));
  const [rx, ry] = unit.map((n) => 7 * n);
  const c = view.centre,
    flat = stage.axes.y === null;
  const cx = c?.[stage.axes.x],
    cy = flat ? WAVE / 2 - 0.5 : c?.[stage.axes.y];
  const known = cx != null && cy != null;
  stage.centre.setAttribute(
    "d",
    known ? `M${cx + 0.5 - rx} ${cy + 0.5}h${2 * rx}M${cx + 0.5} ${cy + 0.5 - ry}v${2 * ry}` : "",
  );
  stage.halo.setAttribute("d", stage.centre.getAttribute("d"));
  if (known) stage.centre.dataset.center = JSON.stringify(c);
  const p = view.probe;
  const [px, py] = p ? [p[stage.axes.x] + 0.5, flat ? WAVE / 2 : p[stage.axes.y] + 0.5] : [0, 0];
  stage.probe.setAttribute(
    "d",
    p ? `M${px - rx} ${py}a${rx} ${ry} 0 1 0 ${2 * rx} 0a${rx} ${ry} 0 1 0 ${-2 * rx} 0M${px} ${py}h0` : "",
  );
}

/** The field over the picture: painted once, then only moved. */
function stageHeat(stage, view) {
  const { field } = view;
  if (!field) {
    stage.heat.classList.add("x-none");
    stage.drawnField = null;
    return;
  }
  const deep = stage.axes.depth !== null;
  const plane = fieldPlane(field, field.values, deep ? stage.slice - view.shift[stage.axes.depth] : null);
  stage.heat.classList.toggle("x-none", !plane);
  if (!plane) return;
  const key = deep ? plane.values : field;
  if (stage.drawnField !== key || (deep && stage.drawnSlice !== plane.slice)) {
    stage.heat.setAttribute("href", heatUri(plane));
    [stage.drawnField, stage.drawnSlice] = [key, plane.slice];
  }
  const flat = stage.axes.y === null;
  stage.heat.setAttribute("x", plane.origin[1] + view.shift[stage.axes.x]);
  stage.heat.setAttribute("y", flat ? 0 : plane.origin[0] + view.shift[stage.axes.y]);
  stage.heat.setAttribute("width", plane.shape[1] * plane.step[1]);
  stage.heat.setAttribute("height", flat ? WAVE : plane.shape[0] * plane.step[0]);
}

/** More opaque where the weight is larger; a support is even. */
function heatUri(plane) {
  const flat = plane.values.every((q) => q === 0 || q === 255);
  return heatPicture(plane, (q) => (flat ? 120 : 70 + 0.63 * q)).toDataURL();
}

/** The backdrop of the source: photo, waveform or slice; nothing but the edge where the report carries none. */
function stageGround(stage) {
  const drop = DATA.backdrops[DATA.sources.indexOf(stage.source)] ?? { kind: "none" };
  const { wide, tall } = stage.size;
  stage.drop = drop;
  stage.ground.replaceChildren();
  for (const [key, value] of [
    ["x", 0],
    ["y", 0],
    ["width", wide],
    ["height", tall],
  ])
    stage.edge.setAttribute(key, value);
  if (drop.kind === "image")
    stage.ground.append(
      svg("image", { href: drop.uri, x: 0, y: 0, width: wide, height: tall, preserveAspectRatio: "none" }),
    );
  if (drop.kind === "signal")
    stage.ground.append(
      svg("rect.x-paper", { x: 0, y: 0, width: wide, height: tall }),
      svg("path.x-wave", { d: wavePath(drop.values) }),
    );
  if (drop.kind === "volume")
    inflate(drop.data).then((bytes) => {
      drop.bytes = bytes;
      stageSlice(stage);
    });
}

/** Minima and maxima of a signal as one closed outline. */
function wavePath({ low, high, step }) {
  const y = (value) => (WAVE * (0.5 - 0.42 * value)).toFixed(2),
    x = (i) => (i + 0.5) * step;
  const up = high.map((v, i) => `${x(i)} ${y(v)}`),
    down = low.map((v, i) => `${x(i)} ${y(v)}`).reverse();
  return `M${up.join("L")}L${down.join("L")}z`;
}

/** The slice of a volume, in grey. */
function stageSlice(stage) {
  const { drop } = stage;
  if (drop?.kind !== "volume" || !drop.bytes) return;
  const [depth, tall, wide] = drop.shape;
  const at = Math.min(depth - 1, Math.floor((stage.slice * depth) / stage.lengths[0])) * tall * wide;
  const paint = (pixels, i) => pixels.set([...Array(3).fill(drop.bytes[at + i]), 255], 4 * i);
  const uri = painted([tall, wide], paint).toDataURL();
  stage.ground.replaceChildren(
    svg("image", {
      href: uri,
      x: 0,
      y: 0,
      width: stage.size.wide,
      height: stage.size.tall,
      preserveAspectRatio: "none",
    }),
  );
}
