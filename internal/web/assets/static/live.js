// The curves of a run that goes on: one point for each second that it has recorded.
const panels = [
  { title: "TTFT", unit: "ms", about: "of requests that ended in each second", curves: [["ttft p50", "p50"], ["ttft max", "slowest"]] },
  { title: "TPOT", unit: "ms", about: "of requests that ended in each second", curves: [["tpot p50", "p50"], ["tpot max", "slowest"]] },
  { title: "Output", unit: "tok/s", about: "by the engine's counter", curves: [["output", "output"]] },
  { title: "Requests", unit: "", about: "sent and not ended; in the engine", curves: [["in_flight", "in flight"], ["running", "running"], ["waiting", "waiting"]] },
  { title: "Errors", unit: "", about: "requests that failed in each second", curves: [["errors", "errors"]] },
  { title: "KV cache", unit: "%", about: "in use", curves: [["kv", "KV cache"]] },
  { title: "GPU power", unit: "W", about: "", each: " power" },
  { title: "GPU utilisation", unit: "%", about: "", each: " util" },
  { title: "SM clock", unit: "MHz", about: "", each: " clock" },
];

export function live() {
  let place = null, at = [], values = new Map(), drawn = [], wanted = false;

  // No line leads over what this page does not get: it is in the document.
  function begin() {
    place = document.getElementById("curves");
    place?.replaceChildren();
    at = [];
    values = new Map();
    drawn = [];
  }

  function pulse(text) {
    const current = document.getElementById("curves");
    if (!current) return;
    if (current !== place) begin();
    const p = JSON.parse(text);
    if (at.length && p.at <= at.at(-1)) return; // known already
    at.push(p.at);
    for (const [name, v] of Object.entries(p.v)) {
      if (!values.has(name)) values.set(name, new Array(at.length - 1).fill(null));
      values.get(name).push(v);
    }
    for (const all of values.values()) while (all.length < at.length) all.push(null);
    if (!wanted) {
      wanted = true;
      requestAnimationFrame(() => {
        wanted = false;
        draw();
      });
    }
  }

  function draw() {
    for (const panel of panels) {
      const curves = panel.curves?.filter(([key]) => values.has(key)) ??
        [...values.keys()].filter((key) => key.endsWith(panel.each)).sort().map((key) => [key, key.slice(0, -panel.each.length)]);
      if (curves.length === 0) continue;
      let one = drawn.find((d) => d.panel === panel);
      if (one && one.keys.length !== curves.length) { // another curve has come
        one.plot.destroy();
        one.figure.remove();
        drawn = drawn.filter((d) => d !== one);
        one = null;
      }
      one ??= make(panel, curves);
      one.plot.setData([at, ...one.keys.map((key) => values.get(key))]);
      one.last.textContent = curves.map(([key, name]) => `${name} ${short(latest(values.get(key)))}`).join(", ") + (panel.unit ? " " + panel.unit : "");
    }
  }

  function make(panel, curves) {
    const figure = document.createElement("figure");
    const title = document.createElement("figcaption");
    const strong = document.createElement("b");
    strong.textContent = panel.title + (panel.unit ? ` (${panel.unit})` : "");
    const last = document.createElement("span");
    last.className = "last";
    title.append(strong, " ", panel.about, " ", last);
    figure.append(title);
    const order = panels.filter((p) => p === panel || drawn.some((d) => d.panel === p));
    place.insertBefore(figure, drawn.find((d) => order.indexOf(d.panel) > order.indexOf(panel))?.figure ?? null);
    const look = getComputedStyle(document.documentElement);
    const color = (name) => look.getPropertyValue(name).trim();
    const colors = ["--accent", "--doubt", "--good", "--bad"];
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const plot = new uPlot({
      width: figure.clientWidth, height: 170, legend: { show: curves.length > 1, live: false }, cursor: { sync: { key: "live" }, y: false },
      scales: { x: { time: false }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
      axes: [{ ...axis, values: (u, v) => v.map((s) => s + " s") }, { ...axis, size: 60 }],
      series: [{ label: "s" }, ...curves.map(([, name], i) => ({ label: name, stroke: color(colors[i % colors.length]), width: 1.5, dash: i ? [6, 3 * i] : undefined, spanGaps: true, value: (u, v) => short(v) }))],
    }, [at, ...curves.map(([key]) => values.get(key))], figure);
    const one = { panel, figure, plot, last, keys: curves.map(([key]) => key) };
    drawn.push(one);
    fit.observe(figure);
    return one;
  }

  const fit = new ResizeObserver(() => { // the window's width changes, or another chart comes beside it
    for (const d of drawn) if (d.figure.clientWidth && d.figure.clientWidth !== d.plot.width) d.plot.setSize({ width: d.figure.clientWidth, height: 170 });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { // colours are taken when a chart is made
    for (const d of drawn) {
      d.plot.destroy();
      d.figure.remove();
    }
    drawn = [];
    if (place) draw();
  });
  return { begin, pulse };
}

const latest = (all) => all.findLast((v) => v !== null);

function short(v) {
  if (v === null || v === undefined) return "–";
  if (Number.isInteger(v)) return String(v); // a count
  const size = Math.abs(v);
  return size >= 100 ? v.toFixed(0) : size >= 10 ? v.toFixed(1) : v.toFixed(2);
}
