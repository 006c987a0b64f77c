// explore_anchors: the anchors of one place, or of a whole level, over a picture and its objects.

function render({ model, el }) {
  const [height, width] = model.get("canvas"), [top, left, bottom, right] = model.get("place");
  const widest = Math.min(640, 560 * width / height), unit = width / widest, send = sender(model);
  const levels = ["P2", "P3", "P4", "P5", "P6"];
  const root = stage(height, width, "A picture with its objects and anchors", widest, unit);
  root.append(svg("image", { href: model.get("picture_url"), x: left, y: top, width: right - left,
                             height: bottom - top, preserveAspectRatio: "none" }));
  const grid = svg("path", { class: "lk-all-anchors" }), objects = svg("g"), here = svg("g");
  const dot = svg("circle", { class: "lk-corner lk-prediction", r: 6 * unit });
  root.append(grid, objects, here, dot);
  let hover = null; // the point under the mouse, which counts until the mouse leaves

  const level = () => model.get("level"), gridOf = () => model.get("found").grids[level()];
  const offset = () => model.get("offset"), point = () => hover || model.get("at");
  const cellOf = () => point().map((v, i) =>
    clamp(Math.round(v / gridOf()[2 + i] - offset()), 0, gridOf()[i] - 1));
  const centre = () => cellOf().map((v, i) => (v + offset()) * gridOf()[2 + i]);
  const anchorsOf = (cell) => anchorsAt(
    cellAnchors(model.get("sizes")[level()], model.get("ratios"), model.get("rounding")),
    cell, gridOf().slice(2), offset());

  function pin(at) {
    hover = null;
    model.set("at", at); // draws at once
    send({ at });
    drawHere(); // the point may be the old one, and only the mouse away
  }
  const rename = draggable(root, dot, {
    get: centre, put: (y, x) => pin([clamp(y, 0, height), clamp(x, 0, width)]),
    step: () => Math.max(...gridOf().slice(2)),
    label: () => `${levels[level()]}, row ${cellOf()[0]}, column ${cellOf()[1]}; arrow keys move on`,
  });
  root.addEventListener("pointermove", (event) => { hover = pointIn(root, event); drawHere(); });
  root.addEventListener("pointerleave", () => { hover = null; drawHere(); });
  root.addEventListener("click", (event) => pin(pointIn(root, event)));

  // One level's number is changed in a copy of the list: traits are replaced, never altered.
  const change = (name, value) => {
    const next = model.get(name).map((v, i) => (i === level() ? value : v));
    model.set(name, next);
    send({ [name]: next });
  };
  const words = (ratios) => ratios.map((r) => rounded(r, 2)).join(", ");
  const sets = model.get("ratio_sets").map(words), strides = [4, 8, 16, 32, 64].map((s) => `${s} px`);
  const pick = choice({ label: "Level", options: levels, value: levels[level()],
                        change: (v) => send({ level: levels.indexOf(v) }) });
  const size = slider({ label: "Size", min: 2, max: Math.max(height, width), step: 1, value: 2,
                        format: (v) => `${rounded(v, 1)} px`,
                        change: (v) => change("sizes", v) });
  const stride = choice({ label: "One every", options: strides, value: strides[0],
                          change: (v) => change("strides", parseInt(v, 10)) });
  const ratio = choice({ label: "Ratios (height / width)", options: [...sets, "your own"], value: sets[0],
                         change: (v) => { if (sets.includes(v)) send({ ratios: model.get("ratio_sets")[sets.indexOf(v)] }); } });
  const all = tick({ label: "All anchors of the level", value: model.get("all_anchors"),
                     change: (v) => send({ all_anchors: v }) });
  const back = button("Back to the config's anchors", () => send(model.get("first")));
  const facts = html("div"), list = html("div"), around = html("div");
  const say = frame(el, model,
                    html("div", { class: "lk-controls" }, pick.node, size.node, stride.node),
                    html("div", { class: "lk-controls" }, ratio.node, all.node, back),
                    html("div", { class: "lk-row" }, root, html("div", {}, facts, list, around)));

  function drawGrid() {
    const [rows, columns, ...steps] = gridOf();
    const shapes = model.get("all_anchors")
      ? cellAnchors(model.get("sizes")[level()], model.get("ratios"), model.get("rounding")) : [];
    // A browser cannot redraw a million rectangles while a slider moves: then every second cell.
    let every = 1;
    while (Math.ceil(rows / every) * Math.ceil(columns / every) * shapes.length > model.get("most_drawn")) every += 1;
    const parts = [];
    for (let row = 0; row < rows; row += every) {
      for (let column = 0; column < columns; column += every) {
        const [y, x] = [row, column].map((v, i) => (v + offset()) * steps[i]);
        const arm = 2 * unit; // a small cross marks the place itself
        if (!shapes.length) parts.push(`M${x - arm} ${y}h${2 * arm}M${x} ${y - arm}v${2 * arm}`);
        for (const [y1, x1, y2, x2] of shapes) parts.push(`M${x + x1} ${y + y1}h${x2 - x1}v${y2 - y1}h${x1 - x2}z`);
      }
    }
    set(grid, { d: parts.join("") });
    return every;
  }
  function outline(box, look) {
    const [y1, x1, y2, x2] = box, where = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    return [svg("rect", { ...where, class: "lk-halo" }), svg("rect", { ...where, class: `lk-edge ${look}` })];
  }
  function drawObjects() {
    const { best } = model.get("found"), boxes = model.get("boxes"), names = model.get("names");
    const poor = (i) => best[i].iou < model.get("poor_iou");
    objects.replaceChildren(...boxes.flatMap((box, i) => {
      const [y1, x1, y2, x2] = box, cross = `M${x1} ${y1}L${x2} ${y2}M${x1} ${y2}L${x2} ${y1}`;
      const label = svg("text", { class: "lk-tag", x: x2 + 4 * unit, y: (y1 + y2) / 2 + 4 * unit },
                        `${names[i]}${poor(i) ? " ✗" : ""}`);
      return [...outline(box, "lk-truth"), ...(poor(i) ? [svg("path", { class: "lk-edge lk-truth lk-cross", d: cross })] : []), label];
    }));
    const rows = boxes.map((box, i) => [`${names[i]}, ${rounded(box[2] - box[0])} × ${rounded(box[3] - box[1])} px`,
      `${best[i].iou.toFixed(2)} ${levels[best[i].level]}${poor(i) ? " ✗" : ""}`, poor(i) ? "lk-strong" : null]);
    list.replaceChildren(...(rows.length ? [html("p", { class: "lk-heading" }, "Best IoU with any anchor"), numbers(rows)] : []));
  }
  function drawHere() {
    const anchors = anchorsOf(cellOf()), [y, x] = centre();
    here.replaceChildren(...anchors.flatMap((a) => outline(a, "lk-prediction")));
    set(dot, { cx: x, cy: y });
    rename();
    const boxes = model.get("boxes");
    let best = { iou: 0 };
    boxes.forEach((box, i) => anchors.forEach((a) => {
      const { iou } = overlap(a, box);
      if (iou > best.iou) best = { iou, name: model.get("names")[i] };
    }));
    const met = best.iou > 0 ? `${best.iou.toFixed(2)} with ${best.name}` : "they meet none";
    around.replaceChildren(html("p", { class: "lk-heading" }, `Anchors at row ${cellOf()[0]}, column ${cellOf()[1]}`),
                           numbers([...anchors.map((a) => ["height × width", `${(a[2] - a[0]).toFixed(1)} × ${(a[3] - a[1]).toFixed(1)} px`]),
                                    ...(boxes.length ? [["best IoU", met]] : [])]));
  }
  function draw() {
    const found = model.get("found"), k = level(), [rows, columns, tall, wide] = found.grids[k];
    const ratios = words(model.get("ratios"));
    pick.put(levels[k]);
    size.put(model.get("sizes")[k]);
    stride.put(`${model.get("strides")[k]} px`);
    ratio.put(sets.includes(ratios) ? ratios : "your own");
    all.put(model.get("all_anchors"));
    const every = drawGrid();
    drawObjects();
    drawHere();
    facts.replaceChildren(html("p", { class: "lk-heading" }, `The grid of ${levels[k]}`), numbers([
      ["cells", `${rows} × ${columns}, ${tall === wide ? tall : `${tall} × ${wide}`} px apart`],
      ["anchors", found.count[k].toLocaleString("en")],
      ["… wholly inside", found.inside[k].toLocaleString("en")],
      ["picture covered", `${rounded(100 * found.covered[k], 1)} %`],
      ["anchors, all levels", found.count.reduce((a, b) => a + b, 0).toLocaleString("en")],
      ...(every > 1 ? [["drawn", `every ${every}th row, column`]] : []),
    ]));
    const missed = model.get("boxes").length ? ` ${found.uncovered.length} of ${model.get("boxes").length} objects fit none.` : "";
    say(`${levels[k]}: ${rows} × ${columns} cells × ${model.get("ratios").length} ratios = `
        + `${found.count[k].toLocaleString("en")} anchors.${missed}`);
  }
  draw();
  const ends = [watch(model, ["found", "level", "sizes", "ratios", "names", "all_anchors"], draw),
                watch(model, ["at"], drawHere)];
  return () => ends.forEach((end) => end());
}
export default { render };
