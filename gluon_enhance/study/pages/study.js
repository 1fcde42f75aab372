// One item at a time. Of its pictures the page knows no more than the item's number and the side.
const PAUSE = 300; // milliseconds of gray between two items, so that nobody compares by flicker
const PATIENCE = 30_000; // milliseconds until an answer begins; one that is lost never does
const CONFLICTS = [401, 404, 409]; // of a page that knows less than the server

const find = (id) => document.getElementById(id);
let study, shown; // the study as the server tells it, and the item that is looked at
let busy = false;
const loaded = new Map(); // items and their pictures that were asked for

async function request(path, options) {
  const end = new AbortController();
  const late = new Error("the server does not answer");
  const timer = setTimeout(() => end.abort(late), PATIENCE);
  const answer = await fetch(path, { ...options, signal: end.signal });
  clearTimeout(timer); // a picture may take longer to come
  if (answer.ok) return answer;
  const { error } = await answer.json();
  throw Object.assign(new Error(error), { status: answer.status });
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return (await request(path, options)).json();
}

function show(section) {
  for (const id of ["start", "rate", "end"]) find(id).hidden = id !== section;
}

// Do one thing at a time; what goes wrong is said, and can be tried again.
async function during(work) {
  if (busy) return;
  busy = true;
  try {
    await work().catch(renew);
    find("trouble").hidden = true;
  } catch (error) {
    find("trouble").textContent = `That did not work: ${error.message}. Please try again.`;
    find("trouble").hidden = false;
    find("pictures").classList.remove("waiting");
  } finally {
    busy = false;
  }
}

// Another tab has gone on, or begun as another person; or an answer was lost, or the cookie. Begin
// with the news, which say all to who is at the end.
async function renew(error) {
  if (!CONFLICTS.includes(error.status)) throw error;
  await open();
  if (!study.methods) throw error;
}

function load(index) {
  if (!loaded.has(index)) {
    const item = fetchItem(index);
    item.catch(() => loaded.delete(index));
    loaded.set(index, item);
  }
  return loaded.get(index);
}

async function fetchItem(index) {
  const item = await ask(`/api/items/${index}`);
  item.images = await Promise.all(
    Array.from({ length: item.pictures }, async (_, side) => {
      const answer = await request(`/api/items/${index}/pictures/${side}`);
      const image = new Image();
      image.src = URL.createObjectURL(await answer.blob());
      await image.decode();
      return image;
    }),
  );
  return item;
}

function forget(keep) {
  for (const [index, item] of loaded) {
    if (keep.includes(index)) continue;
    loaded.delete(index);
    item.then((one) => one.images.forEach((image) => URL.revokeObjectURL(image.src)), () => {});
  }
}

async function turnTo(index) {
  find("pictures").classList.add("waiting");
  const pause = new Promise((resolve) => setTimeout(resolve, shown ? PAUSE : 0));
  const [item] = await Promise.all([load(index), pause]);
  shown = item;
  const captions = { acr: [""], dcr: ["original", "picture to rate"], pairs: study.scale }[study.kind];
  find("pictures").replaceChildren(
    ...item.images.map((image, side) => figureOf(image, captions[side])),
  );
  find("pictures").className = item.images.length > 1 ? "two" : "";
  for (const button of find("scale").children) mark(button);
  find("place").textContent = `${item.stage === "training" ? "Practice: " : ""}${index + 1} of ${study.total}`;
  find("bar").value = study.next / study.total;
  find("back").disabled = index === 0;
  hint(item);
  fit();
  window.scrollTo(0, 0);
  find("question").focus({ preventScroll: true });
  forget([index - 1, index, index + 1]);
  if (index + 1 < study.total && index + 1 <= study.next + 1) load(index + 1).catch(() => {});
}

function mark(button) {
  const value = Number(button.dataset.rating);
  button.setAttribute("aria-pressed", value === shown.rating);
  button.classList.toggle("suggested", value === shown.suggested);
}

function hint(item) {
  const word = item.suggested && `${item.suggested} (${study.scale[item.suggested - 1]})`;
  find("hint").hidden = item.stage !== "training";
  find("hint").textContent = word
    ? `This is practice. Take this picture for a ${word}: choose ${item.suggested} to go on.`
    : "This is practice: your rating does not count yet.";
}

function figureOf(image, caption) {
  const figure = document.createElement("figure");
  const frame = document.createElement("div");
  const under = document.createElement("figcaption");
  frame.className = "frame";
  image.alt = caption || "picture to rate";
  under.textContent = caption;
  frame.append(image);
  figure.append(...(caption ? [under, frame] : [frame]));
  return figure;
}

// A pixel of a picture is a whole number of the screen's, so that nothing is resampled: as many as
// make a CSS pixel, or fewer to fit. What does not fit even then is moved by scrolling.
function fit() {
  const ratio = window.devicePixelRatio || 1;
  for (const frame of document.querySelectorAll(".frame")) {
    const image = frame.firstChild;
    const most = parseFloat(getComputedStyle(frame).maxHeight);
    const height = Number.isNaN(most) ? frame.clientHeight : most;
    const room = Math.min(frame.clientWidth / image.naturalWidth, height / image.naturalHeight);
    const times = Math.max(1, Math.min(Math.round(ratio), Math.floor(room * ratio)));
    image.style.width = `${(image.naturalWidth * times) / ratio}px`;
    image.style.height = `${(image.naturalHeight * times) / ratio}px`;
    const fits = frame.scrollWidth <= frame.clientWidth && frame.scrollHeight <= frame.clientHeight;
    if (fits) frame.removeAttribute("tabindex");
    else frame.tabIndex = 0; // to scroll by keys
  }
}

function rate(value) {
  return during(async () => {
    const { index, rating } = shown;
    const said = { rating: value, person: study.person };
    Object.assign(study, await ask(`/api/items/${index}/rating`, said));
    shown.rating = value;
    if (study.methods) end();
    else await turnTo(rating === null ? study.next : index + 1);
  });
}

function end() {
  show("end");
  forget([]);
  find("methods").replaceChildren(
    ...study.methods.map((name) => Object.assign(document.createElement("li"), { textContent: name })),
  );
  document.querySelector("#end h1").focus();
}

function begin() {
  return during(async () => {
    if (study.person === null) Object.assign(study, await ask("/api/join", {}));
    if (study.methods) return end();
    await load(study.next); // what fails here can be tried again here
    show("rate");
    await turnTo(study.next);
  });
}

async function leave() {
  await ask("/api/leave", {});
  await open();
}

function press(event) {
  if (find("rate").hidden || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const value = Number(event.key);
  const buttons = [...find("scale").children];
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (event.key === " " || !(value >= 1 && value <= buttons.length)) {
    if (event.key === "Backspace") find("back").click();
    else if (step && !event.target.matches(".frame")) choose(step, buttons);
    else return;
  } else rate(value);
  event.preventDefault();
}

// Of two pictures the arrows choose one; else they move along the scale, and Enter rates.
function choose(step, buttons) {
  if (study.kind === "pairs") return rate(step < 0 ? 1 : 2);
  const at = buttons.indexOf(document.activeElement);
  const next = at < 0 ? (step < 0 ? buttons.length - 1 : 0) : at + step;
  buttons[(next + buttons.length) % buttons.length].focus();
}

function buttonOf(word, index) {
  const button = document.createElement("button");
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = index + 1;
  button.type = "button";
  button.dataset.rating = index + 1;
  button.append(number, " ", word);
  button.addEventListener("click", ({ detail }) => {
    if (detail < 2) rate(index + 1); // else it is a double click, for the item before
  });
  return button;
}

async function open() {
  study = await ask("/api/study");
  shown = undefined;
  forget([]);
  document.title = study.title;
  for (const place of document.querySelectorAll(".title")) place.textContent = study.title;
  find("question").textContent = study.question;
  find("consent").textContent = study.consent;
  find("length").textContent = study.person !== null
    ? `You have rated ${study.next} of ${study.total}.`
    : `There are ${study.total} ratings to give.`;
  find("begin").textContent = study.person !== null ? "Go on" : "I agree, begin";
  document.querySelector("#start .leave").hidden = study.person === null;
  find("scale").replaceChildren(...study.scale.map(buttonOf));
  if (study.methods) end();
  else show("start");
}

find("begin").addEventListener("click", begin);
find("back").addEventListener("click", () => during(() => turnTo(shown.index - 1)));
for (const button of document.querySelectorAll(".leave")) {
  button.addEventListener("click", () => during(leave));
}
document.addEventListener("keydown", press);
window.addEventListener("resize", fit);
during(open);
