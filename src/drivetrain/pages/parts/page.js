// What all pages share: reading sliders, showing numbers, drawing charts.

const byId = (id) => document.getElementById(id);

// The numbers of all sliders, by their ids; each slider's own number is shown beside it.
function sliders() {
  const values = {};
  for (const input of document.querySelectorAll('input[type="range"]')) {
    values[input.id] = Number(input.value);
    input.parentElement.querySelector("output").textContent = short(values[input.id]);
  }
  return values;
}

function whenMoved(redraw) {
  for (const input of document.querySelectorAll('input[type="range"], select')) {
    input.addEventListener("input", redraw);
  }
  redraw();
}

function moveTo(id, value) {
  byId(id).value = String(value);
}

// Numbers as people read them: four digits, and what rounding left of a 0 as 0.
function short(value) {
  if (Math.abs(value) < 1e-12) return "0";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "not a number";
  if (Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)) return minus(value.toExponential(2));
  return minus(String(Number(value.toFixed(4))));
}

const minus = (text) => text.replace(/-/g, "−");

// A number on the page: for people in four digits, for whoever computes with it in full.
function show(id, value) {
  byId(id).textContent = short(value);
  byId(id).dataset.value = String(value);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const range = (count) => Array.from({ length: count }, (_, index) => index);

// A chart in an <svg>: `x` and `y` are [low, high] of what it shows.
class Chart {
  constructor(id, x, y) {
    this.svg = byId(id);
    const box = this.svg.viewBox.baseVal;
    [this.width, this.height] = [box.width, box.height];
    this.margin = { left: 46, right: 12, top: 12, bottom: 28 };
    this.begin(x, y);
  }

  begin(x, y) {
    [this.x, this.y] = [x, y];
    this.svg.replaceChildren();
    const clip = this.add("clipPath", { id: `${this.svg.id}-inside` });
    const inside = { x: this.margin.left, y: this.margin.top };
    inside.width = this.width - this.margin.right - inside.x;
    inside.height = this.height - this.margin.bottom - inside.y;
    clip.append(this.add("rect", inside));
    for (const tick of ticks(x)) {
      this.add("line", { x1: this.px(tick), x2: this.px(tick), y1: this.margin.top, y2: this.height - this.margin.bottom, class: "axis" });
      this.word(this.px(tick), this.height - 9, short(tick), "middle");
    }
    for (const tick of ticks(y)) {
      this.add("line", { x1: this.margin.left, x2: this.width - this.margin.right, y1: this.py(tick), y2: this.py(tick), class: "axis" });
      this.word(this.margin.left - 6, this.py(tick) + 4, short(tick), "end");
    }
  }

  px(x) {
    return this.margin.left + ((x - this.x[0]) / (this.x[1] - this.x[0])) * (this.width - this.margin.left - this.margin.right);
  }

  // Far outside is as good as outside, and a number that the browser can draw with.
  py(y) {
    const share = Math.min(Math.max((y - this.y[0]) / (this.y[1] - this.y[0]), -50), 50);
    return this.height - this.margin.bottom - share * (this.height - this.margin.top - this.margin.bottom);
  }

  add(kind, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    this.svg.append(element);
    return element;
  }

  word(x, y, text, anchor) {
    this.add("text", { x, y, class: "axis-text", "text-anchor": anchor }).textContent = text;
  }

  curve(f, kind = "curve", points = 240) {
    const xs = range(points + 1).map((i) => this.x[0] + ((this.x[1] - this.x[0]) * i) / points);
    this.path(xs.map((x) => [x, f(x)]), kind);
  }

  path(points, kind = "curve") {
    const kept = points.filter(([, y]) => Number.isFinite(y));
    const line = kept.map(([x, y]) => `${this.px(x).toFixed(2)},${this.py(y).toFixed(2)}`).join(" ");
    this.add("polyline", { points: line, class: kind, "clip-path": `url(#${this.svg.id}-inside)` });
  }

  dots(points, kind = "dot", radius = 4) {
    for (const [x, y] of points) {
      if (y >= this.y[0] && y <= this.y[1] && x >= this.x[0] && x <= this.x[1]) this.add("circle", { cx: this.px(x), cy: this.py(y), r: radius, class: kind });
    }
  }

  rest(x, from, to) {
    this.add("line", { x1: this.px(x), x2: this.px(x), y1: this.py(from), y2: this.py(to), class: "rest", "clip-path": `url(#${this.svg.id}-inside)` });
  }
}

// About five round numbers within [low, high].
function ticks([low, high]) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const first = Math.ceil(low / step);
  return range(Math.floor(high / step) - first + 1).map((i) => Number(((first + i) * step).toPrecision(6)));
}
