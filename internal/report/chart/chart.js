// Adds to the figures of a page what a picture alone cannot: values under the pointer, zoom, a legend that hides and shows.
// The page has an element with the id "tip", and makes a Chart of each figure; data-reset is the text of the button that
// ends a zoom.
"use strict";

function make(svg, name, attributes) {
  const e = document.createElementNS(svg.namespaceURI, name);
  for (const key in attributes) e.setAttribute(key, attributes[key]);
  return e;
}

function showTip(mark, x, y) {
  const tip = document.getElementById("tip");
  document.querySelectorAll(".lit").forEach((m) => m.classList.remove("lit"));
  tip.hidden = !mark;
  if (!mark) return;
  mark.classList.add("lit");
  tip.textContent = mark.dataset.tip;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + box.height + 24 > innerHeight ? y - box.height - 10 : y + 14) + "px";
}

// Numbers as the pictures write them.
function written(v, step) {
  const size = Math.abs(v);
  if (size >= 1e7) return +(v / 1e6).toPrecision(4) + "M";
  if (size >= 1e4) return +(v / 1e3).toPrecision(4) + "k";
  const decimals = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step) + 0.3)));
  return String(+v.toFixed(decimals));
}

function clock(v, step) {
  const iso = new Date(v * 1000).toISOString();
  if (step >= 86400) return iso.slice(5, 10);
  return step < 60 ? iso.slice(11, 19) : iso.slice(5, 16).replace("T", " ");
}

// Values and labels of the ticks between two values of an axis.
function ticks(kind, low, high, n) {
  if (kind === "log" && high / low > 8) {
    const all = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++)
      for (const f of [1, 2, 5]) {
        const v = f * 10 ** p;
        if (v >= low && v <= high) all.push([v, written(v, v)]);
      }
    return all;
  }
  let step = (high - low) / n;
  if (kind === "time") {
    step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].find((s) => s >= step) || Math.ceil(step / 86400) * 86400;
  } else {
    const power = 10 ** Math.floor(Math.log10(step));
    step = [1, 2, 2.5, 5, 10].find((f) => f * power >= step * 0.999999) * power;
  }
  const all = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++)
    all.push([k * step, kind === "time" ? clock(k * step, step) : written(k * step, step)]);
  return all;
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    this.data = this.svg.querySelector(".data");
    this.clip = this.svg.querySelector("clipPath rect");
    this.svg.setAttribute("role", "group");
    this.svg.classList.add("live");
    this.marks = [...this.svg.querySelectorAll(".mark")];
    for (const m of this.svg.querySelectorAll(".mark,.key,.series")) {
      const title = m.querySelector(":scope > title");
      if (title) {
        if (m.classList.contains("mark")) m.dataset.tip = title.textContent;
        title.remove();
      }
    }
    this.marks = this.marks.filter((m) => m.dataset.tip);
    this.hover();
    this.legend();
    if (!this.data) return;
    const [x, y, w, h] = this.data.dataset.plot.split(" ").map(Number);
    this.plot = { x, y, w, h };
    this.axes = ["x", "y"].map((name) => this.axis(name));
    this.window = this.whole();
    this.originals = this.remember();
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.textContent = figure.dataset.reset;
    this.button.hidden = true;
    this.button.onclick = () => this.zoom(this.whole());
    figure.append(this.button);
    this.drag();
    this.keyboard();
  }

  whole() {
    const p = this.plot;
    return { x0: p.x, x1: p.x + p.w, y0: p.y, y1: p.y + p.h };
  }

  axis(name) {
    const [kind, min, max] = this.data.dataset[name].split(" ");
    const group = this.svg.querySelector(".ticks-" + name);
    return { name, kind, min: +min, max: +max, group, original: group.cloneNode(true) };
  }

  // The places of everything that moves, read once.
  remember() {
    return [...this.data.querySelectorAll("rect,path,text")].map((e) => {
      const at = /^translate\(([-\d.]+) ([-\d.]+)\)$/.exec(e.getAttribute("transform") || "");
      if (at) return { e, kind: "move", x: +at[1], y: +at[2] };
      if (e.tagName === "path") return { e, kind: "path", d: e.getAttribute("d") };
      const n = (key) => +e.getAttribute(key);
      return { e, kind: e.tagName, x: n("x"), y: n("y"), w: n("width"), h: n("height") };
    });
  }

  place() {
    const p = this.plot, z = this.window;
    return {
      x: (v) => +(p.x + ((v - z.x0) * p.w) / (z.x1 - z.x0)).toFixed(2),
      y: (v) => +(p.y + ((v - z.y0) * p.h) / (z.y1 - z.y0)).toFixed(2),
    };
  }

  zoom(to) {
    this.window = to;
    const at = this.place();
    for (const o of this.originals) {
      if (o.kind === "move") o.e.setAttribute("transform", `translate(${at.x(o.x)} ${at.y(o.y)})`);
      else if (o.kind === "path") o.e.setAttribute("d", o.d.replace(/(-?[\d.]+) (-?[\d.]+)/g, (_, x, y) => at.x(+x) + " " + at.y(+y)));
      else {
        const sx = o.kind === "text" ? o.x : at.x(o.x);
        o.e.setAttribute("x", o.kind === "text" ? at.x(o.x) : sx);
        o.e.setAttribute("y", at.y(o.y));
        if (o.kind === "rect") {
          o.e.setAttribute("width", Math.max(0.5, at.x(o.x + o.w) - sx));
          o.e.setAttribute("height", Math.max(0.5, at.y(o.y + o.h) - at.y(o.y)));
        }
      }
    }
    const full = this.whole();
    const zoomed = Object.keys(full).some((k) => Math.abs(full[k] - to[k]) > 0.01);
    this.button.hidden = !zoomed;
    const p = this.plot, room = zoomed ? 0 : 8; // markers on the frame are whole as long as nothing lies beyond it
    for (const [key, v] of [["x", p.x - room], ["y", p.y - room], ["width", p.w + 2 * room], ["height", p.h + 2 * room]]) this.clip.setAttribute(key, v);
    for (const a of this.axes) this.drawTicks(a, zoomed, at);
    showTip(null);
  }

  drawTicks(a, zoomed, at) {
    const fresh = a.original.cloneNode(true);
    a.group.replaceWith(fresh);
    a.group = fresh;
    if (!zoomed) return;
    const p = this.plot, upright = a.name === "y";
    if (a.kind === "fixed") {
      for (const e of [...fresh.children]) {
        const text = e.tagName === "text";
        const old = text ? +e.getAttribute(upright ? "y" : "x") : +/M(\S+) (\S+?)L/.exec(e.getAttribute("d"))[upright ? 2 : 1];
        const shift = text && upright ? 4 : text && e.getAttribute("transform") ? 3 : 0;
        const now = at[a.name](old - shift) + shift;
        const outside = upright ? now < p.y || now > p.y + p.h + 4 : now < p.x - 1 || now > p.x + p.w + 4;
        if (outside) e.remove();
        else if (!text) e.setAttribute("d", e.getAttribute("d").replace(/(-?[\d.]+) (-?[\d.]+)/g, (_, x, y) => (upright ? x + " " + now : now + " " + y)));
        else {
          const turn = /rotate\((\S+)/.exec(e.getAttribute("transform") || "");
          e.setAttribute(upright ? "y" : "x", now);
          if (turn) e.setAttribute("transform", `rotate(${turn[1]} ${e.getAttribute("x")} ${e.getAttribute("y")})`);
        }
      }
      return;
    }
    const line = fresh.querySelector("path"), text = fresh.querySelector("text");
    fresh.replaceChildren();
    if (!line || !text) return;
    const [from, to] = upright ? [p.y + p.h, p.y] : [p.x, p.x + p.w];
    const z = this.window, log = a.kind === "log";
    const f = (v) => (log ? Math.log(v) : v), back = (v) => (log ? Math.exp(v) : v);
    const value = (px) => back(f(a.min) + ((px - from) / (to - from)) * (f(a.max) - f(a.min)));
    const pixel = (v) => from + ((f(v) - f(a.min)) / (f(a.max) - f(a.min))) * (to - from);
    const [low, high] = upright ? [value(z.y1), value(z.y0)] : [value(z.x0), value(z.x1)];
    let last = -Infinity;
    for (const [v, label] of ticks(a.kind, low, high, upright ? p.h / 44 : p.w / 90)) {
      const px = at[a.name](pixel(v));
      if (Math.abs(px - last) < (upright ? 14 : 12 + label.length * 6.5)) continue;
      last = px;
      const l = line.cloneNode(), t = text.cloneNode();
      l.setAttribute("d", upright ? `M${p.x} ${px}L${p.x + p.w} ${px}` : `M${px} ${p.y}L${px} ${p.y + p.h}`);
      t.setAttribute(upright ? "y" : "x", upright ? px + 4 : px);
      t.textContent = label;
      fresh.append(l, t);
    }
  }

  hover() {
    this.svg.addEventListener("pointermove", (e) => {
      const mark = e.target.closest(".mark");
      if (!this.band) showTip(mark?.dataset.tip ? mark : null, e.clientX, e.clientY);
    });
    this.svg.addEventListener("pointerleave", () => showTip(null));
  }

  legend() {
    for (const key of this.svg.querySelectorAll(".key")) {
      const name = key.dataset.series;
      key.setAttribute("tabindex", "0");
      key.setAttribute("role", "button");
      key.setAttribute("aria-label", name);
      key.setAttribute("aria-pressed", "true");
      const toggle = () => {
        const off = key.classList.toggle("off");
        key.setAttribute("aria-pressed", String(!off));
        for (const s of this.svg.querySelectorAll(".series")) if (s.dataset.series === name) s.style.display = off ? "none" : "";
      };
      key.addEventListener("click", toggle);
      key.addEventListener("keydown", (e) => {
        if (e.key !== "Enter" && e.key !== " ") return;
        e.preventDefault();
        e.stopPropagation();
        toggle();
      });
    }
  }

  // The point of the picture under the pointer, kept inside the plot.
  point(e) {
    const q = new DOMPoint(e.clientX, e.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const p = this.plot;
    const inside = q.x >= p.x && q.x <= p.x + p.w && q.y >= p.y && q.y <= p.y + p.h;
    return { x: Math.min(Math.max(q.x, p.x), p.x + p.w), y: Math.min(Math.max(q.y, p.y), p.y + p.h), inside };
  }

  drag() {
    let from = null;
    const rectangle = (to) => {
      const r = { x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), w: Math.abs(from.x - to.x), h: Math.abs(from.y - to.y) };
      if (r.h < 12) Object.assign(r, { y: this.plot.y, h: this.plot.h }); // along one axis only
      if (r.w < 12) Object.assign(r, { x: this.plot.x, w: this.plot.w });
      return r;
    };
    this.svg.addEventListener("pointerdown", (e) => {
      const at = this.point(e);
      if (e.button !== 0 || !at.inside || e.target.closest(".key")) return;
      from = at;
      this.svg.setPointerCapture(e.pointerId);
      e.preventDefault();
      this.svg.focus({ preventScroll: true });
    });
    this.svg.addEventListener("pointermove", (e) => {
      if (!from) return;
      const to = this.point(e), r = rectangle(to);
      if (Math.hypot(from.x - to.x, from.y - to.y) < 12) return;
      if (!this.band) this.svg.append((this.band = make(this.svg, "rect", { class: "band" })));
      for (const [key, v] of [["x", r.x], ["y", r.y], ["width", r.w], ["height", r.h]]) this.band.setAttribute(key, v);
    });
    const stop = (e) => {
      const dragged = this.band && e.type === "pointerup";
      this.band?.remove();
      this.band = null;
      if (from && dragged) {
        const r = rectangle(this.point(e));
        this.closer(r.x, r.x + r.w, r.y, r.y + r.h);
      }
      from = null;
    };
    this.svg.addEventListener("pointerup", stop);
    this.svg.addEventListener("pointercancel", stop);
    this.svg.addEventListener("dblclick", () => this.zoom(this.whole()));
  }

  // Zooms to what is now between these pixels.
  closer(x0, x1, y0, y1) {
    const p = this.plot, z = this.window;
    const bx = (px) => z.x0 + ((px - p.x) / p.w) * (z.x1 - z.x0), by = (px) => z.y0 + ((px - p.y) / p.h) * (z.y1 - z.y0);
    const to = { x0: bx(x0), x1: bx(x1), y0: by(y0), y1: by(y1) };
    if (to.x1 - to.x0 > p.w / 2000 && to.y1 - to.y0 > p.h / 2000) this.zoom(to);
  }

  keyboard() {
    let at = -1;
    this.svg.setAttribute("tabindex", "0");
    this.svg.addEventListener("keydown", (e) => {
      const p = this.plot;
      const shown = this.marks.filter((m) => {
        const b = m.getBoundingClientRect();
        return b.width > 0;
      });
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (step && shown.length) {
        at = at < 0 && step < 0 ? shown.length - 1 : (at + step + shown.length) % shown.length;
        const b = shown[at].getBoundingClientRect();
        showTip(shown[at], b.right - 8, b.top);
      } else if (e.key === "+" || e.key === "=") {
        this.closer(p.x + p.w / 4, p.x + (3 * p.w) / 4, p.y + p.h / 4, p.y + (3 * p.h) / 4);
      } else if (e.key === "-" || e.key === "Escape") {
        this.zoom(this.whole());
      } else return;
      e.preventDefault();
    });
    this.svg.addEventListener("blur", () => showTip(null));
  }
}
