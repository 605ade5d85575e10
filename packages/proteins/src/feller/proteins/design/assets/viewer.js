"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const samples = JSON.parse(at("samples").textContent);
  const names = {
    A: "ALA", C: "CYS", D: "ASP", E: "GLU", F: "PHE", G: "GLY", H: "HIS", I: "ILE", K: "LYS", L: "LEU", M: "MET",
    N: "ASN", P: "PRO", Q: "GLN", R: "ARG", S: "SER", T: "THR", V: "VAL", W: "TRP", Y: "TYR", X: "UNK",
  };
  const parts = { H: ["helix", "#c8461e", "h"], E: ["strand", "#1b6ca8", "s"], C: ["coil", "#a9b0b7", "c"] };
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const state = { sample: samples[0], frame: 0, timer: null };
  let viewer = null;

  const hex = (rgb) => "#" + rgb.map((v) => Math.round(v).toString(16).padStart(2, "0")).join("");

  // Dark to light along x in [0, 1].
  function viridis(x) {
    const place = Math.min(Math.max(x, 0), 1) * (stops.length - 1);
    const i = Math.min(Math.floor(place), stops.length - 2);
    return hex(stops[i].map((v, k) => v + (stops[i + 1][k] - v) * (place - i)));
  }

  // Blue to red along x in [0, 1].
  function rainbow(x) {
    const channel = (n) => {
      const k = (n + (1 - x) * 8) % 12;
      return 255 * (0.46 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
    };
    return hex([channel(0), channel(8), channel(4)]);
  }

  const bounds = (levels) => [Math.min(...levels), Math.max(...levels)];
  const fraction = (v, [low, high]) => (high > low ? (v - low) / (high - low) : 0);

  // The colour of each residue.
  function colours(sample, frame, kind) {
    const n = sample.sequence.length;
    if (kind === "rainbow") return Array.from({ length: n }, (_, i) => rainbow(fraction(i, [0, n - 1])));
    if (kind === "level") return sample.levels.map((v) => viridis(fraction(v, bounds(sample.levels))));
    return Array.from(sample.structure[frame], (k) => (parts[k] || parts.C)[1]);
  }

  // Coordinates are whole hundredths of an Angstrom, three for each of N, CA, C and O.
  function pdb(sample, frame) {
    const lines = [], positions = sample.positions[frame];
    for (let k = 0; k < positions.length / 3; k++) {
      const position = positions.slice(3 * k, 3 * k + 3);
      if (position.includes(null)) continue;
      const i = Math.floor(k / 4), atom = ["N", "CA", "C", "O"][k % 4];
      const serial = String((k % 99999) + 1).padStart(5), number = String(sample.numbers[i]).padStart(4);
      const xyz = position.map((v) => (v / 100).toFixed(3).padStart(8)).join("");
      lines.push(`ATOM  ${serial}  ${atom.padEnd(3)} ${names[sample.sequence[i]]} A${number}    ${xyz}` +
        `  1.00  0.00           ${atom[0]}`);
    }
    return lines.join("\n") + "\n";
  }

  // Draw the chosen frame of the chosen sample.
  function draw(aim) {
    const { sample, frame } = state, form = at("form").value, kind = at("colour").value;
    const tint = colours(sample, frame, kind);
    const residue = new Map(sample.numbers.map((number, i) => [number, i]));
    viewer.removeAllModels();
    const model = viewer.addModel(pdb(sample, frame), "pdb", { noComputeSecondaryStructure: true });
    for (const atom of model.selectedAtoms({})) {
      atom.ss = (parts[sample.structure[frame][residue.get(atom.resi)]] || parts.C)[2];
      atom.reschain = 1; // else bonds that are too long, as at the start of a trajectory, part the chain
    }
    const colorfunc = (atom) => tint[residue.get(atom.resi)];
    const styles = {
      cartoon: { cartoon: { colorfunc, arrows: true } },
      trace: { cartoon: { colorfunc, style: "trace", thickness: 0.4 } },
      atoms: { stick: { colorfunc, radius: 0.2 } },
    };
    viewer.setStyle({}, styles[form]);
    if (aim) {
      viewer.resize(); // the legend and the slider may have changed how much room there is
      viewer.zoomTo();
    }
    viewer.render();
    at("frame").value = frame;
    at("count").value = `${frame + 1} / ${sample.positions.length}`;
    document.body.dataset.shown = `${sample.name} ${frame} ${form} ${kind}`;
  }

  const element = (tag, text, properties) =>
    Object.assign(document.createElement(tag), { textContent: text }, properties);

  function legend() {
    const kind = at("colour").value, entries = [];
    const swatch = (background, text) => {
      const entry = element("span", text);
      entry.prepend(element("i", "", { style: `background: ${background}` }));
      entries.push(entry);
    };
    const ramp = (low, colour, high) => {
      const steps = [0, 0.25, 0.5, 0.75, 1].map(colour).join(", ");
      const strip = { className: "ramp", style: `background: linear-gradient(to right, ${steps})` };
      entries.push(element("span", low), element("i", "", strip), element("span", high));
    };
    if (kind === "rainbow") ramp("N", rainbow, "C");
    else if (kind === "level") {
      const [low, high] = bounds(state.sample.levels).map(shown);
      ramp(low, viridis, high);
    } else for (const [name, colour] of Object.values(parts)) swatch(colour, name);
    at("legend").replaceChildren(...entries);
  }

  const shown = (v) => (typeof v === "number" ? String(Number(v.toPrecision(4))) : v === undefined ? "" : String(v));

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
    at("play").textContent = "play";
  }

  function play() {
    if (state.timer !== null) return stop();
    const last = state.sample.positions.length - 1;
    if (state.frame === last) state.frame = 0;
    at("play").textContent = "stop";
    draw(false);
    state.timer = setInterval(() => {
      state.frame += 1;
      draw(false);
      if (state.frame >= last) stop();
    }, 100);
  }

  // Show the last frame of a sample.
  function choose(i) {
    stop();
    state.sample = samples[i];
    state.frame = state.sample.positions.length - 1;
    document.querySelectorAll("tbody tr").forEach((row, k) => row.classList.toggle("chosen", k === i));
    at("film").hidden = state.frame === 0;
    at("frame").max = state.frame;
    at("sequence").textContent = /[^X]/.test(state.sample.sequence) ? state.sample.sequence : "";
    const option = at("colour").querySelector("[value=level]");
    option.disabled = state.sample.levels === null;
    if (option.disabled && option.selected) at("colour").value = "structure";
    legend();
    draw(true);
  }

  function list() {
    const facts = [...new Set(samples.flatMap((sample) => Object.keys(sample.facts)))];
    const head = document.createElement("tr");
    head.append(...["sample", ...facts].map((fact) => element("th", fact)));
    document.querySelector("thead").append(head);
    samples.forEach((sample, i) => {
      const row = document.createElement("tr"), name = document.createElement("td");
      name.append(element("button", sample.name, { type: "button", onclick: () => choose(i) }));
      row.append(name, ...facts.map((fact) => element("td", shown(sample.facts[fact]))));
      document.querySelector("tbody").append(row);
    });
  }

  list();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const ground = () => (dark.matches ? "#15181b" : "#ffffff");
  try {
    viewer = $3Dmol.createViewer(at("view"), { backgroundColor: ground() });
    viewer.render();
  } catch (error) {
    viewer = null;
  }
  if (!viewer) {
    at("view").append(element("p", "This browser shows no 3-D graphics: WebGL is switched off."));
    return;
  }
  dark.onchange = () => { viewer.setBackgroundColor(ground()); viewer.render(); };
  at("form").onchange = () => draw(false);
  at("colour").onchange = () => { legend(); draw(false); };
  at("spin").onchange = () => viewer.spin(at("spin").checked ? "y" : false);
  at("play").onclick = play;
  at("frame").oninput = () => { stop(); state.frame = Number(at("frame").value); draw(false); };
  choose(0);
})();
