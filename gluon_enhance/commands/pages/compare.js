"use strict";
// Pictures of one size, moved and magnified together. All of them are in this page.

const form = document.querySelector("form");
const view = document.querySelector(".view");
const grid = document.querySelector(".grid");
const pair = document.querySelector(".pair");
const line = document.querySelector(".line");
const pictures = [...grid.querySelectorAll("img")];
const LARGEST = 32;

// What lies in the middle of each frame, in pixels of the pictures, and the pixels of the screen
// that one of theirs takes; 0: as many as fit.
const place = { x: 0, y: 0, scale: 0 };

const frames = () => [...document.querySelectorAll(".frame")].filter((one) => one.offsetParent);

function fitting(frame) {
  const { naturalWidth, naturalHeight } = pictures[0];
  return Math.min(frame.clientWidth / naturalWidth, frame.clientHeight / naturalHeight);
}

function draw() {
  const { naturalWidth, naturalHeight } = pictures[0];
  for (const frame of frames()) {
    const scale = place.scale || fitting(frame);
    const x = frame.clientWidth / 2 - place.x * scale;
    const y = frame.clientHeight / 2 - place.y * scale;
    frame.style.setProperty("--x", `${x}px`);
    frame.style.setProperty("--y", `${y}px`);
    frame.style.setProperty("--scale", scale);
    // The line stays where it is in the frame, whatever lies under it.
    const at = (frame.clientWidth * line.value) / 100;
    frame.style.setProperty("--cut", `${(at - x) / scale}px`);
  }
  view.classList.toggle("pixels", place.scale >= 2);
  form.zoom.value = place.scale ? `${Math.round(place.scale * 100)}%` : "fit";
}

function middle() {
  Object.assign(place, { x: pictures[0].naturalWidth / 2, y: pictures[0].naturalHeight / 2 });
}

function zoom(factor, frame = frames()[0], left = frame.clientWidth / 2, top = frame.clientHeight / 2) {
  const before = place.scale || fitting(frame);
  const scale = Math.min(LARGEST, before * factor);
  if (scale < Math.min(1, fitting(frame))) return fit();
  // The point under the pointer stays there.
  place.x += (left - frame.clientWidth / 2) * (1 / before - 1 / scale);
  place.y += (top - frame.clientHeight / 2) * (1 / before - 1 / scale);
  place.scale = scale;
  draw();
}

function fit() {
  middle();
  place.scale = 0;
  draw();
}

function move(right, down) {
  const scale = place.scale || fitting(frames()[0]);
  place.x = Math.min(pictures[0].naturalWidth, Math.max(0, place.x - right / scale));
  place.y = Math.min(pictures[0].naturalHeight, Math.max(0, place.y - down / scale));
  draw();
}

function show() {
  const mode = form.mode.value;
  for (const part of form.querySelectorAll("[data-for]")) {
    part.hidden = !part.dataset.for.split(" ").includes(mode);
  }
  grid.hidden = mode !== "grid";
  pair.hidden = mode === "grid";
  line.hidden = mode !== "slider";
  pair.className = `pair ${mode}`;
  const [first, second] = [form.first.value, form.second.value].map((index) => pictures[index]);
  pair.querySelector(".under").src = first.src;
  pair.querySelector(".over").src = second.src;
  pair.querySelector(".first").textContent = first.alt;
  pair.querySelector(".second").textContent = second.alt;
  pair.style.setProperty("--gain", form.gain.value);
  draw();
}

const KEYS = {
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: fit,
  1: () => zoom(1 / (place.scale || fitting(frames()[0]))),
  ArrowLeft: () => move(40, 0),
  ArrowRight: () => move(-40, 0),
  ArrowUp: () => move(0, 40),
  ArrowDown: () => move(0, -40),
};

view.addEventListener("keydown", (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  KEYS[event.key]();
});

view.addEventListener(
  "wheel",
  (event) => {
    const frame = event.target.closest(".frame");
    if (!frame) return;
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    const point = [event.clientX - box.left - 1, event.clientY - box.top - 1];
    zoom(event.deltaY < 0 ? 1.25 : 1 / 1.25, frame, ...point);
  },
  { passive: false },
);

const held = new Map(); // pointers that are down, by their number

view.addEventListener("pointerdown", (event) => {
  const frame = event.target.closest(".frame");
  if (!frame) return;
  event.preventDefault();
  view.focus({ preventScroll: true });
  frame.setPointerCapture(event.pointerId);
  held.set(event.pointerId, event);
});

view.addEventListener("pointermove", (event) => {
  const last = held.get(event.pointerId);
  if (!last) return;
  const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
  if (other) {
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoom(apart(event) / Math.max(1, apart(last)));
  } else {
    move(event.clientX - last.clientX, event.clientY - last.clientY);
  }
  held.set(event.pointerId, event);
});

for (const kind of ["pointerup", "pointercancel"]) {
  view.addEventListener(kind, (event) => held.delete(event.pointerId));
}

form.addEventListener("click", ({ target }) => {
  const buttons = { in: KEYS["+"], out: KEYS["-"], fit, one: KEYS[1] };
  buttons[target.dataset.zoom]?.();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", show);
line.addEventListener("input", draw);
addEventListener("resize", draw);

form.second.value = String(Math.min(1, pictures.length - 1));
Promise.all(pictures.map((picture) => picture.decode())).then(() => {
  middle();
  show();
});
