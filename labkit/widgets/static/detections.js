// explore_detections: the shapes of a picture, recoloured by what became of them, and all about one.
// Matching is labkit's, in Python; nothing is computed here but positions.

const WIDE = 520, MASK = 196; // pixels of the picture and of the mask, at most
const BAR_ROW = "display: grid; grid-template-columns: 110px 46px 1fr; gap: 0 8px; align-items: center;"
  + "font-variant-numeric: tabular-nums; overflow-wrap: anywhere";

function render({ model, el }) {
  const send = sender(model);
  const change = (name, value) => { model.set(name, value); send({ [name]: value }); };
  const threshold = (name, label, min) => slider({ label, min, max: 1, step: 0.05, value: model.get(name),
    format: (v) => v.toFixed(2), change: (v) => change(name, v) });
  const score = threshold("score", "score from", 0), iou = threshold("iou", "IoU from", 0.05);
  const last = model.get("count") - 1;
  const picture = slider({ label: "picture", min: 0, max: Math.max(last, 1), step: 1, value: model.get("image"),
                           format: (v) => `${v} of 0…${last}`, change: (v) => change("image", v) });
  const ticks = html("div", { class: "lk-controls" });
  const view = pictureView(model, change), counts = html("div"), about = detailView(model);
  const legend = html("p", { class: "lk-caption" }, "Blue, solid: agrees (thin dashes: the truth). Vermilion, "
    + "long dashes: missed. Purple, dotted, with ✕: false positive. Black: the chosen one; dotted box: its RoI.");
  const say = frame(el, model, html("div", { class: "lk-controls" }, ...(last > 0 ? [picture.node] : []), score.node, iou.node),
                    ticks, html("div", { class: "lk-row" }, view.node, html("div", {}, counts, about.node)), legend);
  let boxes = {};

  /** A box to tick for every class that occurs in the picture. */
  function tickClasses() {
    const { found, objects } = model.get("scene");
    const here = new Set([...found, ...objects].map((s) => s.name));
    boxes = {};
    for (const name of model.get("class_names").filter((n) => here.has(n))) {
      boxes[name] = tick({ label: name, value: model.get("classes").includes(name), change: (on) => change("classes",
        model.get("class_names").filter((n) => (n === name ? on : model.get("classes").includes(n)))) });
    }
    ticks.replaceChildren(...Object.values(boxes).map((b) => b.node));
  }
  function entered() {
    view.enter();
    tickClasses();
    draw();
  }
  function draw() {
    score.put(model.get("score"));
    iou.put(model.get("iou"));
    picture.put(model.get("image"));
    for (const [name, box] of Object.entries(boxes)) box.put(model.get("classes").includes(name));
    view.draw();
    about.draw();
    const { agreed, missed, false_positives: wrong } = model.get("sorted_out"), right = agreed.length;
    const share = (all) => (all ? (right / all).toFixed(2) : "–");
    const precision = share(right + wrong.length), recall = share(right + missed.length);
    counts.replaceChildren(numbers([["agree", String(right), "lk-strong"], ["missed", String(missed.length), "lk-strong"],
      ["false positives", String(wrong.length), "lk-strong"], ["precision here", precision], ["recall here", recall]]));
    say(`${right} agree, ${missed.length} missed, ${counted(wrong.length, "false positive")}; precision ${precision}, recall ${recall} `
        + "in this picture.");
  }
  entered();
  const ends = [watch(model, ["scene"], entered),
                watch(model, ["score", "iou", "classes", "chosen", "sorted_out", "detail"], draw)];
  return () => { for (const end of ends) end(); };
}

/** The picture with its shapes; a click, or arrow keys on the frame, choose one. */
function pictureView(model, change) {
  const node = stage(100, 100, "Objects and detections of the picture; click one to see all about it", WIDE);
  const frameOf = svg("rect", { class: "lk-edge", tabindex: 0, focusable: "true", role: "button",
                                style: "stroke: #1a1a1a", "data-lm-suppress-shortcuts": "true" });
  let shapes = {}, layers = {}, shown = [], scene = null;

  /** Another picture: new shapes. Their look is given by draw(). */
  function enter() {
    scene = model.get("scene");
    const { size: [height, width], picture_url, found, objects } = scene, unit = width / WIDE;
    set(node, { viewBox: `0 0 ${width} ${height}`, style: `max-width:${WIDE}px;--lk-unit:${unit}`, "data-unit": unit });
    const [halo, roi] = ["lk-halo", "lk-many"].map((look) => svg("path", { class: look }));
    set(roi, { style: "stroke-dasharray: 2 3; stroke-width: 2.5" });
    layers = { halo, roi, white: svg("path", { class: "lk-halo" }), tags: svg("g") };
    const shape = (kind) => (s, i) => [`${kind} ${i}`, { ...s, kind, node: svg("path", { d: s.path, "fill-rule": "evenodd",
      "stroke-width": 2, "vector-effect": "non-scaling-stroke", "pointer-events": "none" }) }];
    shapes = Object.fromEntries([...objects.map(shape("object")), ...found.map(shape("found"))]);
    node.replaceChildren(svg("image", { href: picture_url, width, height }), halo,
                         ...Object.values(shapes).map((s) => s.node), layers.white, roi, frameOf, layers.tags);
  }

  /** {key: [colour, dashes, how opaque the fill, tag]} of the shapes to be seen. */
  function looks() {
    const { agreed, missed, false_positives: wrong } = model.get("sorted_out"), colors = model.get("colors");
    const { found, objects } = model.get("scene"), seen = {};
    for (const [g, d] of agreed) {
      seen[`object ${g}`] = ["#fff", "2 2", 0, ""];
      seen[`found ${d}`] = [colors.agreed, null, 0.4, `${found[d].name} ${found[d].score.toFixed(2)}`];
    }
    for (const g of missed) seen[`object ${g}`] = [colors.missed, "8 4", 0.15, `missed: ${objects[g].name}`];
    for (const d of wrong) {
      seen[`found ${d}`] = [colors.false_positives, "2 3", 0.4, `✕ ${found[d].name} ${found[d].score.toFixed(2)}`];
    }
    return seen;
  }
  function draw() {
    if (scene !== model.get("scene")) enter(); // what belongs to it may be told first
    const seen = looks(), chosen = model.get("chosen"), unit = Number(node.dataset.unit);
    const { size: [height, width] } = model.get("scene");
    for (const [key, { node: path }] of Object.entries(shapes)) {
      const [color, dashes, fill] = seen[key] || [];
      path.style.display = color ? "" : "none";
      if (color) set(path, { style: `stroke:${color};fill:${color};fill-opacity:${fill};stroke-dasharray:${dashes || "none"}` });
    }
    shown = Object.keys(seen).filter((key) => seen[key][3]);
    set(layers.halo, { d: shown.map((key) => shapes[key].path).join("") });
    // With a single class a name says nothing, and hides small objects: only the chosen one has it.
    const taken = [], named = model.get("class_names").length > 1;
    layers.tags.replaceChildren(...shown.filter((key) => named || key === chosen).map((key) => {
      const [y1, x1, y2] = shapes[key].box, text = seen[key][3], wide = 7 * unit * text.length;
      const x = clamp(x1, 2 * unit, Math.max(width - wide, 2 * unit));
      let y = y1 > 14 * unit ? y1 - 4 * unit : Math.min(y2 + 13 * unit, height - 3 * unit);
      const hidden = () => taken.some(([a, b, w]) => Math.abs(a - y) < 12 * unit && b < x + wide && x < b + w);
      for (let tries = 0; tries < 4 && hidden() && y + 16 * unit < height; tries += 1) y += 13 * unit;
      taken.push([y, x, wide]);
      return svg("text", { class: "lk-tag lk-small", x, y }, text);
    }));
    const detail = model.get("detail"), { roi } = detail, { box } = shapes[chosen] || {};
    const boxes = box ? [box, ...(roi ? [roi] : [])] : [];
    set(layers.white, { d: outlines(boxes) });
    set(layers.roi, { d: outlines(boxes.slice(1)) });
    frameOf.style.display = box ? "" : "none";
    if (box) {
      const [y1, x1, y2, x2] = box;
      set(frameOf, { x: x1, y: y1, width: x2 - x1, height: y2 - y1,
                     "aria-label": `Chosen: ${detail.title}. ${detail.fate}. Arrow keys choose another` });
    }
  }

  const choose = (key) => { if (key && key !== model.get("chosen")) change("chosen", key); };
  /** The shapes at a point, the smallest box first: what is large lies behind. */
  function at([y, x]) {
    const area = ([y1, x1, y2, x2]) => (y2 - y1) * (x2 - x1);
    return shown.filter((key) => {
      const [y1, x1, y2, x2] = shapes[key].box;
      return y >= y1 && y <= y2 && x >= x1 && x <= x2;
    }).sort((a, b) => area(shapes[a].box) - area(shapes[b].box));
  }
  let down = false;
  node.addEventListener("pointerdown", (event) => {
    const here = at(pointIn(node, event));
    down = true;
    event.preventDefault();
    // A second click at the same place takes what lies behind.
    choose(here[(here.indexOf(model.get("chosen")) + 1) % here.length]);
    frameOf.focus({ preventScroll: true });
  });
  node.addEventListener("pointermove", (event) => {
    const here = at(pointIn(node, event));
    if (down && !here.includes(model.get("chosen"))) choose(here[0]);
  });
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) node.addEventListener(end, () => { down = false; });
  frameOf.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!way || !shown.length) return;
    event.preventDefault();
    event.stopPropagation();
    choose(shown[(shown.indexOf(model.get("chosen")) + way + shown.length) % shown.length]);
  });
  return { node, enter, draw };
}

/** What the heads said of the chosen one: its fate, bars of probabilities, its mask. */
function detailView(model) {
  const title = html("p", { class: "lk-heading" }), fate = html("p", { class: "lk-caption" });
  const note = html("p", { class: "lk-caption" }), bars = html("div");
  const mask = stage(MASK, MASK, "The mask of the chosen one, in cells of its box", MASK);
  let cells = [];

  /** A mask of side x side cells: 28 in the paper, but a config may say otherwise. */
  function layOut(side) {
    const cell = MASK / side;
    cells = Array.from({ length: side * side }, (_, i) => svg("rect", { class: "lk-mask-cell", width: cell, height: cell,
      x: (i % side) * cell, y: Math.floor(i / side) * cell }));
    mask.replaceChildren(...cells);
  }
  const node = html("div", { style: "width: 300px" }, title, fate, note, bars, mask);
  function draw() {
    const detail = model.get("detail");
    node.style.visibility = detail.title ? "" : "hidden";
    if (!detail.title) return;
    title.textContent = detail.title;
    fate.textContent = detail.fate;
    note.textContent = detail.note;
    bars.replaceChildren(...detail.bars.map(([name, p]) => html("div", { style: BAR_ROW }, html("span", {}, name),
      html("span", { class: "lk-strong" }, p.toFixed(3)),
      html("span", { class: "lk-bars" }, html("span", { class: "lk-bar", style: `width:${100 * p}%` })))));
    mask.style.display = detail.mask ? "" : "none";
    if (!detail.mask) return;
    const side = detail.mask.length;
    if (cells.length !== side * side) layOut(side);
    detail.mask.flat().forEach((v, i) => { cells[i].style.fillOpacity = v; });
  }
  return { node, draw };
}
export default { render };
