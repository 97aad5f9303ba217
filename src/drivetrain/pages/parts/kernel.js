// Nine weights over a picture: cross-correlation, which is what nets call convolution.

const PICTURE = DATA.picture;
const [HIGH, WIDE] = [PICTURE.length, PICTURE[0].length];
let chosen = null; // [row, column] of what comes out

const sizeOf = (n, padding, stride) => Math.floor((n + 2 * padding - 3) / stride) + 1;

const pixel = (row, column) =>
  row >= 0 && row < HIGH && column >= 0 && column < WIDE ? PICTURE[row][column] : 0;

function weightsOf(values) {
  return range(9).map((i) => values[`w${i}`]);
}

// The nine pixels under the kernel for one cell, padding as 0.
function patch(row, column, { padding, stride }) {
  return range(9).map((i) =>
    pixel(row * stride - padding + Math.floor(i / 3), column * stride - padding + (i % 3)));
}

function convolved(values) {
  const weights = weightsOf(values);
  const after = byId("after").value;
  return range(sizeOf(HIGH, values.padding, values.stride)).map((row) =>
    range(sizeOf(WIDE, values.padding, values.stride)).map((column) => {
      const inside = patch(row, column, values);
      const sum = inside.reduce((total, x, i) => total + x * weights[i], values.bias);
      return after === "relu" ? Math.max(0, sum) : sum;
    }));
}

// Cells as squares of grey; returns the side of one.
function paint(id, cells, low, high) {
  const canvas = byId(id);
  const side = Math.max(4, Math.floor(480 / Math.max(cells.length, cells[0].length)));
  [canvas.width, canvas.height] = [side * cells[0].length, side * cells.length];
  const context = canvas.getContext("2d");
  cells.forEach((row, r) => row.forEach((value, c) => {
    const level = high > low ? Math.round((255 * (value - low)) / (high - low)) : 128;
    context.fillStyle = `rgb(${level},${level},${level})`;
    context.fillRect(c * side, r * side, side, side);
  }));
  return side;
}

function frame(id, row, column, count, side) {
  const context = byId(id).getContext("2d");
  context.strokeStyle = "#f0802a";
  context.lineWidth = 3;
  context.strokeRect(column * side + 1, row * side + 1, count * side - 2, count * side - 2);
}

function draw() {
  const values = sliders();
  const cells = convolved(values);
  const [rows, columns] = [cells.length, cells[0].length];
  if (chosen === null) chosen = [Math.floor(rows / 4), Math.floor(columns / 2)];
  chosen = [Math.min(chosen[0], rows - 1), Math.min(chosen[1], columns - 1)];
  const flat = cells.flat();
  const [smallest, largest] = [Math.min(...flat), Math.max(...flat)];
  const side = paint("output", cells, smallest, largest);
  frame("output", chosen[0], chosen[1], 1, side);
  const pad = values.padding;
  const padded = range(HIGH + 2 * pad).map((r) => range(WIDE + 2 * pad).map((c) => pixel(r - pad, c - pad)));
  const inside = paint("input", padded, 0, 1);
  frame("input", chosen[0] * values.stride, chosen[1] * values.stride, 3, inside);

  show("value", cells[chosen[0]][chosen[1]]);
  show("mean", mean(flat));
  show("largest", largest);
  show("smallest", smallest);
  byId("size").textContent = `${rows} × ${columns}`;
  byId("size_formula").textContent =
    `size: ⌊(n + 2p − k) / s⌋ + 1 = ⌊(${HIGH} + 2·${pad} − 3) / ${values.stride}⌋ + 1 = ${rows}`;
  const weights = weightsOf(values);
  const products = patch(chosen[0], chosen[1], values).map((x, i) => `${short(x)}·${bracketed(weights[i])}`);
  const relu = byId("after").value === "relu" ? "max(0, " : "";
  byId("sum_formula").textContent =
    `row ${chosen[0] + 1}, column ${chosen[1] + 1}: ${relu}${products.join(" + ")} + ${bracketed(values.bias)}` +
    `${relu ? ")" : ""} = ${short(cells[chosen[0]][chosen[1]])}`;
}

const bracketed = (value) => (value < 0 ? `(${short(value)})` : short(value));

function choose(event) {
  const canvas = byId("output");
  const box = canvas.getBoundingClientRect();
  const { padding, stride } = sliders();
  const [rows, columns] = [sizeOf(HIGH, padding, stride), sizeOf(WIDE, padding, stride)];
  const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
  const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
  chosen = [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
  draw();
}

byId("output").addEventListener("pointermove", choose);
byId("output").addEventListener("pointerdown", choose);
for (const button of document.querySelectorAll("button[data-kernel]")) {
  button.addEventListener("click", () => {
    DATA.kernels[button.dataset.kernel].forEach((weight, i) => moveTo(`w${i}`, weight));
    moveTo("bias", 0);
    draw();
  });
}
whenMoved(draw);
