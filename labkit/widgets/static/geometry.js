// The arithmetic of boxes that must keep up with the mouse. labkit.ops.boxes is its definition:
// tests/widgets/test_geometry.py runs this text in a JavaScript engine and compares.

function area([y1, x1, y2, x2]) {
  return Math.max(y2 - y1, 0) * Math.max(x2 - x1, 0);
}

/** The box shared by two boxes; its sides are negative where they do not meet. */
function sharedBox(a, b) {
  return [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
}

/** The smallest box around two boxes. */
function hull(a, b) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

/** {shared, union, hull, iou, giou} of two boxes: areas, and the two ratios. */
function overlap(a, b) {
  const shared = area(sharedBox(a, b)), union = area(a) + area(b) - shared, around = area(hull(a, b));
  const iou = union > 0 ? shared / union : 0;
  const empty = around > 0 ? (around - union) / around : 0;
  return { shared, union, hull: around, iou, giou: iou - empty };
}

const MAX_LOG_SCALE = Math.log(1000 / 16);

/** The deltas (dy, dx, dh, dw) that move an anchor onto a box, divided by std. */
function encode(box, anchor, std = [1, 1, 1, 1]) {
  const h = anchor[2] - anchor[0], w = anchor[3] - anchor[1];
  const boxH = box[2] - box[0], boxW = box[3] - box[1];
  const deltas = [
    (box[0] + boxH / 2 - anchor[0] - h / 2) / h, (box[1] + boxW / 2 - anchor[1] - w / 2) / w,
    Math.log(boxH / h), Math.log(boxW / w),
  ];
  return deltas.map((d, i) => d / std[i]);
}

/** The box that deltas make of an anchor; the logarithms are capped as in labkit. */
function decode(deltas, anchor, std = [1, 1, 1, 1]) {
  const h = anchor[2] - anchor[0], w = anchor[3] - anchor[1];
  const [dy, dx, dh, dw] = deltas.map((d, i) => d * std[i]);
  const cy = anchor[0] + h / 2 + dy * h, cx = anchor[1] + w / 2 + dx * w;
  const half = [0.5 * h * Math.exp(Math.min(dh, MAX_LOG_SCALE)), 0.5 * w * Math.exp(Math.min(dw, MAX_LOG_SCALE))];
  return [cy - half[0], cx - half[1], cy + half[0], cx + half[1]];
}

// As numpy rounds: halves to the even neighbour.
function roundHalfEven(value) {
  const below = Math.floor(value), rest = value - below;
  return rest === 0.5 ? below + (below % 2 ? 1 : 0) : Math.round(value);
}

/** The anchors of one cell around the origin: of area size squared, height / width = ratio. */
function cellAnchors(size, ratios, rounding = false) {
  return ratios.map((ratio) => {
    const h = size * Math.sqrt(ratio) / 2, w = size / Math.sqrt(ratio) / 2;
    return [-h, -w, h, w].map((v) => (rounding ? roundHalfEven(v) : v));
  });
}

/** Those anchors moved to the cell [row, column] of a grid; stride: [pixels a row, a column]. */
function anchorsAt(cell, [row, column], stride, offset) {
  const y = (row + offset) * stride[0], x = (column + offset) * stride[1];
  return cell.map(([y1, x1, y2, x2]) => [y1 + y, x1 + x, y2 + y, x2 + x]);
}

/** Which of P2..P5 (0..3) a RoI is pooled from: a level finer for half the size. See labkit.ops.roi. */
function roiLevel(box, canonicalSize = 224, canonicalLevel = 4) {
  const octave = Math.log2(Math.sqrt(area(box)) / canonicalSize); // -Infinity for an empty box
  return Math.min(Math.max(Math.floor(canonicalLevel + octave + 1e-6), 2), 5) - 2;
}

// How RoI operators look at one axis of a map; positions in cells, the centre of cell i at i.

/** Of each bin the positions of RoIAlign's samples: [output][ratio]. ratio 0 is adaptive. */
function alignSamples(start, end, output, ratio, aligned) {
  const from = aligned ? start - 0.5 : start, size = aligned ? end - start : Math.max(end - start, 1);
  const per = ratio || Math.max(Math.ceil(size / output), 1);
  return Array.from({ length: output }, (_, b) =>
    Array.from({ length: per }, (_, s) => from + (b + (s + 0.5) / per) * size / output));
}

/** The same of crop_and_resize: one sample a bin, from one edge of the box to the other. */
function cropSamples(start, end, output, length, stride) {
  const last = length * stride - 1; // of the image's pixels
  const [a, b] = [start * stride, end * stride - 1].map((v) => v / last * (length - 1));
  return Array.from({ length: output }, (_, i) => [output > 1 ? a + (b - a) * i / (output - 1) : (a + b) / 2]);
}

/** Of each bin the cells that RoIPool takes the maximum of: [first, one after the last]. */
function poolCells(start, end, output) {
  const [first, last] = [start, end].map((v) => Math.sign(v) * Math.floor(Math.abs(v) + 0.5));
  const size = Math.max(last - first + 1, 1), bin = Math.fround(size / output); // in float32, as labkit
  return Array.from({ length: output }, (_, b) =>
    [Math.floor(Math.fround(b * bin)) + first, Math.ceil(Math.fround((b + 1) * bin)) + first]);
}

/** The bilinear weights of all cells in the mean of samples; those outside [low, high] count as 0. */
function cellWeights(samples, length, low, high) {
  const weights = new Array(length).fill(0);
  for (const at of samples) {
    if (at < low || at > high) continue;
    const inside = Math.min(Math.max(at, 0), length - 1), cell = Math.floor(inside), part = inside - cell;
    weights[cell] += (1 - part) / samples.length;
    if (part > 0) weights[cell + 1] += part / samples.length;
  }
  return weights;
}
