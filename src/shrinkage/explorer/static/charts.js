// All networks in one picture: curves over steps, loss against size, a weight's way.

import { ink, text } from "./ink.js";
import { count, num } from "./words.js";

const BOX = { left: 46, right: 10, top: 8, bottom: 24 };

function frame(pen, width, height) {
  const box = { x0: BOX.left, x1: width - BOX.right, y0: height - BOX.bottom, y1: BOX.top };
  pen.strokeStyle = ink().line;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(box.x0, box.y1);
  pen.lineTo(box.x0, box.y0);
  pen.lineTo(box.x1, box.y0);
  pen.stroke();
  return box;
}

function nice(most, parts = 4) {
  const rough = most / parts, power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((m) => m * power >= rough);
}

function below(pen, box, most, scale, label) {
  const gap = nice(most);
  for (let v = 0; v <= most * 1.0001; v += gap) {
    const near = scale(v) > box.x1 - 60;
    if (!near) text(pen, count(Number(v.toPrecision(6))), scale(v), box.y0 + 15, { align: "center", size: 10.5 });
  }
  text(pen, label, box.x1, box.y0 + 15, { align: "right", size: 10.5, weight: 600 });
}

// A logarithmic scale for losses, with a line at each 1, 2, 5 where there is room.
function upward(pen, box, values) {
  const known = values.filter((v) => v > 0);
  if (!known.length) return null;
  const low = Math.log10(Math.max(1e-7, Math.min(...known))) - 0.06, high = Math.log10(Math.max(...known)) + 0.06;
  const span = Math.max(0.3, high - low), base = (high + low - span) / 2;
  const scale = (v) => box.y0 - ((Math.log10(Math.max(v, 1e-9)) - base) / span) * (box.y0 - box.y1);
  const marks = span > 2.2 ? [1] : span > 1 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(base); power <= base + span; power++) {
    for (const m of marks) {
      const v = m * 10 ** power, y = scale(v);
      if (y > box.y0 - 4 || y < box.y1 + 4) continue;
      pen.strokeStyle = ink().grid;
      pen.beginPath();
      pen.moveTo(box.x0, y);
      pen.lineTo(box.x1, y);
      pen.stroke();
      text(pen, num(v), box.x0 - 6, y + 4, { align: "right", size: 10.5 });
    }
  }
  return scale;
}

function line(pen, box, xs, ys, x, y) {
  let down = false;
  pen.beginPath();
  xs.forEach((at, k) => {
    if (ys[k] === null) { down = false; return; }
    const point = [x(at), Math.max(box.y1, Math.min(box.y0, y(ys[k])))];
    if (down) pen.lineTo(...point); else pen.moveTo(...point);
    down = true;
  });
  pen.stroke();
}

export function curves(pen, width, height, lanes) {
  const box = frame(pen, width, height);
  const values = lanes.flatMap(({ curve }) => [...curve.train, ...curve.held]);
  const most = Math.max(20, ...lanes.flatMap(({ curve }) => curve.step.slice(-1)));
  const x = (v) => box.x0 + (v / most) * (box.x1 - box.x0);
  const y = upward(pen, box, values);
  below(pen, box, most, x, "steps");
  if (!y) return;
  for (const { curve, colour } of lanes) {
    pen.strokeStyle = colour;
    pen.lineJoin = "round";
    pen.lineWidth = 1;
    pen.globalAlpha = 0.75;
    line(pen, box, curve.step, curve.train, x, y);
    pen.globalAlpha = 1;
    pen.lineWidth = 2.4;
    line(pen, box, curve.step, curve.held, x, y);
  }
}

export function plane(pen, width, height, lanes) {
  const box = frame(pen, width, height);
  const most = 1.04 * Math.max(1, ...lanes.flatMap(({ curve }) => curve.l1.filter((v) => v !== null)));
  const x = (v) => box.x0 + (v / most) * (box.x1 - box.x0);
  const y = upward(pen, box, lanes.flatMap(({ curve }) => curve.train));
  below(pen, box, most, x, "Σ|w|");
  if (!y) return;
  for (const { curve, colour, strength, isL1 } of lanes) {
    const last = curve.step.length - 1, at = [curve.l1[last], curve.train[last]];
    if (at.includes(null)) continue;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.2;
    pen.globalAlpha = 0.4;
    line(pen, box, curve.l1, curve.train, x, y);
    pen.globalAlpha = 1;
    if (isL1 && strength) {
      const xs = Array.from({ length: 40 }, (_, k) => (k * most) / 39);
      const equal = xs.map((v) => { const loss = at[1] + strength * (at[0] - v); return loss > 0 && y(loss) < box.y0 && y(loss) > box.y1 ? loss : null; });
      pen.setLineDash([4, 4]);
      line(pen, box, xs, equal, x, y);
      pen.setLineDash([]);
    }
    pen.beginPath();
    pen.arc(x(at[0]), Math.max(box.y1, Math.min(box.y0, y(at[1]))), 5, 0, 7);
    pen.fillStyle = ink().card;
    pen.fill();
    pen.lineWidth = 2.4;
    pen.stroke();
  }
}

// A weight (or a unit's norm) over time in every network; zero is a line of its own.
export function way(pen, width, height, lanes) {
  const box = frame(pen, width, height);
  const values = lanes.flatMap(({ series }) => series[1]).filter((v) => v !== null);
  const steps = lanes.flatMap(({ series }) => series[0]);
  if (!values.length) return;
  const [first, last] = [Math.min(...steps), Math.max(...steps, Math.min(...steps) + 1)];
  const far = Math.max(...values.map(Math.abs)) || 1, low = Math.min(0, ...values) < 0 ? -far : -0.08 * far;
  const x = (v) => box.x0 + ((v - first) / (last - first)) * (box.x1 - box.x0);
  const y = (v) => box.y0 - ((v - low) / (1.08 * far - low)) * (box.y0 - box.y1);
  pen.strokeStyle = ink().zero;
  pen.globalAlpha = 0.5;
  pen.setLineDash([3, 3]);
  line(pen, box, [first, last], [0, 0], x, y);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  text(pen, "0", box.x0 - 6, y(0) + 4, { align: "right", size: 10.5, colour: ink().zero, weight: 650 });
  text(pen, num(far, 2), box.x0 - 6, y(far) + 4, { align: "right", size: 10.5 });
  text(pen, count(first), box.x0, box.y0 + 15, { size: 10.5 });
  text(pen, `step ${count(last)}`, box.x1, box.y0 + 15, { align: "right", size: 10.5 });
  pen.lineWidth = 1.8;
  for (const { series, colour } of lanes) {
    pen.strokeStyle = colour;
    line(pen, box, series[0], series[1], x, y);
  }
}
