// A form that takes pictures by its field, by dropping and by pasting, and sends each job it makes.

/**
 * Make a section's form take pictures.
 *
 * `send` gets the pictures, and returns when they are sent; the form then forgets them, or tells
 * what was wrong.
 */
export function takePictures(section, most, send) {
  const form = section.querySelector("form");
  const field = form.querySelector(".drop input[multiple]");
  const list = form.querySelector(".chosen");
  const button = form.querySelector("button.main");
  const wrong = form.querySelector(".wrong");
  let chosen = [];

  function add(files) {
    chosen = [...chosen, ...files].slice(0, most);
    field.value = "";
    show();
  }

  function show() {
    list.replaceChildren(
      ...chosen.map((file) => {
        const line = document.createElement("li");
        const remove = document.createElement("button");
        remove.type = "button";
        remove.textContent = "Remove";
        remove.setAttribute("aria-label", `Remove ${file.name}`);
        remove.addEventListener("click", () => {
          chosen = chosen.filter((one) => one !== file);
          show();
          field.focus();
        });
        line.append(`${file.name} `, remove);
        return line;
      }),
    );
  }

  field.addEventListener("change", () => add(field.files));
  document.addEventListener("paste", ({ clipboardData }) => {
    if (!section.hidden) add(clipboardData.files);
  });
  document.addEventListener("dragover", (event) => {
    if (section.hidden) return;
    event.preventDefault();
    section.classList.add("over");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) section.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (section.hidden) return;
    event.preventDefault();
    section.classList.remove("over");
    add(event.dataTransfer.files);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    wrong.textContent = chosen.length ? "" : "Choose a picture first.";
    if (!chosen.length) return;
    button.disabled = true;
    try {
      await send(chosen);
      chosen = [];
      show();
    } catch (error) {
      wrong.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

/** Add the fields of a form that have a value and are shown. */
export function addFields(body, form) {
  for (const field of form.elements) {
    const isOff = field.type === "checkbox" && !field.checked;
    const isHidden = field.closest("[hidden]");
    if (!field.name || field.type === "file" || isOff || isHidden || !field.value) continue;
    body.append(field.name, field.value);
  }
  return body;
}
