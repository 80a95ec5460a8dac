// Plots of the last hour: lines over time in SVG, by hand.
//
// new Plot({title, unit, series, format}) makes a figure (plot.figure). series: [{name, value}],
// value takes a sample (an object) and returns a number, or null where there is none. draw(samples,
// now_ms, every_ms) draws all of it anew; it is cheap: some lines of 720 points. The pointer or the
// arrow keys move a line through the plot, and the legend then shows what was there; else the last
// sample. Screen readers get a summary in words.
"use strict";

class Plot {
  static MINUTE_MS = 60 * 1000;
  static MOST_MS = 60 * Plot.MINUTE_MS;
  static LEAST_MS = 10 * Plot.MINUTE_MS; // of a pgpool that has not been there for an hour yet
  static HEIGHT = 152;
  static STYLES = ["", " dashed", " dotted"];
  static COLOURS = 6;

  constructor({title, unit, series, format}) {
    this.title = title;
    this.unit = unit;
    this.series = series;
    this.format = format;
    this.samples = [];
    this.at = null;
    this.build();
  }

  build() {
    const caption = Plot.html("figcaption", "", this.title + " ");
    caption.append(Plot.html("span", "unit", this.unit));
    this.figure = Plot.html("figure", "plot");
    this.legend = Plot.html("ul", "legend");
    this.svg = Plot.shape("svg", {role: "img", tabindex: "0", "aria-label": this.title});
    this.figure.append(caption, this.legend, this.svg);
    this.values = this.series.map((one, n) => {
      const item = Plot.html("li");
      const value = Plot.html("b", "", "–");
      item.append(Plot.html("span", "key " + Plot.style(n)), one.name + " ", value);
      this.legend.append(item);
      return value;
    });
    this.svg.addEventListener("pointermove", event => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("blur", () => this.move(null));
    this.svg.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(() => this.redraw()).observe(this.svg);
  }

  draw(samples, nowMs, everyMs) {
    const cursorMs = this.at === null ? null : this.samples[this.at]?.at_ms;
    this.samples = samples;
    this.nowMs = nowMs;
    this.everyMs = everyMs;
    this.at = cursorMs === null ? null : samples.findIndex(one => one.at_ms === cursorMs);
    if (this.at !== null && this.at < 0)
      this.at = null;
    this.redraw();
  }

  redraw() {
    const width = this.svg.clientWidth;
    if (!width || this.nowMs === undefined)
      return;
    this.box = {left: 54, right: width - 6, top: 8, bottom: Plot.HEIGHT - 20};
    this.svg.setAttribute("viewBox", `0 0 ${width} ${Plot.HEIGHT}`);
    this.span = Math.min(Plot.MOST_MS, Math.max(
      Plot.LEAST_MS, this.nowMs - (this.samples[0]?.at_ms ?? this.nowMs)));
    this.top = Plot.roundUp(1.02 * Math.max(0, ...this.samples.flatMap(
      sample => this.series.map(one => one.value(sample) ?? 0))));
    this.svg.replaceChildren(...this.axes(), ...this.lines());
    this.cursor = null;
    this.show();
    this.svg.setAttribute("aria-label", this.words());
  }

  x(ms) {
    const {left, right} = this.box;
    return right - (this.nowMs - ms) / this.span * (right - left);
  }

  y(value) {
    const {top, bottom} = this.box;
    return bottom - value / this.top * (bottom - top);
  }

  axes() {
    const {left, right, bottom} = this.box;
    const made = [];
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(this.y(this.top * part)) + 0.5;
      made.push(Plot.shape("line", {class: "grid", x1: left, x2: right, y1: y, y2: y}));
      made.push(Plot.label(left - 6, y + 4, "end", this.format(this.top * part)));
    }
    const step = [2, 5, 10, 15].find(one => this.span / one <= 5 * Plot.MINUTE_MS) * Plot.MINUTE_MS;
    for (let ms = Math.floor(this.nowMs / step) * step; this.x(ms) > left + 4; ms -= step) {
      const x = Math.round(this.x(ms)) + 0.5;
      made.push(Plot.shape("line", {class: "grid", x1: x, x2: x, y1: this.box.top, y2: bottom}));
      if (x > left + 16 && x < right - 14)
        made.push(Plot.label(x, Plot.HEIGHT - 5, "middle", Plot.clock(ms)));
    }
    return made;
  }

  // A line ends where a value is missing, or no sample was taken for some time.
  lines() {
    return this.series.map((one, n) => {
      let path = "";
      let lastMs = null;
      for (const sample of this.samples) {
        const value = one.value(sample);
        if (value === null || this.x(sample.at_ms) < this.box.left) {
          lastMs = null;
          continue;
        }
        const joined = lastMs !== null && sample.at_ms - lastMs < 3 * this.everyMs;
        const point = `${this.x(sample.at_ms).toFixed(1)} ${this.y(value).toFixed(1)}`;
        path += joined ? `L${point}` : `M${point}h0.8`;
        lastMs = sample.at_ms;
      }
      return Plot.shape("path", {class: Plot.style(n), d: path});
    }).reverse();
  }

  // ---- the line that moves ----

  point(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    let best = null;
    this.samples.forEach((one, n) => {
      if (best === null || Math.abs(this.x(one.at_ms) - x) <
          Math.abs(this.x(this.samples[best].at_ms) - x))
        best = n;
    });
    this.move(best);
  }

  key(event) {
    const last = this.samples.length - 1;
    const steps = {ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -last, End: last};
    if (event.key === "Escape")
      this.move(null);
    if (!(event.key in steps) || last < 0)
      return;
    event.preventDefault();
    this.move(Math.min(last, Math.max(0, (this.at ?? last) + steps[event.key])));
    this.legend.setAttribute("aria-live", "polite");
  }

  move(at) {
    if (at === this.at)
      return;
    this.at = at;
    if (at === null)
      this.legend.removeAttribute("aria-live");
    this.show();
  }

  show() {
    const sample = this.samples[this.at ?? this.samples.length - 1];
    this.cursor?.remove();
    this.cursor = null;
    this.series.forEach((one, n) => {
      const value = sample ? one.value(sample) : null;
      Plot.text(this.values[n], value === null ? "–" : this.format(value));
    });
    if (this.at === null || !sample || !this.box)
      return;
    const x = this.x(sample.at_ms);
    this.cursor = Plot.shape("g", {});
    this.cursor.append(
      Plot.shape("line", {class: "cursor", x1: x, x2: x, y1: this.box.top, y2: this.box.bottom}),
      Plot.label(Math.min(Math.max(x, this.box.left + 26), this.box.right - 26), this.box.top + 8,
                 "middle", Plot.clock(sample.at_ms, true)));
    this.svg.append(this.cursor);
  }

  words() {
    if (this.samples.length === 0)
      return `${this.title}: no sample yet`;
    const parts = this.series.map(one => {
      const values = this.samples.map(one.value).filter(value => value !== null);
      if (values.length === 0)
        return `${one.name} not known`;
      return `${one.name} ${this.format(values[values.length - 1])}, ` +
        `at most ${this.format(Math.max(...values))}`;
    });
    return `${this.title}, ${this.unit}, last hour: ${parts.join("; ")}. Arrow keys show moments.`;
  }

  // ---- small things ----

  static style(n) {
    return `c${n % Plot.COLOURS}` + Plot.STYLES[Math.floor(n / Plot.COLOURS) % Plot.STYLES.length];
  }

  static html(name, style = "", text = "") {
    const made = document.createElement(name);
    if (style)
      made.className = style;
    made.textContent = text;
    return made;
  }

  static shape(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes))
      made.setAttribute(key, value);
    return made;
  }

  static label(x, y, anchor, text) {
    const made = Plot.shape("text", {x, y, "text-anchor": anchor});
    made.textContent = text;
    return made;
  }

  static text(element, text) {
    if (element.textContent !== text)
      element.textContent = text;
  }

  static clock(ms, seconds = false) {
    return new Date(ms).toLocaleTimeString([], {
      hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hour12: false});
  }

  // 1, 2 or 5 times a power of ten, so that half of it reads well, too.
  static roundUp(value) {
    if (!(value > 0))
      return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 3, 4, 6, 8, 10].map(step => step * power).find(step => step >= value * 0.999);
  }
}
