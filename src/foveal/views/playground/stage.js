// The input with what one unit sees of it: a picture, a signal, or a slice of a volume.

const stage = { scale: 1, left: 0, top: 0, lengths: [] };
const EDGE = 0.12;

/** The two axes that are drawn: of a volume the last two, of a line a strip. */
const drawn = (values, line) => (values.length === 1 ? [line, values[0]] : values.slice(-2));

function layOut(canvas, lengths) {
  const [tall, wide] = drawn(lengths, 1);
  const room = Math.max(240, canvas.parentElement.clientWidth || 480);
  const line = lengths.length === 1;
  const scale = line ? room / (wide * (1 + 2 * EDGE)) : Math.min(room / (wide * (1 + 2 * EDGE)), 460 / (tall * (1 + 2 * EDGE)));
  const width = wide * scale * (1 + 2 * EDGE), height = line ? 170 : tall * scale * (1 + 2 * EDGE);
  Object.assign(stage, { scale, left: wide * scale * EDGE, top: line ? 25 : tall * scale * EDGE, lengths, line, width, height, high: line ? 120 : tall * scale, wide: wide * scale });
  return sharp(canvas, width, height);
}

/** A rectangle of source positions on the canvas: [x, y, width, height]. */
function rectangle(box) {
  const [rows, columns] = drawn(box, [0, 1]);
  const x = stage.left + columns[0] * stage.scale, width = (columns[1] - columns[0]) * stage.scale;
  return stage.line ? [x, stage.top, width, stage.high] : [x, stage.top + rows[0] * stage.scale, width, (rows[1] - rows[0]) * stage.scale];
}

function drawBackdrop(pen, backdrop, image, slice) {
  pen.fillStyle = colour("--field-ground");
  pen.fillRect(stage.left, stage.top, stage.wide, stage.high);
  if (backdrop.kind === "image" && image) pen.drawImage(image, stage.left, stage.top, stage.wide, stage.high);
  if (backdrop.kind === "signal") drawSignal(pen, backdrop.values);
  if (backdrop.kind === "volume" && image) {
    const [depth, height, width] = image.shape;
    const at = Math.min(depth - 1, Math.floor((slice / stage.lengths[0]) * depth));
    const picture = new OffscreenCanvas(width, height);
    const pixels = new ImageData(width, height);
    for (let i = 0; i < height * width; i++) pixels.data.set([0, 1, 2].map(() => image.bytes[at * height * width + i]).concat(255), 4 * i);
    picture.getContext("2d").putImageData(pixels, 0, 0);
    pen.drawImage(picture, stage.left, stage.top, stage.wide, stage.high);
  }
}

function drawSignal(pen, { step, low, high }) {
  const y = (v) => stage.top + stage.high * (0.5 - v / 2.2);
  pen.strokeStyle = colour("--ink");
  pen.lineWidth = 1;
  pen.beginPath();
  low.forEach((v, i) => {
    const x = stage.left + (i + 0.5) * step * stage.scale;
    pen.lineTo(x, y(v));
    pen.lineTo(x, y(high[i]));
  });
  pen.stroke();
}

/** The field over the input: the slice that is shown, or for a line the height of a curve. */
function drawOverlay(pen, field, bytes, slice) {
  const shape = field.shape, step = field.step;
  if (stage.line) {
    pen.beginPath();
    pen.moveTo(stage.left + field.origin[0] * stage.scale, stage.top + stage.high);
    bytes.forEach((q, i) => {
      const x = stage.left + (field.origin[0] + i * step[0]) * stage.scale, v = stage.top + stage.high * (1 - 0.95 * (q / 255) ** 2);
      pen.lineTo(x, v);
      pen.lineTo(x + step[0] * stage.scale, v);
    });
    pen.lineTo(stage.left + (field.origin[0] + shape[0] * step[0]) * stage.scale, stage.top + stage.high);
    pen.fillStyle = colour("--effective-soft");
    pen.strokeStyle = colour("--effective");
    pen.fill();
    pen.stroke();
    return;
  }
  let values = bytes, rest = 0;
  if (shape.length === 3) {
    const at = Math.floor((slice - field.origin[0]) / step[0]);
    if (at < 0 || at >= shape[0]) return;
    values = bytes.subarray(at * shape[1] * shape[2], (at + 1) * shape[1] * shape[2]);
    rest = 1;
  }
  const picture = heatPicture({ values, shape: shape.slice(rest) });
  pen.save();
  pen.beginPath();
  pen.rect(...rectangle(field.hull));
  pen.clip();
  pen.globalAlpha = 0.82;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, stage.left + field.origin[rest + 1] * stage.scale, stage.top + field.origin[rest] * stage.scale,
    shape[rest + 1] * step[rest + 1] * stage.scale, shape[rest] * step[rest] * stage.scale);
  pen.restore();
}

function outline(pen, box, style, width, dash) {
  if (!box || box.some((side) => side == null)) return;
  const [x, y, w, h] = rectangle(box);
  for (const [ink, more] of [[colour("--paper"), 2.5], [style, 0]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = width + more;
    pen.setLineDash(more ? [] : dash);
    pen.strokeRect(x, y, w, h);
  }
  pen.setLineDash([]);
}

function drawCross(pen, position, ink) {
  const [row, column] = drawn(position, 0);
  const x = stage.left + (column + 0.5) * stage.scale, y = stage.line ? stage.top + stage.high / 2 : stage.top + (row + 0.5) * stage.scale;
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - 6, y); pen.lineTo(x + 6, y); pen.moveTo(x, y - 6); pen.lineTo(x, y + 6);
  pen.stroke();
}

/** The source position under the pointer, or null beside the input. */
function positionAt(event, canvas, slice) {
  const place = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - place.left - stage.left) / stage.scale);
  const row = Math.floor((event.clientY - place.top - stage.top) / stage.scale);
  const found = stage.lengths.length === 1 ? [column] : [...(stage.lengths.length > 2 ? [slice] : []), row, column];
  return found.every((v, axis) => v >= 0 && v < stage.lengths[axis]) ? found : null;
}

/** The picture as sharp as the field is strong, blurred and dim elsewhere. */
function drawFoveated(canvas, image, field, bytes, lengths) {
  const [tall, wide] = lengths;
  const room = Math.max(240, canvas.parentElement.clientWidth || 480);
  const scale = Math.min(room / wide, 460 / tall);
  const width = wide * scale, height = tall * scale;
  const pen = sharp(canvas, width, height);
  const small = new OffscreenCanvas(Math.max(2, Math.round(width / 26)), Math.max(2, Math.round(height / 26)));
  small.getContext("2d").drawImage(image, 0, 0, small.width, small.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, width, height);
  pen.fillStyle = "rgba(127, 127, 127, 0.28)";
  pen.fillRect(0, 0, width, height);
  if (!field) return;
  const mask = new OffscreenCanvas(field.shape[1], field.shape[0]);
  const pixels = new ImageData(field.shape[1], field.shape[0]);
  bytes.forEach((q, i) => { pixels.data[4 * i + 3] = Math.min(255, 1.6 * q); });
  mask.getContext("2d").putImageData(pixels, 0, 0);
  const clear = new OffscreenCanvas(Math.ceil(width), Math.ceil(height));
  const over = clear.getContext("2d");
  over.drawImage(mask, field.origin[1] * scale, field.origin[0] * scale, field.shape[1] * field.step[1] * scale, field.shape[0] * field.step[0] * scale);
  over.globalCompositeOperation = "source-in";
  over.drawImage(image, 0, 0, width, height);
  pen.drawImage(clear, 0, 0);
}
