// Added to the report page in a notebook: fields of any unit, asked of the kernel through the cell around the page.

{
  const PATIENCE = 10000;
  const waiting = new Map();
  let count = 0;
  let heard = false;

  addEventListener("message", (event) => {
    if (event.source !== parent || event.data?.foveal !== "answer") return;
    heard = true;
    waiting.get(event.data.id)?.(event.data.said);
    waiting.delete(event.data.id);
  });

  /** The kernel's answer; where none ever came, the page goes on as a saved one. */
  const answer = (row, kind, unit) => new Promise((done) => {
    const id = count++;
    waiting.set(id, done);
    parent.postMessage({ foveal: "ask", id, layer: row.name, source: row.source, kind, at: unit }, "*");
    setTimeout(() => {
      if (!waiting.delete(id)) return;
      if (!heard) askField = null;
      done(null);
    }, PATIENCE);
  });

  if (parent !== window) askField = askedOnce(answer);
}
