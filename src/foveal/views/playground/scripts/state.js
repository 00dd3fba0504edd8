// What the page shows, kept in the address after "#": a link is the whole of it, and the server remembers nothing.

const START = {
  text: "conv3x32,relu conv3x32,relu pool2 conv3x64,relu conv3x64,relu pool2 [conv3,bn,relu conv3,bn | id] relu conv3x128,d2",
  input: "3x224x224",
  layer: "",
  kind: "energy",
  view: "field",
};
const LONGEST = 20000;
const state = { ...START };
let written = "";

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(START)) state[key] = (given.get(key) ?? START[key]).slice(0, LONGEST);
  if (!["field", "input"].includes(state.view)) state.view = START.view;
  written = location.hash;
}

function writeAddress() {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key === "text" || value !== START[key]) kept.set(key, value);
  }
  written = `#${kept}`;
  history.replaceState(null, "", written);
}

/** Call back when another link is opened in this page. */
function onAddress(act) {
  addEventListener("hashchange", () => {
    if (location.hash !== written) {
      readAddress();
      act();
    }
  });
}
