// Goes back to the page that was wanted as soon as the device answers again.
"use strict";

setInterval(async () => {
  try {
    await fetch("/healthz", { signal: AbortSignal.timeout(2000) });
    location.replace(location.pathname === "/offline" ? "/" : location.href);
  } catch { /* not yet */ }
}, 700);
