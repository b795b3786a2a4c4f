// What a page of results does beside its figures: charts over time with one crosshair, the theme, saving of data.
// labPage.mount(root) may be called again for what came into the page later.
const labPage = (() => {
  const dashes = [[], [7, 3], [2, 3], [9, 3, 2, 3], [5, 5], [12, 4], [3, 2], [1, 4]];
  const timelines = new Map(); // element -> TimeCharts

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const element = (name, attributes, ...children) => {
    const e = document.createElement(name);
    for (const key in attributes) e.setAttribute(key, attributes[key]);
    e.append(...children);
    return e;
  };

  // A value as a chart has room for it: four significant digits.
  function written(v) {
    if (v === null || v === undefined) return "–";
    const size = Math.abs(v);
    if (size >= 1e7) return +(v / 1e6).toPrecision(4) + "M";
    if (size >= 1e4) return +(v / 1e3).toPrecision(4) + "k";
    return size === 0 ? "0" : String(+v.toPrecision(4));
  }

  // The value that a line has nearest to a moment; null in a hole and beyond its ends.
  function at(line, x) {
    const t = line.t;
    if (!t.length) return null;
    let low = 0, high = t.length - 1;
    while (high - low > 1) {
      const mid = (low + high) >> 1;
      if (t[mid] <= x) low = mid; else high = mid;
    }
    const spacing = t.length > 1 ? (t[t.length - 1] - t[0]) / (t.length - 1) : 1;
    if (x < t[0] - 2 * spacing || x > t[t.length - 1] + 2 * spacing) return null;
    return line.v[x - t[low] <= t[high] - x ? low : high];
  }

  class TimeCharts {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script.series").textContent);
      this.window = [this.data.from, this.data.to];
      this.output = element("output", { role: "status" });
      this.reset = element("button", { type: "button" }, root.dataset.reset);
      this.reset.hidden = true;
      this.reset.onclick = () => this.zoom(this.data.from, this.data.to);
      this.bar = element("div", { class: "bar" }, this.output, this.reset);
      this.help = element("p", { class: "note", id: root.id + "-help" }, root.dataset.help);
      const panels = [...root.querySelectorAll(":scope > .panel")];
      panels[0].before(this.help, this.bar);
      this.plots = panels.map((panel, i) => this.panel(panel, this.data.panels[i]));
      this.keyboard(panels);
      this.observer = new ResizeObserver(() => this.resize());
      this.observer.observe(root);
      root.classList.add("mounted");
      this.resize();
      this.point(null);
    }

    panel(panel, data) {
      panel.classList.add("live");
      const keys = element("p", { class: "keys" });
      const box = element("div", { class: "plots" });
      panel.append(keys, box);
      const values = data.lines.map((line, i) => {
        const v = element("span", { class: "v" });
        const button = element("button", { type: "button", "aria-pressed": "true" }, element("span", { class: "swatch s" + (line.style % 8) }), line.name + " ", v);
        button.onclick = () => {
          const shown = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", String(shown));
          plot.setSeries(i + 1, { show: shown });
        };
        keys.append(button);
        return v;
      });
      if (data.marks?.length) keys.append(element("span", { class: "marks" }, element("span", { class: "swatch block" }), data.mark));
      const plot = new uPlot(this.options(data), data.lines.length ? uPlot.join(data.lines.map((l) => [l.t, l.v])) : [[], []], box);
      plot.labValues = values;
      plot.labData = data;
      return plot;
    }

    options(data) {
      const axis = { stroke: () => css("--chart-muted"), grid: { stroke: () => css("--chart-mesh"), width: 1 }, ticks: { stroke: () => css("--chart-axis"), width: 1, size: 4 }, font: "11px sans-serif" };
      const values = (_, splits) => splits.map((v) => (v === null ? "" : written(v)));
      const range = (_, low, high) => {
        if (low === null || high === null) return [0, 1];
        if (low === high) return [Math.min(low, 0), high > 0 ? high * 1.15 : 1];
        return uPlot.rangeNum(data.zero ? Math.min(0, low) : low, high, 0.1, data.zero);
      };
      return {
        width: 600, height: 130, legend: { show: false }, padding: [8, 10, 0, 0],
        scales: { x: { time: false, range: () => this.window }, y: { range } },
        axes: [{ ...axis, size: 26, values: (_, splits) => splits.map((v) => written(v)) }, { ...axis, size: 54, values, space: 26 }],
        series: [{}, ...data.lines.map((line) => ({
          label: line.name, stroke: () => css("--chart-s" + (line.style % 8)), width: 1.5, dash: dashes[line.style % 8], points: { show: line.t.length < 40 ? undefined : false },
          paths: line.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
        }))],
        cursor: {
          y: false, points: { show: false }, sync: { key: this.root.id }, drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => { this.zoom(this.data.from, this.data.to); return null; } },
        },
        hooks: {
          drawClear: [(u) => this.shade(u, data)],
          setCursor: [(u) => { if (u.cursor.event || u.cursor.left < 0) this.point(u.cursor.left < 0 ? null : u.posToVal(u.cursor.left, "x")); }],
          setSelect: [(u) => {
            const { left, width } = u.select;
            if (width < 4) return;
            const low = u.posToVal(left, "x"), high = u.posToVal(left + width, "x");
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            this.zoom(low, high);
          }],
        },
      };
    }

    // Phases in grey, every other one a little darker; what is marked in its own colour.
    shade(u, data) {
      const { ctx, bbox } = u;
      const fill = (from, to, color, alpha, name) => {
        const left = Math.max(u.valToPos(from, "x", true), bbox.left), right = Math.min(u.valToPos(to, "x", true), bbox.left + bbox.width);
        if (right < left) return;
        ctx.save();
        ctx.globalAlpha = alpha;
        ctx.fillStyle = color;
        ctx.fillRect(left, bbox.top, Math.max(right - left, devicePixelRatio), bbox.height);
        if (name) {
          ctx.globalAlpha = 1;
          ctx.fillStyle = css("--chart-muted");
          ctx.textAlign = "left";
          ctx.textBaseline = "alphabetic";
          ctx.font = 11 * devicePixelRatio + "px sans-serif";
          if (ctx.measureText(name).width < right - left - 8) ctx.fillText(name, left + 4 * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
        }
        ctx.restore();
      };
      this.data.bands.forEach((band, i) => fill(band.from, band.to, css("--chart-mesh"), i % 2 ? 0.85 : 0.5, band.name));
      for (const mark of data.marks || []) fill(mark.from, mark.to, css("--chart-s1"), 0.3);
    }

    // Shows the values of a moment; null: of none.
    point(x) {
      this.x = x;
      let text = "";
      if (x !== null) {
        text = x.toFixed(this.window[1] - this.window[0] < 20 ? 3 : 1) + " s";
        const names = this.data.bands.filter((b) => b.from <= x && x <= b.to).map((b) => b.name);
        const near = (this.window[1] - this.window[0]) / 200;
        for (const p of this.data.panels) for (const m of p.marks || []) if (m.from - near <= x && x <= m.to + near && !names.includes(m.name)) names.push(m.name);
        if (names.length) text += " · " + names.join(" · ");
      }
      this.output.textContent = text || this.data.origin;
      for (const plot of this.plots) plot.labValues.forEach((v, i) => { v.textContent = x === null ? "" : written(at(plot.labData.lines[i], x)); });
    }

    zoom(low, high) {
      this.window = [Math.max(low, this.data.from), Math.min(high, this.data.to)];
      this.reset.hidden = this.window[0] === this.data.from && this.window[1] === this.data.to;
      for (const plot of this.plots) plot.redraw(false, true), plot.setScale("x", { min: this.window[0], max: this.window[1] });
    }

    move(x) {
      x = Math.min(Math.max(x, this.window[0]), this.window[1]);
      for (const plot of this.plots) plot.setCursor({ left: plot.valToPos(x, "x"), top: 10 }, false, false);
      this.point(x);
    }

    keyboard(panels) {
      const first = panels[0].querySelector(".plots");
      for (const panel of panels) {
        const box = panel.querySelector(".plots");
        box.setAttribute("tabindex", box === first ? "0" : "-1");
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", panel.querySelector("h3").textContent);
        box.setAttribute("aria-describedby", this.help.id);
        box.addEventListener("keydown", (e) => {
          const length = this.window[1] - this.window[0], x = this.x ?? this.window[0];
          const step = { ArrowRight: 0.01, ArrowLeft: -0.01, PageDown: 0.1, PageUp: -0.1 }[e.key];
          if (step) this.move(x + step * length);
          else if (e.key === "Home") this.move(this.window[0]);
          else if (e.key === "End") this.move(this.window[1]);
          else if (e.key === "+" || e.key === "=") this.zoom(x - length / 4, x + length / 4);
          else if (e.key === "-") this.zoom(x - length, x + length);
          else if (e.key === "Escape") this.zoom(this.data.from, this.data.to);
          else return;
          e.preventDefault();
        });
      }
    }

    resize() {
      for (const plot of this.plots) {
        const width = plot.root.parentNode.clientWidth;
        if (width && width !== plot.width) plot.setSize({ width, height: 130 });
      }
    }

    redraw() { for (const plot of this.plots) plot.redraw(); }

    destroy() {
      this.observer.disconnect();
      for (const plot of this.plots) plot.destroy();
    }
  }

  function mount(root) {
    for (const [e, charts] of timelines) if (!e.isConnected) charts.destroy(), timelines.delete(e);
    for (const e of root.querySelectorAll(".timeline:not(.mounted)")) timelines.set(e, new TimeCharts(e));
    for (const figure of root.querySelectorAll("figure.picture")) {
      if (figure.dataset.mounted) continue;
      figure.dataset.mounted = "yes";
      new Chart(figure);
    }
    for (const button of root.querySelectorAll("button[data-save]")) {
      button.hidden = false;
      button.onclick = () => save(button.dataset.file, document.getElementById(button.dataset.save).textContent);
    }
  }

  function save(name, text) {
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function redraw() { for (const charts of timelines.values()) charts.redraw(); }

  const theme = document.getElementById("theme");
  if (theme) {
    theme.hidden = false;
    theme.onclick = () => {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      redraw();
    };
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details:not([open])")) { d.open = true; d.dataset.shut = "yes"; } });
  addEventListener("afterprint", () => { for (const d of document.querySelectorAll("details[data-shut]")) { d.open = false; delete d.dataset.shut; } });
  // From when to when the charts of a timeline show.
  const span = (id) => timelines.get(document.getElementById(id)).window;
  return { mount, redraw, span };
})();
globalThis.labPage = labPage;
labPage.mount(document);
