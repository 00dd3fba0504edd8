// The cell of a notebook: the page in a frame, and what it asks handed to the kernel.

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.style.cssText = `width:100%;border:0;height:${model.get("height")}px`;
  frame.srcdoc = model.get("page");
  const hear = (event) => {
    if (event.source === frame.contentWindow && event.data?.foveal === "ask") model.send(event.data);
  };
  const tell = (said) => frame.contentWindow?.postMessage(said, "*");
  window.addEventListener("message", hear);
  model.on("msg:custom", tell);
  el.appendChild(frame);
  return () => {
    window.removeEventListener("message", hear);
    model.off("msg:custom", tell);
  };
}

export default { render };
