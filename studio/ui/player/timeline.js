// Which frame of each clip belongs to a tick of the common bar. One tick is one frame of the quickest clip.
function timeline(clips, align) {
  const lengths = clips.map((clip) => clip.frames / clip.fps);
  const duration = Math.max(...lengths, 0.001);
  if (align === "progress") {
    const ticks = Math.max(...clips.map((clip) => clip.frames), 1);
    return {
      ticks,
      duration,
      rate: ticks / duration,
      frame: (clip, tick) => Math.min(clip.frames - 1, Math.floor(((tick + 0.5) * clip.frames) / ticks)),
      ended: () => false,
    };
  }
  const rate = Math.max(...clips.map((clip) => clip.fps), 1);
  const ticks = Math.max(1, Math.round(duration * rate));
  const seconds = (tick) => (tick + 0.5) / rate; // the middle of a tick: rounding never picks a neighbour
  return {
    ticks,
    duration,
    rate,
    frame: (clip, tick) => Math.min(clip.frames - 1, Math.floor(seconds(tick) * clip.fps)),
    ended: (clip, tick) => seconds(tick) * clip.fps >= clip.frames, // a short clip rests on its last frame
  };
}

// Where a clock that loops over [first, last] stands `elapsed` seconds after it stood at `from`; fractional ticks.
function looped(from, elapsed, rate, first, last) {
  const length = last - first + 1;
  const start = from < first || from >= last + 1 ? first : from;
  return first + ((((start - first + elapsed * rate) % length) + length) % length);
}
