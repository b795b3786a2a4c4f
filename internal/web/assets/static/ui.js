// What every page does: keep itself new, and answer keys. Nothing here is needed to read a page.
import { renew } from "./renew.js";
import { listen } from "./events.js";
import { list } from "./list.js";
import { keys } from "./keys.js";

list();
keys();
listen({
  now(html) {
    const place = document.getElementById("now");
    if (place.innerHTML !== html) place.innerHTML = html; // from our own server, escaped there
    document.body.classList.toggle("measuring", place.childElementCount > 0);
  },
  gpus(html) {
    const place = document.getElementById("gpus");
    if (place) place.innerHTML = html;
  },
  list(stamp) {
    const known = document.body.dataset.stamp;
    document.body.dataset.stamp = stamp;
    const what = document.body.dataset.renew;
    if (what && stamp !== known) renew(location.href, what);
  },
});
