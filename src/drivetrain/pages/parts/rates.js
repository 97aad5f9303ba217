// Descent on w², with momentum in torch's form: v ← momentum · v + gradient, w ← w − rate · v.

const valley = new Chart("valley", [-4.5, 4.5], [0, 18]);
const losses = new Chart("losses", [0, 12], [0, 10]);

function descend(start, rate, momentum, count) {
  const ws = [start];
  let velocity = 0;
  for (const step of range(count)) {
    velocity = momentum * velocity + 2 * ws[step];
    ws.push(ws[step] - rate * velocity);
  }
  return ws;
}

function told(rate, momentum, ws) {
  const [first, last] = [Math.abs(ws[0]), Math.abs(ws[ws.length - 1])];
  if (first === 0) return "It starts at the bottom: there is nothing to descend.";
  if (last > first) return "Too large: it is further from the bottom than it began.";
  if (momentum === 0 && rate > 0.5) return "It jumps over the bottom at each step, and still gets there.";
  if (last > 0.5 * first) return "Too small: after all these steps more than half of the way is left.";
  return last < 0.01 * first ? "It has arrived." : "It goes down at each step.";
}

function draw() {
  const { power, momentum, start, count } = sliders();
  const rate = 10 ** power;
  const ws = descend(start, rate, momentum, count);
  valley.begin([-4.5, 4.5], [0, 18]);
  valley.curve((w) => w * w);
  valley.path(ws.map((w) => [w, w * w]), "curve other");
  valley.dots(ws.map((w) => [w, w * w]), "dot step", 5);
  const squares = ws.map((w) => w * w);
  const highest = Math.min(Math.max(...squares.filter(Number.isFinite), 0.1), 1e6);
  losses.begin([0, count], [0, highest]);
  losses.path(squares.map((loss, step) => [step, loss]));
  losses.dots(squares.map((loss, step) => [step, loss]), "dot", 3);
  show("rate", rate);
  show("last", ws[count]);
  show("loss", ws[count] ** 2);
  if (momentum === 0) show("factor", 1 - 2 * rate);
  else byId("factor").textContent = "varies";
  byId("verdict").textContent = told(rate, momentum, ws);
  const rows = ws.slice(0, 8).map((w, step) => {
    const row = document.createElement("tr");
    row.append(...[step, w, 2 * w, w * w].map((value) => {
      const cell = document.createElement("td");
      cell.textContent = short(value);
      return cell;
    }));
    return row;
  });
  byId("rows").replaceChildren(...rows);
}

for (const button of document.querySelectorAll("button[data-power]")) {
  button.addEventListener("click", () => {
    moveTo("power", button.dataset.power);
    moveTo("momentum", 0);
    draw();
  });
}
whenMoved(draw);
