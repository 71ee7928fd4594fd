// <quintet-player data-clips='{"clips": [...], ...}'>: two to six clips on one bar. It draws into a shadow tree, so that
// neither the page's style nor Gradio's updates of the page touch it; new data replaces only the clips that differ.
const STEP_REGION = 0.1;
const START = { wipe: 0.5, overlay: 0.5, difference: 0.25 };
const AMOUNTS = { wipe: "Divider", overlay: "Blend", difference: "Gain" };
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

class QuintetPlayer extends HTMLElement {
  static observedAttributes = ["data-clips"];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style>${MARKUP}`;
    this.part$ = (selector) => root.querySelector(selector);
    this.clips = [];
    this.frames = [];
    this.order = [];
    this.state = {
      tick: 0, playing: false, speed: 1, align: "seconds", mode: "side", amounts: { ...START },
      region: { x: 0, y: 0, size: 1 }, tool: "", line: 0.5, vertical: false, slicing: false, loop: null, mark: null,
    };
    this.slices = new Map();
    listen(this);
    this.resized = new ResizeObserver(() => this.ask());
  }

  connectedCallback() {
    this.resized.observe(this);
    this.attributeChangedCallback();
  }

  disconnectedCallback() {
    this.resized.disconnect();
    this.stopClock();
    this.forget();
  }

  attributeChangedCallback() {
    const text = this.dataset.clips;
    if (!this.isConnected || !text || text === this.shown) return;
    this.shown = text;
    this.load(JSON.parse(text));
  }

  load(data) {
    const before = this.frames;
    const first = before.length === 0;
    if (first) {
      if (data.mode) this.state.mode = data.mode;
      if (data.align) this.state.align = data.align;
    }
    this.clips = data.clips;
    this.curves = data.curves || [];
    this.epipolar = data.epipolar;
    this.state.mark = null;
    const scale = (of) => Math.min(1, Math.sqrt(PIXELS / (of.width * of.height * this.clips.reduce((sum, clip) => sum + clip.frames, 0))));
    this.frames = this.clips.map((clip) => {
      const kept = before.find((frames) => frames.clip.address === clip.address && !frames.error);
      if (kept) {
        before.splice(before.indexOf(kept), 1);
        kept.clip = clip;
        return kept;
      }
      const frames = new Frames(clip, scale);
      frames.abort = new AbortController();
      frames.read(() => this.arrived(frames), frames.abort.signal);
      return frames;
    });
    for (const gone of before) this.drop(gone);
    const kept = this.order.filter((index) => index < this.clips.length);
    this.order = this.clips.length === kept.length ? kept : this.clips.map((_, index) => index);
    this.slices.clear();
    this.retime();
    if (this.clips.length < 2) this.state.mode = "single";
    else if (this.state.mode === "single" && !this.chosen) this.state.mode = "side";
    build(this, data.name || "Player");
    if (first) this.wantsToPlay = data.play !== false && !stillness.matches;
    if (this.frames.every((frames) => frames.whole)) this.settled();
    this.ask();
  }

  drop(frames) {
    frames.abort.abort();
    frames.close();
  }

  forget() {
    for (const frames of this.frames) this.drop(frames);
    this.frames = [];
    this.shown = "";
  }

  arrived(frames) {
    frames.whole = Boolean(frames.error) || frames.pictures.length === frames.clip.frames;
    this.slices.clear();
    this.ask();
    if (this.frames.every((every) => every.whole)) this.settled();
  }

  settled() {
    this.ready = true;
    this.dispatchEvent(new CustomEvent("quintet-ready", { bubbles: true }));
    if (this.wantsToPlay && !this.state.playing) this.play();
    this.wantsToPlay = false;
  }

  retime() {
    this.time = timeline(this.clips, this.state.align);
    this.state.loop = null;
    this.state.tick = Math.min(this.state.tick, this.time.ticks - 1);
  }

  get range() {
    return this.state.loop || [0, this.time.ticks - 1];
  }

  play() {
    this.state.playing = true;
    this.anchor = { tick: this.state.tick, at: performance.now() };
    const turn = () => {
      if (!this.state.playing) return;
      const elapsed = (performance.now() - this.anchor.at) / 1000;
      const tick = Math.floor(looped(this.anchor.tick, elapsed, this.time.rate * this.state.speed, ...this.range));
      if (tick !== this.state.tick) {
        this.state.tick = tick;
        if (this.checkVisibility()) paint(this);
      }
      this.clock = requestAnimationFrame(turn);
    };
    this.clock = requestAnimationFrame(turn);
    this.ask();
  }

  // The clock goes on from where it is: after a change of speed, of the loop or of the place.
  restart() {
    if (this.state.playing) this.anchor = { tick: this.state.tick, at: performance.now() };
    this.ask();
  }

  stopClock() {
    cancelAnimationFrame(this.clock);
    this.state.playing = false;
  }

  pause() {
    this.stopClock();
    this.say(this.where());
    this.ask();
  }

  step(by) {
    this.stopClock();
    const [first, last] = this.range;
    const length = last - first + 1;
    this.seek(first + ((((this.state.tick + by - first) % length) + length) % length));
    this.say(this.where());
  }

  seek(tick) {
    this.state.tick = Math.max(0, Math.min(this.time.ticks - 1, Math.round(tick)));
    this.restart();
  }

  setLoop(first, last) {
    const end = this.time.ticks - 1;
    const [low, high] = [Math.max(0, Math.min(first, last)), Math.min(end, Math.max(first, last))];
    this.state.loop = low === 0 && high === end ? null : [low, high];
    this.restart();
  }

  setMode(mode) {
    this.chosen = true;
    this.state.mode = mode;
    this.say(MODES.find(([value]) => value === mode)[1]);
    this.ask();
  }

  // Bring a clip to a place of the order; what stood there takes its old one.
  bring(index, place) {
    const from = this.order.indexOf(index);
    [this.order[from], this.order[place]] = [this.order[place], this.order[from]];
    this.ask();
  }

  setRegion(x, y, size) {
    const held = Math.max(0.04, Math.min(1, size));
    const inside = (start) => Math.max(0, Math.min(1 - held, start));
    this.state.region = { x: inside(x), y: inside(y), size: held };
    this.slices.clear();
    this.ask();
  }

  // Whether other clips are known to show what this one shows, from where.
  linked(index) {
    return Boolean(this.epipolar?.[index]?.some(Boolean));
  }

  // A point of a clip, [x, y] from 0 to 1; null takes it away.
  setMark(clip, at) {
    this.state.mark = clip !== null && this.linked(clip) ? { clip, at } : null;
    if (this.epipolar) this.say(markHint(this));
    this.ask();
  }

  zoomBy(factor) {
    const { x, y, size } = this.state.region;
    const next = Math.max(0.04, Math.min(1, size * factor));
    this.setRegion(x + (size - next) / 2, y + (size - next) / 2, next);
  }

  moveBy(x, y) {
    const { region } = this.state;
    this.setRegion(region.x + x * STEP_REGION * region.size, region.y + y * STEP_REGION * region.size, region.size);
  }

  where() {
    const { tick } = this.state;
    if (this.state.align === "progress") return `${Math.round((100 * tick) / Math.max(1, this.time.ticks - 1))} %`;
    return `Frame ${tick + 1} of ${this.time.ticks}, ${(tick / this.time.rate).toFixed(2)} s`;
  }

  say(words) {
    this.part$(".said").textContent = words;
  }

  ask() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      if (this.isConnected && this.clips.length) paint(this);
    });
  }
}
