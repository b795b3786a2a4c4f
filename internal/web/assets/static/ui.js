// What every page does: keep itself new, and answer keys. Nothing here is needed to read a page.
import { patch, renew } from "./renew.js";
import { listen } from "./events.js";
import { list } from "./list.js";
import { live } from "./live.js";
import { keys } from "./keys.js";

list();
keys();
const curves = live();
let again = 0; // the timer of the next renewal of a live document
let awaited = false; // more than the document is being fetched: a renewal of that alone would take its place
listen({
  now(html) {
    const place = document.getElementById("now");
    patch(place, html);
    const was = measuring();
    if (document.body.classList.toggle("measuring", place.childElementCount > 0) !== was) later();
  },
  gpus(html) {
    const place = document.getElementById("gpus");
    if (place) patch(place, html);
  },
  list(stamp) {
    const what = document.body.dataset.renew; // renew notes the stamp of what it fetched
    if (what && stamp !== document.body.dataset.stamp) fetchAll(what);
  },
  begin: curves.begin,
  pulse: curves.pulse,
  ended() {
    if (document.body.dataset.run) fetchAll("#main");
  },
});

function measuring() {
  return document.body.classList.contains("measuring");
}

function fetchAll(selector) {
  awaited = true;
  clearTimeout(again);
  renew(location.href, selector);
}

// The document of a run that goes on, as often as the server says that it is worth it; one without its traces when nothing is
// measured any more.
function later() {
  clearTimeout(again);
  if (awaited) return;
  const state = document.getElementById("document")?.dataset ?? {};
  const wait = Number(state.again) || ("unread" in state && !measuring() ? 1000 : 0);
  if (wait) again = setTimeout(() => (document.hidden ? later() : renew(location.href, "#document").then(later)), wait);
}
later();
document.addEventListener("renewed", (e) => {
  const part = document.querySelector(e.detail.selector);
  if (part) labPage.mount(part);
  awaited = false;
  later();
});
