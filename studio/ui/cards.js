// Runs once per list of cards (gr.HTML js_on_load): `element` is the list, `trigger` sends an event to Python.
const clipOf = (event) => event.target.closest(".q-card")?.querySelector("video");
const play = (event) => {
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) clipOf(event)?.play().catch(() => {});
};
const rest = (event) => {
  const clip = clipOf(event);
  if (clip && !event.target.closest(".q-card").contains(event.relatedTarget)) clip.pause();
};
element.addEventListener("pointerover", play);
element.addEventListener("focusin", play);
element.addEventListener("pointerout", rest);
element.addEventListener("focusout", rest);
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button?.dataset.sure && button.textContent !== button.dataset.sure) button.textContent = button.dataset.sure;
  else if (button) trigger("click", { action: button.dataset.action, id: button.dataset.id });
});
