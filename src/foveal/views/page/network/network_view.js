// What part of the network graph is seen: zoom, drag, wheel.

function placeView() {
  byId("network-view")?.setAttribute("transform", `translate(${net.view.x},${net.view.y}) scale(${net.view.k})`);
}

/** All of it where that is larger than ``least`` of its full size; else its start. */
function fitNetwork(least, wide = byId("network").clientWidth) {
  const most = Math.min(innerHeight * 0.72, 640);
  const k = Math.min(1.1, Math.max(least, Math.min((wide - 48) / net.size[0], (most - 48) / net.size[1])));
  const high = Math.max(190, Math.min(most, net.size[1] * k + 96));
  byId("network").style.height = `${high}px`;
  // What is higher than the view starts level with the input.
  const level = net.boxes[0].y + net.boxes[0].high / 2;
  const y = k * net.size[1] + 48 > high ? high / 2 - k * level : (high - k * net.size[1]) / 2;
  net.view = { k, x: Math.max(24, (wide - k * net.size[0]) / 2), y };
  placeView();
}

function zoomNetwork(factor, x = byId("network").clientWidth / 2, y = byId("network").clientHeight / 2) {
  const k = Math.max(0.02, Math.min(3, net.view.k * factor)),
    by = k / net.view.k;
  net.view = { k, x: x - (x - net.view.x) * by, y: y - (y - net.view.y) * by };
  placeView();
}

/** Move the view so that a box is inside it. */
function showInNetwork(id) {
  const b = net.boxes.find((other) => other.item.id === id),
    box = byId("network");
  if (!b) return;
  const shift = (at, size, room) =>
    at < 12 ? 12 - at : at + size > room - 12 ? Math.max(12 - at, room - 12 - at - size) : 0;
  net.view.x += shift(net.view.x + b.x * net.view.k, b.wide * net.view.k, box.clientWidth);
  net.view.y += shift(net.view.y + b.y * net.view.k, b.high * net.view.k, box.clientHeight);
  placeView();
}

function networkDown(event) {
  if (event.button) return;
  net.drag = { x: event.clientX, y: event.clientY, far: false };
}

function networkMove(event) {
  if (!net.drag) return;
  const [dx, dy] = [event.clientX - net.drag.x, event.clientY - net.drag.y];
  if (!net.drag.far && Math.hypot(dx, dy) < 5) return;
  if (!net.drag.far) byId("network").setPointerCapture(event.pointerId);
  byId("network").firstChild.classList.add("dragging");
  Object.assign(net.drag, { x: event.clientX, y: event.clientY, far: true });
  net.view.x += dx;
  net.view.y += dy;
  placeView();
}

function networkUp() {
  byId("network").firstChild.classList.remove("dragging");
  const far = net.drag?.far;
  net.drag = null;
  if (!far) return;
  // The click that ends a drag chooses nothing.
  const swallow = (event) => event.stopImmediatePropagation();
  byId("network").addEventListener("click", swallow, { capture: true });
  setTimeout(() => byId("network").removeEventListener("click", swallow, { capture: true }));
}

/** Ctrl and the wheel (or two fingers) zoom, sideways moves; up and down stays with the page. */
function networkWheel(event) {
  const place = byId("network").getBoundingClientRect();
  if (event.ctrlKey) zoomNetwork(Math.exp(-event.deltaY / 200), event.clientX - place.left, event.clientY - place.top);
  else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
    net.view.x -= event.deltaX || event.deltaY;
    placeView();
  } else return;
  event.preventDefault();
}
