// What there is to say of each model.

const KINDS = { shipped: "in this package", official: "the authors', found here", file: "your own" };

/** Make a card for each model; `onUse` is called with the name of one that is chosen. */
export function setUp(models, onUse) {
  const cards = models.map((model) => card(model, onUse));
  document.querySelector("#models .cards").append(...cards);
}

function card(model, onUse) {
  const made = document.querySelector("#model").content.cloneNode(true).firstElementChild;
  made.querySelector("h3").textContent = model.name;
  made.querySelector(".purpose").textContent = model.purpose;
  fill(made.querySelector("dl"), [
    ["Method", model.method],
    ["Scale", model.scale === null ? "told by a run" : `${model.scale} times`],
    ["Parameters", model.parameters?.toLocaleString("en") ?? "not known"],
    ["Weights", KINDS[model.weights] ?? model.weights],
    ["License", model.license || "not known"],
    ["Paper", model.paper || "none"],
  ]);
  setPicture(made.querySelector(".sample"), model, "sample", "What it makes of a sample");
  setPicture(made.querySelector(".curves"), model, "curves", "Curves of its training");
  setScores(made.querySelector(".scores"), model);
  setTraining(made.querySelector(".training"), model);
  made.querySelector("button").setAttribute("aria-label", `Use ${model.name}`);
  made.querySelector("button").addEventListener("click", () => onUse(model.name));
  return made;
}

function fill(list, rows) {
  for (const [name, text] of rows) {
    const [term, value] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    value.append(text.startsWith("https:") ? link(text) : text);
    list.append(term, value);
  }
}

function link(address) {
  const made = document.createElement("a");
  Object.assign(made, { href: address, textContent: address, rel: "noreferrer" });
  return made;
}

function setPicture(picture, model, name, text) {
  if (!model.pictures.includes(name)) return picture.remove();
  picture.src = `/api/models/${encodeURIComponent(model.name)}/${name}.png`;
  picture.alt = `${text}: ${model.name}`;
}

function setScores(part, model) {
  const rows = Object.entries(model.scores ?? {});
  if (!rows.length) return part.remove();
  part.setAttribute("aria-label", `Scores of ${model.name}`);
  const names = [...new Set(rows.flatMap(([, scores]) => Object.keys(scores)))];
  const table = part.querySelector("table");
  table.createCaption().textContent = "Scores";
  const head = table.createTHead().insertRow();
  for (const name of ["on", ...names]) head.append(heading(name, "col"));
  const body = table.createTBody();
  for (const [set, scores] of rows) {
    const row = body.insertRow();
    row.append(heading(set, "row"));
    for (const name of names) row.insertCell().textContent = scores[name] ?? "";
  }
}

function heading(text, scope) {
  const made = document.createElement("th");
  made.scope = scope;
  made.textContent = text;
  return made;
}

function setTraining(part, model) {
  if (!model.training) return part.remove();
  const { data, iterations, hours, machine } = model.training;
  part.querySelector("p").textContent =
    `${iterations} steps in ${hours} hours on ${machine}. ${data}`;
}
