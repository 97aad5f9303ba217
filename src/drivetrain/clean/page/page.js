// The cleaning page. Data goes into the page as text alone (textContent), never as HTML.
//
// Every decision stands in the browser's storage before it is sent, and is taken out when the server
// has it on its disk. What could not be sent stays there over a reload, a crash or a new start of the
// server, and is sent once: its key tells the server when it comes a second time.
//
// What is listed are entries: items, or where items have several targets each of their labels. Leaving an
// item out is of all its entries.
"use strict";

const PAGE = 60; // cells of the grid at a time
const BESIDE = 12; // other labels of an item that are shown, the most doubtful
const RESERVED = "dkurg"; // letters that do something else
const KEYS = "123456789" + [..."abcdefghijklmnopqrstuvwxyz"].filter((one) => !RESERVED.includes(one)).join("");
const element = (id) => document.getElementById(id);

let items = [];
let classes = []; // labels, where there is one target
let targets = {}; // else target -> its labels
let together = new Map(); // hash of an item -> its entries
let decisions = new Map(); // entry -> what the server says stands
let number = 0; // of the newest edit that the server has told of
let box = ""; // begin of our names in the browser's storage
let shown = []; // items that pass the filters, worst first
let at = 0; // of them, the one that is looked at
let isGrid = false;
let pending = []; // edits that the server has not yet, in order
let counter = 0;
let isSending = false;
let timer = 0;
let wait = 500; // milliseconds until the next try
let saved = 0;
let isStored = true;

// --- talking to the server ------------------------------------------------------------------------

async function ask(path, body) {
  const options = { headers: { "X-Drivetrain": "clean" }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const control = new AbortController();
  const late = setTimeout(() => control.abort(), 15000);
  try {
    const answer = await fetch(path, { ...options, signal: control.signal });
    return { status: answer.status, value: await answer.json() };
  } catch {
    return { status: 0, value: { error: "The server does not answer. Is drivetrain clean still running?" } };
  } finally {
    clearTimeout(late);
  }
}

async function refresh(known) {
  const { status, value } = await ask("/api/state/" + known);
  if (status !== 200) {
    if (!pending.length) tell(value.error);
    return;
  }
  if (!pending.length) tell("");
  if (value.decisions === undefined || value.number < number) return;
  number = value.number;
  decisions = new Map(Object.entries(value.decisions));
  draw();
}

// --- edits that wait ------------------------------------------------------------------------------

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function keep(entry) {
  try {
    localStorage.setItem(entry.name, JSON.stringify(entry));
  } catch {
    isStored = false; // it waits in this tab alone
  }
}

function drop(entry) {
  pending = pending.filter((one) => one.key !== entry.key);
  try {
    localStorage.removeItem(entry.name);
  } catch {
    // it was never there
  }
}

function adopt() {
  const found = [];
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const name = localStorage.key(i);
      if (name.startsWith(box)) found.push(JSON.parse(localStorage.getItem(name)));
    }
  } catch {
    return;
  }
  found.sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const one of found) if (one.item !== undefined && one.entry === undefined) one.entry = one.item; // of an older page
  const known = new Set(pending.map((one) => one.key));
  pending = [...found.filter((one) => !known.has(one.key)), ...pending];
}

function decide(entry) {
  entry.key = newKey();
  counter += 1;
  entry.count = counter;
  entry.name = box + String(Date.now()).padStart(15, "0") + "-" + String(counter).padStart(6, "0") + "-" + entry.key;
  pending.push(entry);
  keep(entry);
  send();
}

function edit(action, label) {
  const item = shown[at];
  if (item === undefined) return;
  const stands = decisions.get(item.entry);
  const entry = { what: "edit", item: item.hash, entry: item.entry, action, seen: stands ? stands.number : 0 };
  if (item.target) entry.target = item.target;
  if (label !== undefined) entry.label = label;
  decide(entry);
  move(1);
}

async function send() {
  if (isSending) return;
  isSending = true;
  clearTimeout(timer);
  status();
  try {
    while (pending.length) {
      const entry = pending[0];
      const body = { key: entry.key };
      if (entry.what === "edit") {
        Object.assign(body, { item: entry.item, action: entry.action, seen: entry.seen });
        for (const name of ["label", "target"]) if (entry[name] !== undefined) body[name] = entry[name];
      }
      const { status: code, value } = await ask("/api/" + entry.what, body);
      if (code === 200) {
        taken(entry, value);
      } else if (code === 409) {
        drop(entry);
        stands(value.entry, value.decision);
        tell(value.error);
      } else if (code === 400) {
        drop(entry);
        tell(value.error);
      } else {
        tell(value.error);
        timer = setTimeout(send, wait);
        wait = Math.min(2 * wait, 8000);
        return;
      }
      status();
    }
  } finally {
    isSending = false;
    draw();
  }
}

function taken(entry, value) {
  drop(entry);
  saved += 1;
  wait = 500;
  tell("");
  if (value.item === null) return;
  for (const [name, decision] of Object.entries(value.entries)) stands(name, decision);
  if (value.number === number + 1) number = value.number;
  else if (value.number > number) refresh(0);
  for (const later of pending) {
    if (Object.hasOwn(value.entries, later.entry)) {
      const decision = value.entries[later.entry];
      later.seen = decision ? decision.number : 0; // our own edit is no news to us
      keep(later);
    }
  }
  if (entry.what !== "edit" && entry.count === counter) look(value.entry);
}

function stands(entry, decision) {
  if (decision) decisions.set(entry, decision);
  else decisions.delete(entry);
}

// --- what is seen ---------------------------------------------------------------------------------

// What stands of an entry, with what waits to be sent: an item that is left out is so with all its labels,
// until another one of them is decided.
function said(item) {
  let own = decisions.get(item.entry);
  let out = own && own.action === "delete" ? own : undefined;
  if (out) own = undefined;
  for (const one of pending) {
    if (one.item !== item.hash) continue;
    out = one.action === "delete" ? one : undefined;
    if (!out && one.entry === item.entry) own = one.action === "clear" ? undefined : one;
  }
  return out || own;
}

function labels(item) {
  return item.target ? targets[item.target] || [] : classes;
}

function make(tag, options, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...inside.filter((one) => one !== null));
  return made;
}

function share(value) {
  return value === null ? "–" : (100 * value).toFixed(value > 0.995 || value < 0.005 ? 2 : 1) + "%";
}

function picture(item, isLazy) {
  const image = make("img", { alt: item.name, draggable: "false" });
  if (isLazy) image.loading = "lazy";
  image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth < 100));
  image.src = "/api/picture/" + item.hash;
  return image;
}

function table(cells) {
  return make("table", {}, make("tbody", {}, ...cells.map(([name, value]) =>
    make("tr", {}, make("th", { text: name, scope: "row" }), make("td", { text: value })))));
}

async function whole(item, holder) {
  const { status: code, value } = await ask("/api/item/" + item.hash);
  if (code === 200 && holder.isConnected) holder.textContent = value.text;
}

function mark(decision) {
  if (!decision) return null;
  const text = { relabel: "→ " + decision.label, delete: isSeveral() ? "left out, with all its labels" : "left out", keep: "kept" }[decision.action];
  return make("span", { class: "mark " + decision.action, text });
}

function isSeveral() {
  return Object.keys(targets).length > 0;
}

function target(item) {
  return item.target ? make("span", { class: "target", dir: "auto", text: item.target }) : null;
}

function fact(list, name, value) {
  if (value === null || value === "") return;
  list.append(make("dt", { text: name }), make("dd", {}, value instanceof Node ? value : String(value)));
}

// What an outlier is nearest to: its picture where the page has it, and the way there.
function nearest(near) {
  const there = items.find((item) => item.hash === near.hash);
  if (there === undefined) return near.name;
  const button = make("button", { type: "button", class: "nearest" }, there.kind === "picture" ? picture(there, true) : null, near.name);
  button.addEventListener("click", () => visit(near.hash));
  return button;
}

function drawSingle(item) {
  const holder = element("item");
  if (holder.dataset.hash !== item.hash) {
    holder.dataset.hash = item.hash;
    if (item.kind === "picture") holder.replaceChildren(picture(item, false));
    else if (item.kind === "row") holder.replaceChildren(table(item.cells));
    else {
      const text = make("p", { class: "text", dir: "auto", text: item.text });
      holder.replaceChildren(text);
      if (item.is_cut) whole(item, text);
    }
    holder.scrollTop = 0;
  }
  const list = make("dl");
  fact(list, "labelled", make("span", {}, target(item), item.target ? " " : "", make("strong", { text: item.label })));
  fact(list, "suggested", item.suggested);
  if (item.probability !== null) {
    fact(list, "probability", share(item.probability) + " of its label, " + share(item.suggested_probability) + " of the suggested one");
  }
  if (item.predicted !== null) fact(list, "predicted", Number(item.predicted.toPrecision(5)));
  fact(list, "loss", item.loss === null ? "not finite" : item.loss.toPrecision(3));
  fact(list, "part", item.part + (item.seen ? ", which the model has seen" : ""));
  if (item.copies > 1) fact(list, "copies", item.copies);
  if (item.also.length) fact(list, "copies say", item.also.join(", "));
  if (item.near.length) fact(list, "nearly the same", item.near.length);
  if (item.outlier !== null) fact(list, "from the others", item.outlier.toFixed(1) + " spreads beyond the usual");
  if (item.nearest !== null) fact(list, "nearest", nearest(item.nearest));
  for (const other of together.get(item.hash).slice(0, BESIDE)) {
    if (other !== item) fact(list, "beside it", make("span", {}, target(other), " " + other.label));
  }
  const decision = said(item);
  fact(list, "decided", mark(decision));
  if (decision && decision.by) fact(list, "by", decision.by);
  const flag = item.flagged ? make("p", { class: "flag", text: "Probably wrong." }) : null;
  const unlike = item.is_outlier ? make("p", { class: "unlike", text: "Unlike the others." }) : null;
  const facts = [make("h2", { text: item.name, dir: "auto" }), flag, unlike, list];
  element("facts").replaceChildren(...facts.filter((one) => one !== null));
}

function cell(item, place) {
  const short = item.kind === "picture" ? picture(item, true) : make("div", { class: "short", dir: "auto" });
  if (item.kind === "text") short.textContent = item.text;
  if (item.kind === "row") {
    short.append(...item.cells.slice(0, 12).map(([name, value]) => make("div", {}, make("span", { text: name + " " }), value)));
  }
  const decision = said(item);
  const says = make("span", { class: "says" }, target(item), item.target ? " " : "", item.label);
  if (item.suggested !== null && item.flagged) says.append(make("span", { class: "flag", text: " ? " + item.suggested }));
  if (item.is_outlier) says.append(make("span", { class: "unlike", text: " unlike" }));
  const made = make("div", { class: "cell" + (place === at ? " current" : "") + (decision ? " is-" + decision.action : ""), title: item.name }, short, says, mark(decision));
  made.addEventListener("click", () => { at = place; draw(); });
  made.addEventListener("dblclick", () => { at = place; isGrid = false; draw(); });
  return made;
}

function drawGrid() {
  const start = Math.floor(at / PAGE) * PAGE;
  const grid = element("grid");
  grid.replaceChildren(...shown.slice(start, start + PAGE).map((item, place) => cell(item, start + place)));
  const current = grid.querySelector(".current");
  if (current) current.scrollIntoView({ block: "nearest" });
}

function drawClasses(item) {
  const decision = said(item);
  const given = decision && decision.action === "relabel" ? decision.label : null;
  const known = labels(item);
  const made = known.slice(0, KEYS.length).map((label, place) => {
    const names = [label === item.label ? "has" : "", label === item.suggested && item.flagged ? "suggested" : "", label === given ? "given" : ""];
    const button = make("button", { type: "button", class: names.join(" ").trim() }, label + " ", make("kbd", { text: KEYS[place] }));
    button.addEventListener("click", () => relabel(label));
    return button;
  });
  if (item.target && known.length) made.unshift(target(item));
  if (known.length > KEYS.length) {
    const list = make("datalist", { id: "labels" }, ...known.map((label) => make("option", { value: label })));
    const find = make("input", { id: "find", list: "labels", placeholder: "another label …", "aria-label": "another label", autocomplete: "off" });
    find.addEventListener("change", () => { if (labels(shown[at]).includes(find.value)) { relabel(find.value); find.blur(); } });
    made.push(find, list);
  }
  if (document.activeElement && document.activeElement.id === "find") return; // somebody is typing
  element("classes").replaceChildren(...made);
}

function draw() {
  const item = shown[at];
  element("empty").hidden = item !== undefined;
  element("single").hidden = isGrid || item === undefined;
  element("grid").hidden = !isGrid || item === undefined;
  element("actions").hidden = item === undefined;
  element("view").firstChild.textContent = isGrid ? "One at a time " : "Grid ";
  if (item !== undefined) {
    if (isGrid) drawGrid();
    else drawSingle(item);
    drawClasses(item);
    try {
      localStorage.setItem("at:" + box, item.entry);
    } catch {
      // then a reload begins at the worst
    }
  }
  status();
}

function status() {
  const place = element("saved");
  place.classList.toggle("waits", pending.length > 0);
  place.textContent = pending.length ? "not saved (" + pending.length + ")" : "saved";
  const done = items.filter((item) => said(item)).length;
  element("progress").max = Math.max(items.length, 1);
  element("progress").value = done;
  element("count").textContent = done + " of " + items.length + " decided, " + (shown.length ? at + 1 : 0) + " of " + shown.length + " shown";
  Object.assign(document.body.dataset, { pending: pending.length, saved, number, at, hash: shown[at] ? shown[at].hash : "", target: shown[at] ? shown[at].target : "" });
}

function tell(text) {
  element("trouble").textContent = text;
  element("trouble").hidden = !text;
}

function filter() {
  const which = element("which").value;
  const label = element("label").value;
  const part = element("part").value;
  const of = element("target").value;
  const name = element("name").value.toLowerCase();
  const current = shown[at];
  const passes = {
    all: () => true,
    flagged: (item) => item.flagged,
    high: (item) => item.high,
    near: (item) => item.copies > 1 || item.near.length > 0,
    outlier: (item) => item.is_outlier,
    open: (item) => !said(item),
    decided: (item) => Boolean(said(item)),
  }[which];
  shown = items.filter((item) => passes(item) && (!label || item.label === label) && (!part || item.part === part) && (!of || item.target === of) && item.name.toLowerCase().includes(name));
  if (which === "near" || which === "outlier") { // of the item, whatever its labels are: each once
    const seen = new Set();
    shown = shown.filter((item) => !seen.has(item.hash) && seen.add(item.hash));
  }
  at = Math.max(0, shown.indexOf(current));
  draw();
}

function move(by) {
  at = Math.min(Math.max(at + by, 0), Math.max(shown.length - 1, 0));
  draw();
}

function look(entry) {
  const place = shown.findIndex((item) => item.entry === entry);
  if (place >= 0) at = place;
}

// To an item that the filters may hide: then they are put back.
function visit(hash) {
  if (!shown.some((item) => item.hash === hash)) {
    element("which").value = "all";
    for (const id of ["label", "part", "target", "name"]) element(id).value = "";
    filter();
  }
  const there = shown.find((item) => item.hash === hash);
  if (there) look(there.entry);
  draw();
}

function relabel(label) {
  const item = shown[at];
  if (item === undefined) return;
  if (label === item.label && !item.also.length) edit("keep");
  else edit("relabel", label);
}

// --- keys -----------------------------------------------------------------------------------------

function columns() {
  return isGrid ? getComputedStyle(element("grid")).gridTemplateColumns.split(" ").length : 1;
}

const ACTIONS = {
  k: () => edit("keep"),
  d: () => edit("delete"),
  u: () => decide({ what: "undo" }),
  r: () => decide({ what: "redo" }),
  g: () => { isGrid = !isGrid; draw(); },
  "/": () => element("name").focus(),
  ".": () => { if (element("find")) element("find").focus(); },
  "?": () => element("help").showModal(),
  Enter: () => { if (shown[at] && shown[at].suggested !== null) relabel(shown[at].suggested); },
  Escape: () => document.activeElement.blur(),
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  ArrowUp: () => move(-columns()),
  ArrowDown: () => move(columns()),
  PageUp: () => move(-PAGE),
  PageDown: () => move(PAGE),
  Home: () => move(-Infinity),
  End: () => move(Infinity),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || element("help").open) return;
  const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (isTyping && event.key !== "Escape") return;
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  const known = Object.hasOwn(ACTIONS, event.key);
  const given = shown[at] ? labels(shown[at]) : [];
  const place = known ? -1 : KEYS.indexOf(event.key);
  if (!known && (event.key.length !== 1 || place < 0 || place >= given.length)) return;
  event.preventDefault();
  if (event.repeat && !event.key.startsWith("Arrow")) return; // a key held down decides once
  if (known) ACTIONS[event.key]();
  else relabel(given[place]);
});

// --- the beginning --------------------------------------------------------------------------------

for (const [id, key] of Object.entries({ back: "ArrowLeft", next: "ArrowRight", keep: "k", delete: "d", undo: "u", redo: "r", view: "g", keys: "?" })) {
  element(id).addEventListener("click", (event) => { event.currentTarget.blur(); ACTIONS[key](); });
}
for (const id of ["which", "target", "label", "part"]) {
  element(id).addEventListener("change", () => { element(id).blur(); filter(); });
}
element("name").addEventListener("input", filter);
window.addEventListener("online", send);
window.addEventListener("focus", () => { if (box && !pending.length) refresh(number); }); // another tab may have decided
window.addEventListener("beforeunload", (event) => {
  if (pending.length && !isStored) event.preventDefault(); // else they wait in the browser's storage
});

function fill(id, values) {
  element(id).append(...[...new Set(values)].filter(Boolean).sort().map((value) => make("option", { value, text: value })));
}

async function begin() {
  const { status: code, value } = await ask("/api/queue");
  if (code !== 200) {
    tell(value.error);
    setTimeout(begin, 2000);
    return;
  }
  items = value.items;
  classes = value.classes;
  targets = value.targets;
  for (const item of items) together.set(item.hash, [...(together.get(item.hash) || []), item]);
  number = value.number;
  box = "drivetrain-clean:" + value.run + ":";
  decisions = new Map(Object.entries(value.decisions));
  element("title").textContent = "Clean " + value.title + (value.by ? ", as " + value.by : "");
  document.title = "Clean " + value.title;
  element("basis").textContent = [value.basis ? "Worst first, " + value.basis + "." : "", value.unlike].join(" ").trim();
  fill("label", items.map((item) => item.label));
  fill("part", items.map((item) => item.part));
  fill("target", Object.keys(targets));
  element("of").hidden = !isSeveral();
  adopt();
  shown = items;
  try {
    look(localStorage.getItem("at:" + box));
  } catch {
    // without storage it begins at the worst
  }
  tell("");
  document.body.dataset.ready = "yes";
  draw();
  send();
  setInterval(() => { if (!document.hidden && !isSending) { if (pending.length) send(); else refresh(number); } }, 2000);
}

begin();
