"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const canvas = at("plane"), told = at("told"), count = DATA.x.length;
const isWrong = new Uint8Array(count);
for (const row of DATA.wrong) isWrong[row] = 1;
const view = {scale: 1, x: 0, y: 0};
let alone = -1, words = "", chosen = -1, base = {scale: 1, x: 0, y: 0};
const low = [Math.min(...DATA.x), Math.min(...DATA.y)];
const high = [Math.max(...DATA.x), Math.max(...DATA.y)];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function place(row) {
  const scale = base.scale * view.scale;
  return [
    (DATA.x[row] - base.x) * scale + view.x + canvas.clientWidth / 2,
    (base.y - DATA.y[row]) * scale + view.y + canvas.clientHeight / 2,
  ];
}

function isSeen(row) {
  if (alone >= 0 && DATA.code[row] !== alone) return false;
  if (at("wrong").checked && !isWrong[row]) return false;
  if (!words) return true;
  return DATA.names[row].toLowerCase().includes(words) || DATA.labels[row].toLowerCase().includes(words);
}

function path(pen, form, x, y, r) {
  pen.beginPath();
  if (form === 1) pen.rect(x - r * .88, y - r * .88, r * 1.76, r * 1.76);
  else if (form === 2) {
    pen.moveTo(x, y - r * 1.25); pen.lineTo(x + r * 1.25, y + r * .9); pen.lineTo(x - r * 1.25, y + r * .9);
  } else if (form === 3) {
    pen.moveTo(x, y - r * 1.25); pen.lineTo(x + r * 1.25, y); pen.lineTo(x, y + r * 1.25);
    pen.lineTo(x - r * 1.25, y);
  } else pen.arc(x, y, r, 0, 7);
  pen.closePath();
}

function fit() {
  const dots = window.devicePixelRatio || 1;
  const [wide, tall] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(wide * dots);
  canvas.height = Math.round(tall * dots);
  const scales = [(wide - 40) / (high[0] - low[0]), (tall - 40) / (high[1] - low[1])];
  const scale = Math.min(...scales);
  base = {
    scale: Number.isFinite(scale) ? scale : 1, x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2,
  };
  draw();
}

function draw() {
  const dots = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  const colours = DATA.groups.map((group) => colour(group.kind)), rest = colour(DATA.rest);
  const ink = colour("ink"), card = colour("card"), size = count > 2500 ? 2.6 : 3.6;
  for (const round of [0, 1]) {  // what was looked for lies above the rest
    for (let row = 0; row < count; row++) {
      const seen = isSeen(row);
      if (seen !== Boolean(round)) continue;
      const [x, y] = place(row);
      if (x < -9 || y < -9 || x > canvas.clientWidth + 9 || y > canvas.clientHeight + 9) continue;
      const code = DATA.code[row];
      pen.globalAlpha = seen ? .9 : .09;
      pen.fillStyle = code >= 0 ? colours[code] : rest;
      path(pen, code >= 0 ? DATA.groups[code].form : 0, x, y, size);
      pen.fill();
      if (seen && isWrong[row]) {
        pen.globalAlpha = 1;
        pen.strokeStyle = ink;
        pen.lineWidth = 1.2;
        path(pen, 0, x, y, size + 2.4);
        pen.stroke();
      }
    }
  }
  pen.globalAlpha = 1;
  if (!DATA.ordered && DATA.groups.length <= 12) named(pen, ink, card);
  if (chosen >= 0) {
    const [x, y] = place(chosen);
    pen.strokeStyle = ink;
    pen.lineWidth = 2.4;
    path(pen, 0, x, y, size + 5.5);
    pen.stroke();
  }
}

function middle(values) {
  values.sort((a, b) => a - b);
  return values[values.length >> 1];
}

function named(pen, ink, card) {
  const boxes = [];
  pen.font = "650 13px system-ui, sans-serif";
  pen.textAlign = "center";
  DATA.groups.forEach((group, code) => {
    if (alone >= 0 && alone !== code) return;
    const places = [];
    for (let row = 0; row < count; row++) if (DATA.code[row] === code) places.push(place(row));
    if (!places.length) return;
    const name = group.name.length > 26 ? `${group.name.slice(0, 24)}…` : group.name;
    const half = pen.measureText(name).width / 2 + 3;
    const x = Math.min(Math.max(middle(places.map((p) => p[0])), half), canvas.clientWidth - half);
    const y0 = middle(places.map((p) => p[1]));
    let y = y0;
    for (let step = 0; step < 24; step++) {
      y = y0 + 16 * (step >> 1) * (step % 2 ? -1 : 1);
      if (boxes.every(([a, b, c]) => Math.abs(y - b) >= 16 || Math.abs(x - a) >= half + c)) break;
    }
    boxes.push([x, y, half]);
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = card;
    pen.strokeText(name, x, y + 4);
    pen.fillStyle = ink;
    pen.fillText(name, x, y + 4);
  });
}

function line(text, kind) {
  const element = document.createElement("p");
  element.textContent = text;
  if (kind) element.className = kind;
  told.append(element);
}

function choose(row) {
  if (row === chosen) return;
  chosen = row;
  if (row >= 0) {
    told.replaceChildren();
    picture(row);
    line(DATA.names[row], "what");
    if (DATA.labels[row]) line(DATA.labels[row]);
    if (DATA.said[row]) line(`the model says ${DATA.said[row]}`, isWrong[row] ? "no" : "quiet");
    if (DATA.details[row]) line(DATA.details[row], "quiet");
  }
  canvas.dataset.row = row;
  draw();
}

function picture(row) {
  const sheet = document.querySelector("#sheet img");
  if (!sheet || !DATA.side) return;
  const small = document.createElement("canvas"), side = DATA.side;
  small.width = small.height = 2 * side;
  const pen = small.getContext("2d");
  pen.drawImage(
    sheet, (row % DATA.across) * side, Math.floor(row / DATA.across) * side, side, side, 0, 0, 2 * side, 2 * side,
  );
  told.append(small);
}

function nearest(x, y, reach) {
  let best = -1, least = reach * reach;
  for (let row = 0; row < count; row++) {
    if (!isSeen(row)) continue;
    const [a, b] = place(row), apart = (a - x) ** 2 + (b - y) ** 2;
    if (apart < least) [best, least] = [row, apart];
  }
  return best;
}

function towards(right, down) {  // the nearest dot within 45 degrees of a direction
  if (chosen < 0) return nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, 1e6);
  const [x, y] = place(chosen);
  let best = chosen, least = Infinity;
  for (let row = 0; row < count; row++) {
    if (row === chosen || !isSeen(row)) continue;
    const [a, b] = place(row), along = (a - x) * right + (b - y) * down;
    const aside = Math.abs((a - x) * down) + Math.abs((b - y) * right);
    if (along <= 0 || aside > along) continue;
    if (along + aside < least) [best, least] = [row, along + aside];
  }
  return best;
}

function zoom(factor) {
  const next = Math.min(Math.max(view.scale * factor, 1), 200), by = next / view.scale;
  [view.scale, view.x, view.y] = [next, next === 1 ? 0 : view.x * by, next === 1 ? 0 : view.y * by];
  canvas.classList.toggle("zoomed", next > 1);
  draw();
}

let held = null;
canvas.addEventListener("pointerdown", (event) => {
  held = [event.clientX, event.clientY, view.x, view.y];
  pointed(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (held && event.buttons && view.scale > 1) {
    view.x = held[2] + event.clientX - held[0];
    view.y = held[3] + event.clientY - held[1];
    draw();
  } else pointed(event);
});
for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
  canvas.addEventListener(end, () => { held = null; });
}
function pointed(event) {
  const box = canvas.getBoundingClientRect();
  const row = nearest(event.clientX - box.left, event.clientY - box.top, event.pointerType === "touch" ? 26 : 13);
  if (row >= 0) choose(row);
}
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;  // the page scrolls, and two fingers zoom
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 120));
}, {passive: false});
const ways = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]};
canvas.addEventListener("keydown", (event) => {
  if (event.key in ways) choose(towards(...ways[event.key]));
  else if (event.key === "+") zoom(1.5);
  else if (event.key === "-") zoom(1 / 1.5);
  else return;
  event.preventDefault();
});
at("in").addEventListener("click", () => zoom(1.6));
at("out").addEventListener("click", () => zoom(1 / 1.6));
at("whole").addEventListener("click", () => zoom(0));
at("search").addEventListener("input", (event) => {
  words = event.target.value.trim().toLowerCase();
  changed();
});
at("wrong").addEventListener("change", changed);
at("only").hidden = !DATA.wrong.length;
at("axes").textContent = `→ ${DATA.axes[0]}\u2003 ↑ ${DATA.axes[1]}`;

const SHAPE = "http://www.w3.org/2000/svg";
const FORMS = [
  "M1 6a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z", "M1.5 1.5h9v9h-9z", "M6 .5l5.5 10h-11z", "M6 0l6 6l-6 6l-6 -6z",
];
DATA.groups.forEach((group, code) => {
  const many = DATA.code.filter((one) => one === code).length;
  if (!many) return;
  const button = document.createElement("button"), shape = document.createElementNS(SHAPE, "svg");
  const inside = document.createElementNS(SHAPE, "path");
  shape.setAttribute("viewBox", "0 0 12 12");
  shape.setAttribute("aria-hidden", "true");
  inside.setAttribute("d", FORMS[group.form]);
  inside.setAttribute("class", group.kind);
  shape.append(inside);
  const wrong = DATA.wrong.filter((row) => DATA.code[row] === code).length;
  button.append(shape, `${group.name}: ${many.toLocaleString("en")}${wrong ? `, ${wrong} wrong` : ""}`);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    alone = alone === code ? -1 : code;
    for (const other of at("keys").children) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(alone === code));
    changed();
  });
  at("keys").append(button);
});

const MOST = 2000;
function numbers() {
  if (!at("numbers").open) return;
  const rows = [];
  for (let row = 0; row < count; row++) if (isSeen(row)) rows.push(row);
  rows.sort((a, b) => isWrong[b] - isWrong[a] || a - b);
  const [head, body] = [document.querySelector("#numbers thead"), document.querySelector("#numbers tbody")];
  const heads = ["item", "group", ...(DATA.said.length ? ["the model says"] : []), "across", "up"];
  const cells = (kind, values) => {
    const line = document.createElement("tr");
    values.forEach((value, index) => {
      const cell = document.createElement(kind);
      cell.textContent = value;
      if (index >= values.length - 2) cell.className = "num";
      line.append(cell);
    });
    return line;
  };
  head.replaceChildren(cells("th", heads));
  body.replaceChildren(...rows.slice(0, MOST).map((row) => cells("td", [
    DATA.names[row], DATA.labels[row], ...(DATA.said.length ? [DATA.said[row]] : []), DATA.x[row], DATA.y[row],
  ])));
  const more = rows.length > MOST ? ` The first ${MOST.toLocaleString("en")} are listed: search for the others.` : "";
  at("many").textContent = `${rows.length.toLocaleString("en")} of ${count.toLocaleString("en")}.${more}`;
}
at("numbers").addEventListener("toggle", numbers);

function changed() {
  if (chosen >= 0 && !isSeen(chosen)) chosen = -1;
  canvas.dataset.seen = DATA.x.filter((_, row) => isSeen(row)).length;
  draw();
  numbers();
}
window.addEventListener("resize", fit);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
canvas.dataset.seen = count;
fit();
