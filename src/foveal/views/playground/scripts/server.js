// Questions to the server this page came from. A later question of the same kind takes the place of an earlier one.

const PAGE = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
const asking = new Map();

class Refused extends Error {
  constructor(message, place) { super(message); this.place = place; }
}

/** The answer to a POST, or null where a later one took its place. Throws Refused with one line. */
async function ask(path, body) {
  // A summary is of another text: what was asked about the one before is not waited for.
  const all = path.endsWith("/summary") ? [...asking.keys()].filter((other) => other.startsWith("/api/playground/")) : [path];
  for (const other of all) asking.get(other)?.abort();
  const control = new AbortController();
  asking.set(path, control);
  let response;
  try {
    response = await fetch(path, {
      method: "POST", signal: control.signal, body: JSON.stringify(body),
      headers: { "content-type": "application/json", "x-page": PAGE },
    });
    if (response.status === 409) return null;
    const said = await answerOf(response);
    return asking.get(path) === control ? said : null;
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (error instanceof Refused) throw error;
    throw new Refused(t("offline"), null);
  }
}

/** Send a file; answers with its number. */
async function send(file) {
  try {
    const response = await fetch(`/api/uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    return await answerOf(response);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(t("offline"), null);
  }
}

async function answerOf(response) {
  const text = await response.text();
  let said;
  try { said = JSON.parse(text); } catch { throw new Refused(text.trim(), null); }
  if (said.error && typeof said.error === "object") throw new Refused(said.error.message, said.error.place);
  return said;
}
