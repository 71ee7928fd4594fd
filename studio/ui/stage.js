// Runs once per stage (gr.HTML js_on_load): new clips play at once, unless the visitor asked for less motion.
const still = matchMedia("(prefers-reduced-motion: reduce)");
const settle = () => {
  for (const clip of element.querySelectorAll("video")) {
    clip.muted = true; // an attribute set by script does not mute, and only silent clips may start by themselves
    if (still.matches) {
      clip.autoplay = false;
      clip.pause();
    } else if (clip.paused) {
      clip.play().catch(() => {});
    }
  }
};
// A preview has few pixels; the style softens the edges between them by the size of one.
element.addEventListener(
  "load",
  ({ target }) => element.style.setProperty("--q-cell", `${target.clientWidth / (target.naturalWidth || 1)}px`),
  true,
);
settle();
watch("value", settle);
