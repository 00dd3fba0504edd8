// An image as a unit sees it: the method of foveal/views/foveate.py (a stack of Gaussian levels, one octave
// apart, of which
// the two that enclose the wanted bandwidth are mixed), on a picture of at most FOVEATE_SIDE samples per side.

const FOVEATE_LEVELS = 7,
  FOVEATE_SIDE = 224,
  FOVEATE_GREY = 127.5;
/** Standard deviation, in pixels, of the Gaussian that passes half of the contrast at the finest detail of a pixel. */
const PIXEL_SIGMA = Math.sqrt(Math.log(2) / 2) / (Math.PI * 0.5);
/** Wider Gaussians than this are made of three running means, which is close and takes the same time at any width. */
const WIDE_SIGMA = 4;

/** Share of the sharper of two levels, so that together they pass half of the contrast at the wanted bandwidth. */
function sharperShare(wanted, level) {
  const sharper = 2 ** -((wanted * 2 ** level) ** 2),
    softer = 2 ** -((wanted * 2 ** (level + 1)) ** 2);
  return (0.5 - softer) / (sharper - softer);
}

/**
 * Foveate a picture step by step: a generator that yields between short pieces of work, so that the page stays quick.
 * picture: {width, height, rgb: Float32Array of 3 planes, scale: samples per pixel}; retained: Float32Array of the
 * bandwidth kept per sample, 0 where nothing is seen; returns ImageData.
 */
function* foveating(picture, retained) {
  const { width, height, rgb, scale } = picture,
    count = width * height;
  const [left, top, right, bottom] = seenRange(retained, width, height);
  const image = new ImageData(width, height);
  for (let i = 0; i < count; i++) image.data.set([FOVEATE_GREY, FOVEATE_GREY, FOVEATE_GREY, 255], 4 * i);
  if (right <= left) return image;
  const wide = right - left,
    tall = bottom - top;
  const planes = [0, 1, 2, 3].map((c) =>
    cutPlane(c === 3 ? null : rgb.subarray(c * count, (c + 1) * count), retained, width, left, top, wide, tall),
  );
  let below = planes.slice(0, 3);
  for (let level = 0; level < FOVEATE_LEVELS - 1; level++) {
    const sigma = PIXEL_SIGMA * Math.sqrt(4 ** (level + 1) - 1) * scale;
    const above = [];
    for (const plane of planes) {
      above.push(yield* blurred(plane, wide, tall, sigma));
    }
    const total = above.pop();
    for (const plane of above)
      for (let i = 0; i < plane.length; i++) plane[i] = total[i] > 1e-6 ? plane[i] / total[i] : FOVEATE_GREY;
    mixLevel(image, retained, level, below, above, { width, left, top, wide, tall });
    below = above;
    yield;
  }
  return image;
}

/** [left, top, right, bottom] of the samples that are seen at all; ends are exclusive. */
function seenRange(retained, width, height) {
  let left = width,
    top = height,
    right = 0,
    bottom = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (retained[i] <= 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  return [left, top, right, bottom];
}

/** The seen part of a plane, 0 where nothing is seen; without a plane 1 where something is. */
function cutPlane(plane, retained, width, left, top, wide, tall) {
  const part = new Float32Array(wide * tall);
  for (let y = 0, i = 0; y < tall; y++) {
    for (let x = 0, at = (top + y) * width + left; x < wide; x++, i++, at++)
      if (retained[at] > 0) part[i] = plane ? plane[at] : 1;
  }
  return part;
}

/** Samples whose wanted bandwidth lies between two levels get their mixture. */
function mixLevel(image, retained, level, below, above, { width, left, top, wide, tall }) {
  const least = 0.5 ** (FOVEATE_LEVELS - 1);
  for (let y = 0, i = 0; y < tall; y++) {
    for (let x = 0, at = (top + y) * width + left; x < wide; x++, i++, at++) {
      if (retained[at] <= 0) continue;
      const wanted = Math.min(1, Math.max(least, retained[at]));
      if (Math.min(FOVEATE_LEVELS - 2, Math.floor(-Math.log2(wanted))) !== level) continue;
      const share = sharperShare(wanted, level);
      for (let c = 0; c < 3; c++) image.data[4 * at + c] = share * below[c][i] + (1 - share) * above[c][i];
    }
  }
}

/** A plane under a Gaussian; what lies outside counts as 0. */
function* blurred(plane, wide, tall, sigma) {
  const along = sigma < WIDE_SIGMA ? gaussianLine(sigma) : runningMeans(sigma);
  const turned = new Float32Array(plane.length),
    out = new Float32Array(plane.length);
  const line = new Float32Array(Math.max(wide, tall));
  for (let y = 0; y < tall; y++) {
    along(line, plane.subarray(y * wide, (y + 1) * wide), wide);
    for (let x = 0; x < wide; x++) turned[x * tall + y] = line[x];
    if (y % 32 === 31) yield;
  }
  for (let x = 0; x < wide; x++) {
    along(line, turned.subarray(x * tall, (x + 1) * tall), tall);
    for (let y = 0; y < tall; y++) out[y * wide + x] = line[y];
    if (x % 32 === 31) yield;
  }
  return out;
}

function gaussianLine(sigma) {
  const reach = Math.max(1, Math.ceil(4 * sigma));
  const taps = Float32Array.from({ length: reach + 1 }, (_, i) => Math.exp(-0.5 * (i / Math.max(sigma, 1e-3)) ** 2));
  const sum = 2 * taps.reduce((a, b) => a + b, 0) - taps[0];
  for (let i = 0; i <= reach; i++) taps[i] /= sum;
  return (out, line, n) => {
    for (let i = 0; i < n; i++) {
      let found = taps[0] * line[i];
      for (let d = 1; d <= reach; d++) found += taps[d] * ((i >= d ? line[i - d] : 0) + (i + d < n ? line[i + d] : 0));
      out[i] = found;
    }
  };
}

/** Three running means of whole and broken width whose variances add to that of the Gaussian. */
function runningMeans(sigma) {
  const radius = (Math.sqrt(4 * sigma * sigma + 1) - 1) / 2,
    whole = Math.floor(radius);
  const full = 2 * whole + 1;
  const edge =
    (full * (whole * (whole + 1) - (3 * (sigma * sigma)) / 3)) / (6 * ((sigma * sigma) / 3 - (whole + 1) ** 2));
  const share = Math.max(0, edge),
    inner = 1 / (full + 2 * share),
    outer = share * inner;
  const margin = whole + 1,
    pad = 3 * margin;
  let from = new Float32Array(0),
    to = from;
  return (out, line, n) => {
    const m = n + 2 * pad;
    if (from.length !== m) [from, to] = [new Float32Array(m), new Float32Array(m)];
    from.fill(0);
    from.set(line.subarray(0, n), pad);
    for (let pass = 1; pass <= 3; pass++) {
      const first = (3 - pass) * margin,
        end = m - first;
      const at = (i) => (i >= 0 && i < m ? from[i] : 0);
      let sum = 0;
      for (let i = first - whole; i <= first + whole; i++) sum += at(i);
      for (let i = first; i < end; i++) {
        to[i] = inner * sum + outer * (at(i - whole - 1) + at(i + whole + 1));
        sum += at(i + whole + 1) - at(i - whole);
      }
      [from, to] = [to, from];
    }
    out.set(from.subarray(pad, pad + n));
    to.fill(0);
  };
}
