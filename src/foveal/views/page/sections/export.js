// Figures as files: any SVG or canvas of the page, as it looks now.

const PAINT = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-linejoin",
  "opacity",
  "paint-order",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "visibility",
  "dominant-baseline",
  "display",
  "vector-effect",
  "image-rendering",
];

const LOCAL = ["opacity", "dominant-baseline", "display", "vector-effect"];

/** Buttons that save what ``get()`` returns (an <svg> or a <canvas>) as SVG and PNG, or PNG only. */
function exportButtons(name, get, formats = ["SVG", "PNG"]) {
  const save = async (format) => {
    const node = get();
    if (!node) return;
    const file = `${name}-${(state.row?.name ?? DATA.name).replace(/[^\w.-]+/g, "_")}.${format.toLowerCase()}`;
    if (format === "SVG") download(file, new Blob([svgText(node)], { type: "image/svg+xml" }));
    else (await asCanvas(node)).toBlob((blob) => download(file, blob));
  };
  return el(
    "span.exports",
    {},
    ...formats.map((format) =>
      el("button.quiet", { type: "button", "data-label": `save_${format}`, on: { click: () => save(format) } }, format),
    ),
  );
}

function download(name, blob) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** The picture as a file of its own: what the style sheet says is written onto each element. */
function svgText(node) {
  const copy = node.cloneNode(true);
  const [from, to] = [node, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((element, i) => {
    const style = getComputedStyle(element),
      above = i ? getComputedStyle(element.parentElement) : null;
    // What is inherited need not be said again.
    for (const name of PAINT) {
      const value = style.getPropertyValue(name);
      if (value && (LOCAL.includes(name) || value !== above?.getPropertyValue(name))) to[i].setAttribute(name, value);
    }
    for (const name of ["class", "style", "tabindex"]) to[i].removeAttribute(name);
  });
  const { width, height } = node.getBoundingClientRect();
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const ground = svg("rect", { width: "100%", height: "100%", fill: colour("--paper") });
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

async function asCanvas(node) {
  if (node instanceof HTMLCanvasElement) return node;
  const { width, height } = node.getBoundingClientRect();
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(node))}`;
  await picture.decode();
  const canvas = el("canvas", { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(picture, 0, 0, 2 * width, 2 * height);
  return canvas;
}
