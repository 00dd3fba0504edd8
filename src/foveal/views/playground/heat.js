// Fields as pictures. Bytes q stand for (q / 255)^2 of the peak; colours are cividis, which all eyes read alike.

const LEVEL = 255 * Math.sqrt(0.0455);

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The plane that is drawn: of a volume its middle slice, of a line itself. {values, shape, origin, step, note} */
function plane(field, bytes, axes) {
  if (field.shape.length === 3) {
    const [depth, height, width] = field.shape;
    const middle = Math.floor(depth / 2) * height * width;
    return { values: bytes.subarray(middle, middle + height * width), shape: [height, width], origin: field.origin.slice(1),
      step: field.step.slice(1), hull: field.hull.slice(1), note: t("slice", { axis: axes[0] }) };
  }
  if (field.shape.length === 1) return { values: bytes, shape: [1, field.shape[0]], origin: [0, field.origin[0]], step: [1, field.step[0]], hull: [[0, 1], field.hull[0]], note: "" };
  return { values: bytes, shape: field.shape, origin: field.origin, step: field.step, hull: field.hull, note: "" };
}

function heatPicture(p) {
  const picture = new OffscreenCanvas(p.shape[1], p.shape[0]);
  const pen = picture.getContext("2d");
  const image = pen.createImageData(p.shape[1], p.shape[0]);
  p.values.forEach((q, i) => {
    const [r, g, b] = cividis(q / 255);
    image.data.set([r, g, b, q ? 255 : 0], 4 * i);
  });
  pen.putImageData(image, 0, 0);
  return picture;
}

/** Edges between samples above and below the level, as a path in sample coordinates. */
function contour(p) {
  const path = new Path2D();
  const [height, width] = p.shape;
  const above = (r, c) => r >= 0 && c >= 0 && r < height && c < width && p.values[r * width + c] > LEVEL;
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
