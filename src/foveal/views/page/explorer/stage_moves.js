// What people do on the stage: choose a pixel, turn through slices, zoom and move the picture, by pointer or by keys.

/** Another part of the plane: factor > 1 shows less of it. */
function stageZoom(stage, factor, at) {
  const [x, y, wide, tall] = stage.frame;
  const [cx, cy] = at ?? [x + wide / 2, y + tall / 2];
  const flat = stage.axes.y === null;
  if (wide / factor < 4 || wide / factor > 40 * stage.size.wide) return;
  stage.frame = [cx - (cx - x) / factor, flat ? 0 : cy - (cy - y) / factor, wide / factor, flat ? tall : tall / factor];
  stageDraw(stage);
}

function stageMove(stage, dx, dy) {
  stage.frame[0] += dx;
  if (stage.axes.y !== null) stage.frame[1] += dy;
  stageDraw(stage);
}

/** Where a pointer is, in drawing units. */
function stagePoint(stage, event) {
  const matrix = stage.picture.getScreenCTM();
  if (!matrix) return [0, 0];
  const found = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
  return [found.x, found.y];
}

/** A place of the drawing as a source position, or null outside the input. */
function stagePosition(stage, [x, y]) {
  const { axes, lengths } = stage;
  const position = lengths.map((_, axis) =>
    axis === axes.x ? Math.floor(x) : axis === axes.y ? Math.floor(y) : stage.slice,
  );
  return position.every((index, axis) => index >= 0 && index < lengths[axis]) ? position : null;
}

/** A short press chooses a pixel, a drag moves the picture, Ctrl and the wheel zoom. */
function stagePointer(stage, probe) {
  let from = null,
    dragged = false;
  stage.node.addEventListener("pointerdown", (event) => {
    if (!stage.axes || event.button) return;
    from = { at: stagePoint(stage, event), x: event.clientX, y: event.clientY };
    dragged = false;
  });
  stage.node.addEventListener("pointermove", (event) => {
    if (!from || (!dragged && Math.hypot(event.clientX - from.x, event.clientY - from.y) < 5)) return;
    if (!dragged) stage.node.setPointerCapture(event.pointerId);
    dragged = true;
    const [x, y] = stagePoint(stage, event);
    stageMove(stage, from.at[0] - x, from.at[1] - y);
  });
  stage.node.addEventListener("pointerup", (event) => {
    if (from && !dragged) {
      stage.cursor = stagePosition(stage, stagePoint(stage, event));
      probe(stage.cursor);
    }
    from = null;
  });
  stage.node.addEventListener("pointercancel", () => {
    from = null;
  });
  stage.node.addEventListener(
    "wheel",
    (event) => {
      if (!stage.axes || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      stageZoom(stage, event.deltaY < 0 ? STAGE_ZOOM : 1 / STAGE_ZOOM, stagePoint(stage, event));
    },
    { passive: false },
  );
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Arrows choose a pixel, with Shift they move the picture; + and - zoom, 0 fits, [ and ] turn slices, Escape
 * lets go.
 */
function stageKeys(stage, probe, turn) {
  stage.node.addEventListener("keydown", (event) => {
    if (!stage.axes || event.ctrlKey || event.metaKey || event.altKey) return;
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    if ((dx || dy) && event.shiftKey) stageMove(stage, (dx * stage.frame[2]) / 12, (dy * stage.frame[3]) / 12);
    else if (dx || dy) probe(stageStep(stage, dx, dy));
    else if (event.key === "+" || event.key === "=") stageZoom(stage, STAGE_ZOOM);
    else if (event.key === "-") stageZoom(stage, 1 / STAGE_ZOOM);
    else if (event.key === "0") {
      stageFrame(stage);
      stageDraw(stage);
    } else if ((event.key === "[" || event.key === "]") && stage.axes.depth !== null)
      turn(stage.slice + (event.key === "]" ? 1 : -1));
    else if (event.key === "Escape") {
      stage.cursor = null;
      probe(null);
    } else return;
    event.preventDefault();
  });
}

/** The pixel next to the chosen one, a 64th of the input away; the middle to start with. */
function stageStep(stage, dx, dy) {
  const { axes, lengths } = stage;
  const step = (axis) => Math.max(1, Math.round(lengths[axis] / 64));
  const at = stage.cursor ?? lengths.map((n, axis) => (axis === axes.depth ? stage.slice : Math.floor(n / 2)));
  const next = at.map((index, axis) => {
    const moved = axis === axes.x ? index + dx * step(axis) : axis === axes.y ? index + dy * step(axis) : index;
    return Math.min(lengths[axis] - 1, Math.max(0, moved));
  });
  stage.cursor = next;
  return next;
}
