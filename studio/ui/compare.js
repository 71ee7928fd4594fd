// Runs once per list of methods (gr.HTML js_on_load): ticks arrive in Python as one click with all ticked keys.
element.addEventListener("change", (event) => {
  if (event.target.type !== "checkbox") return;
  const ticked = [...element.querySelectorAll("input:checked")].map((box) => box.value);
  trigger("click", { action: "choose", keys: ticked });
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) trigger("click", { action: button.dataset.action, id: button.dataset.id });
});
// A box that was touched follows its property, not its attribute, which is all that an update of the page changes.
watch("value", () => {
  for (const box of element.querySelectorAll("input[type=checkbox]")) box.checked = box.hasAttribute("checked");
});
