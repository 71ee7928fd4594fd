// Drawing on canvases: one clip, two clips in one picture, a slice through time. No pixel is ever read back, so clips
// from a file on disk can be drawn too.
function fit(canvas, aspect) {
  const width = Math.max(1, Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 2)));
  const height = Math.max(1, Math.round(width / aspect));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = 1;
  return context;
}

function place(context, picture, region, smooth) {
  if (!picture) return;
  const { width, height } = context.canvas;
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  const [left, top] = [region.x * picture.width, region.y * picture.height];
  context.drawImage(picture, left, top, region.size * picture.width, region.size * picture.height, 0, 0, width, height);
}

// Two pictures in one: `amount` in 0..1 is the divider, the share of b, or the gain.
function blend(context, mode, a, b, amount, region, smooth) {
  const { width, height } = context.canvas;
  place(context, a, region, smooth);
  if (!b) return;
  if (mode === "wipe") {
    const edge = Math.round(amount * width);
    context.save();
    context.beginPath();
    context.rect(edge, 0, width - edge, height);
    context.clip();
    place(context, b, region, smooth);
    context.restore();
    rule(context, edge, 0, edge, height);
  } else if (mode === "overlay") {
    context.globalAlpha = amount;
    place(context, b, region, smooth);
    context.globalAlpha = 1;
  } else {
    context.globalCompositeOperation = "difference";
    place(context, b, region, smooth);
    context.globalCompositeOperation = "lighter"; // the picture added to itself is twice as bright
    for (let twice = doublings(amount); twice > 0; twice -= 1) context.drawImage(context.canvas, 0, 0);
    context.globalCompositeOperation = "source-over";
  }
}

const doublings = (amount) => Math.round(amount * 4);

// A light line with a dark edge is seen on any picture.
function rule(context, x1, y1, x2, y2) {
  for (const [colour, width] of [["#000000b0", 4], ["#ffffff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }
}

// One row of the picture (time runs down) or one column (time runs right) of every tick, side by side.
function slice(frames, line, vertical, region, ticks, frameAt) {
  const first = frames.at(0);
  if (!first) return null;
  const across = vertical ? first.height : first.width;
  const paper = new OffscreenCanvas(vertical ? ticks : across, vertical ? across : ticks);
  const context = paper.getContext("2d");
  const along = Math.min(0.9999, (vertical ? region.x : region.y) + line * region.size);
  const from = (vertical ? region.y : region.x) * across;
  for (let tick = 0; tick < ticks; tick += 1) {
    const picture = frames.at(frameAt(tick));
    if (vertical) {
      const column = Math.floor(along * picture.width);
      context.drawImage(picture, column, from, 1, region.size * across, tick, 0, 1, across);
    } else {
      const row = Math.floor(along * picture.height);
      context.drawImage(picture, from, row, region.size * across, 1, 0, tick, across, 1);
    }
  }
  return paper;
}
