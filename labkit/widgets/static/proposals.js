// explore_proposals: the boxes of each stage between the anchors and the proposals.

function render({ model, el }) {
  const [height, width] = model.get("size"), unit = width / 460;
  const send = sender(model);
  const root = stage(height, width, "The boxes of one stage over the picture", 560, unit);
  const edge = 0.12; // before they are cut to the picture, boxes may leave it
  set(root, { viewBox: `${-edge * width} ${-edge * height} ${(1 + 2 * edge) * width} ${(1 + 2 * edge) * height}` });
  ground(root, model.get("picture_url"), [height, width]);
  const [all, halo, best, truth] = ["lk-stage-box", "lk-halo", "lk-prediction", "lk-truth"].map((look) => {
    const node = svg("path", { class: `lk-many ${look}` });
    root.append(node);
    return node;
  });
  const marks = svg("g");
  root.append(marks);
  const stages = model.get("stages"), every = rowsOf(model.get("boxes"), 5);
  let start = 0;
  const frames = stages.map(({ count }) => every.slice(start, start += count));
  const final = stages.length - 1;

  const go = (at) => { model.set("stage", at); draw(); send({ stage: at }); };
  // After the last stage comes the first: no button is ever dead.
  const by = (step) => go((model.get("stage") + step + stages.length) % stages.length);
  const next = button("Next", () => by(1)), back = button("Back", () => by(-1));
  const pick = choice({ label: "Stage", options: stages.map((s) => s.name), value: stages[model.get("stage")].name,
                        change: (name) => go(stages.findIndex((s) => s.name === name)) });
  const show = slider({ label: "boxes drawn", min: 10, max: 300, step: 10, value: clamp(model.get("shown"), 10, 300),
                        change: (v) => { model.set("shown", v); draw(); send({ shown: v }); } });
  const iou = slider({ label: "covered from IoU", min: 0.3, max: 0.95, step: 0.05, value: model.get("iou"),
                       format: (v) => v.toFixed(2), change: (v) => { model.set("iou", v); draw(); send({ iou: v }); } });
  const limit = Math.max(frames[final].length, 2);
  const most = slider({ label: "top-n", min: 1, max: limit, step: 1, value: clamp(model.get("most"), 1, limit),
                        change: (v) => { model.set("most", v); draw(); send({ most: v }); } });
  const what = html("p", { class: "lk-strong" }), table = html("div");
  const legend = html("p", { class: "lk-caption" }, "Blue dashes: an object. Thick orange: the best box for it, with "
    + "its IoU. Thin: the others, the best scores first.");
  const say = frame(el, model, html("div", { class: "lk-controls" }, back, next, pick.node, show.node),
                    html("div", { class: "lk-controls" }, iou.node, most.node), what,
                    html("div", { class: "lk-row" }, root, table), legend);

  const sizeOf = (i) => (i === final ? Math.min(frames[i].length, model.get("most")) : frames[i].length);
  function recallOf(i) {
    const overlaps = model.get("overlaps")[i], bar = model.get("iou");
    return overlaps.length ? overlaps.filter((v) => v >= bar).length / overlaps.length : NaN;
  }
  function draw() {
    const at = model.get("stage"), now = frames[at].slice(0, sizeOf(at));
    set(all, { d: outlines(now.slice(0, model.get("shown"))) });
    set(truth, { d: outlines(model.get("truth")) });
    for (const node of [halo, best]) set(node, { d: outlines(model.get("best")) });
    const overlaps = model.get("overlaps")[at];
    marks.replaceChildren(...model.get("truth").map(([y1, x1], g) => svg("text",
      { class: "lk-tag", x: x1 + 3 * unit, y: y1 > 0.05 * height ? y1 - 4 * unit : y1 + 15 * unit },
      `${overlaps[g] >= model.get("iou") ? "✓" : "✕"} ${overlaps[g].toFixed(2)}`)));
    what.textContent = `${at + 1} · ${stages[at].name}: ${stages[at].what}.`;
    table.replaceChildren(numbers([["stage", "boxes · recall"], ...stages.map((s, i) => [
      `${i === at ? "▸ " : ""}${s.name}`, `${sizeOf(i).toLocaleString("en")} · ${recallOf(i).toFixed(2)}`,
      i === at ? "lk-strong" : null])]));
    pick.put(stages[at].name);
    iou.put(model.get("iou"));
    most.put(clamp(model.get("most"), 1, limit));
    show.put(clamp(model.get("shown"), 10, 300));
    say(`${stages[at].name}: ${sizeOf(at).toLocaleString("en")} boxes cover ${(100 * recallOf(at)).toFixed(0)} % of `
        + `the objects with an IoU of ${model.get("iou").toFixed(2)} or more.`);
  }
  draw();
  return watch(model, ["stage", "shown", "iou", "most", "truth", "overlaps", "best"], draw);
}
export default { render };
