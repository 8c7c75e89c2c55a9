// Colours of the theme, and canvases that are sharp on every screen.

const NAMES = ["paper", "card", "ink", "ink-2", "line", "grid", "loss", "penalty", "zero", "plus", "minus", "near", "accent"];
let colours = null;

export function ink() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    colours.font = getComputedStyle(document.body).fontFamily;
  }
  return colours;
}

export const forget = () => { colours = null; };

export function rgb(hex) {
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
}

// A pen on a canvas that fills its box: draw(pen, width, height) in CSS pixels.
export function paint(canvas, height, draw) {
  const width = canvas.clientWidth || canvas.parentElement.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) {
    [canvas.width, canvas.height] = size;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  draw(pen, width, height);
}

export function text(pen, content, x, y, { size = 11, colour = ink()["ink-2"], align = "left", weight = 400 } = {}) {
  pen.font = `${weight} ${size}px ${ink().font}`;
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.fillText(content, x, y);
}

export function bytes(packed) {
  return packed ? Int8Array.from(atob(packed), (c) => c.charCodeAt(0)) : new Int8Array(0);
}

// Only exact zeros are 0; every other value has a colour between near and its sign's.
export function shade(value) {
  const share = Math.sqrt(Math.abs(value) / 127);
  const [near, end] = [rgb(ink().near), rgb(value > 0 ? ink().plus : ink().minus)];
  return `rgb(${near.map((c, i) => Math.round(c + share * (end[i] - c))).join(",")})`;
}
