// One network's pictures: pure functions of a pen, a size and numbers.

import { bytes, ink, shade, text } from "./ink.js";
import { count, num } from "./words.js";

const LEFT = 44;

// Log counts: one weight is a short bar, none is no bar; exact zeros stand apart on the left.
export function histogram(pen, width, height, { bins, zeros, most, edge, colour }) {
  const floor = height - 18, top = 16;
  const tall = (n) => (n ? ((floor - top) * (Math.log10(n) + 0.35)) / (Math.log10(most) + 0.35) : 0);
  pen.fillStyle = ink().line;
  pen.fillRect(0, floor, width, 1);
  pen.fillStyle = ink().zero;
  pen.fillRect(8, floor - tall(zeros), 18, tall(zeros));
  if (zeros) text(pen, count(zeros), 17, Math.max(10, floor - tall(zeros) - 4), { align: zeros > 999 ? "left" : "center", colour: ink().zero, weight: 650, size: 10.5 });
  pen.fillStyle = colour;
  const step = (width - LEFT) / bins.length;
  bins.forEach((n, k) => { if (n) pen.fillRect(LEFT + k * step, floor - tall(n), Math.max(1, step - 0.7), tall(n)); });
  text(pen, "= 0", 17, height - 5, { align: "center", colour: ink().zero, weight: 650 });
  text(pen, num(-edge), LEFT, height - 5);
  text(pen, "w", (LEFT + width) / 2, height - 5, { align: "center" });
  text(pen, num(edge), width, height - 5, { align: "right" });
}

// Which weights a click on the histogram means: {low, high}, both 0 for the zeros.
export function binAt(x, width, { bins, edge }) {
  if (x < LEFT - 8) return { low: 0, high: 0 };
  const k = Math.max(0, Math.min(bins.length - 1, Math.floor(((x - LEFT) / (width - LEFT)) * bins.length)));
  const size = (2 * edge) / bins.length;
  const ends = [-edge + k * size, -edge + (k + 1) * size];
  return { low: k === 0 ? -1e30 : ends[0], high: k === bins.length - 1 ? 1e30 : ends[1] };
}

export function tileGrid(width, layer) {
  const across = layer.kind === "kernels" ? 8 : 6;
  const cell = Math.max(1, Math.min(13, Math.floor((width / across - 5) / layer.width)));
  const [w, h] = [cell * layer.width + 5, cell * layer.height + 5];
  return { across, cell, w, h, height: h * Math.ceil(layer.tiles / across) + 1 };
}

// One small picture per filter or neuron; cells that are exactly zero stay hollow.
export function tiles(pen, width, cells, layer, chosen) {
  const { across, cell, w, h } = tileGrid(width, layer);
  const values = bytes(cells), each = layer.width * layer.height;
  for (let t = 0; t < layer.tiles; t++) {
    const x0 = (t % across) * w + 1, y0 = Math.floor(t / across) * h + 1;
    for (let k = 0; k < each; k++) {
      const value = values[t * each + k];
      if (!value) continue;
      pen.fillStyle = shade(value);
      pen.fillRect(x0 + (k % layer.width) * cell, y0 + Math.floor(k / layer.width) * cell, cell, cell);
    }
    pen.strokeStyle = t === chosen ? ink().accent : ink().line;
    pen.lineWidth = t === chosen ? 2 : 1;
    pen.strokeRect(x0 - 0.5, y0 - 0.5, cell * layer.width + 1, cell * layer.height + 1);
  }
}

export function tileAt(x, y, width, layer) {
  const { across, w, h } = tileGrid(width, layer);
  const t = Math.floor(y / h) * across + Math.floor(x / w);
  return x < across * w && t < layer.tiles ? t : -1;
}

// Σ|w| of every input pixel: hollow ones are connected to nothing.
export function pixels(pen, width, height, packed, [channels, rows, columns]) {
  const values = bytes(packed), cell = Math.max(1, Math.floor((height - 2) / rows)), used = [];
  for (let k = 0; k < rows * columns; k++) {
    let most = 0;
    for (let c = 0; c < channels; c++) most = Math.max(most, values[c * rows * columns + k]);
    used.push(most);
    if (!most) continue;
    pen.fillStyle = shade(most);
    pen.fillRect(1 + (k % columns) * cell, 1 + Math.floor(k / columns) * cell, cell, cell);
  }
  pen.strokeStyle = ink().line;
  pen.strokeRect(0.5, 0.5, cell * columns + 1, cell * rows + 1);
  const kept = used.filter(Boolean).length, x = cell * columns + 12;
  if (x < width - 70) {
    text(pen, `${count(kept)} of ${count(rows * columns)}`, x, 14, { colour: ink().ink, weight: 650, size: 12 });
    text(pen, "pixels used", x, 29);
  }
}

// Input columns of a table by Σ|w|, the strongest first in the order all networks share.
export function inputs(pen, width, height, packed, names, order) {
  const values = bytes(packed), row = height / order.length, start = width * 0.46;
  order.forEach((k, i) => {
    const y = i * row;
    text(pen, names[k].length > 17 ? `${names[k].slice(0, 16)}…` : names[k], start - 6, y + row * 0.72, { align: "right", size: 10.5, colour: values[k] ? ink()["ink-2"] : ink().near });
    if (values[k]) {
      pen.fillStyle = ink().plus;
      pen.fillRect(start, y + row * 0.2, Math.max(1, ((width - start) * values[k]) / 127), row * 0.6);
    } else {
      pen.strokeStyle = ink().zero;
      pen.strokeRect(start + 0.5, y + row * 0.2 + 0.5, 4, row * 0.6 - 1);
    }
  });
}

const BAND = 58;
export const linksHeight = (layers) => layers.length * BAND + 6;

// Every layer a band: inputs above, units below; a sample of its connections that are not zero.
export function links(pen, width, height, shown, layers, colour) {
  layers.forEach((layer, l) => {
    const { alive, cells, units } = shown[l], values = bytes(cells), top = l * BAND + 18, bottom = top + BAND - 24;
    const x = (k, n) => 4 + ((k + 0.5) / n) * (width - 8);
    text(pen, layer.name.replace(/\.weight$/, ""), 0, top - 6, { size: 10.5 });
    const whole = alive === layer.connections;
    text(pen, whole ? count(alive) : `${count(alive)} of ${count(layer.connections)}`, width, top - 6, { size: 10.5, align: "right", colour: whole ? ink()["ink-2"] : ink().zero, weight: whole ? 400 : 650 });
    pen.strokeStyle = colour;
    pen.lineWidth = 0.8;
    layer.ends.forEach(([i, u], k) => {
      if (!values[k]) return;
      pen.globalAlpha = 0.1 + 0.75 * Math.sqrt(Math.abs(values[k]) / 127);
      pen.beginPath();
      pen.moveTo(x(i, layer.inputs), top);
      pen.lineTo(x(u, layer.units), bottom);
      pen.stroke();
    });
    pen.globalAlpha = 1;
    const size = Math.min(2.6, (width / layer.units) * 0.36);
    for (let u = 0; u < layer.units; u++) {
      pen.beginPath();
      pen.arc(x(u, layer.units), bottom + 1, size, 0, 7);
      pen.fillStyle = units[u] === "1" ? colour : ink().line;
      pen.fill();
    }
  });
}

// The sampled connection, or the unit, nearest to a click.
export function linkAt(x, y, width, layers) {
  const l = Math.floor(y / BAND), layer = layers[l];
  if (!layer) return null;
  const top = l * BAND + 18, bottom = top + BAND - 24;
  const at = (k, n) => 4 + ((k + 0.5) / n) * (width - 8);
  if (y > bottom - 7) {
    const unit = Math.max(0, Math.min(layer.units - 1, Math.floor(((x - 4) / (width - 8)) * layer.units)));
    return { kind: "unit", parameter: layer.path, index: unit };
  }
  const part = Math.max(0, Math.min(1, (y - top) / (bottom - top)));
  let best = null, least = 8;
  layer.ends.forEach(([i, u], k) => {
    const far = Math.abs(at(i, layer.inputs) * (1 - part) + at(u, layer.units) * part - x);
    if (far < least) [best, least] = [k, far];
  });
  return best === null ? null : { kind: "weight", parameter: layer.path, index: layer.pick[best] };
}

// What the penalty takes in one step, against the weight: flat for L1, a slope for L2.
export function step(pen, width, height, [w, delta], { colour, lr, none }) {
  const floor = height - 18, middle = (floor + 8) / 2;
  pen.strokeStyle = ink().grid;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, middle); pen.lineTo(width, middle);
  pen.moveTo(width / 2, 8); pen.lineTo(width / 2, floor);
  pen.stroke();
  text(pen, "w", width / 2, height - 5, { align: "center" });
  if (!w.length) {
    text(pen, none, width / 2, middle - 6, { align: "center" });
    return;
  }
  const far = Math.max(...w.map(Math.abs)), most = Math.max(...delta.map(Math.abs)) || 1;
  pen.fillStyle = colour;
  w.forEach((value, k) => {
    pen.beginPath();
    pen.arc(width / 2 + (0.47 * width * value) / far, middle - (0.42 * (floor - 8) * delta[k]) / most, 1.9, 0, 7);
    pen.fill();
  });
  text(pen, `−${num(far, 2)}`, 0, height - 5);
  text(pen, num(far, 2), width, height - 5, { align: "right" });
  text(pen, `Δw ${num(most * lr, 2)}`, width / 2 + 5, 17);
}

const ROW = 40;
export const activeHeight = (layers) => layers * ROW;

// A bar per filter: its share of its layer's mean |activation|; the strongest stands out.
export function active(pen, width, shown, colour) {
  Object.entries(shown).forEach(([name, shares], l) => {
    const floor = (l + 1) * ROW - 4, top = l * ROW + 13, most = Math.max(...shares), n = shares.length;
    const step = width / n, scale = Math.max(most, 1.5 / n);
    text(pen, name, 0, top - 3, { size: 10.5 });
    text(pen, `strongest ${(100 * most).toFixed(most < 0.1 ? 1 : 0)} %`, width, top - 3, { size: 10.5, align: "right" });
    shares.forEach((share, k) => {
      const tall = ((floor - top) * share) / scale;
      pen.fillStyle = colour;
      pen.globalAlpha = share === most ? 1 : 0.45;
      pen.fillRect(k * step, floor - tall, Math.max(0.8, step - (n > 60 ? 0.3 : 1)), Math.max(share ? 0.8 : 0, tall));
    });
    pen.globalAlpha = 1;
    pen.fillStyle = ink().line;
    pen.fillRect(0, floor, width, 1);
  });
}
