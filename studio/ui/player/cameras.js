// <quintet-cameras data-views='[{"label", "path", "frames": [[pose 3x4 row by row, fx, fy, cx, cy], ...]}, ...]'>: the
// cameras of all views in one drawing. Every view is a path with the frustum of its first and last frame and short lines
// that say where it looks in between. A drag or the arrow keys turn it; nothing is perspective, so lengths compare.
// The namespace of SVG by asking, since an offline page may name no address.
const SVG = Object.assign(document.createElement("template"), { innerHTML: "<svg></svg>" }).content.firstChild.namespaceURI;
const MIDDLE = [0, 0, 0.5]; // between where named paths begin, (0, 0, 0), and what they look at
const TARGET = [0, 0, 1];
const REACH = 0.6; // radius around MIDDLE that is always in view, so that longer paths look longer
const FRUSTUM = 0.2; // depth, as a part of what is in view
const LOOKS = 4; // lines of sight on a path
const TURN = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
const CAMERAS_STYLE = `
:host { display: block; }
svg { display: block; width: 100%; aspect-ratio: 24 / 17; border: 1px solid var(--q-line-colour, #8884); border-radius: 10px;
  background: var(--q-sunk, #8882); cursor: grab; touch-action: pan-y; }
svg:active { cursor: grabbing; }
svg:focus-visible { outline: 2px solid var(--q-accent, #0f766e); outline-offset: 2px; }
path, circle { fill: none; stroke-width: 1.1; stroke-linecap: round; stroke-linejoin: round; }
.ground { stroke: var(--q-line-colour, #8884); stroke-width: 0.7; }
.start { stroke: var(--q-quiet, GrayText); }
.target { stroke: var(--q-quiet, GrayText); stroke-dasharray: 2 4; }
.face { fill: color-mix(in srgb, var(--colour) 18%, transparent); stroke: var(--colour); }
.way { stroke: var(--colour); stroke-width: 1.8; }
.look { stroke: var(--colour); opacity: 0.55; }
text { font: 600 9px system-ui, sans-serif; fill: var(--q-ink, CanvasText); paint-order: stroke;
  stroke: var(--q-sunk, Canvas); stroke-width: 3px; stroke-linejoin: round; text-anchor: middle; }
ul { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 13px; color: var(--q-ink, CanvasText); }
li { display: flex; align-items: center; gap: 6px; min-width: 0; overflow-wrap: anywhere; }
i { flex: none; width: 9px; height: 9px; border-radius: 50%; background: var(--colour); }
li span { color: var(--q-quiet, GrayText); }`;

class QuintetCameras extends HTMLElement {
  static observedAttributes = ["data-views"];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${CAMERAS_STYLE}</style><svg viewBox="-120 -74 240 170" role="img" tabindex="0"></svg><ul></ul>`;
    [this.paper, this.legend] = [root.querySelector("svg"), root.querySelector("ul")];
    this.turn = [-0.5, 0.5]; // radians about the upright axis, then up
    this.paper.addEventListener("pointerdown", (event) => this.drag(event));
    this.paper.addEventListener("keydown", (event) => {
      if (!TURN[event.key]) return;
      event.preventDefault();
      this.turnBy(...TURN[event.key]);
    });
  }

  attributeChangedCallback() {
    this.views = JSON.parse(this.dataset.views || "[]");
    const points = this.views.flatMap((view) => view.frames.map(centre));
    const far = Math.max(REACH, ...points.map((point) => Math.hypot(...point.map((value, axis) => value - MIDDLE[axis]))));
    this.scale = 92 / (far * 1.1);
    this.depth = FRUSTUM * far;
    this.legend.replaceChildren(...this.views.map(entry), note());
    const told = this.views.map(({ label, path, frames }) => `${label}${path ? `, ${path}` : ""}: ${wordsOf(frames)}`);
    this.paper.setAttribute("aria-label", `Camera paths. ${told.join(". ")}. Arrow keys turn the drawing.`);
    this.draw();
  }

  drag(event) {
    if (event.button) return;
    this.paper.setPointerCapture(event.pointerId);
    let [x, y] = [event.clientX, event.clientY];
    const move = (moved) => {
      this.turnBy((moved.clientX - x) * 0.01, (moved.clientY - y) * 0.01);
      [x, y] = [moved.clientX, moved.clientY];
    };
    this.paper.addEventListener("pointermove", move);
    for (const end of ["pointerup", "pointercancel"]) {
      this.paper.addEventListener(end, () => this.paper.removeEventListener("pointermove", move), { once: true });
    }
  }

  turnBy(around, up) {
    this.turn = [this.turn[0] + around, Math.max(-0.2, Math.min(1.5, this.turn[1] + up))];
    this.draw();
  }

  // A point of the world on paper: x to the right, y down as the cameras have it, z away from them.
  onPaper(point) {
    const [around, up] = this.turn;
    const [x, y, z] = point.map((value, axis) => value - MIDDLE[axis]);
    const [side, away] = [x * Math.cos(around) + z * Math.sin(around), z * Math.cos(around) - x * Math.sin(around)];
    return [side * this.scale, (y * Math.cos(up) - away * Math.sin(up)) * this.scale];
  }

  line(points, name, colour = "") {
    const made = document.createElementNS(SVG, "path");
    const steps = points.map((point, index) => `${index ? "L" : "M"}${this.onPaper(point).map((value) => value.toFixed(2))}`);
    made.setAttribute("d", steps.join(""));
    made.setAttribute("class", name);
    made.style.setProperty("--colour", colour);
    this.paper.append(made);
  }

  draw() {
    this.paper.replaceChildren();
    for (let at = -0.6; at <= 0.61; at += 0.2) {
      const ground = (x, z) => [x, 0.3, z + 0.5];
      this.line([ground(at, -0.6), ground(at, 0.6)], "ground");
      this.line([ground(-0.6, at), ground(0.6, at)], "ground");
    }
    this.line([MIDDLE.map((value, axis) => 2 * value - TARGET[axis]), TARGET], "target");
    const target = document.createElementNS(SVG, "circle");
    const [x, y] = this.onPaper(TARGET);
    for (const [name, value] of [["cx", x], ["cy", y], ["r", 6], ["class", "target"]]) target.setAttribute(name, value);
    this.paper.append(target);
    for (const [index, { frames }] of this.views.entries()) {
      const colour = COLOURS[index % COLOURS.length];
      this.frustum(frames[0], "start");
      this.line(frames.map(centre), "way", colour);
      for (let look = 1; look < LOOKS; look += 1) {
        const frame = frames[Math.round((look * (frames.length - 1)) / LOOKS)];
        this.line([centre(frame), inWorld(frame, [0, 0, 1.2 * this.depth])], "look", colour);
      }
    }
    for (const [index, { frames }] of this.views.entries()) {
      this.frustum(frames[frames.length - 1], "face", COLOURS[index % COLOURS.length]);
    }
    for (const [index, { frames }] of this.views.entries()) this.name(frames[frames.length - 1], index + 1);
  }

  frustum(frame, name, colour) {
    const [fx, fy, cx, cy] = frame.slice(12);
    const corner = (u, v) => inWorld(frame, [(u - cx) / fx, (v - cy) / fy, 1].map((value) => value * this.depth));
    const corners = [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)];
    this.line([...corners, corners[0]], name, colour);
    for (const at of corners) this.line([centre(frame), at], name, colour);
  }

  name(frame, number) {
    const made = document.createElementNS(SVG, "text");
    const [, fy, , cy] = frame.slice(12);
    const [x, y] = this.onPaper(inWorld(frame, [0, (-cy / fy) * this.depth, this.depth])); // its upper edge
    made.setAttribute("x", x);
    made.setAttribute("y", y - 4);
    made.textContent = number;
    this.paper.append(made);
  }
}

const centre = (frame) => [frame[3], frame[7], frame[11]];
const inWorld = (frame, [x, y, z]) => [0, 4, 8].map((row) => frame[row] * x + frame[row + 1] * y + frame[row + 2] * z + frame[row + 3]);

// Where a path ends, seen from where it begins, in a few words.
function wordsOf(frames) {
  const [from, to] = [centre(frames[0]), centre(frames[frames.length - 1])];
  const moved = to.map((value, axis) => value - from[axis]);
  const words = [["right", "left"], ["down", "up"], ["ahead", "back"]];
  const found = moved.map((value, axis) => Math.abs(value) > 0.02 && `${Math.abs(value).toFixed(2)} ${words[axis][value > 0 ? 0 : 1]}`);
  return found.filter(Boolean).join(", ") || "stays in its place";
}

function note() {
  const made = document.createElement("li");
  made.append(Object.assign(document.createElement("span"), { textContent: "Grey: the first frame. Dashed: what named paths look at." }));
  return made;
}

function entry({ label, path }, index) {
  const made = document.createElement("li");
  made.style.setProperty("--colour", COLOURS[index % COLOURS.length]);
  made.append(document.createElement("i"), label);
  if (path) made.append(Object.assign(document.createElement("span"), { textContent: path }));
  return made;
}
