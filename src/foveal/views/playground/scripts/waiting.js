// Tells how far a network is, and loads the page again when it is there.

const DATA = JSON.parse(byId("data").textContent);

function tell(job) {
  byId("title").textContent = t(job.state === "failed" ? "failed" : "opening", { name: DATA.name });
  byId("doing").textContent = job.error || job.doing || t("waiting");
  byId("doing").className = job.error ? "problem" : "";
  document.body.classList.toggle("still", job.state === "failed");
}

startLook();
tell(DATA.job);
if (DATA.job.state !== "failed") {
  const events = new EventSource(`/api/jobs/${DATA.job.id}/events`);
  events.onmessage = (event) => {
    const job = JSON.parse(event.data);
    tell(job);
    if (job.state === "done") { events.close(); location.reload(); }
    if (job.state === "failed") events.close();
  };
}
