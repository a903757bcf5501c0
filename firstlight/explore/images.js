// Pictures and probabilities, as the explorers of trained networks show them.

export function decode(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = letters.charCodeAt(place);
  return bytes;
}

// Paint grey pixels 0..255 onto a canvas of the same size.
export function paint(canvas, pixels, width, height) {
  const image = new ImageData(width, height);
  pixels.forEach((pixel, place) => image.data.set([pixel, pixel, pixel, 255], 4 * place));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A probability is never said to be all or nothing.
export function percent(probability) {
  if (Number.isNaN(probability)) return "NaN";
  if (probability < 0.0005) return "< 0.1 %";
  if (probability >= 0.9995) return "> 99.9 %";
  return `${(100 * probability).toFixed(1)} %`;
}
