// explore_levels: a RoI to resize, the formula for its level, and the level's cells inside it.

const FIRST = 2, STRIDES = [4, 8, 16, 32];
const AXIS = { from: 3, to: 11, left: 14, long: 592 }; // sizes 8 to 2048 px, one octave as long as another

function render({ model, el }) {
  const [height, width] = model.get("size"), unit = width / 460;
  const send = sender(model);
  const root = stage(height, width, "A region of interest that can be dragged and resized", 460, unit);
  const picture = model.get("picture_url");
  if (picture) root.append(svg("image", { href: picture, width, height }));
  const others = svg("path", { class: "lk-others" }), cells = svg("path", { class: "lk-cells" });
  root.append(others, cells);
  const editor = boxEditor(root, {
    box: model.get("roi"), within: [height, width], look: "prediction", name: "RoI",
    change: (roi) => { model.set("roi", roi); send({ roi }); },
  });
  const axis = stage(122, 620, "The sizes that belong to each level", 620);
  const formula = html("div", { class: "lk-formula" }), table = html("div");
  const size = slider({ label: "canonical size", min: 16, max: 1024, step: 4,
                        value: model.get("canonical_size"), format: (v) => `${v} px`,
                        change: (v) => { model.set("canonical_size", v); send({ canonical_size: v }); } });
  const level = choice({ label: "belongs to", options: ["P2", "P3", "P4", "P5"],
                         value: `P${model.get("canonical_level")}`,
                         change: (v) => send({ canonical_level: Number(v[1]) }) });
  const say = frame(el, model, html("div", { class: "lk-controls" }, size.node, level.node),
                    html("div", { class: "lk-row" }, root, html("div", {}, formula, table)), axis);

  function draw() {
    const roi = model.get("roi"), canonical = model.get("canonical_size"), home = model.get("canonical_level");
    const at = (box) => roiLevel(box, canonical, home);
    const k = at(roi) + FIRST, stride = STRIDES[k - FIRST], h = roi[2] - roi[0], w = roi[3] - roi[1];
    const side = Math.sqrt(area(roi)), exact = home + Math.log2(side / canonical);
    const counts = [0, 0, 0, 0];
    for (const box of model.get("rois")) counts[at(box)] += 1;
    editor.put(roi);
    size.put(canonical);
    level.put(`P${home}`);
    set(cells, { d: gridInside(roi, stride) });
    set(others, { d: model.get("rois").map(outline).join("") });
    const number = (v) => (Number.isFinite(v) ? v.toFixed(2) : "−∞").replace("-", "−");
    formula.replaceChildren(...[
      `√(${h.toFixed(0)} · ${w.toFixed(0)}) = ${side.toFixed(1)} px`,
      `k = ⌊${home} + log₂(${side.toFixed(1)} / ${canonical})⌋`,
      `  = ⌊${number(exact)}⌋ = ${number(Math.floor(exact + 1e-6)).replace(".00", "")}`,
      exact >= 6 || exact < FIRST ? `  there is no such map: P${k} is nearest` : `  that is P${k}`,
    ].map((line) => html("div", {}, line)));
    const rows = [["cell of this map", `${stride} × ${stride} px`],
                  ["cells inside the RoI", `${(h / stride).toFixed(1)} × ${(w / stride).toFixed(1)}`, "lk-strong"],
                  ["cells a bin of 7 × 7", `${(h / stride / 7).toFixed(1)} × ${(w / stride / 7).toFixed(1)}`]];
    const many = model.get("rois").length;
    if (many) counts.forEach((n, i) => rows.push([`RoIs on P${i + FIRST}`, `${n} of ${many}`]));
    table.replaceChildren(numbers(rows));
    drawAxis(axis, model.get("rois"), side, canonical, home, k);
    say(`A RoI of ${h.toFixed(0)} × ${w.toFixed(0)} px is pooled from P${k}, `
        + `${(h / stride).toFixed(1)} × ${(w / stride).toFixed(1)} cells of it.`);
  }
  draw();
  return watch(model, ["roi", "rois", "canonical_size", "canonical_level"], draw);
}

function outline([y1, x1, y2, x2]) {
  return `M${x1} ${y1}H${x2}V${y2}H${x1}Z`;
}

/** The lines between the cells of a map, as far as they lie inside the RoI: an SVG path. */
function gridInside([y1, x1, y2, x2], stride) {
  const parts = [];
  for (let y = Math.ceil(y1 / stride) * stride; y <= y2; y += stride) parts.push(`M${x1} ${y}H${x2}`);
  for (let x = Math.ceil(x1 / stride) * stride; x <= x2; x += stride) parts.push(`M${x} ${y1}V${y2}`);
  return parts.join("");
}

function alongAxis(size) {
  const octaves = clamp(Math.log2(Math.max(size, 1e-3)), AXIS.from, AXIS.to) - AXIS.from;
  return AXIS.left + (octaves / (AXIS.to - AXIS.from)) * AXIS.long;
}

function drawAxis(axis, rois, side, canonical, home, chosen) {
  const begins = STRIDES.map((_, i) => (i === 0 ? 0 : canonical * 2 ** (i + FIRST - home)));
  const parts = STRIDES.flatMap((stride, i) => {
    const x = alongAxis(begins[i]), wide = alongAxis(begins[i + 1] || 1e9) - x;
    const look = i + FIRST === chosen ? "lk-band lk-chosen" : "lk-band";
    const text = (y, words, need) => svg("text", { x: x + 5, y }, wide > need ? words : "");
    return [svg("rect", { class: look, x, y: 8, width: wide, height: 44 }),
            text(26, `P${i + FIRST}`, 26), text(44, `stride ${stride}`, 62)];
  });
  for (let octave = AXIS.from; octave <= AXIS.to; octave += 1) {
    const x = alongAxis(2 ** octave);
    parts.push(svg("line", { class: "lk-tickmark", x1: x, x2: x, y1: 74, y2: 80 }),
               svg("text", { x, y: 96, "text-anchor": octave === AXIS.to ? "end" : "middle" },
                   `${2 ** octave}`));
  }
  parts.push(svg("text", { x: 310, y: 115, "text-anchor": "middle" }, "size √(h · w) of the RoI, in pixels"));
  const ticks = rois.map((box) => `M${alongAxis(Math.sqrt(area(box))).toFixed(1)} 56v14`).join("");
  const x = alongAxis(side);
  parts.push(svg("path", { class: "lk-others", d: ticks }),
             svg("line", { class: "lk-tickmark", x1: AXIS.left, x2: AXIS.left + AXIS.long, y1: 74, y2: 74 }),
             svg("path", { class: "lk-size-marker", d: `M${x} 52l-7 22h14zM${x} 52V8` }));
  axis.replaceChildren(...parts);
}
export default { render };
