// The parabola: f(x) = a x² + b x + c against the points.

const picture = new Chart("picture", [-2.2, 2.2], DATA.bounds);
// What descent has reached: finer than a slider's own steps, and forgotten when one is moved by hand.
let exact = null;

const valueAt = ({ a, b, c }, x) => a * x * x + b * x + c;

// Mean squared error and its gradient: d/da of (f(x) - y)² is 2 (f(x) - y) x², and so on.
function descentOf(weights) {
  const errors = DATA.x.map((x, i) => valueAt(weights, x) - DATA.y[i]);
  return {
    mae: mean(errors.map(Math.abs)),
    mse: mean(errors.map((e) => e * e)),
    a: mean(errors.map((e, i) => 2 * e * DATA.x[i] ** 2)),
    b: mean(errors.map((e, i) => 2 * e * DATA.x[i])),
    c: mean(errors.map((e) => 2 * e)),
  };
}

function draw() {
  const weights = exact ?? sliders();
  sliders();
  const found = descentOf(weights);
  picture.begin([-2.2, 2.2], DATA.bounds);
  DATA.x.forEach((x, i) => picture.rest(x, DATA.y[i], valueAt(weights, x)));
  picture.curve((x) => valueAt(weights, x));
  picture.dots(DATA.x.map((x, i) => [x, DATA.y[i]]));
  show("mae", found.mae);
  show("mse", found.mse);
  for (const name of ["a", "b", "c"]) show(`grad_${name}`, found[name]);
  show("best", DATA.best_mse);
  byId("formula").textContent = `${short(weights.a)} x² + ${short(weights.b)} x + ${short(weights.c)}`;
}

function descend(count) {
  const { rate } = sliders();
  let weights = exact ?? sliders();
  for (const _ of range(count)) {
    const slope = descentOf(weights);
    weights = { a: weights.a - rate * slope.a, b: weights.b - rate * slope.b, c: weights.c - rate * slope.c };
  }
  for (const name of ["a", "b", "c"]) moveTo(name, weights[name]);
  exact = weights;
  draw();
}

byId("step").addEventListener("click", () => descend(1));
byId("steps").addEventListener("click", () => descend(20));
byId("reset").addEventListener("click", () => {
  exact = null;
  for (const name of ["a", "b", "c"]) moveTo(name, 1);
  draw();
});
for (const name of ["a", "b", "c"]) byId(name).addEventListener("input", () => { exact = null; });
whenMoved(draw);
