// Numbers in words.

export function num(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  if (size > 0 && (size < 1e-4 || size >= 1e7)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const raised = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
    return `${String(Number(mantissa))}·10${raised}`.replaceAll("-", "−");
  }
  const text = size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

// As many digits at every step, so that running numbers stand still.
export function fixed(value) {
  const wide = Number.isFinite(value) && value >= 0.001 && value < 100;
  return value !== null && wide ? (value < 1 ? value.toFixed(3) : value.toPrecision(3)) : num(value);
}

export function percent(share) {
  if (share === null || !Number.isFinite(share)) return "—";
  if (share === 0 || share === 1) return `${100 * share} %`;
  if (share < 0.0005) return "< 0.1 %";
  if (share > 0.9995) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

export const count = (n) => n.toLocaleString("en");

export function score(name, value) {
  return name === "accuracy" ? percent(value) : num(value);
}

// The dial: 0 on the left, then from 1e-4 on twenty-four marks per decade. As many as two digits can
// tell apart: every mark is another λ, about a tenth larger than the one before.
const LOWEST = -4, PER_DECADE = 24;
export const toStrength = (mark) => (mark === 0 ? 0 : Number((10 ** (LOWEST + (mark - 1) / PER_DECADE)).toPrecision(2)));

export function toMark(strength) {
  return strength > 0 ? Math.max(1, Math.round(PER_DECADE * (Math.log10(strength) - LOWEST)) + 1) : 0;
}

// The marks to be labelled on a dial that ends at this λ, and what they are called.
export function ticks(end) {
  const powers = [];
  for (let power = LOWEST; power <= Math.round(Math.log10(end)); power++) powers.push(power);
  return [[0, "0"], ...powers.map((power) => [toMark(10 ** power), named(power)])];
}

const named = (power) => (power >= 0 ? String(10 ** power) : `10⁻${"⁰¹²³⁴"[-power]}`);
