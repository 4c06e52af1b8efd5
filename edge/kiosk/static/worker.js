// Keeps one page for the time the device's process is down: the browser's own error page has no way back.
"use strict";

const CACHE = "kiosk", PAGE = "/offline";
const KEPT = [PAGE, "/static/offline.js", "/static/kiosk.css", "/static/icon.svg", "/static/inter-5.3.0-latin.woff2"];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(KEPT)).then(() => skipWaiting()));
});
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(() => caches.match(PAGE)));
  else if (new URL(request.url).pathname.startsWith("/static/")) event.respondWith(fetch(request).catch(() => caches.match(request)));
});
