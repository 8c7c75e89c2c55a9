// The page: one socket in and out, the newest of every message, one drawing per frame.

import { curves, plane } from "./charts.js";
import { Controls } from "./controls.js";
import { forget, paint } from "./ink.js";
import { Panels } from "./panels.js";
import { copyLink, download, poster, toCharts } from "./saving.js";
import { Story } from "./story.js";
import { Tour } from "./tour.js";
import { count } from "./words.js";

const $ = (id) => document.getElementById(id);
const view = { hello: null, state: null, glance: null, look: null, linked: true, rate: null };
const EVERY = 60; // ms between two messages of one dial
let socket, parts, asked = false;

// Dials send at most every 60 ms, and their last value always; everything else goes out at once.
const waiting = new Map();
function send(message, dial = null) {
  if (dial === null) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    return;
  }
  const before = waiting.get(dial);
  waiting.set(dial, message);
  if (before) return;
  send(message);
  setTimeout(function again() {
    const newest = waiting.get(dial);
    waiting.delete(dial);
    if (newest !== message) send(newest, dial);
  }, EVERY);
}

function say(text, link = null) {
  const line = $("said");
  line.hidden = !text;
  line.firstElementChild.replaceChildren(text || "");
  if (link) {
    const open = Object.assign(document.createElement("a"), { href: link, target: "_blank", textContent: " Open the report" });
    line.firstElementChild.append(open);
  }
}

function meet(hello) {
  view.hello = hello;
  document.title = `${hello.title} · explore`;
  $("title").textContent = hello.title;
  parts = { controls: new Controls(hello, send), panels: new Panels(hello, send), story: new Story(hello, send), tour: new Tour(hello, send) };
  parts.controls.onLinked = draw;
  parts.panels.onSeen = draw;
  const few = Math.min(hello.measured_on, hello.trained_on), held = Math.min(hello.measured_on, hello.held_on);
  $("measured").textContent =
    `Losses and scores on ${count(few)} of the training examples and on ${count(held)} held-out ones (validation; the test set stays closed). ` +
    "What one step takes: one plain SGD step of the penalty alone. Lines are a sample of the connections.";
  $("legend").innerHTML = '<span class="swatch zero"></span>exactly zero, counted apart (logarithmic counts) · ' +
    '<span class="swatch plus"></span>positive <span class="swatch minus"></span>negative <span class="swatch hollow"></span>hollow: exactly zero · click a bar, a filter or a line for its story';
  if (location.hash.length > 1) {
    send({ do: "restore", link: location.hash });
    history.replaceState(null, "", location.pathname);
  }
}

const HEAR = {
  hello: (m) => { if (!view.hello) meet(m); },
  state: (m) => { view.state = m; },
  glance: (m) => { clock(m); view.glance = m; },
  look: (m) => { view.look = m; },
  said: (m) => say(m.text),
  saved: (m) => say(`Saved in ${m.folder}.`, m.report),
  pages: (m) => { if (m.pages > 1) say(`Open in ${m.pages} tabs: all show and steer the same networks.`); else if (/^Open in/.test($("said").textContent)) say(""); },
};

// Steps per second, smoothed over glances while it trains.
let last = null;
function clock(glance) {
  const now = performance.now();
  if (last && view.state?.playing && glance.step > last.step) {
    const rate = (1000 * (glance.step - last.step)) / (now - last.now);
    view.rate = view.rate ? 0.8 * view.rate + 0.2 * rate : rate;
  }
  last = { step: glance.step, now };
  document.documentElement.dataset.glances = Number(document.documentElement.dataset.glances || 0) + 1;
}

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render();
  });
}

function render() {
  if (!view.hello || !view.state) return;
  parts.controls.show(view.state);
  [view.linked, view.last] = [parts.controls.linked, parts.controls.last];
  parts.panels.build(view.state.controls.columns.map((c) => c.name));
  if (!view.glance) return;
  const rate = view.state.playing && view.rate ? ` · ${Math.round(view.rate)} steps/s` : "";
  const untouched = !view.state.playing && view.glance.step === 0;
  $("clock").textContent = `step ${count(view.glance.step)} · epoch ${count(view.glance.epoch)}${rate}${untouched ? " · press Play, then turn λ" : ""}`;
  document.body.classList.toggle("untouched", untouched);
  parts.panels.show(view);
  parts.tour.show(view);
  parts.story.show(view, parts.panels.clicked);
  if (!view.look) return;
  const lanes = toCharts(view.hello, view.state, view.look, view.glance);
  const tall = $("curves").clientWidth < 420 ? 200 : 230;
  paint($("curves").querySelector("canvas"), tall, (pen, w, h) => curves(pen, w, h, lanes));
  paint($("plane").querySelector("canvas"), tall, (pen, w, h) => plane(pen, w, h, lanes));
}

function connect() {
  socket = new WebSocket(new URL("live", location.href.replace(/^http/, "ws")));
  socket.addEventListener("open", () => { if (asked) say(""); asked = false; });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    HEAR[message.kind]?.(message);
    draw();
  });
  socket.addEventListener("close", () => {
    if (!asked) say("The program behind this page has ended, or does not answer. Start it again: shrinkage explore.");
    asked = true;
    setTimeout(connect, 3000);
  });
}

$("said").querySelector("button").addEventListener("click", () => say(""));
$("copy").addEventListener("click", async () => { if (view.state) say(await copyLink(view.state.query)); });
$("picture").addEventListener("click", () => { const made = poster(view); if (made) download(made); });
$("save").addEventListener("click", () => send({ do: "save", picture: poster(view)?.toDataURL("image/png") || "" }));
window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { forget(); draw(); });
connect();
