// The page of the recorded atlas: three choices name a recording, whose parts Python has drawn already.
const packed = Uint8Array.from(atob(document.getElementById("atlas").textContent), (letter) => letter.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const { methods, curves, heads } = await new Response(unpacked).json();
const at = (selector) => document.querySelector(selector);
const chosen = { method: "", prompt: "", seed: "" };
let curve = ""; // the one that was chosen

// A group of radio buttons; the one that was chosen stays where it still exists.
function offer(name, entries) {
  const group = at(`[data-name="${name}"] div`);
  if (!entries.some(([value]) => value === chosen[name])) chosen[name] = entries[0][0];
  group.replaceChildren(...entries.map(([value, label]) => {
    const made = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "radio", name, value, checked: value === chosen[name] });
    box.addEventListener("change", () => choose(name, value));
    made.append(box, Object.assign(document.createElement("span"), { textContent: label }));
    return made;
  }));
}

function choose(name, value) {
  chosen[name] = value;
  const focused = document.activeElement?.name;
  draw();
  if (focused) at(`[name="${focused}"]:checked`).focus();
  history.replaceState(null, "", `#${recording().id}`);
  at(".said").textContent = `${methods[chosen.method].title}, ${chosen.prompt}, seed ${chosen.seed}. ${at(".when").textContent}`;
}

const recording = () => methods[chosen.method].briefs[chosen.prompt].seeds[chosen.seed];

function draw() {
  offer("method", Object.entries(methods).map(([key, method]) => [key, method.title]));
  const method = methods[chosen.method];
  offer("prompt", Object.keys(method.briefs).map((prompt) => [prompt, prompt]));
  const { picture, seeds, means } = method.briefs[chosen.prompt];
  offer("seed", Object.keys(seeds).map((seed) => [seed, seed]));
  const shown = recording();
  at("#what").textContent = method.title;
  at(".summary").textContent = method.summary;
  at(".idea").textContent = method.idea;
  at(".when").textContent = `on ${shown.recorded}, ${shown.machine}`;
  const given = Object.assign(new Image(), { src: picture, alt: "The picture that was given" });
  at(".given").replaceChildren(...(picture ? [given] : []), chosen.prompt);
  play(shown.player);
  numbers(shown);
  at(".means").innerHTML = means;
  at(".settings div").innerHTML = shown.settings;
  at(".files").replaceChildren(...shown.player.clips.map(file));
}

function play(told) {
  const known = curves.filter(({ title }) => told.curves.some((each) => each.title === title));
  const wanted = known.find(({ title }) => title === curve) || known[0] || {};
  const shown = [wanted.title, wanted.beside];
  const drawn = known.filter(({ title }) => shown.includes(title)).map((each) => ({ ...each, ...told.curves.find(({ title }) => title === each.title) }));
  at("quintet-player").dataset.clips = JSON.stringify({ ...told, curves: drawn });
  at(".curve select").replaceChildren(...known.map(({ title }) => new Option(title, title, false, title === wanted.title)));
}

function numbers({ player, cells, absent }) {
  const head = player.clips.map(({ label }) => Object.assign(document.createElement("th"), { scope: "col", textContent: label }));
  const row = document.createElement("tr");
  row.append(document.createElement("td"), ...head);
  at("thead").replaceChildren(row);
  at("tbody").innerHTML = Object.entries(cells).map(([metric, drawn]) => `<tr>${heads[metric]}${drawn}</tr>`).join("");
  at(".absent").innerHTML = absent;
}

function file({ address, label }) {
  const made = document.createElement("li");
  made.append(Object.assign(document.createElement("a"), { href: address, textContent: label, download: "" }));
  return made;
}

// The recording an address names; the first one for any other.
function named(id) {
  for (const [method, { briefs }] of Object.entries(methods)) {
    for (const [prompt, { seeds }] of Object.entries(briefs)) {
      for (const seed of Object.keys(seeds)) if (seeds[seed].id === id) return { method, prompt, seed };
    }
  }
  return {};
}

function open() {
  Object.assign(chosen, named(location.hash.slice(1)));
  draw();
}

at(".curve select").addEventListener("change", (event) => {
  curve = event.target.value;
  play(recording().player);
});
addEventListener("hashchange", open);
at("main").hidden = false;
open();
