// What a player consists of. Words that come from people are set as text, never as markup.
const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  back: "M12.5 2.5v11L5 8zM3 2.5h1.6v11H3z",
  next: "M3.5 2.5v11L11 8zM11.4 2.5H13v11h-1.6z",
  swap: "M10 1.5l3.5 3.5L10 8.5V6H2V4h8zM6 7.5V10h8v2H6v2.5L2.5 11z",
};
const icon = (name) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
const options = (list) => list.map(([value, label]) => `<option value="${value}">${label}</option>`).join("");
const MODES = [
  ["side", "Side by side"],
  ["wipe", "Wipe"],
  ["overlay", "Overlay"],
  ["difference", "Difference"],
  ["single", "Single"],
];
const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const KEYS = [
  ["Space", "play or pause"],
  [", and .", "one frame back or on"],
  ["I and O", "loop from here, to here"],
  ["L", "loop over everything"],
  ["M", "next view"],
  ["C", "swap the first two clips"],
  ["1 to 6", "one clip alone"],
  ["+ and -", "closer, farther"],
  ["Shift with arrows", "move the region"],
  ["Z", "whole picture"],
  ["X", "slice through time"],
  ["F", "full screen"],
  ["E", "mark the middle of the first view, for its epipolar lines"],
];

const MARKUP = `
<div class="player" role="group" tabindex="0">
  <div class="pictures"></div>
  <p class="hint"></p>
  <div class="slices" hidden></div>
  <div class="dock">
    <div class="track">
      <input type="range" class="loop first" aria-label="Loop from frame" min="0" step="1">
      <input type="range" class="loop last" aria-label="Loop to frame" min="0" step="1">
      <input type="range" class="head" aria-label="Frame" min="0" step="1" value="0">
    </div>
    <div class="buttons">
      <button type="button" data-do="back" aria-label="One frame back" title="One frame back ( , )">${icon("back")}</button>
      <button type="button" data-do="play" class="play" aria-label="Play">${icon("play")}</button>
      <button type="button" data-do="next" aria-label="One frame on" title="One frame on ( . )">${icon("next")}</button>
      <span class="time"></span>
      <button type="button" data-do="whole-loop" class="unloop" hidden>Loop all</button>
    </div>
  </div>
  <div class="tools">
    <fieldset class="modes several"><legend class="unseen">View</legend>${MODES.map(
      ([value, label]) => `<label><input type="radio" name="mode" value="${value}"><span>${label}</span></label>`,
    ).join("")}</fieldset>
    <div class="pair" hidden>
      <label><span class="unseen">First clip</span><select class="a"></select></label>
      <button type="button" data-do="swap" aria-label="Swap" title="Swap (C)">${icon("swap")}</button>
      <label class="with"><span class="unseen">Second clip</span><select class="b"></select></label>
    </div>
    <label class="amount" hidden><span></span><input type="range" min="0" max="1" step="0.01"></label>
    <div class="choices">
      <label>Speed <select class="speed">${options(SPEEDS.map((speed) => [speed, `${speed}×`]))}</select></label>
      <label class="several">Align by <select class="align">${options([["seconds", "seconds"], ["progress", "progress"]])}</select></label>
    </div>
    <div class="toggles">
      <button type="button" data-do="zoom" aria-pressed="false" title="Drag over a picture to look closer at that region in all of them">Zoom</button>
      <button type="button" data-do="whole" hidden>Whole picture</button>
      <button type="button" data-do="unmark" hidden>Clear the point</button>
      <button type="button" data-do="slice" aria-pressed="false" title="One line of every frame, side by side (X)">Slice</button>
      <button type="button" data-do="full" title="Full screen (F)">Full screen</button>
    </div>
  </div>
  <div class="line" hidden>
    <label>Line <input type="range" class="where" min="0" max="1" step="0.005" value="0.5"></label>
    <label>Direction <select class="turn">${options([["row", "row, time runs down"], ["column", "column, time runs right"]])}</select></label>
  </div>
  <div class="curves"></div>
  <details class="keys"><summary>Keys</summary><dl>${KEYS.map(([key, does]) => `<div><dt>${key}</dt><dd>${does}</dd></div>`).join("")}</dl></details>
  <p class="unseen said" role="status" aria-live="polite"></p>
</div>`;

function figure(clip, index) {
  const made = document.createElement("figure");
  made.innerHTML = `<div class="screen"><canvas role="img"></canvas><span class="reading"></span></div>
    <figcaption><i></i><b></b><span></span></figcaption>`;
  made.style.setProperty("--colour", COLOURS[index % COLOURS.length]);
  made.querySelector("b").textContent = clip.label;
  made.querySelector("figcaption span").textContent = clip.facts || "";
  return made;
}
