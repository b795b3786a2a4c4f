// Puts the newest form of a page, or of a part of it, in the place of what is shown. One fetch at a time: a newer wish
// takes the place of an older one.
let running = null;

export async function renew(address, selector) {
  running?.abort();
  const mine = (running = new AbortController());
  let text;
  try {
    const answer = await fetch(address, { signal: mine.signal, headers: { Accept: "text/html" } });
    text = await answer.text();
  } catch {
    return false; // a newer wish, or no connection: the next event tries again
  }
  if (running !== mine) return false;
  running = null;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const from = fresh.querySelector(selector), to = document.querySelector(selector);
  if (!from || !to) return false;
  const back = remember(to);
  to.replaceWith(document.adoptNode(from));
  document.title = fresh.title;
  document.body.dataset.run = fresh.body.dataset.run;
  document.body.dataset.renew = fresh.body.dataset.renew;
  document.body.dataset.stamp = fresh.body.dataset.stamp;
  back(from);
  document.dispatchEvent(new CustomEvent("renewed", { detail: { selector } }));
  return true;
}

// What the reader has done to a part: where the focus is, and what is unfolded.
function remember(part) {
  const open = [...part.querySelectorAll("details[open][id]")].map((d) => d.id);
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const row = active?.closest("[data-id]")?.dataset.id;
  const own = active && name(active);
  return (fresh) => {
    for (const id of open) fresh.querySelector("#" + CSS.escape(id))?.setAttribute("open", "");
    const scope = row ? fresh.querySelector(`[data-id="${CSS.escape(row)}"]`) : fresh;
    if (own && scope) scope.querySelector(own)?.focus({ preventScroll: true });
  };
}

function name(element) {
  if (element.id) return "#" + CSS.escape(element.id);
  if (element.localName === "a") return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
  return element.localName;
}

// Makes a part say what the new HTML says, and leaves alone what is the same: a link keeps its focus and can be clicked
// although the part changes several times a second.
export function patch(part, html) {
  const fresh = document.createElement(part.localName);
  fresh.innerHTML = html; // from our own server, escaped there
  merge(part, fresh);
}

function merge(old, fresh) {
  const before = [...old.childNodes], now = [...fresh.childNodes];
  now.forEach((y, i) => {
    const x = before[i];
    if (!x) old.append(y);
    else if (x.nodeName !== y.nodeName) x.replaceWith(y);
    else if (x.nodeType === Node.TEXT_NODE) {
      if (x.data !== y.data) x.data = y.data;
    } else if (x.nodeType === Node.ELEMENT_NODE) {
      for (const { name } of [...x.attributes]) if (!y.hasAttribute(name)) x.removeAttribute(name);
      for (const { name, value } of y.attributes) if (x.getAttribute(name) !== value) x.setAttribute(name, value);
      merge(x, y);
    }
  });
  for (const x of before.slice(now.length)) x.remove();
}
