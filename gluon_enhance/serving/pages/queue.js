// A list of jobs: each with its state, its progress and what can be done with it.

import { ask, say } from "./api.js";

const WORDS = {
  waiting: "waits",
  running: "is being made",
  done: "done",
  failed: "failed",
  canceled: "canceled",
};
const DEEDS = {
  waiting: ["cancel"],
  running: ["cancel"],
  done: ["show", "save", "remove"],
  failed: ["retry", "remove"],
  canceled: ["retry", "remove"],
};

export class Queue {
  /** Fill a list; `onShow` is called with the job whose result is to be shown. */
  constructor(list, onShow) {
    this.list = list;
    this.onShow = onShow;
    this.jobs = new Map();
    this.lines = new Map();
  }

  /** Take up a job that is new or changed. */
  put(job) {
    const before = this.jobs.get(job.id);
    const line = this.lines.get(job.id) ?? this.#add(job);
    this.jobs.set(job.id, job);
    const { done, total } = job.progress;
    line.querySelector("progress").hidden = !["waiting", "running"].includes(job.status);
    line.querySelector("progress").value = total ? done / total : 0;
    line.querySelector(".state").textContent =
      job.status === "running" && total ? `tile ${done} of ${total}` : WORDS[job.status];
    line.querySelector(".state").classList.toggle("wrong", job.status === "failed");
    line.querySelector(".notes").textContent = job.error ?? job.result?.notes.join("; ") ?? "";
    for (const deed of line.querySelectorAll("[data-deed]")) {
      const canBe = DEEDS[job.status].includes(deed.dataset.deed);
      if (!canBe && deed === document.activeElement) line.focus();
      deed.hidden = !canBe;
    }
    if (job.result) line.querySelector("[data-deed=save]").download = job.result.name;
    if (before && before.status !== job.status) say(`${job.name}: ${WORDS[job.status]}`);
  }

  /** Forget a job. */
  drop(id) {
    this.lines.get(id)?.remove();
    this.lines.delete(id);
    this.jobs.delete(id);
  }

  /** Forget all jobs. */
  clear() {
    for (const id of [...this.jobs.keys()]) this.drop(id);
  }

  #add(job) {
    const line = document.querySelector("#job").content.cloneNode(true).firstElementChild;
    line.tabIndex = -1;
    line.dataset.id = job.id;
    line.querySelector(".name").textContent = job.name;
    line.querySelector(".by").textContent = (job.options.model ?? ["the usual model"]).join(", ");
    line.querySelector("progress").setAttribute("aria-label", `Progress of ${job.name}`);
    line.querySelector("[data-deed=save]").href = `/api/jobs/${job.id}/result`;
    for (const deed of line.querySelectorAll("[data-deed]")) {
      deed.setAttribute("aria-label", `${deed.textContent} ${job.name}`);
    }
    line.addEventListener("click", ({ target }) => this.#do(target.dataset.deed, job.id));
    this.lines.set(job.id, line);
    this.list.prepend(line);
    return line;
  }

  async #do(deed, id) {
    if (deed === "show") this.onShow(this.jobs.get(id));
    try {
      if (deed === "remove") await ask("DELETE", `jobs/${id}`);
      if (deed === "cancel" || deed === "retry") await ask("POST", `jobs/${id}/${deed}`);
    } catch (error) {
      this.lines.get(id).querySelector(".notes").textContent = error.message;
    }
  }
}
