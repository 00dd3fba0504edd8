// Fields as pictures. Bytes q stand for (q / 255)^2 of the peak; colours are cividis, which all eyes read alike.

/** base64 of zlib -> bytes. */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The plane of a field that is drawn: {values, shape, origin, step, hull, slice}. A line is a plane of one row; of a
 * volume it is the slice at index ``depth`` of the source, the middle one if not given; null outside the field.
 */
function fieldPlane(field, values, depth = null) {
  const { shape, origin, step, hull } = field;
  if (shape.length === 1)
    return { values, shape: [1, ...shape], origin: [0, ...origin], step: [1, ...step], hull: [[0, 1], ...hull], slice: 0 };
  if (shape.length === 2) return { values, shape, origin, step, hull, slice: 0 };
  const at = depth == null ? Math.floor((shape[0] - 1) / 2) : Math.floor((depth - origin[0]) / step[0]),
    size = shape[1] * shape[2];
  if (at < 0 || at >= shape[0]) return null;
  const [rest, from] = [(all) => all.slice(1), at * size];
  return {
    values: values.subarray(from, from + size),
    shape: rest(shape),
    origin: rest(origin),
    step: rest(step),
    hull: rest(hull),
    slice: at,
  };
}

/** A small picture from a function that sets each pixel. */
function painted([tall, wide], paint) {
  const canvas = el("canvas", { width: wide, height: tall });
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(wide, tall);
  for (let i = 0; i < wide * tall; i++) paint(image.data, i);
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** A plane of a field in cividis; opacity(q) is that of a byte of the field, 0 to 255. */
function heatPicture(plane, opacity) {
  return painted(plane.shape, (pixels, i) => {
    const q = plane.values[i];
    pixels.set([CIVIDIS_BYTES[3 * q], CIVIDIS_BYTES[3 * q + 1], CIVIDIS_BYTES[3 * q + 2], q && opacity(q)], 4 * i);
  });
}
