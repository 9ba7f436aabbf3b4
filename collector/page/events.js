// The event stream: changes that the collector pushes while a page is open. One stream at a time.

import { clock } from "./format.js";

const RETRY = 3000;
/** Many agents that start at once are one reload. */
const RELOAD_DELAY = 400;

let source = null;
let staleSince = null;

function setStatus(text, kind) {
  const node = document.getElementById("link");
  if (node.textContent !== text) node.textContent = text;
  node.dataset.kind = kind;
}

function setLive() {
  staleSince = null;
  setStatus("live", "good");
}

/**
 * Subscribes to changes, in place of the subscription before. `filter` names them: {racks: true} for rows of racks,
 * {rack: "B07"} for the devices of a rack. `handlers` has a function for each kind of event, and `reload`, which reads
 * everything again after missed events, or after a change of the set of devices.
 */
export function subscribe(filter, handlers) {
  unsubscribe();
  const query = new URLSearchParams();
  if (filter.racks) query.set("racks", "true");
  if (filter.rack !== undefined) query.set("rack", filter.rack);
  const mine = new EventSource(`/api/v1/events?${query}`);
  source = mine;
  watchConnection(mine, handlers, () => subscribe(filter, handlers));
  for (const kind of ["racks", "devices", "incidents", "silences"]) {
    mine.addEventListener(kind, (event) => {
      const changes = JSON.parse(event.data);
      if (kind === "incidents") announce(changes);
      handlers[kind]?.(changes);
    });
  }
  let timer = null;
  const reload = () => {
    clearTimeout(timer);
    timer = setTimeout(() => source === mine && handlers.reload?.(), RELOAD_DELAY);
  };
  mine.addEventListener("stale", () => {
    staleSince ??= Date.now();
    setStatus(`DATA STALE since ${clock(staleSince)}: Redis unreachable`, "bad");
  });
  mine.addEventListener("reload", () => {
    setLive();
    reload();
  });
  mine.addEventListener("missed", reload);
}

/** Shows whether the stream is connected, and reconnects one that the collector refused. */
function watchConnection(stream, handlers, reconnect) {
  let broken = false;
  stream.addEventListener("hello", () => {
    setLive();
    // Covers changes between the last event and this connection.
    if (broken) handlers.reload?.();
    broken = false;
  });
  stream.addEventListener("error", () => {
    broken = true;
    setStatus("connection lost, retrying", "bad");
    // A refused request closes the stream for good.
    if (stream.readyState === EventSource.CLOSED && source === stream) {
      setTimeout(() => source === stream && reconnect(), RETRY);
    }
  });
}

/** Announces new and worse incidents to screen readers. */
function announce(records) {
  const news = records.filter((record) => ["opened", "worse"].includes(record.event));
  if (news.length === 0) return;
  document.getElementById("news").textContent = news.map((record) => `${record.severity}: ${record.title}`).join(". ");
}

/** Ends the subscription, if there is one. */
export function unsubscribe() {
  source?.close();
  source = null;
}
