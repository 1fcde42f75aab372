// The range input over each pair of pictures moves the line between them.
document.addEventListener("input", ({ target }) => {
  const slider = target.closest(".slider");
  if (slider) slider.style.setProperty("--at", `${target.value}%`);
});
