// The page starts here: data first, then each part; what goes wrong is said where the parts would stand.

async function start() {
  startLook();
  await startData();
  const first = firstRow();
  if (first) state.select(first.id, sourceOf(first));
  startSections();
  if (state.row) for (const part of [startExplorer, startGrowth, startTimeline, startNetwork, startLayerTable]) part();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  byId("lead").textContent = t("broken", { why: error.message });
  document.documentElement.dataset.ready = "broken";
  throw error;
});
