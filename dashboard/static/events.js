// One event stream for all tabs of a browser: HTTP/1.1 gives a site six connections, and a stream holds one for good.
"use strict";

const TOPICS = ["runs", "models", "alerts", "predictions"];
const RETRY_MS = 15000;
const ports = new Set();
const last = new Map(); // the newest count of each topic
let source = null;
let began = 0;

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

function open(since) {
  began = since;
  source = new EventSource(`/events?since=${since}`);
  source.onopen = () => tell({ open: true });
  source.onerror = () => {
    tell({ open: false });
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    source = null;
    setTimeout(() => { if (!source && ports.size) open(Math.max(began, ...last.values())); }, RETRY_MS);
  };
  for (const topic of TOPICS) {
    source.addEventListener(topic, (event) => {
      last.set(topic, Number(event.data));
      tell({ topic });
    });
  }
}

onconnect = (connection) => {
  const port = connection.ports[0];
  port.onmessage = ({ data }) => {
    if (data.leave) {
      ports.delete(port);
      if (!ports.size && source) {
        source.close();
        source = null;
      }
      return;
    }
    ports.add(port);
    if (!source) return open(data.since);
    // What changed between the making of this tab's page and now, as far as the stream heard of it.
    for (const topic of TOPICS) if (data.since < began || (last.get(topic) ?? 0) > data.since) port.postMessage({ topic });
    port.postMessage({ open: source.readyState === EventSource.OPEN });
  };
};
