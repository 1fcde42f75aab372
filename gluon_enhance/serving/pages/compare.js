// Models on one picture, or pictures of the user's own, on the page that the command writes.

import { ask } from "./api.js";
import { addFields, takePictures } from "./form.js";
import { Queue } from "./queue.js";

const KERNEL = "bicubic";
const METRICS = {
  psnr: "PSNR",
  ssim: "SSIM",
  ms_ssim: "MS-SSIM",
  delta_e: "ΔE",
  blockiness: "blockiness",
  checkerboard: "checkerboard",
  ringing: "ringing",
};
const USUAL = ["psnr", "ssim"];
const MOST = 6;

const section = document.querySelector("#compare");
const form = section.querySelector("form");
const shown = section.querySelector(".shown");

/** Set the page up for some models. */
export function setUp(models) {
  const names = [KERNEL, ...models.map(({ name }) => name)];
  form.querySelector(".models").append(...names.map((name) => box("model", name, name, false)));
  form
    .querySelector(".metrics")
    .append(...Object.entries(METRICS).map(([k, text]) => box("metric", k, text, USUAL.includes(k))));
  takePictures(section, MOST, async (pictures, forget) => {
    const body = addFields(new FormData(), form);
    body.set("metrics", body.getAll("metric").join(","));
    body.delete("metric");
    for (const picture of pictures) body.append("file", picture);
    const [reference] = form.reference.files;
    if (reference) body.append("reference", reference);
    await ask("POST", "comparisons", body);
    pictures.forEach(forget);
  });
}

export const queue = new Queue(section.querySelector(".queue"), (job) => {
  const address = `/api/jobs/${job.id}/result`;
  section.querySelector("#compared-title").textContent = job.name;
  shown.querySelector("iframe").src = address;
  shown.querySelector(".save").href = address;
  shown.hidden = false;
  section.querySelector("#compared-title").focus();
});

function box(name, value, text, isOn) {
  const label = document.createElement("label");
  const made = document.createElement("input");
  Object.assign(made, { type: "checkbox", name, value, checked: isOn });
  label.append(made, ` ${text}`);
  return label;
}
