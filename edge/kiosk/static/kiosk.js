// Shows what the device serves without ever leaving the page: links and forms are fetched, and what was fetched
// takes the page's place. A fetch that fails covers the page and is done again; a navigation that fails would
// leave the browser's own error page, from which a kiosk has no way back. No dependency.
"use strict";

const PICTURE_STALE_MS = 2000, PICTURE_DEADLINE_MS = 4000, EVENTS_STALE_MS = 6000, RECONNECT_MS = 500, SHUTTER_DEADLINE_MS = 60000;
const BURST_MS = 300, IDLE_MS = 1500, SCANNED = 3, TOAST_MS = 6000;
const byId = (id) => document.getElementById(id);
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const within = (ms) => AbortSignal.timeout(ms);

let state = JSON.parse(document.body.dataset.state);
let source = null, heard = 0, opened = 0; // the event stream, and when it last said something
let connected = true, pictured = 0; // when the picture on the screen was taken
let visits = 0, wanted = null; // the page to fetch once the device is back
let asked = null; // the press whose outcome is not known

// Pages.

async function visit(address, { body = null, push = true } = {}) {
  const turn = ++visits;
  document.body.classList.add("working");
  try {
    const answer = await fetch(address, { method: body ? "POST" : "GET", body, headers: { Accept: "text/html" }, signal: within(SHUTTER_DEADLINE_MS) });
    const text = await answer.text();
    if (turn === visits) show(text, answer.url, push);
  } catch {
    if (turn !== visits) return;
    document.body.classList.remove("working");
    wanted = body ? location.href : address;
    lose();
  }
}

function show(text, address, push) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (!fresh.getElementById("main")) throw new Error("not a page of this device");
  if (push && address !== location.href) history.pushState({}, "", address);
  document.title = fresh.title;
  document.documentElement.lang = fresh.documentElement.lang;
  document.body.replaceWith(document.adoptNode(fresh.body));
  wanted = null;
  state = JSON.parse(document.body.dataset.state);
  begin();
}

function begin() {
  pictured = 0;
  if (byId("preview")) preview(byId("preview"));
  look();
  const seconds = Number(document.body.dataset.returnS), turn = visits;
  if (seconds) setTimeout(() => { if (turn === visits) visit("/"); }, seconds * 1000);
}

async function redraw() {
  const status = await fetch("/status", { signal: within(5000) });
  if (status.ok) adopt("status", await status.text());
  if (!byId("main").hasAttribute("data-live") || byId("keypad").open) return;
  const turn = visits;
  const page = await fetch(location.href, { headers: { Accept: "text/html" }, signal: within(5000) });
  const text = await page.text();
  if (turn === visits && page.headers.get("content-type").startsWith("text/html")) adopt("main", text);
}

function adopt(id, text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(id), old = byId(id);
  if (fresh && old && fresh.outerHTML !== old.outerHTML) old.replaceWith(fresh);
}

addEventListener("popstate", () => visit(location.href, { push: false }));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || link.origin !== location.origin) return;
  event.preventDefault();
  visit(link.href);
});
document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.id === "capture") return press();
  const data = new URLSearchParams(new FormData(form, event.submitter));
  if (form.method === "post") visit(form.action, { body: data });
  else visit(`${form.action}?${data}`);
});

// Whether the device is there, and whether the picture is what the lens sees.

function listen() {
  if (source) source.close();
  source = new EventSource("/events");
  opened = performance.now();
  source.onmessage = (event) => { hear(); settle(JSON.parse(event.data)); };
  source.addEventListener("beat", hear);
  source.onerror = lose;
}

function hear() {
  heard = performance.now();
  if (connected) return;
  connected = true;
  look();
  if (asked) answerFor(asked);
  else if (wanted) visit(wanted);
  else redraw().catch(() => {});
}

function lose() {
  connected = false;
  look();
}

function settle(news) {
  const before = state;
  state = news;
  cameraIs(news.notices.includes("camera_hung") ? "hung" : news.notices.includes("camera_lost") ? "lost" : "");
  // A new process counts from nought: its first number is no press.
  if (news.instance === before.instance && news.presses !== before.presses) pressed();
  if (JSON.stringify(news) !== JSON.stringify(before)) redraw().catch(() => {});
}

function cameraIs(trouble) {
  const viewer = byId("viewer");
  if (!viewer) return;
  for (const name of ["lost", "hung"]) viewer.classList.toggle(name, name === trouble);
}

function look() {
  const now = performance.now(), viewer = byId("viewer");
  if (connected && now - heard > EVENTS_STALE_MS && now - opened > EVENTS_STALE_MS) lose();
  if (!connected && now - opened > (source.readyState === EventSource.CLOSED ? RECONNECT_MS : EVENTS_STALE_MS)) listen();
  document.body.classList.toggle("stale", !connected);
  if (!viewer) return;
  const live = connected && pictured && now - pictured < PICTURE_STALE_MS;
  viewer.classList.toggle("still", !live);
  byId("shutter").disabled = !live || viewer.classList.contains("taking");
}

// One picture after the other: each is known to be new, which a stream in an <img> never is.
async function preview(canvas) {
  const pen = canvas.getContext("2d");
  let seen = "";
  while (canvas.isConnected) {
    try {
      const answer = await fetch(`/preview.jpg?seen=${seen}`, { signal: within(PICTURE_DEADLINE_MS) });
      if (!answer.ok) throw new Error(answer.status);
      if (answer.status === 200) {
        const picture = await createImageBitmap(await answer.blob());
        if (canvas.width !== picture.width || canvas.height !== picture.height) [canvas.width, canvas.height] = [picture.width, picture.height];
        pen.drawImage(picture, 0, 0);
        seen = answer.headers.get("X-Frame");
      }
      pictured = performance.now();
      look();
    } catch {
      pictured = 0;
      seen = "";
      pen.clearRect(0, 0, canvas.width, canvas.height);
      look();
      await later(500);
    }
  }
}

// The shutter.

function pressed() {
  if (byId("capture")) press();
  else visit("/");
}

async function press() {
  const form = byId("capture"), viewer = byId("viewer");
  if (byId("shutter").disabled) return;
  const id = form.elements.press.value, data = new URLSearchParams(new FormData(form));
  viewer.classList.add("taking");
  say("");
  look();
  try {
    const answer = await fetch("/examinations", { method: "POST", body: data, headers: { Accept: "application/json" }, signal: within(SHUTTER_DEADLINE_MS) });
    const found = await answer.json();
    if (answer.ok) visit(`/examinations/${id}`);
    else if (answer.status === 422) visit("/retake");
    else if (answer.status === 400) give(found.error);
    else visit("/notices");
  } catch {
    asked = id;
    lose();
  }
}

// The device went away during a press: whether it took the photograph is asked, never tried again unseen.
async function answerFor(id) {
  try {
    const answer = await fetch(`/examinations/${id}.json`, { headers: { Accept: "application/json" }, signal: within(5000) });
    asked = null;
    if (answer.ok) visit(`/examinations/${id}`);
    else give(byId("message").dataset.notTaken);
  } catch {
    lose();
  }
}

function give(message) {
  byId("viewer").classList.remove("taking");
  say(message);
  look();
}

function say(message) {
  const place = byId("message") || byId("toast");
  place.textContent = message;
  place.hidden = !message;
  if (place.id === "toast" && message) setTimeout(() => { place.hidden = true; }, TOAST_MS);
}

// Codes: the keypad, the camera, and a USB scanner, which types like a keyboard and ends with Enter.

const fits = (code) => new RegExp(`^(?:${document.body.dataset.pattern})$`).test(code);
const begins = (text, kind) => new RegExp(kind === "page" ? "^[0-9]{0,6}$" : kind === "search" ? "^.{0,24}$" : `^(?:${document.body.dataset.prefix})$`).test(text);
let field = null; // the input that the keypad is open for

function openKeypad(input) {
  field = input;
  byId("typed").textContent = field.value;
  hint("");
  byId("keypad").showModal();
  greyKeys();
}

function hint(fault) {
  const place = byId("keypad-hint");
  place.textContent = fault || (field && field.dataset.keypad === "code" ? place.dataset.hint : "");
  place.classList.toggle("fault", Boolean(fault));
}

function greyKeys() {
  const text = byId("typed").textContent;
  for (const key of document.querySelectorAll("[data-key]")) key.disabled = !begins(text + key.dataset.key, field.dataset.keypad);
}

function typeOnKeypad({ key, act }) {
  const typed = byId("typed"), text = typed.textContent, kind = field.dataset.keypad;
  if (key && begins(text + key, kind)) typed.textContent = text + key;
  if (act === "delete") typed.textContent = text.slice(0, -1);
  if (act === "clear") typed.textContent = "";
  if (act === "done" && kind === "code" && text && !fits(text)) return hint(document.body.dataset.badCode);
  if (act === "done") field.value = text;
  if (act === "done" || act === "cancel") byId("keypad").close();
  if (act === "done" && kind !== "code") field.form.requestSubmit();
  hint("");
  greyKeys();
}

async function lookForCode() {
  const scanner = byId("scanner"), said = byId("scan-said");
  while (scanner.open && scanner.isConnected) {
    try {
      const answer = await fetch("/scan", { method: "POST", signal: within(PICTURE_DEADLINE_MS) });
      const found = answer.ok ? await answer.json() : {};
      if (found.code && scanner.open) take(found.code);
      said.textContent = found.refused || said.dataset.looking;
    } catch { /* the next look may do better */ }
    await later(300);
  }
}

function take(code) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  code = code.toUpperCase();
  if (!fits(code)) return say(document.body.dataset.badCode);
  if (!byId("code")) return visit(`/?code=${encodeURIComponent(code)}`);
  byId("code").value = code;
  say("");
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-keypad], [data-key], [data-act], #scan, #scan-cancel");
  if (!target) return;
  if (target.dataset.keypad) openKeypad(target);
  else if (target.id === "scan") { byId("scanner").showModal(); lookForCode(); }
  else if (target.id === "scan-cancel") byId("scanner").close();
  else typeOnKeypad(target.dataset);
});

let typed = "", typedAt = 0, before = "", startedAt = 0;
addEventListener("keydown", (event) => {
  const now = performance.now(), inField = document.activeElement === byId("code") && !byId("keypad").open;
  const ends = event.key === "Enter" || (event.key === "Tab" && typed && now - typedAt < BURST_MS);
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (ends) {
    event.preventDefault(); // it is the scanner's, and must not press whatever has the focus
    const scanned = typed.length >= SCANNED && (now - startedAt) / typed.length < BURST_MS / 4;
    if (inField && scanned) { byId("code").value = before; take(typed); }
    else if (inField) byId("code").value = (before + typed).toUpperCase();
    else if (typed && now - typedAt < IDLE_MS) take(typed);
    typed = "";
  } else if (event.key.length === 1) {
    event.preventDefault(); // a space would press, too
    if (!typed || now - typedAt > (inField ? BURST_MS : IDLE_MS)) {
      typed = "";
      startedAt = now;
      before = inField ? byId("code").value : "";
    }
    typed += event.key;
    typedAt = now;
    if (inField) byId("code").value = (before + typed).toUpperCase();
  }
}, true);
addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") event.preventDefault(); }, true);

if (navigator.serviceWorker) navigator.serviceWorker.register("/worker.js").catch(() => {});
setInterval(look, 250);
listen();
begin();
