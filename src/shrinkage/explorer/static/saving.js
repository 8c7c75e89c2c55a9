// What is on screen as a picture to keep, drawn with the same pens as the page.

import { curves, plane } from "./charts.js";
import { ink, text } from "./ink.js";
import * as draw from "./pictures.js";
import { num, percent, score } from "./words.js";

const WIDTH = 1280, RATIO = 2, EDGE = 28, GAP = 20;

function split(pen, width, share) {
  pen.fillStyle = ink().loss;
  pen.fillRect(0, 0, width * (1 - share), 9);
  pen.fillStyle = ink().penalty;
  pen.fillRect(width * (1 - share), 0, width * share, 9);
}

function panel(pen, width, lane, stand, hello, most, edge) {
  const column = hello.columns.find((c) => c.name === lane.name);
  const down = (y) => { pen.save(); pen.translate(0, y); };
  pen.fillStyle = column.colour;
  pen.fillRect(0, 0, width, 3);
  text(pen, column.label, 0, 26, { size: 16, weight: 650, colour: ink().ink });
  if (column.knob === "strength" || column.most !== null) text(pen, `${column.symbol} = ${lane.knob}`, width, 26, { size: 13, align: "right" });
  down(38);
  split(pen, width, stand.train === null || lane.penalty === null ? 0 : lane.penalty / (stand.train + lane.penalty || 1));
  pen.restore();
  text(pen, `loss ${num(stand.train)}${column.penalty ? ` + λ·${column.penalty} ${num(lane.penalty)}` : ""}`, 0, 64, { size: 12 });
  text(pen, "exact zeros", 0, 88, { size: 12 });
  text(pen, percent(lane.zeros / lane.size), 0, 112, { size: 22, weight: 650, colour: lane.zeros ? ink().zero : ink().ink });
  text(pen, `held-out ${stand.score_name}`, width / 2, 88, { size: 12 });
  text(pen, score(stand.score_name, stand.held_score), width / 2, 112, { size: 22, weight: 650, colour: ink().ink });
  down(126);
  draw.histogram(pen, width, 140, { bins: lane.bins, zeros: lane.zeros, most, edge, colour: column.colour });
  pen.restore();
  down(280);
  if (lane.first !== null && hello.first && hello.first.kind !== "columns") draw.tiles(pen, width, lane.first, hello.first, -1);
  pen.restore();
}

// A canvas with everything of the first screen; null before there is something to show.
export function poster({ hello, state, glance, look }) {
  if (!glance || !look) return null;
  const lanes = glance.lanes.filter((lane) => look.lanes[lane.name]), n = lanes.length;
  const width = (WIDTH - 2 * EDGE - (n - 1) * GAP) / n;
  const first = hello.first && hello.first.kind !== "columns" ? draw.tileGrid(width, hello.first).height : 0;
  const body = 290 + first, height = 70 + body + 300;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH * RATIO, height * RATIO];
  const pen = canvas.getContext("2d");
  pen.scale(RATIO, RATIO);
  pen.fillStyle = ink().paper;
  pen.fillRect(0, 0, WIDTH, height);
  text(pen, hello.title, EDGE, 38, { size: 22, weight: 650, colour: ink().ink });
  text(pen, `step ${glance.step.toLocaleString("en")} · ${document.getElementById("settings-text").textContent}`, WIDTH - EDGE, 38, { size: 13, align: "right" });
  const most = Math.max(10, ...lanes.flatMap((lane) => [lane.zeros, ...lane.bins]));
  // A network that has failed has no loss and no score: the last ones are of before.
  const standing = (lane) => ({ ...look.lanes[lane.name], ...(lane.failed && { train: null, held_score: null }) });
  const at = (x, y, drawing) => { pen.save(); pen.translate(x, y); drawing(); pen.restore(); };
  lanes.forEach((lane, k) => at(EDGE + k * (width + GAP), 60, () => panel(pen, width, lane, standing(lane), hello, most, glance.edge)));
  const half = (WIDTH - 2 * EDGE - GAP) / 2, drawn = toCharts(hello, state, look, glance);
  at(EDGE, 70 + body, () => { text(pen, "loss while it trains: held out thick, training thin", 0, 0, { size: 13, weight: 600 }); at(0, 10, () => curves(pen, half, 240, drawn)); });
  at(EDGE + half + GAP, 70 + body, () => { text(pen, "loss against Σ|w|", 0, 0, { size: 13, weight: 600 }); at(0, 10, () => plane(pen, half, 240, drawn)); });
  text(pen, "shrinkage explore", WIDTH - EDGE, height - 12, { size: 12, align: "right" });
  return canvas;
}

export function toCharts(hello, state, look, glance) {
  return glance.lanes.filter((lane) => look.lanes[lane.name]).map((lane) => {
    const column = hello.columns.find((c) => c.name === lane.name);
    return { ...look.lanes[lane.name], colour: column.colour, strength: lane.knob, isL1: column.penalty === "Σ|w|" };
  });
}

export async function copyLink(query) {
  const link = `${location.origin}${location.pathname}#${query}`;
  try {
    await navigator.clipboard.writeText(link);
    return `Link copied. Also for later: shrinkage explore … --settings "${query}"`;
  } catch {
    return `The settings as a link: ${link}`;
  }
}

export function download(canvas) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "explore.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
