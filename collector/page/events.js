// The event stream: changes that the collector pushes while a page is open. One stream at a time.

import { clock } from "./format.js";

const RETRY = 3000;
/** The collector sends a heartbeat every 5 s. Without any event for this long, events do not arrive. */
const HEARTBEAT_TIMEOUT = 15_000;
/** The events with data, and all others. */
const DATA_KINDS = ["racks", "devices", "incidents", "silences"];
const ALL_KINDS = [...DATA_KINDS, "hello", "heartbeat", "stale", "reload", "missed"];
/** Many agents that start at once are one reload. */
const RELOAD_DELAY = 400;

let source = null;
let staleSince = null;
/** Time of the last event, once none arrived in time. */
let notLiveSince = null;

function setStatus(text, kind) {
  const node = document.getElementById("link");
  if (node.textContent !== text) node.textContent = text;
  node.dataset.kind = kind;
}

function setLive() {
  staleSince = null;
  notLiveSince = null;
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
  const mine = new EventSource(`api/v1/events?${query}`);
  source = mine;
  const reconnect = () => subscribe(filter, handlers);
  watchConnection(mine, handlers, reconnect);
  watchHeartbeats(mine, handlers, reconnect);
  for (const kind of DATA_KINDS) {
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
    const wasNotLive = notLiveSince !== null;
    setLive();
    // Covers changes between the last event and this connection.
    if (broken || wasNotLive) handlers.reload?.();
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

/**
 * Shows when events stop although the stream is open, as behind a proxy that holds them back. The page then reads
 * everything again at each timeout, and tries another stream.
 */
function watchHeartbeats(stream, handlers, reconnect) {
  let last = Date.now();
  const late = () => {
    if (source !== stream) return;
    notLiveSince ??= last;
    setStatus(`NOT LIVE since ${clock(notLiveSince)}: no events arrive`, "bad");
    handlers.reload?.();
    reconnect();
  };
  let timer = setTimeout(late, HEARTBEAT_TIMEOUT);
  const arrived = () => {
    clearTimeout(timer);
    last = Date.now();
    timer = setTimeout(late, HEARTBEAT_TIMEOUT);
  };
  for (const kind of ALL_KINDS) stream.addEventListener(kind, arrived);
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
