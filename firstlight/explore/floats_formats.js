// Numbers as bits: a double becomes float32, bfloat16 or float16 as PyTorch makes it, and back.

// The two 16-bit formats are rounded from float32, as PyTorch does with a Python number.
export const FORMATS = [
  { name: "float32", exponent: 8, mantissa: 23 },
  { name: "bfloat16", exponent: 8, mantissa: 7 },
  { name: "float16", exponent: 5, mantissa: 10 },
].map((form) => {
  const bias = 2 ** (form.exponent - 1) - 1;
  return { ...form, bias, size: 1 + form.exponent + form.mantissa, infinite: (2 ** form.exponent - 1) * 2 ** form.mantissa,
    smallest: 2 ** (1 - bias - form.mantissa), normal: 2 ** (1 - bias), largest: (2 - 2 ** -form.mantissa) * 2 ** bias };
});

// The bits of a number in a format, as a whole number; rounded to the nearest, a tie to the even one.
export function encode(number, form) {
  const value = form.size === 16 ? Math.fround(number) : number;
  const sign = value < 0 || Object.is(value, -0) ? 2 ** (form.size - 1) : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return form.infinite + 2 ** (form.mantissa - 1);
  if (size === Infinity) return sign + form.infinite;
  const exponent = Math.max(exponentOf(size), 1 - form.bias);
  const steps = roundEven(size * 2 ** Math.min(form.mantissa - exponent, 1000) * 2 ** Math.max(0, form.mantissa - exponent - 1000));
  // Counted from the smallest number, the bits of all numbers that are not negative are 0, 1, 2, ...
  const magnitude = (exponent + form.bias - 1) * 2 ** form.mantissa + steps;
  return sign + Math.min(magnitude, form.infinite);
}

export function decode(bits, form) {
  const sign = bits >= 2 ** (form.size - 1) ? -1 : 1;
  const { exponent, mantissa } = fields(bits, form);
  if (exponent === 2 ** form.exponent - 1) return mantissa ? NaN : sign * Infinity;
  const whole = exponent ? mantissa + 2 ** form.mantissa : mantissa;
  return sign * whole * 2 ** (Math.max(exponent, 1) - form.bias - form.mantissa);
}

export function fields(bits, form) {
  const magnitude = bits % 2 ** (form.size - 1);
  return { exponent: Math.floor(magnitude / 2 ** form.mantissa), mantissa: magnitude % 2 ** form.mantissa };
}

// From a number to the next away from zero; NaN where there is none.
export function gapOf(bits, form) {
  const { exponent } = fields(bits, form);
  return exponent === 2 ** form.exponent - 1 ? NaN : 2 ** (Math.max(exponent, 1) - form.bias - form.mantissa);
}

// The next number up or down, as bits; from zero it goes on with the other sign.
export function neighbour(bits, form, up) {
  const top = 2 ** (form.size - 1);
  const negative = bits >= top;
  const magnitude = bits % top;
  if (magnitude > form.infinite) return bits;  // not a number
  if (magnitude === 0) return up ? 1 : top + 1;
  return (negative ? top : 0) + Math.min(form.infinite, magnitude + (up === negative ? -1 : 1));
}

export function kindOf(bits, form) {
  const { exponent, mantissa } = fields(bits, form);
  if (exponent === 2 ** form.exponent - 1) return mantissa ? "nan" : "inf";
  return exponent ? "normal" : mantissa ? "subnormal" : "zero";
}

function exponentOf(size) {
  if (size === 0) return -2000;
  let exponent = Math.max(-1074, Math.min(1023, Math.floor(Math.log2(size))));
  if (2 ** exponent > size) exponent -= 1;  // a logarithm is rounded
  else if (exponent < 1023 && 2 ** (exponent + 1) <= size) exponent += 1;
  return exponent;
}

function roundEven(number) {
  const below = Math.floor(number);
  const rest = number - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
