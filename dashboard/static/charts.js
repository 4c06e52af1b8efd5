// Draws the charts of a page: Vega-Lite specifications in data-spec, without eval (the content security policy forbids it).
"use strict";

const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);

function showTip(handler, event, item, value) {
  tip.hidden = value === null || value === undefined || value === "";
  if (tip.hidden) return;
  tip.textContent = typeof value === "object" ? Object.values(value).join(", ") : String(value);
  const { clientX: x, clientY: y } = event;
  tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${y > innerHeight - 60 ? y - tip.offsetHeight - 10 : y + 16}px`;
}

function draw(place) {
  const spec = JSON.parse(place.dataset.spec);
  // The width of the place decides; the words of axes and legend take what they need of it.
  const width = Math.max(240, place.clientWidth);
  const narrow = { ...spec, width, height: spec.height + 60, autosize: { type: "fit", contains: "padding" } };
  if (width < 420) narrow.config = { ...spec.config, legend: { ...spec.config?.legend, columns: 1, labelLimit: width - 60 } };
  const runtime = vega.parse(vegaLite.compile(narrow).spec, null, { ast: true });
  const view = new vega.View(runtime, { renderer: "svg", expr: expressionInterpreter, container: place, hover: true, tooltip: showTip, logLevel: vega.Error });
  place.drawn = place.dataset.spec;
  view.runAsync().then(() => place.setAttribute("data-drawn", String(width)));
  place.view = view;
}

function drawAll(root = document) {
  for (const place of root.querySelectorAll(".chart[data-spec]")) if (!place.drawn && place.clientWidth) draw(place);
}

// A chart whose numbers are the same keeps what somebody zoomed into.
let before = new Map();
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  before = new Map([...detail.target.querySelectorAll(".chart[data-spec]")].filter((one) => one.drawn).map((one) => [one.drawn, one]));
});
document.addEventListener("htmx:afterSwap", () => {
  for (const place of document.querySelectorAll(".chart[data-spec]")) {
    const old = place.drawn ? null : before.get(place.dataset.spec);
    if (old) place.replaceWith(old);
  }
  drawAll();
});

let pause = 0;
addEventListener("resize", () => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    for (const place of document.querySelectorAll(".chart[data-drawn]")) {
      if (Math.abs(place.clientWidth - Number(place.dataset.drawn)) < 8) continue;
      place.view.finalize();
      place.replaceChildren();
      draw(place);
    }
  }, 200);
});
document.addEventListener("toggle", () => drawAll(), true);
drawAll();
