// Pictures to be enhanced, and each result beside its original.

import { view } from "/shared/viewer.js";
import { ask } from "./api.js";
import { addFields, takePictures } from "./form.js";
import { Queue } from "./queue.js";

const KERNELS = ["bicubic", "bilinear", "nearest"];
const LOSSY = ["jpg", "webp", "avif", ""];
const MOST = 100;
const USUAL = "rrdb_lite_x4";

const section = document.querySelector("#enhance");
const form = section.querySelector("form");
const shown = section.querySelector(".shown");

/** Set the page up for some models. */
export function setUp(models) {
  const byName = new Map(models.map((model) => [model.name, model]));
  for (const { name, purpose } of models) {
    form.model.add(new Option(purpose ? `${name}: ${purpose}` : name, name));
  }
  for (const kernel of KERNELS) form.model.add(new Option(`${kernel}: a kernel`, kernel));
  choose(byName.has(USUAL) ? USUAL : form.model.options[0].value);

  function offer() {
    const model = byName.get(form.model.value);
    const has = {
      denoise: Boolean(model?.denoise),
      strength: model?.scale === 1,
      alpha: Boolean(model?.alpha),
      quality: LOSSY.includes(form.ext.value),
    };
    for (const part of form.querySelectorAll("[data-if]")) part.hidden = !has[part.dataset.if];
  }

  form.addEventListener("change", offer);
  offer();
  takePictures(section, MOST, async (pictures, forget) => {
    for (const picture of pictures) {
      const body = addFields(new FormData(), form);
      body.append("file", picture);
      await ask("POST", "jobs", body);
      forget(picture);
    }
  });
}

/** Choose a model, as a card of the models' page does. */
export function choose(name) {
  form.model.value = name;
  form.dispatchEvent(new Event("change"));
}

export const queue = new Queue(section.querySelector(".queue"), show);

/** Show or hide what depends on there being jobs. */
export function tellOfAll() {
  const jobs = [...queue.jobs.values()];
  section.querySelector(".empty").hidden = jobs.length > 0;
  section.querySelector(".all").hidden = !jobs.some(({ status }) => status === "done");
}

async function show(job) {
  const { width, height, engine, seconds } = job.result;
  const root = document.createElement("div");
  root.className = "viewer";
  const grid = document.createElement("div");
  grid.className = "grid";
  root.append(grid);
  for (const [which, name] of [["original", job.name], ["result", job.result.name]]) {
    grid.append(figure(`/api/jobs/${job.id}/preview/${which}`, name));
  }
  section.querySelector("#shown-title").textContent = job.result.name;
  section.querySelector(".facts").textContent =
    `${width} × ${height} pixels, by ${engine.model} on ${engine.engine} in ${seconds} s`;
  shown.querySelector(".place").replaceChildren(root);
  shown.hidden = false;
  section.querySelector("#shown-title").focus();
  try {
    await view(root, "slider");
  } catch {
    root.textContent = "The browser cannot show this picture; the download has it.";
  }
}

function figure(source, name) {
  const made = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const frame = document.createElement("div");
  const picture = document.createElement("img");
  caption.textContent = name;
  frame.className = "frame";
  picture.alt = name;
  picture.src = source;
  frame.append(picture);
  made.append(caption, frame);
  return made;
}
