// Which page is shown, and news of the jobs for the page that has them.

import { ask, follow } from "./api.js";
import * as compare from "./compare.js";
import * as enhance from "./enhance.js";
import * as models from "./models.js";

const sections = [...document.querySelectorAll("main > section")];
const links = [...document.querySelectorAll("nav a")];
const queues = { enhance: enhance.queue, compare: compare.queue };

function turn() {
  const chosen = sections.find(({ id }) => `#${id}` === location.hash) ?? sections[0];
  for (const section of sections) section.hidden = section !== chosen;
  for (const link of links) {
    link.toggleAttribute("aria-current", link.hash === `#${chosen.id}`);
    if (link.hash === `#${chosen.id}`) link.setAttribute("aria-current", "page");
  }
}

addEventListener("hashchange", turn);
turn();

await ask("POST", "session");
const known = await ask("GET", "models");
enhance.setUp(known);
compare.setUp(known);
models.setUp(known, (name) => {
  enhance.choose(name);
  location.hash = "#enhance";
});
// A job's state is taken from here alone: an answer to a request may come after newer news.
follow(
  (job) => {
    queues[job.kind].put(job);
    enhance.tellOfAll();
  },
  (id) => {
    for (const queue of Object.values(queues)) queue.drop(id);
    enhance.tellOfAll();
  },
  () => {
    for (const queue of Object.values(queues)) queue.clear();
    enhance.tellOfAll();
  },
);
document.documentElement.dataset.ready = "";
