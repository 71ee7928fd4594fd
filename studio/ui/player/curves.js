// A value per frame as a line per clip, on the common bar: the playhead is the same line through all of them.
const COLOURS = ["#0d9488", "#d97706", "#3b82f6", "#db2777", "#65a30d", "#8b5cf6"];
const CURVE_HEIGHT = 64;

function drawCurve(canvas, curve, order, clips, time, tick, ink) {
  const ratio = Math.min(devicePixelRatio, 2);
  const [width, height] = [Math.max(1, canvas.clientWidth * ratio), CURVE_HEIGHT * ratio];
  if (canvas.width !== Math.round(width)) Object.assign(canvas, { width: Math.round(width), height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const across = (at) => ((at + 0.5) / time.ticks) * width;
  const up = (value) => height - 3 - ((value - curve.low) / (curve.high - curve.low || 1)) * (height - 6);
  for (const index of order) {
    const values = curve.values[index];
    if (!values) continue;
    context.strokeStyle = COLOURS[index % COLOURS.length];
    context.lineWidth = 2 * ratio;
    context.beginPath();
    let drawing = false;
    for (let at = 0; at < time.ticks; at += 1) {
      const value = time.ended(clips[index], at) ? null : values[time.frame(clips[index], at)];
      if (value == null) drawing = false;
      else if (drawing) context.lineTo(across(at), up(value));
      else {
        context.moveTo(across(at), up(value));
        drawing = true;
      }
    }
    context.stroke();
  }
  context.strokeStyle = ink;
  context.lineWidth = ratio;
  context.beginPath();
  context.moveTo(across(tick), 0);
  context.lineTo(across(tick), height);
  context.stroke();
}

// The values at the playhead, for the line above a curve.
function valuesAt(curve, order, clips, time, tick) {
  return order.map((index) => {
    const value = curve.values[index]?.[time.frame(clips[index], tick)];
    return { index, text: value == null ? "–" : value.toFixed(curve.digits ?? 2) };
  });
}
