// Pictures of one shape, moved and magnified together; two of them with a slider between them, or
// by their difference. Smaller ones are shown at the size of the largest.

const LARGEST = 32;
const STEP = 1.5;

const TOOLS = `
<form class="tools" aria-label="View">
<fieldset>
<legend>Show</legend>
<label><input type="radio" name="mode" value="all"> all</label>
<label><input type="radio" name="mode" value="slider"> two, with a slider</label>
<label><input type="radio" name="mode" value="difference"> their difference</label>
</fieldset>
<label data-for="slider difference">First <select name="first"></select></label>
<label data-for="slider difference">Second <select name="second"></select></label>
<label data-for="difference">Difference times
<select name="gain"><option>1</option><option selected>4</option><option>16</option></select></label>
<span class="buttons">
<button type="button" data-zoom="out" aria-label="Zoom out">&minus;</button>
<output name="zoom" aria-live="polite">fit</output>
<button type="button" data-zoom="in" aria-label="Zoom in">+</button>
<button type="button" data-zoom="fit">Fit</button>
<button type="button" data-zoom="one">1:1</button>
</span>
</form>`;
const PAIR = `
<figure class="pair" hidden>
<figcaption><span class="first"></span><span class="second"></span></figcaption>
<div class="frame"><img class="under" alt=""><img class="over" alt="">
<div class="cut" aria-hidden="true"></div></div>
</figure>`;
const LINE = `
<input class="line" type="range" min="0" max="100" step="0.5" value="50"
  aria-label="Where the first picture ends" hidden>`;

/**
 * Make an element that holds a `.grid` of figures, each with a caption and a picture in a `.frame`,
 * a viewer of these pictures; it is ready when the promise is kept.
 */
export async function view(root, mode = "all") {
  const grid = root.querySelector(".grid");
  const pictures = [...grid.querySelectorAll("img")];
  await Promise.all(pictures.map((picture) => picture.decode()));
  const wide = Math.max(...pictures.map((picture) => picture.naturalWidth));
  const { naturalWidth, naturalHeight } = pictures.find((one) => one.naturalWidth === wide);

  const stage = document.createElement("div");
  stage.className = "view";
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute(
    "aria-label",
    "Pictures: plus and minus zoom, the arrow keys move, 0 fits, 1 shows single pixels",
  );
  stage.append(grid);
  stage.insertAdjacentHTML("beforeend", PAIR);
  root.append(stage);
  root.insertAdjacentHTML("afterbegin", TOOLS);
  root.insertAdjacentHTML("beforeend", LINE);
  root.style.setProperty("--width", naturalWidth);
  root.style.setProperty("--height", naturalHeight);

  const form = root.querySelector("form");
  const pair = root.querySelector(".pair");
  const line = root.querySelector(".line");
  for (const list of [form.first, form.second]) {
    pictures.forEach((picture, index) => list.add(new Option(picture.alt, index)));
  }
  form.mode.value = mode;
  form.second.value = String(Math.min(1, pictures.length - 1));

  // What lies in the middle of each frame, in pixels of the pictures, and the pixels of the screen
  // that one of theirs takes; 0: as many as fit.
  const place = { x: naturalWidth / 2, y: naturalHeight / 2, scale: 0 };

  const frames = () => [...root.querySelectorAll(".frame")].filter((one) => one.offsetParent);

  function fitting(frame) {
    return Math.min(frame.clientWidth / naturalWidth, frame.clientHeight / naturalHeight);
  }

  function draw() {
    for (const frame of frames()) {
      const scale = place.scale || fitting(frame);
      const x = frame.clientWidth / 2 - place.x * scale;
      const y = frame.clientHeight / 2 - place.y * scale;
      frame.style.setProperty("--x", `${x}px`);
      frame.style.setProperty("--y", `${y}px`);
      frame.style.setProperty("--scale", scale);
      // The line stays where it is in the frame, whatever lies under it.
      const at = (frame.clientWidth * line.value) / 100;
      frame.style.setProperty("--at", `${at}px`);
      frame.style.setProperty("--cut", `${(at - x) / scale}px`);
    }
    stage.classList.toggle("pixels", place.scale >= 2);
    form.zoom.value = place.scale ? `${Math.round(place.scale * 100)}%` : "fit";
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
    Object.assign(place, { x: naturalWidth / 2, y: naturalHeight / 2, scale: 0 });
    draw();
  }

  function move(right, down) {
    const scale = place.scale || fitting(frames()[0]);
    place.x = Math.min(naturalWidth, Math.max(0, place.x - right / scale));
    place.y = Math.min(naturalHeight, Math.max(0, place.y - down / scale));
    draw();
  }

  function show() {
    const chosen = form.mode.value;
    for (const part of form.querySelectorAll("[data-for]")) {
      part.hidden = !part.dataset.for.split(" ").includes(chosen);
    }
    grid.hidden = chosen !== "all";
    pair.hidden = chosen === "all";
    line.hidden = chosen !== "slider";
    pair.className = `pair ${chosen}`;
    const [first, second] = [form.first.value, form.second.value].map((index) => pictures[index]);
    pair.querySelector(".under").src = first.src;
    pair.querySelector(".over").src = second.src;
    pair.querySelector(".first").textContent = first.alt;
    pair.querySelector(".second").textContent = second.alt;
    pair.style.setProperty("--gain", form.gain.value);
    draw();
  }

  const KEYS = {
    "+": () => zoom(STEP),
    "=": () => zoom(STEP),
    "-": () => zoom(1 / STEP),
    0: fit,
    1: () => zoom(1 / (place.scale || fitting(frames()[0]))),
    ArrowLeft: () => move(40, 0),
    ArrowRight: () => move(-40, 0),
    ArrowUp: () => move(0, 40),
    ArrowDown: () => move(0, -40),
  };

  stage.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  stage.addEventListener(
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

  stage.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest(".frame");
    if (!frame) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    event.target.setPointerCapture(event.pointerId);
    held.set(event.pointerId, event);
  });

  stage.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last) return;
    const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
    if (event.target.matches(".cut")) {
      const box = event.target.closest(".frame").getBoundingClientRect();
      line.value = (100 * (event.clientX - box.left)) / box.width;
      draw();
    } else if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      zoom(apart(event) / Math.max(1, apart(last)));
    } else {
      move(event.clientX - last.clientX, event.clientY - last.clientY);
    }
    held.set(event.pointerId, event);
  });

  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => held.delete(event.pointerId));
  }

  form.addEventListener("click", ({ target }) => {
    const buttons = { in: KEYS["+"], out: KEYS["-"], fit, one: KEYS[1] };
    buttons[target.dataset.zoom]?.();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", show);
  line.addEventListener("input", draw);
  new ResizeObserver(draw).observe(root);
  show();
}
