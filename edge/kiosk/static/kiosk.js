// Adds what is live to pages that work without it: news, preview, keypad, scanner. No dependency.
"use strict";

const byId = (id) => document.getElementById(id);
// What the page was drawn from: a change between drawing and listening is not missed.
let last = document.body.dataset.news;
let presses = JSON.parse(last).presses;

function adopt(id, text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(id);
  const old = byId(id);
  if (fresh && old && fresh.outerHTML !== old.outerHTML) old.replaceWith(fresh);
}

async function redraw() {
  const status = await fetch("/status");
  if (status.ok) adopt("status", await status.text());
  if (byId("main").hasAttribute("data-live")) {
    const page = await fetch(location.href);
    if (page.headers.get("content-type").startsWith("text/html")) adopt("main", await page.text());
  }
}

function cameraIs(lost) {
  const viewer = byId("viewer");
  if (!viewer) return;
  if (viewer.classList.contains("lost") && !lost) byId("preview").src = "/preview.mjpg?" + Date.now();
  viewer.classList.toggle("lost", lost);
  byId("shutter").disabled = lost;
}

// Streams start once the page has loaded: a page with an endless picture in it never would.
function preview() {
  const image = byId("preview");
  if (image) image.src = "/preview.mjpg";
  addEventListener("pagehide", () => { if (image) image.src = ""; });
}

function listen() {
  const source = new EventSource("/events");
  source.onmessage = (event) => {
    const news = JSON.parse(event.data);
    if (news.presses !== presses) pressed();
    presses = news.presses;
    cameraIs(news.notices.includes("camera_lost"));
    if (last !== event.data) redraw().catch(() => {});
    last = event.data;
  };
  addEventListener("pagehide", () => source.close());
}

function pressed() {
  const form = byId("capture");
  if (!form) location.href = "/";
  else if (!byId("shutter").disabled) form.requestSubmit();
}

function captureForm(form) {
  form.addEventListener("submit", (event) => {
    if (byId("viewer").classList.contains("taking")) return event.preventDefault();
    byId("viewer").classList.add("taking");
    byId("shutter").disabled = true;
  });
  // A page that comes back from the browser's memory holds a press that was used.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  const code = byId("code"), keypad = byId("keypad"), typed = byId("typed");
  const pattern = new RegExp(`^(?:${code.dataset.pattern})$`);
  code.addEventListener("click", () => { typed.textContent = code.value; keypad.showModal(); });
  keypad.addEventListener("click", (event) => {
    const { key, act } = event.target.dataset;
    const text = typed.textContent;
    if (key && pattern.test(text + key)) typed.textContent = text + key;
    if (act === "delete") typed.textContent = text.slice(0, -1);
    if (act === "clear") typed.textContent = "";
    if (act === "done") code.value = text;
    if (act === "done" || act === "cancel") keypad.close();
  });

  const scanner = byId("scanner");
  const look = async () => {
    if (!scanner.open) return;
    const answer = await fetch("/scan", { method: "POST" });
    const found = answer.ok ? (await answer.json()).code : null;
    if (found && scanner.open) { code.value = found; scanner.close(); }
    else setTimeout(() => look().catch(() => scanner.close()), 300);
  };
  byId("scan").addEventListener("click", () => { scanner.showModal(); look().catch(() => scanner.close()); });
  byId("scan-cancel").addEventListener("click", () => scanner.close());
}

addEventListener("load", () => { preview(); listen(); });
if (byId("capture")) captureForm(byId("capture"));
