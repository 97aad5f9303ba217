"use strict";
const all = [...document.querySelectorAll(".slide")];
const place = document.getElementById("place");
let now = 0;
function show(index) {
  now = Math.min(Math.max(index, 0), all.length - 1);
  all.forEach((slide, at) => slide.classList.toggle("now", at === now));
  place.textContent = `${now + 1} / ${all.length}`;
  history.replaceState(null, "", `#${now + 1}`);
  window.scrollTo(0, 0);
}
const keys = {ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("summary")) return;
  if (event.key in keys) show(now + keys[event.key]);
  else if (event.key === "Home") show(0);
  else if (event.key === "End") show(all.length - 1);
  else return;
  event.preventDefault();
});
let start = null;
document.addEventListener("touchstart", (event) => { start = event.touches[0]; }, {passive: true});
document.addEventListener("touchend", (event) => {
  const end = event.changedTouches[0];
  const [right, down] = [end.clientX - start.clientX, end.clientY - start.clientY];
  if (Math.abs(right) > 60 && Math.abs(right) > 2 * Math.abs(down)) show(now - Math.sign(right));
});
place.addEventListener("click", () => show(now + 1));
document.documentElement.classList.add("live");
show((parseInt(location.hash.slice(1), 10) || 1) - 1);
