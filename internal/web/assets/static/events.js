// The stream of events, while the page can be seen: a hidden one costs lab ui nothing and takes no connection, of which a
// browser has six for a host. What was missed meanwhile comes when the stream begins again.
export function listen(handlers) {
  let source = null, last = "", lost = null;
  const link = document.getElementById("link");

  function open() {
    if (source || document.hidden) return;
    const address = new URL("/events", location.href);
    const run = document.body.dataset.run;
    if (run) {
      address.searchParams.set("run", run);
      if (last !== "") address.searchParams.set("after", last);
    }
    if (document.getElementById("gpus")) address.searchParams.set("gpus", "");
    source = new EventSource(address);
    source.onopen = () => {
      clearTimeout(lost);
      link.hidden = true;
    };
    source.onerror = () => {
      clearTimeout(lost);
      lost = setTimeout(() => (link.hidden = false), 500);
      if (source?.readyState === EventSource.CLOSED) { // the browser has given up
        close();
        setTimeout(open, 2000);
      }
    };
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (e) => {
        if (e.lastEventId) last = e.lastEventId;
        handle(e.data);
      });
    }
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
}
