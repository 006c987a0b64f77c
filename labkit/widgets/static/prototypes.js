// explore_prototypes: sliders for coefficients, and the mask that they assemble.

const SIDE = 320; // px of the large drawing
const REACH = 3;  // coefficients go from -REACH to REACH

/** sigmoid(sum of coefficients times maps), 0 outside the box; maps: Float32Array [k * h * w]. */
function assembleMask(maps, [count, height, width], coefficients, box) {
  const cells = height * width, mask = new Float32Array(cells);
  for (let k = 0; k < count; k += 1) {
    const c = coefficients[k], from = k * cells;
    if (c) for (let i = 0; i < cells; i += 1) mask[i] += c * maps[from + i];
  }
  for (let i = 0; i < cells; i += 1) {
    const y = Math.floor(i / width), x = i % width;
    // The box is one cell wider on every side, as in labkit.ops.prototypes.inside.
    const within = !box || (y >= box[0] - 1 && y < box[2] + 1 && x >= box[1] - 1 && x < box[3] + 1);
    mask[i] = within ? 1 / (1 + Math.exp(-mask[i])) : 0;
  }
  return mask;
}

function canvasOf(height, width, label) {
  return html("canvas", { height, width, role: "img", "aria-label": label, class: "lk-pixels" });
}

/** Writes values 0..1 into a canvas: paint(value) gives [red, green, blue, alpha]. */
function paintInto(canvas, values, paint) {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  values.forEach((v, i) => image.data.set(paint(v), 4 * i));
  context.putImageData(image, 0, 0);
}

function render({ model, el }) {
  const grid = model.get("grid"), [, height, width] = grid, cells = height * width;
  const bytes = model.get("prototypes");
  const maps = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const send = sender(model);
  const root = stage(height, width, "The image with the assembled mask", SIDE, width / SIDE);
  const overlay = canvasOf(height, width, "The assembled mask");
  const layer = svg("image", { width, height, preserveAspectRatio: "none", class: "lk-pixels" });
  const edge = svg("rect", { class: "lk-edge lk-prediction" });
  root.append(svg("image", { href: model.get("picture_url"), width, height, preserveAspectRatio: "none" }),
              layer, edge);

  const label = (i) => `${i + 1}: ${model.get("names")[i]}`;
  const which = choice({ label: "detection", options: model.get("names").map((n, i) => label(i)),
                         value: label(model.get("detection")),
                         change: (text) => {
                           model.set("detection", Number(text.split(":")[0]) - 1);
                           send({ detection: model.get("detection") });
                         } });
  const crop = tick({ label: "crop to the box", value: model.get("crop"),
                      change: (v) => { model.set("crop", v); draw(); send({ crop: v }); } });
  const reset = button("The network's coefficients", () => {
    put(model.get("predicted")[model.get("detection")].slice());
  });
  const list = html("div", { class: "lk-prototypes" }), table = html("div");
  const say = frame(el, model, html("div", { class: "lk-controls" }, which.node, crop.node, reset),
                    html("div", { class: "lk-row" }, html("div", { style: `width:${SIDE}px` }, root, table), list));
  let sliders = [];

  function put(coefficients) {
    model.set("coefficients", coefficients);
    draw();
    send({ coefficients });
  }

  /** A small picture of each prototype that has a slider, and its slider. */
  function rebuild() {
    sliders = model.get("shown").map((k) => {
      const values = maps.subarray(k * cells, (k + 1) * cells);
      const top = values.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-6);
      const small = canvasOf(height, width, `Prototype ${k}`);
      paintInto(small, values, (v) => {
        const grey = 255 * (v / top + 1) / 2;
        return [grey, grey, grey, 255];
      });
      const control = slider({ label: `prototype ${k}`, min: -REACH, max: REACH, step: 0.05,
                               value: clamp(model.get("coefficients")[k], -REACH, REACH),
                               format: (v) => v.toFixed(2),
                               change: (v) => {
                                 const next = model.get("coefficients").slice();
                                 next[k] = v;
                                 put(next);
                               } });
      return { k, control, node: html("div", {}, small, control.node) };
    });
    list.replaceChildren(...sliders.map((s) => s.node));
  }

  function draw() {
    const coefficients = model.get("coefficients"), at = model.get("detection"), box = model.get("boxes")[at];
    const mask = assembleMask(maps, grid, coefficients, model.get("crop") ? box : null);
    const own = assembleMask(maps, grid, model.get("predicted")[at], model.get("crop") ? box : null);
    paintInto(overlay, mask, (v) => [255, 220, 60, v > 0.5 ? 170 : 0]);
    set(layer, { href: overlay.toDataURL() });
    set(edge, { x: box[1], y: box[0], width: box[3] - box[1], height: box[2] - box[0] });
    let both = 0, either = 0, count = 0;
    mask.forEach((v, i) => {
      const a = v > 0.5, b = own[i] > 0.5;
      both += a && b; either += a || b; count += a;
    });
    const iou = either ? both / either : 1;
    for (const { k, control } of sliders) control.put(clamp(coefficients[k], -REACH, REACH));
    which.put(label(at));
    crop.put(model.get("crop"));
    table.replaceChildren(numbers([["cells above 0.5", String(count)],
                                   ["IoU with the network's mask", iou.toFixed(2), "lk-strong"]]));
    say(`${model.get("names")[at]}: ${count} cells above 0.5, IoU ${iou.toFixed(2)} with the network's mask.`);
  }
  rebuild();
  draw();
  const ends = [watch(model, ["coefficients", "crop", "detection"], draw),
                watch(model, ["shown"], () => { rebuild(); draw(); })];
  return () => ends.forEach((end) => end());
}
export default { render };
