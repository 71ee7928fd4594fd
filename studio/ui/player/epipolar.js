// A point of one view and where the other views must show it: on its epipolar line, or, from a camera in the same place,
// at one point. Coordinates go from 0 to 1 across and down a picture.
const turned = (matrix, x, y) => [0, 3, 6].map((row) => matrix[row] * x + matrix[row + 1] * y + matrix[row + 2]);

// {points: [[x, y]]} or {ends: [[x, y], [x, y]]}, the line's part inside the picture; null where there is nothing to show.
function counterpart(link, [x, y]) {
  if (!link) return null;
  const [a, b, c] = turned(link.line || link.point, x, y);
  if (link.line) return crossing(a, b, c);
  return c > 0 && a >= 0 && a <= c && b >= 0 && b <= c ? { point: [a / c, b / c] } : null;
}

// The two ends of a u + b v + c = 0 on the border of the unit square.
function crossing(a, b, c) {
  const ends = [];
  for (const edge of [0, 1]) {
    if (Math.abs(b) > 1e-9) ends.push([edge, -(a * edge + c) / b]);
    if (Math.abs(a) > 1e-9) ends.push([-(b * edge + c) / a, edge]);
  }
  const inside = ends.filter((end) => end.every((value) => value >= -1e-6 && value <= 1 + 1e-6));
  const far = inside.find((end) => Math.hypot(end[0] - inside[0][0], end[1] - inside[0][1]) > 1e-4);
  return far ? { ends: [inside[0], far] } : null;
}

// What of the chosen point is drawn in this clip at the tick.
function marked(player, index) {
  const { mark, tick } = player.state;
  if (!mark) return null;
  if (mark.clip === index) return { point: mark.at, own: true };
  const frame = player.time.frame(player.clips[mark.clip], tick);
  return counterpart(player.epipolar?.[mark.clip]?.[index]?.[frame], mark.at);
}

function paintMark(player, index, context) {
  const found = marked(player, index);
  if (!found) return;
  const { x, y, size } = player.state.region;
  const { width, height } = context.canvas;
  const place = ([u, v]) => [((u - x) / size) * width, ((v - y) / size) * height];
  const unit = Math.max(1, Math.min(width, height) / 240);
  context.lineCap = "round";
  for (const [colour, line] of [["#000000c0", 4 * unit], [COLOURS[player.state.mark.clip % COLOURS.length], 2 * unit]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.beginPath();
    if (found.ends) {
      context.moveTo(...place(found.ends[0]));
      context.lineTo(...place(found.ends[1]));
    } else {
      context.arc(...place(found.point), 5 * unit, 0, 2 * Math.PI);
    }
    context.stroke();
  }
}

// One line of words: what to do, or what is seen.
function markHint(player) {
  const { mark, tick, mode } = player.state;
  if (!player.epipolar || mode !== "side") return "";
  if (!mark) return "Pause and click a point: its epipolar lines appear in the other views.";
  const frame = player.time.frame(player.clips[mark.clip], tick);
  const others = player.clips.map((_, index) => player.epipolar[mark.clip]?.[index]?.[frame]).filter(Boolean);
  const label = player.clips[mark.clip].label;
  if (others.every((link) => link.point)) return `The cameras stand in one place at this frame: the point of ${label} is one point everywhere. Step on for lines.`;
  return `The point of ${label} lies on these lines in the other views.`;
}
