// Sums of ReLUs against a sine.

const EDGES = [-1.25 * Math.PI, 1.25 * Math.PI];
const HEIGHT = [-2, 2];
const two = new Chart("two", EDGES, HEIGHT);
const many = new Chart("many", EDGES, HEIGHT);
// Where errors are measured: 401 places from −π to π.
const PLACES = range(401).map((i) => -Math.PI + (2 * Math.PI * i) / 400);

const relu = (x) => Math.max(0, x);

function errorsOf(f) {
  return PLACES.map((x) => Math.abs(f(x) - Math.sin(x)));
}

function draw() {
  const { m1, b1, m2, b2, scale, shift, k } = sliders();
  const first = (x) => scale * relu(m1 * x + b1);
  const second = (x) => scale * relu(m2 * x + b2);
  const sum = (x) => first(x) + second(x) + shift;
  two.begin(EDGES, HEIGHT);
  two.curve(Math.sin, "curve other");
  two.curve(first, "curve thin");
  two.curve(second, "curve thin");
  two.curve(sum);
  show("loss_two", mean(errorsOf(sum)));

  const { starts, rises, added } = DATA.fits[k - 1];
  const fitted = (x) => starts.reduce((total, start, i) => total + rises[i] * relu(x - start), added);
  many.begin(EDGES, HEIGHT);
  many.curve(Math.sin, "curve other");
  many.curve(fitted, "curve", 480);
  many.dots(starts.map((start) => [start, fitted(start)]));
  show("loss_many", Math.max(...errorsOf(fitted)));
  show("mae_many", mean(errorsOf(fitted)));
}

whenMoved(draw);
