// explore_losses: three boxes, some logits and a mask to change; Python answers with five losses
// and their slopes (labkit.ops.losses under a GradientTape). Nothing is computed here but positions.

const NAMES = ["objectness", "rpn_box", "class", "box", "mask"], CELL = 9, GAP = 34;
const PENS = { "object (logit 4)": 4, "background (logit −4)": -4, "undecided (logit 0)": 0 };
const SIGNS = { 4: "+", "-4": "−", 0: "?" }; // shown in the brush
const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));
const signed = (v, digits = 2) => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(digits);

function render({ model, el }) {
  const send = sender(model);
  const change = (name, value) => { model.set(name, value); send({ [name]: value }); };
  const parts = [boxView(model, change), lossTable(), logitSliders(model, change), deltaTable(),
                 maskPainter(model, change)];
  const [view, table, logits, deltas, mask] = parts;
  const presets = Object.entries(model.get("presets")).map(([name, state]) => button(name, () => send(state)));
  const say = frame(el, model, html("div", { class: "lk-controls" }, html("span", {}, "Try:"), ...presets),
                    html("div", { class: "lk-row" }, view.node, table.node), logits.node,
                    html("div", { class: "lk-row" }, mask.node, deltas.node));
  function answered() {
    const answer = model.get("answer");
    if (!answer.losses) return;
    for (const part of parts) part.draw(answer);
    const losses = NAMES.map((n) => answer.losses[n]);
    say(`Sum of the five losses: ${losses.reduce((a, b) => a + b, 0).toFixed(3)}`);
  }
  const moved = () => { for (const part of parts) if (part.move) part.move(); };
  moved();
  answered();
  const ends = [watch(model, ["answer"], answered),
                watch(model, ["truth", "start", "box", "objectness", "class_logits", "mask_logits"], moved)];
  return () => { for (const end of ends) end(); };
}

/** The picture with truth, start and prediction, and arrows that show where the box is pulled. */
function boxView(model, change) {
  const [height, width] = model.get("size"), unit = width / 400;
  const node = stage(height, width, "Truth, start box and predicted box; each can be dragged", 400, unit);
  const picture = model.get("picture_url");
  if (picture) node.append(svg("image", { href: picture, width, height }));
  const looks = [["truth", "truth"], ["start", "start"], ["box", "prediction"]];
  const editors = looks.map(([name, look]) => boxEditor(node, {
    box: model.get(name), within: [height, width], look, name: look, digits: 1,
    change: (box) => change(name, box),
  }));
  const arrows = svg("path", { class: "lk-pull" });
  node.append(arrows);
  const move = () => looks.forEach(([name], i) => editors[i].put(model.get(name)));
  function draw(answer) {
    const [y1, x1, y2, x2] = model.get("box"), cy = (y1 + y2) / 2, cx = (x1 + x2) / 2;
    const [top, left, bottom, right] = answer.pull.map((v) => clamp(v * 400, -45, 45) * unit);
    set(arrows, { d: [arrow(cx, y1, 0, top, unit), arrow(x1, cy, left, 0, unit),
                      arrow(cx, y2, 0, bottom, unit), arrow(x2, cy, right, 0, unit)].join("") });
  }
  return { node, move, draw };
}

function arrow(x, y, dx, dy, unit) {
  const long = Math.hypot(dx, dy);
  if (long < unit) return "";
  const ux = dx / long, uy = dy / long, head = Math.min(8 * unit, long);
  const tx = x + dx, ty = y + dy, bx = tx - ux * head, by = ty - uy * head;
  return `M${x} ${y}L${tx} ${ty}M${bx - uy * head / 2} ${by + ux * head / 2}L${tx} ${ty}`
    + `L${bx + uy * head / 2} ${by - ux * head / 2}`;
}

/** The five losses as numbers and bars, and what decides whether each counts. */
function lossTable() {
  const head = html("div", { class: "lk-soft" });
  const rows = NAMES.map((name) => {
    const value = html("span", { class: "lk-strong" }), bar = html("span", { class: "lk-bar" });
    return { value, bar, why: html("div", { class: "lk-soft" }), name };
  });
  const node = html("div", { class: "lk-losses" }, head, ...rows.map((r) =>
    html("div", {}, html("span", {}, r.name), r.value, html("span", { class: "lk-bars" }, r.bar), r.why)));
  function draw(a) {
    const taught = (part, is) => (is === "positive" ? "counts" : `silent: the ${part} is ${is}`);
    const why = {
      objectness: a.anchor === "ignored" ? "none: the anchor is ignored"
        : `wants ${a.anchor === "positive" ? "an object" : "nothing"} here`,
      rpn_box: taught("anchor", a.anchor), box: taught("RoI", a.roi), mask: taught("RoI", a.roi),
      class: a.roi === "positive" ? "wants the object's class" : "wants background",
    };
    head.textContent = `IoU of start and truth ${a.iou.toFixed(3)}: anchor ${a.anchor}, RoI ${a.roi}`;
    for (const { name, value, bar, why: words } of rows) {
      value.textContent = a.losses[name].toFixed(3);
      bar.style.width = `${clamp(a.losses[name] / 4, 0, 1) * 100}%`;
      words.textContent = why[name];
    }
  }
  return { node, draw };
}

/** Objectness and the logits of some classes, each with its probability and slope. */
function logitSliders(model, change) {
  const names = model.get("class_names");
  const format = (v) => signed(v, 1), range = { min: -8, max: 8, step: 0.2, format };
  const objectness = slider({ ...range, label: "objectness", value: model.get("objectness"),
                              change: (v) => change("objectness", v) });
  const classes = model.get("sliders").map((k) => ({ k, control: slider({
    ...range, label: names[k], value: model.get("class_logits")[k],
    change: (v) => change("class_logits", model.get("class_logits").map((old, i) => (i === k ? v : old))),
  }) }));
  const row = (control) => {
    const words = html("span", { class: "lk-slope" });
    return { words, node: html("div", {}, control.node, words) };
  };
  const first = row(objectness), others = classes.map(({ control }) => row(control));
  const unseen = names.length - classes.length;
  const node = html("div", { class: "lk-logits" }, first.node, ...others.map((r) => r.node),
                    ...(unseen ? [html("div", { class: "lk-soft" }, `and ${unseen} more classes, which count too`)] : []));
  function move() {
    objectness.put(model.get("objectness"));
    for (const { k, control } of classes) control.put(model.get("class_logits")[k]);
  }
  function draw(a) {
    const p = sigmoid(model.get("objectness"));
    first.words.textContent = `probability ${p.toFixed(2)}, slope ${signed(a.objectness_slope)}`;
    classes.forEach(({ k }, i) => {
      const label = k === a.label ? "  ◂ the label" : "";
      others[i].words.textContent = `probability ${a.probabilities[k].toFixed(2)}, slope ${signed(a.class_slopes[k])}${label}`;
    });
  }
  return { node, move, draw };
}

/** The four deltas as the RPN and as the box head count them. */
function deltaTable() {
  const node = html("table", { class: "lk-deltas" });
  function draw({ deltas }) {
    const head = (words, span = 1) => html("th", { colspan: span }, words);
    const cells = (d, i) => [d.now[i], d.wanted[i], d.slope[i]].map((v) => html("td", {}, signed(v)));
    node.replaceChildren(
      html("tr", {}, head(""), head("rpn_box", 3), head("box", 3)),
      html("tr", {}, head(""), ...["now", "wanted", "slope", "now", "wanted", "slope"].map((w) => head(w))),
      ...["dy", "dx", "dh", "dw"].map((name, i) =>
        html("tr", {}, head(name), ...cells(deltas.rpn_box, i), ...cells(deltas.box, i))));
  }
  return { node, draw };
}

/** A mask to paint on, and beside it the slope of the mask loss in each cell. */
function maskPainter(model, change) {
  const side = model.get("mask_logits").length, long = side * CELL;
  const root = stage(long + 22, 2 * long + GAP, "The mask to paint on, and the slopes of its loss", 2 * long + GAP);
  const cells = grid(root, side, 0), slopes = grid(root, side, long + GAP);
  const outline = svg("path", { class: "lk-edge lk-truth" });
  const brush = svg("rect", { class: "lk-brush", width: 3 * CELL, height: 3 * CELL });
  const sign = svg("text", { "text-anchor": "middle" });
  root.append(outline, brush, sign, svg("text", { x: 2, y: long + 16 }, "the mask (dashed: wanted)"),
              svg("text", { x: long + GAP + 2, y: long + 16 }, "slope: ■ raise it, □ lower it"));
  let at = [1, 1], pen = Object.keys(PENS)[0], down = false;
  const penChoice = choice({ label: "Pen", options: Object.keys(PENS), value: pen,
                           change: (v) => { pen = v; place(...at); } });

  function place(y, x) {
    at = [clamp(Math.round(y), 0, side - 1), clamp(Math.round(x), 0, side - 1)];
    set(sign, { x: (at[1] + 0.5) * CELL, y: (at[0] + 0.5) * CELL + 5 });
    sign.textContent = SIGNS[PENS[pen]];
    const share = 100 * sigmoid(PENS[pen]); // the brush has the colour that it paints
    brush.style.fill = `color-mix(in srgb, var(--lk-prediction) ${share}%, var(--lk-paper))`;
    set(brush, { x: (at[1] - 1) * CELL, y: (at[0] - 1) * CELL,
                 "aria-label": `Brush at row ${at[0] + 1}, column ${at[1] + 1}; Space paints, with Shift arrows paint` });
  }
  function paint() {
    const near = (a, b) => Math.abs(a - b) <= 1;
    const old = model.get("mask_logits");
    if (old.every((row, y) => !near(y, at[0]) || row.every((v, x) => !near(x, at[1]) || v === PENS[pen]))) return;
    change("mask_logits", old.map((row, y) => (near(y, at[0])
      ? row.map((v, x) => (near(x, at[1]) ? PENS[pen] : v)) : row)));
  }
  function follow(event) {
    const [y, x] = pointIn(root, event);
    if (x > long || y > long) return;
    place(y / CELL - 0.5, x / CELL - 0.5);
    if (down) paint();
  }
  root.addEventListener("pointerdown", (event) => {
    down = true;
    follow(event);
    event.preventDefault();
    brush.focus({ preventScroll: true });
  });
  root.addEventListener("pointermove", (event) => { if (down) follow(event); });
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) root.addEventListener(end, () => { down = false; });
  set(brush, { tabindex: 0, focusable: "true", role: "button", "data-lm-suppress-shortcuts": "true" });
  brush.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], " ": [0, 0] }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    place(at[0] + way[0], at[1] + way[1]);
    if (event.shiftKey || event.key === " ") paint();
  });
  function move() {
    model.get("mask_logits").forEach((row, y) => row.forEach((v, x) => {
      cells[y][x].style.fillOpacity = sigmoid(v);
    }));
  }
  function draw(answer) {
    set(outline, { d: borders(answer.mask_target) });
    answer.mask_slopes.forEach((row, y) => row.forEach((v, x) => {
      const wide = Math.sqrt(Math.abs(v)) * (CELL - 1), rest = (CELL - wide) / 2;
      set(slopes[y][x], { x: long + GAP + x * CELL + rest, y: y * CELL + rest, width: wide, height: wide,
                          class: v < 0 ? "lk-slope-up" : "lk-slope-down" });
    }));
  }
  place(side / 2, side / 2);
  const node = html("div", { class: "lk-mask" }, html("div", { class: "lk-controls" }, penChoice.node), root);
  return { node, move, draw };
}

function grid(root, side, left) {
  root.append(svg("rect", { class: "lk-sheet", x: left, y: 0, width: side * CELL, height: side * CELL }));
  return Array.from({ length: side }, (_, y) => Array.from({ length: side }, (__, x) => {
    const rect = svg("rect", { class: "lk-mask-cell", x: left + x * CELL, y: y * CELL, width: CELL, height: CELL });
    root.append(rect);
    return rect;
  }));
}

/** The line between cells below and above one half: an SVG path. */
function borders(target) {
  const on = (y, x) => (target[y] || [])[x] >= 0.5, parts = [];
  for (let y = 0; y <= target.length; y += 1) {
    for (let x = 0; x <= target.length; x += 1) {
      if (on(y, x) !== on(y - 1, x)) parts.push(`M${x * CELL} ${y * CELL}h${CELL}`);
      if (on(y, x) !== on(y, x - 1)) parts.push(`M${x * CELL} ${y * CELL}v${CELL}`);
    }
  }
  return parts.join("");
}
export default { render };
