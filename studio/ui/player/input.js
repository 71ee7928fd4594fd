// Buttons, keys, mouse and touch.
const DOES = {
  play: (player) => (player.state.playing ? player.pause() : player.play()),
  back: (player) => player.step(-1),
  next: (player) => player.step(1),
  swap: (player) => player.clips.length > 1 && player.bring(player.order[1], 0),
  zoom: (player) => tool(player, "zoom"),
  whole: (player) => player.setRegion(0, 0, 1),
  slice: (player) => {
    player.state.slicing = !player.state.slicing;
    player.ask();
  },
  mark: (player) => player.setMark(player.order[0], [region(player, 0.5, "x"), region(player, 0.5, "y")]),
  unmark: (player) => player.setMark(null),
  full: (player) => (document.fullscreenElement ? document.exitFullscreen() : player.requestFullscreen?.()),
  "whole-loop": (player) => player.setLoop(0, player.time.ticks - 1),
  "loop-from": (player) => player.setLoop(player.state.tick, Math.max(player.state.tick, player.range[1])),
  "loop-to": (player) => player.setLoop(Math.min(player.range[0], player.state.tick), player.state.tick),
  mode: (player) => {
    if (player.clips.length < 2) return;
    const names = MODES.map(([value]) => value);
    player.setMode(names[(names.indexOf(player.state.mode) + 1) % names.length]);
  },
};
const BY_KEY = {
  " ": "play", k: "play", ",": "back", ".": "next", i: "loop-from", o: "loop-to", l: "whole-loop", m: "mode", c: "swap",
  z: "whole", x: "slice", f: "full", e: "mark",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function tool(player, name) {
  player.state.tool = player.state.tool === name ? "" : name;
  player.ask();
}

function listen(player) {
  const at = player.part$;
  const { state } = player;
  at(".player").addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) DOES[button.dataset.do](player);
  });
  at(".player").addEventListener("keydown", (event) => key(player, event));
  at(".head").addEventListener("input", ({ target }) => {
    player.stopClock();
    player.seek(Number(target.value));
  });
  for (const end of [at(".first"), at(".last")]) {
    end.addEventListener("input", () => player.setLoop(Number(at(".first").value), Number(at(".last").value)));
  }
  at(".speed").addEventListener("change", ({ target }) => {
    state.speed = Number(target.value);
    player.restart();
  });
  at(".align").addEventListener("change", ({ target }) => {
    const part = state.tick / Math.max(1, player.time.ticks - 1);
    state.align = target.value;
    player.retime();
    player.slices.clear();
    player.seek(part * (player.time.ticks - 1));
  });
  at(".modes").addEventListener("change", ({ target }) => player.setMode(target.value));
  at(".a").addEventListener("change", ({ target }) => player.bring(Number(target.value), 0));
  at(".b").addEventListener("change", ({ target }) => player.bring(Number(target.value), 1));
  at(".amount input").addEventListener("input", ({ target }) => {
    state.amounts[state.mode] = Number(target.value);
    player.ask();
  });
  at(".where").addEventListener("input", ({ target }) => moveLine(player, Number(target.value)));
  at(".turn").addEventListener("change", ({ target }) => {
    state.vertical = target.value === "column";
    player.slices.clear();
    player.ask();
  });
  at(".pictures").addEventListener("pointerdown", (event) => press(player, event));
}

function moveLine(player, line) {
  player.state.line = Math.max(0, Math.min(1, line));
  player.slices.clear();
  player.ask();
}

function key(player, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, summary")) return;
  const typing = event.target.closest("input, button");
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const arrow = ARROWS[pressed];
  if (event.shiftKey && arrow && !typing) player.moveBy(...arrow);
  else if (pressed === "+" || pressed === "=") player.zoomBy(0.8);
  else if (pressed === "-") player.zoomBy(1.25);
  else if (arrow && !typing && arrow[0]) player.step(arrow[0]);
  else if (/^[1-6]$/.test(pressed) && Number(pressed) <= player.clips.length) {
    player.bring(Number(pressed) - 1, 0);
    player.setMode("single");
  } else if (BY_KEY[pressed] && !(pressed === " " && typing)) DOES[BY_KEY[pressed]](player);
  else return;
  event.preventDefault();
}

// From a part of what is shown, 0 to 1, to that part of the whole picture.
const region = ({ state }, part, axis) => state.region[axis] + part * state.region.size;

// A press on a picture draws a region, moves the line or the divider; without a tool it plays or pauses, or marks a
// point of a view that stands still.
function press(player, event) {
  const canvas = event.target.closest("canvas");
  if (!canvas || event.button) return;
  const doing = player.part$(".player").dataset.tool;
  const box = canvas.getBoundingClientRect();
  const spot = ({ clientX, clientY }) => [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  const [x, y] = spot(event);
  if (!doing) {
    const release = (up) => {
      if (Math.hypot(up.clientX - event.clientX, up.clientY - event.clientY) >= 8) return;
      const clip = player.figures.indexOf(canvas.closest("figure"));
      const marks = !player.state.playing && player.state.mode === "side" && player.linked(clip);
      if (marks) player.setMark(clip, [region(player, x, "x"), region(player, y, "y")]);
      else DOES.play(player);
    };
    canvas.addEventListener("pointerup", release, { once: true });
    canvas.addEventListener("pointercancel", () => canvas.removeEventListener("pointerup", release), { once: true });
    return;
  }
  canvas.setPointerCapture(event.pointerId);
  const move = (moved) => drag(player, doing, [x, y], spot(moved));
  move(event);
  canvas.addEventListener("pointermove", move);
  const finish = (up) => {
    canvas.removeEventListener("pointermove", move);
    if (doing === "zoom") closeUp(player, up.type === "pointerup");
  };
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, finish, { once: true });
}

function drag(player, doing, [x, y], [toX, toY]) {
  const { state } = player;
  if (doing === "wipe") {
    state.amounts.wipe = Math.max(0, Math.min(1, toX));
    player.ask();
  } else if (doing === "slice") moveLine(player, state.vertical ? toX : toY);
  else {
    const size = Math.min(1, Math.max(Math.abs(toX - x), Math.abs(toY - y)));
    state.drag = { x: toX < x ? x - size : x, y: toY < y ? y - size : y, size };
    player.ask();
  }
}

// What was drawn is a part of what is shown, which may be a region itself.
function closeUp(player, kept) {
  const { drag: drawn, region } = player.state;
  player.state.drag = null;
  player.state.tool = "";
  if (kept && drawn && drawn.size > 0.02) {
    player.setRegion(region.x + drawn.x * region.size, region.y + drawn.y * region.size, drawn.size * region.size);
  }
  player.ask();
}
