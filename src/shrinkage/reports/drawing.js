"use strict";
// What the panels of every page are drawn with; each function fills the element it is given.
const Drawing = (() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function svg(name, attributes, content = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = content;
    return element;
  }

  // Log counts: one weight is a short bar, none is no bar; exact zeros stand apart on the left.
  function histogram(box, fit, data) {
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
    box.replaceChildren(drawing);
  }

  function rgb(hex) {
    return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  }

  // One small picture per kernel or neuron; a cell whose weights are all exactly zero stays hollow.
  function tiles(box, cells, layer) {
    const { height, width, tiles: count } = layer;
    const bytes = Int8Array.from(atob(cells), (c) => c.charCodeAt(0));
    const room = box.clientWidth || 250;
    const across = layer.across || (layer.kind === "kernels" ? 8 : 6);
    const cell = Math.max(1, Math.min(layer.across ? 18 : 14, Math.floor((room / across - 5) / width)));
    const w = cell * width + 5, h = cell * height + 5;
    const canvas = document.createElement("canvas");
    const ratio = window.devicePixelRatio || 1;
    const size = [w * Math.min(across, count), h * Math.ceil(count / across)];
    [canvas.width, canvas.height] = size.map((length) => Math.round(length * ratio));
    [canvas.style.width, canvas.style.height] = size.map((length) => `${length}px`);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", layer.title);
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
    box.replaceChildren(canvas);
  }

  function columns(box, first, layer) {
    const list = document.createElement("div");
    list.className = "columns";
    first.bars.forEach((share, k) => {
      const name = document.createElement("span"), bar = document.createElement("i");
      name.textContent = name.title = layer.names[k];
      bar.style.width = `${100 * share}%`;
      if (!share) name.className = bar.className = "off";
      list.append(name, bar);
    });
    const used = document.createElement("em");
    used.textContent = first.used;
    list.append(used);
    box.replaceChildren(list);
  }

  function words(parent, pieces) {
    parent.replaceChildren(...pieces.map(([content, kind]) => {
      const span = document.createElement("span");
      span.textContent = content;
      if (kind) span.className = kind;
      return span;
    }));
  }

  function firstLayer(box, first, layer) {
    if (!first) box.replaceChildren();
    else if (layer.kind === "columns") columns(box, first, layer);
    else tiles(box, first.cells, layer);
  }

  return { svg, histogram, firstLayer, words };
})();
