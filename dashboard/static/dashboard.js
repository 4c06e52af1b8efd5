// What htmx does not do: hear what changed, keep what somebody was doing while a live part is exchanged, and give
// back what was typed when a session ended meanwhile.
"use strict";

const page = document.body.dataset;

// --- what changed -------------------------------------------------------------------------------------------------

function heard(message) {
  if (message.topic) document.body.dispatchEvent(new CustomEvent(`${message.topic}-changed`));
  else document.body.classList.toggle("offline", !message.open);
}

function listenTogether() {
  const worker = new SharedWorker(page.events, "melanosizer-events");
  worker.onerror = () => document.body.classList.add("offline");
  worker.port.onmessage = ({ data }) => heard(data);
  const join = () => worker.port.postMessage({ since: Number(page.since) });
  join();
  addEventListener("pagehide", () => worker.port.postMessage({ leave: true }));
  addEventListener("pageshow", (event) => { if (event.persisted) join(); });
}

// Browsers without shared workers (Chrome on Android): only the tab that is looked at listens.
function listenWhileVisible() {
  let source = null;
  const turn = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource(`/events?since=${page.since}`);
      source.onopen = () => heard({ open: true });
      source.onerror = () => heard({ open: false });
      for (const topic of ["runs", "models", "alerts", "predictions"]) {
        source.addEventListener(topic, (event) => {
          page.since = event.data;
          heard({ topic });
        });
      }
    }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
}

if (page.person) (window.SharedWorker ? listenTogether : listenWhileVisible)();

// --- live parts ---------------------------------------------------------------------------------------------------

const WRITTEN = "input:not([type=checkbox]):not([type=radio]):not([type=range]):not([type=hidden]), textarea, select";

function nameOf(element) {
  const form = element.closest("form")?.getAttribute("action") ?? "";
  const text = element.matches("a, button, summary") ? element.textContent : "";
  const label = element.getAttribute("aria-label") ?? element.getAttribute("href") ?? "";
  const value = element.matches("[type=checkbox], [type=radio]") ? element.value : "";
  return [element.tagName, element.id, form, element.getAttribute("name") ?? "", value, label, text].join("\u0000");
}

function titleOf(details) {
  return details.id || (details.querySelector("summary b") ?? details.querySelector("summary")).textContent;
}

let kept = null;

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const live = detail.target;
  if (live.id !== "live") return;
  const active = document.activeElement;
  const inside = live.contains(active);
  // A live part is not exchanged under somebody who is writing in it.
  if (inside && active.matches(WRITTEN)) {
    detail.shouldSwap = false;
    return;
  }
  kept = {
    focus: inside ? nameOf(active) : null,
    open: new Map([...live.querySelectorAll("details")].map((one) => [titleOf(one), one.open])),
    ticked: new Map([...live.querySelectorAll("[type=checkbox], [type=radio]")].map((one) => [nameOf(one), one.checked])),
    typed: new Map([...live.querySelectorAll(WRITTEN)].map((one) => [nameOf(one), one.value])),
    scrolled: new Map([...live.querySelectorAll(".scroll")].map((one) => [one.ariaLabel, [one.scrollLeft, one.scrollTop]])),
    window: [scrollX, scrollY],
  };
});

document.addEventListener("htmx:afterSwap", () => {
  const live = document.getElementById("live");
  if (!kept || !live) return;
  const { focus, open, ticked, typed, scrolled, window: place } = kept;
  kept = null;
  for (const one of live.querySelectorAll("details")) one.open = open.get(titleOf(one)) ?? one.open;
  for (const one of live.querySelectorAll("[type=checkbox], [type=radio]")) one.checked = ticked.get(nameOf(one)) ?? one.checked;
  for (const one of live.querySelectorAll(WRITTEN)) if (typed.has(nameOf(one))) one.value = typed.get(nameOf(one));
  for (const one of live.querySelectorAll(".scroll")) one.scrollTo(...(scrolled.get(one.ariaLabel) ?? [0, 0]));
  if (focus) [...live.querySelectorAll("a, button, summary, input, [tabindex]")].find((one) => nameOf(one) === focus)?.focus({ preventScroll: true });
  scrollTo(...place);
});

// --- what was typed -----------------------------------------------------------------------------------------------

// A form that is sent is remembered in this tab until an answer comes that is not the sign-in page.
const DRAFT = "melanosizer-draft";

document.addEventListener("submit", ({ target, submitter }) => {
  if (!page.person || target.method !== "post" || target.querySelector("[type=password]")) return;
  const fields = [...new FormData(target, submitter)].filter(([name]) => name !== "csrf");
  const draft = { path: location.pathname, action: target.getAttribute("action"), person: page.person, fields };
  sessionStorage.setItem(DRAFT, JSON.stringify(draft));
});

function giveBack() {
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
  if (!draft) return;
  if (!page.person) {
    sessionStorage.setItem(DRAFT, JSON.stringify({ ...draft, interrupted: true }));
    return;
  }
  if (!draft.interrupted || draft.person !== page.person) return sessionStorage.removeItem(DRAFT);
  if (location.pathname !== draft.path) return;
  sessionStorage.removeItem(DRAFT);
  const form = [...document.forms].find((one) => one.getAttribute("action") === draft.action);
  if (!form) return;
  form.closest("details")?.setAttribute("open", "");
  for (const [name, value] of draft.fields) {
    for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (field.matches("[type=radio], [type=checkbox]")) field.checked ||= field.value === value;
      else if (!field.matches("[type=hidden], button")) field.value = value;
    }
  }
  const note = document.createElement("p");
  note.className = "trouble soft";
  note.setAttribute("role", "status");
  note.textContent = "Your session had ended before this was sent. What you had entered is back: look at it, and send it again.";
  form.prepend(note);
  note.scrollIntoView({ block: "center" });
}

giveBack();

// --- sliders ------------------------------------------------------------------------------------------------------

document.addEventListener("input", (event) => {
  const slider = event.target;
  if (slider.type !== "range") return;
  const output = document.querySelector(`output[for="${slider.id}"]`);
  if (output) output.textContent = `${(slider.value * 100).toFixed(1)}\u00a0%`;
  // The low zone ends where referring begins: the other slider gives way.
  const low = document.getElementById("low_below");
  const refer = document.getElementById("refer_from");
  if (low && refer && Number(low.value) > Number(refer.value)) {
    const other = slider === low ? refer : low;
    other.value = slider.value;
    const text = document.querySelector(`output[for="${other.id}"]`);
    if (text) text.textContent = `${(slider.value * 100).toFixed(1)}\u00a0%`;
  }
});
