// The foveated view: the picture as the unit that is looked at sees it, worked out in pieces while the page stays
// quick.

const eye = { picture: null, of: null, job: 0 };
/** Milliseconds of work at a time. */
const EYE_SLICE = 4;

/** The picture of a source as planes of numbers: {width, height, rgb, scale}; null where there is none. */
async function eyePicture(number) {
  const drop = DATA.backdrops[number];
  if (drop?.kind !== "image") return null;
  if (eye.of === number) return eye.picture;
  const [tall, wide] = DATA.sources[number].lengths;
  const scale = Math.min(1, FOVEATE_SIDE / Math.max(tall, wide));
  const [width, height] = [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(tall * scale))];
  const image = new Image();
  image.src = drop.uri;
  await image.decode();
  const canvas = el("canvas", { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, width, height);
  const { data } = pen.getImageData(0, 0, width, height);
  const rgb = new Float32Array(3 * width * height);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) rgb[c * width * height + i] = data[4 * i + c];
  [eye.of, eye.picture] = [number, { width, height, rgb, scale }];
  return eye.picture;
}

/**
 * The bandwidth kept at each sample of the picture: the weight there, as a share of the largest; without a
 * field 1 inside the box.
 */
function eyeRetained(picture, view) {
  const { width, height, scale } = picture,
    { field, shift, clipped } = view;
  const found = new Float32Array(width * height);
  if (!clipped?.every(Boolean)) return found;
  const inside = (axis, n) => n >= clipped[axis][0] && n <= clipped[axis][1];
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor((y + 0.5) / scale);
    for (let x = 0; x < width; x++, i++) {
      const column = Math.floor((x + 0.5) / scale);
      if (!inside(0, row) || !inside(1, column)) continue;
      if (!field) {
        found[i] = 1;
        continue;
      }
      const r = Math.floor((row - shift[0] - field.origin[0]) / field.step[0]),
        c = Math.floor((column - shift[1] - field.origin[1]) / field.step[1]);
      if (r >= 0 && c >= 0 && r < field.shape[0] && c < field.shape[1])
        found[i] = (field.values[r * field.shape[1] + c] / 255) ** 2;
    }
  }
  return found;
}

/** Draw the foveated view of a unit; a later call ends an earlier one. */
async function explorerFoveate(view) {
  const job = ++eye.job;
  const { canvas, eyeBox } = explorer.parts;
  const picture = await eyePicture(sourceOf(view.row));
  // Where a field is asked for and there is none, nothing is shown in its place.
  const shows = picture && (view.field || !explorer.kind);
  eyeBox.hidden = !shows;
  if (!shows || job !== eye.job) return;
  const work = foveating(picture, eyeRetained(picture, view));
  const step = () => {
    if (job !== eye.job) return;
    const end = performance.now() + EYE_SLICE;
    let found = work.next();
    while (!found.done && performance.now() < end) found = work.next();
    if (!found.done) return void setTimeout(step);
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d").putImageData(found.value, 0, 0);
    canvas.dataset.unit = JSON.stringify(view.unit);
  };
  step();
}
