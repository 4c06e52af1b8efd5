// What htmx does not do: show a slider's value while it moves, and go to the door when a session has ended.
"use strict";

document.addEventListener("input", (event) => {
  const slider = event.target;
  if (slider.type !== "range") return;
  const output = document.querySelector(`output[for="${slider.id}"]`);
  if (output) output.textContent = `${(slider.value * 100).toFixed(1)}\u00a0%`;
  // The low zone ends where referring begins: the other slider gives way.
  const low = document.getElementById("low_below");
  const refer = document.getElementById("threshold");
  if (low && refer && Number(low.value) > Number(refer.value)) {
    const other = slider === low ? refer : low;
    other.value = slider.value;
    const text = document.querySelector(`output[for="${other.id}"]`);
    if (text) text.textContent = `${(slider.value * 100).toFixed(1)}\u00a0%`;
  }
});

document.addEventListener("htmx:sseError", () => document.body.classList.add("offline"));
document.addEventListener("htmx:sseOpen", () => document.body.classList.remove("offline"));

// A live part is not swapped under somebody who is writing in it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const active = document.activeElement;
  const writing = active && active.matches("input:not([type=checkbox]):not([type=range]), textarea, select");
  if (writing && event.detail.target.id === "live" && event.detail.target.contains(active)) event.detail.shouldSwap = false;
});
