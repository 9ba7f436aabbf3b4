// What is new, as the collector says it, for as long as a page is open.

let source = null;
let wanted = null;

const state = (text, kind) => {
  const node = document.getElementById("link");
  if (node.textContent !== text) node.textContent = text;
  node.dataset.kind = kind;
};

/**
 * Listens. `want` says to what: {racks: true} for rows of racks, {rack: "B07"} for devices of a rack. `hear` has a function for
 * each kind of news, and `again`, which reads all again: when news were missed, or things stand elsewhere.
 */
export function listen(want, hear) {
  hush();
  const query = new URLSearchParams();
  if (want.racks) query.set("racks", "true");
  if (want.rack !== undefined) query.set("rack", want.rack);
  let broken = false;
  const mine = new EventSource(`/api/v1/events?${query}`);
  source = mine;
  wanted = () => listen(want, hear);
  mine.addEventListener("hello", () => {
    state("live", "good");
    // What came between the page's answer and this stream is not lost.
    if (broken) hear.again?.();
    broken = false;
  });
  mine.addEventListener("error", () => {
    broken = true;
    state("no connection, trying again", "bad");
    // A refusal closes it for good.
    if (mine.readyState === EventSource.CLOSED && source === mine)
      setTimeout(() => source === mine && wanted?.(), 3000);
  });
  for (const kind of ["racks", "devices", "incidents", "silences"]) {
    mine.addEventListener(kind, (event) => {
      const news = JSON.parse(event.data);
      if (kind === "incidents") announce(news);
      hear[kind]?.(news);
    });
  }
  let asked = null;
  const again = () => {
    // Many agents that begin at once are one change.
    clearTimeout(asked);
    asked = setTimeout(() => source === mine && hear.again?.(), 400);
  };
  mine.addEventListener("away", () => state("Redis does not answer: this is old", "bad"));
  mine.addEventListener("layout", () => {
    state("live", "good");
    again();
  });
  mine.addEventListener("missed", again);
}

/** What those hear who do not see the page. */
function announce(records) {
  const told = records
    .filter((record) => ["opened", "worse"].includes(record.event))
    .map((record) => `${record.severity}: ${record.title}`);
  if (told.length) document.getElementById("news").textContent = told.join(". ");
}

/** Listens no more. */
export function hush() {
  source?.close();
  source = null;
  wanted = null;
}
