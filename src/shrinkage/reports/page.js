"use strict";
(() => {
  const data = JSON.parse(document.getElementById("screen-data").textContent);
  const slider = document.getElementById("strength");
  const text = document.getElementById("strength-text");
  const own = document.getElementById("own");
  const panels = data.panels.map((panel, k) => ({ ...panel, box: document.getElementById(`panel-${k}`) }));
  const moving = panels.filter((panel) => panel.moves);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const part = (panel, name) => panel.box.querySelector(name);

  function svg(name, attributes, content = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = content;
    return element;
  }

  // Log counts: one weight is a short bar, none is no bar; exact zeros stand apart on the left.
  function histogram(panel, fit) {
    const width = 260, height = 178, floor = 160, top = 10, left = 44;
    const tall = (count) => count ? (floor - top) * (Math.log10(count) + 0.35) / (Math.log10(data.most) + 0.35) : 0;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${fit.zeros_text} weights exactly zero; the others between −${data.edge_text} and ${data.edge_text}` });
    const zero = tall(fit.zeros);
    drawing.append(svg("line", { class: "axis", x1: 0, x2: width, y1: floor + 0.5, y2: floor + 0.5 }));
    drawing.append(svg("rect", { class: "zero", x: 8, width: 18, y: floor - zero, height: zero, rx: 1.5 }));
    const step = (width - left) / fit.hist.length;
    fit.hist.forEach((count, k) => {
      if (count) drawing.append(svg("rect", { class: "bin", x: left + k * step, width: step - 0.6, y: floor - tall(count), height: tall(count) }));
    });
    const label = (x, y, anchor, content, kind = "") =>
      drawing.append(svg("text", { x, y, "text-anchor": anchor, class: kind }, content));
    label(17, floor + 13, "middle", "= 0", "zero-text");
    label(left, floor + 13, "start", `−${data.edge_text}`);
    label((left + width) / 2, floor + 13, "middle", "w");
    label(width, floor + 13, "end", data.edge_text);
    part(panel, ".hist").replaceChildren(drawing);
  }

  function rgb(hex) {
    return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  }

  // One small picture per kernel or neuron; a cell whose weights are all exactly zero stays hollow.
  function tiles(panel, cells) {
    const { height, width, tiles: count } = data.layer;
    const bytes = Int8Array.from(atob(cells), (c) => c.charCodeAt(0));
    const room = part(panel, ".first").clientWidth || 250;
    const across = data.layer.kind === "kernels" ? 8 : 6;
    const cell = Math.max(1, Math.min(14, Math.floor((room / across - 5) / width)));
    const w = cell * width + 5, h = cell * height + 5;
    const canvas = document.createElement("canvas");
    const ratio = window.devicePixelRatio || 1;
    const size = [w * Math.min(across, count), h * Math.ceil(count / across)];
    [canvas.width, canvas.height] = size.map((length) => Math.round(length * ratio));
    [canvas.style.width, canvas.style.height] = size.map((length) => `${length}px`);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", data.layer.title);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const [near, plus, minus] = ["--near", "--plus", "--minus"].map((name) => rgb(style(name)));
    for (let t = 0; t < count; t++) {
      const x0 = (t % across) * w + 1, y0 = Math.floor(t / across) * h + 1;
      for (let k = 0; k < width * height; k++) {
        const value = bytes[t * width * height + k];
        if (!value) continue;
        const share = Math.sqrt(Math.abs(value) / 127), end = value > 0 ? plus : minus;
        pen.fillStyle = `rgb(${near.map((c, i) => Math.round(c + share * (end[i] - c))).join(",")})`;
        pen.fillRect(x0 + (k % width) * cell, y0 + Math.floor(k / width) * cell, cell, cell);
      }
      pen.strokeStyle = style("--line");
      pen.strokeRect(x0 - 0.5, y0 - 0.5, cell * width + 1, cell * height + 1);
    }
    part(panel, ".first").replaceChildren(canvas);
  }

  function columns(panel, first) {
    const box = document.createElement("div");
    box.className = "columns";
    first.bars.forEach((share, k) => {
      const name = document.createElement("span"), bar = document.createElement("i");
      name.textContent = name.title = data.layer.names[k];
      bar.style.width = `${100 * share}%`;
      if (!share) name.className = bar.className = "off";
      box.append(name, bar);
    });
    const used = document.createElement("em");
    used.textContent = first.used;
    box.append(used);
    part(panel, ".first").replaceChildren(box);
  }

  function words(parent, pieces) {
    parent.replaceChildren(...pieces.map(([content, kind]) => {
      const span = document.createElement("span");
      span.textContent = content;
      if (kind) span.className = kind;
      return span;
    }));
  }

  function fill(panel, fit) {
    const missing = part(panel, ".missing"), filled = part(panel, ".filled");
    missing.hidden = !fit.missing;
    filled.hidden = Boolean(fit.missing);
    missing.textContent = fit.missing || "";
    part(panel, ".knob").textContent = fit.knob || "";
    if (fit.missing) return;
    const loss = part(panel, ".split .loss"), penalty = part(panel, ".split .penalty");
    loss.style.width = `${100 * (1 - fit.share)}%`;
    penalty.style.width = `${100 * fit.share}%`;
    part(panel, ".split").setAttribute("aria-label", `loss ${fit.loss}, penalty ${fit.penalty}`);
    words(part(panel, ".sum"), [[`${fit.cost} = `], [`loss ${fit.loss}`, "loss"], [" + "],
      [panel.sum ? `λ${panel.sum} ${fit.penalty}` : `penalty ${fit.penalty}`, "penalty"]]);
    const zeros = part(panel, ".zeros");
    zeros.textContent = fit.zeros_text;
    zeros.classList.toggle("some", fit.zeros > 0);
    part(panel, ".of").textContent = fit.share_text;
    part(panel, ".held").textContent = `${data.held_out} ${data.score}`;
    part(panel, ".score").textContent = fit.score;
    part(panel, ".train").textContent = `training ${fit.train_score}`;
    if (fit.hist) histogram(panel, fit); else part(panel, ".hist").replaceChildren();
    if (!fit.first) part(panel, ".first").replaceChildren();
    else if (data.layer.kind === "columns") columns(panel, fit.first);
    else tiles(panel, fit.first.cells);
  }

  function show() {
    const index = Number(slider.value), alone = own.getAttribute("aria-pressed") === "true";
    const value = data.strengths.length ? String(data.strengths[index]) : "—";
    text.textContent = alone ? "own" : value;
    slider.setAttribute("aria-valuetext", `λ = ${value}`);
    for (const panel of panels) {
      const at = !panel.moves ? 0 : alone && panel.chosen !== null ? panel.chosen : index;
      fill(panel, panel.tries[at] || { missing: "not run yet" });
    }
    try { sessionStorage.setItem(location.pathname, `${index},${alone}`); } catch { /* private */ }
  }

  const marks = document.getElementById("marks"), last = Math.max(1, data.strengths.length - 1);
  data.strengths.forEach((_, k) => {
    const tick = document.createElement("s");
    tick.style.left = `${100 * k / last}%`;
    marks.append(tick);
  });
  const stacked = {};
  for (const panel of moving.filter((p) => p.chosen !== null)) {
    const mark = document.createElement("i"), before = stacked[panel.chosen] || 0;
    stacked[panel.chosen] = before + 1;
    mark.style.left = `calc(${100 * panel.chosen / last}% + ${(panel.chosen === last ? -11 : 11) * before}px)`;
    mark.style.background = panel.colour;
    mark.title = `${panel.label}: λ = ${data.strengths[panel.chosen]}`;
    marks.append(mark);
  }
  document.getElementById("layer-note").hidden = !data.layer || data.layer.kind === "columns";
  if (data.strengths.length < 2) slider.disabled = true;
  try {
    const [index, alone] = (sessionStorage.getItem(location.pathname) || "").split(",");
    if (index && Number(index) < data.strengths.length) slider.value = index;
    if (alone === "true") own.setAttribute("aria-pressed", "true");
  } catch { /* private */ }
  slider.addEventListener("input", () => { own.setAttribute("aria-pressed", "false"); show(); });
  own.addEventListener("click", () => {
    own.setAttribute("aria-pressed", String(own.getAttribute("aria-pressed") !== "true"));
    show();
  });
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; show(); } });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
})();
