// The player's state put on the screen.
const PAIRED = ["wipe", "overlay", "difference"];
const CRISP = 16; // so much larger than it is, a picture shows its pixels: whoever looks that close wants to see them
const pick = (index) => (index < 0 ? "" : String(index));

// Figures, slices, curves and the names to choose from, after the clips changed.
function build(player, name) {
  const at = player.part$;
  at(".player").setAttribute("aria-label", name);
  player.figures = player.clips.map(figure);
  at(".pictures").replaceChildren(...player.figures);
  for (const made of player.figures) player.resized.observe(made.querySelector("canvas"));
  player.strips = player.clips.map((clip) => {
    const strip = Object.assign(document.createElement("canvas"), { className: "strip" });
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", `Slice through time of ${clip.label}`);
    return strip;
  });
  at(".slices").replaceChildren(...player.strips);
  for (const select of [at(".a"), at(".b")]) {
    select.replaceChildren(...player.clips.map((clip, index) => new Option(clip.label, pick(index))));
  }
  for (const part of player.shadowRoot.querySelectorAll(".several")) part.hidden = player.clips.length < 2;
  player.charts = player.curves.map((curve) => chart(curve, player));
  at(".curves").replaceChildren(...player.charts.map((made) => made.section));
}

function chart(curve, player) {
  const section = Object.assign(document.createElement("section"), { className: "curve" });
  section.innerHTML = "<header><b></b><span class='now'></span><span class='help'></span></header><canvas role='img'></canvas>";
  section.querySelector("b").textContent = curve.title;
  section.querySelector(".help").textContent = curve.help || "";
  const canvas = section.querySelector("canvas");
  canvas.setAttribute("aria-label", `${curve.title} of every frame. ${curve.help || ""}`);
  canvas.addEventListener("pointerdown", (event) => {
    player.stopClock();
    player.seek((event.offsetX / canvas.clientWidth) * player.time.ticks - 0.5);
  });
  return { curve, section, canvas, now: section.querySelector(".now") };
}

function paint(player) {
  const { state, order, time } = player;
  const paired = PAIRED.includes(state.mode);
  const shown = state.mode === "side" ? order : order.slice(0, 1);
  for (const [index, made] of player.figures.entries()) {
    const place = order.indexOf(index);
    made.hidden = !shown.includes(index);
    made.style.order = place;
    if (!made.hidden) paintFigure(player, index, made, paired);
  }
  if (state.slicing) paintSlices(player, paired ? order.slice(0, 2) : shown);
  for (const made of player.charts) {
    drawCurve(made.canvas, made.curve, order, player.clips, time, state.tick, getComputedStyle(player).color);
    made.now.replaceChildren(...valuesAt(made.curve, order, player.clips, time, state.tick).map(reading));
  }
  paintControls(player, paired);
}

function paintFigure(player, index, made, paired) {
  const { state, time, clips, frames } = player;
  const canvas = made.querySelector("canvas");
  const frame = time.frame(clips[index], state.tick);
  const picture = frames[index].at(frame);
  const aspect = picture ? picture.width / picture.height : 1;
  made.style.setProperty("--aspect", aspect);
  if (!canvas.clientWidth) return;
  const context = fit(canvas, aspect);
  const other = player.order[1];
  const smooth = !picture || canvas.clientWidth / (picture.width * state.region.size) < CRISP;
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (paired) {
    const second = frames[other]?.at(time.frame(clips[other], state.tick));
    blend(context, state.mode, picture, second, state.amounts[state.mode], state.region, smooth);
  } else {
    place(context, picture, state.region, smooth);
    paintMark(player, index, context);
  }
  if (state.slicing) {
    const at = state.line * (state.vertical ? canvas.width : canvas.height);
    if (state.vertical) rule(context, at, 0, at, canvas.height);
    else rule(context, 0, at, canvas.width, at);
  }
  if (state.drag) outline(context, state.drag);
  const { pictures, error, whole } = frames[index];
  made.querySelector(".reading").textContent =
    error || (whole ? "" : `Reading frame ${pictures.length} of ${clips[index].frames}`);
  made.dataset.ended = time.ended(clips[index], state.tick) ? "yes" : "no";
  const name = paired && clips[other] ? `${clips[index].label} and ${clips[other].label}` : clips[index].label;
  if (!state.playing) canvas.setAttribute("aria-label", `${name}, frame ${frame + 1} of ${clips[index].frames}`);
  made.querySelector("b").textContent = paired && clips[other] ? pairName(state.mode, clips[index], clips[other]) : clips[index].label;
  made.querySelector("figcaption span").textContent = paired ? "" : clips[index].facts || "";
}

function pairName(mode, a, b) {
  if (mode === "wipe") return `${a.label} | ${b.label}`;
  return mode === "overlay" ? `${a.label} + ${b.label}` : `${a.label} − ${b.label}`;
}

function outline(context, { x, y, size }) {
  const { width, height } = context.canvas;
  for (const [colour, line] of [["#000000b0", 4], ["#ffffff", 2]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.strokeRect(x * width, y * height, size * width, size * height);
  }
}

function paintSlices(player, shown) {
  const { state, time, clips, frames } = player;
  for (const [index, strip] of player.strips.entries()) {
    strip.hidden = !shown.includes(index);
    strip.style.order = player.order.indexOf(index);
    if (strip.hidden || !strip.clientWidth) continue;
    let paper = player.slices.get(index);
    if (!paper) {
      paper = slice(frames[index], state.line, state.vertical, state.region, time.ticks, (tick) => time.frame(clips[index], tick));
      if (paper) player.slices.set(index, paper);
    }
    if (!paper) continue;
    const context = fit(strip, strip.clientWidth / strip.clientHeight);
    context.imageSmoothingEnabled = false;
    context.drawImage(paper, 0, 0, strip.width, strip.height);
    const at = ((state.tick + 0.5) / time.ticks) * (state.vertical ? strip.width : strip.height);
    if (state.vertical) rule(context, at, 0, at, strip.height);
    else rule(context, 0, at, strip.width, at);
  }
}

function reading({ index, text }) {
  const made = Object.assign(document.createElement("span"), { textContent: text });
  made.style.setProperty("--colour", COLOURS[index % COLOURS.length]);
  return made;
}

function paintControls(player, paired) {
  const { state, time } = player;
  const at = player.part$;
  const last = time.ticks - 1;
  const [from, to] = player.range;
  for (const [input, value] of [[at(".head"), state.tick], [at(".first"), from], [at(".last"), to]]) {
    if (input.max !== String(last)) input.max = last;
    if (input.value !== String(value)) input.value = value;
  }
  at(".head").setAttribute("aria-valuetext", player.where());
  at(".track").style.setProperty("--from", `${(100 * from) / Math.max(1, last)}%`);
  at(".track").style.setProperty("--to", `${(100 * to) / Math.max(1, last)}%`);
  at(".time").textContent = player.where().replace(",", " ·");
  at(".unloop").hidden = !state.loop;
  const button = at(".play");
  if (button.dataset.shows !== String(state.playing)) {
    button.dataset.shows = state.playing;
    button.innerHTML = icon(state.playing ? "pause" : "play");
    button.setAttribute("aria-label", state.playing ? "Pause" : "Play");
    button.title = `${state.playing ? "Pause" : "Play"} (Space)`;
  }
  at(".speed").value = state.speed;
  at(".align").value = state.align;
  at(`.modes input[value=${state.mode}]`).checked = true;
  at(".pair").hidden = player.clips.length < 2 || state.mode === "side";
  at(".pair [data-do=swap]").hidden = at(".with").hidden = !paired;
  at(".a").value = pick(player.order[0]);
  at(".b").value = pick(player.order[1] ?? -1);
  at(".amount").hidden = !paired;
  if (paired) {
    const amount = at(".amount input");
    amount.step = state.mode === "difference" ? 0.25 : 0.01;
    amount.value = state.amounts[state.mode];
    const gain = state.mode === "difference" ? ` ${2 ** doublings(state.amounts.difference)}×` : "";
    at(".amount span").textContent = AMOUNTS[state.mode] + gain;
  }
  at("[data-do=zoom]").setAttribute("aria-pressed", state.tool === "zoom");
  at("[data-do=slice]").setAttribute("aria-pressed", state.slicing);
  at("[data-do=whole]").hidden = state.region.size === 1;
  at("[data-do=unmark]").hidden = !state.mark;
  at(".hint").textContent = markHint(player);
  at(".line").hidden = at(".slices").hidden = !state.slicing;
  at(".where").value = state.line;
  at(".turn").value = state.vertical ? "column" : "row";
  at(".player").dataset.mode = state.mode;
  at(".player").dataset.tool = state.tool || (state.mode === "wipe" ? "wipe" : state.slicing ? "slice" : "");
  at(".player").dataset.count = player.clips.length;
  at(".player").dataset.scene = player.epipolar ? "yes" : "no";
}
