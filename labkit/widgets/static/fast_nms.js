// explore_fast_nms: ordinary and Fast NMS on the same boxes.

/** The order of boxes that take part: best score first, of equal ones the lower index. */
function ranking(scores, least) {
  return scores.map((s, i) => i).filter((i) => scores[i] > least)
    .sort((a, b) => scores[b] - scores[a] || a - b);
}

/** Greedy NMS: a box is removed by a box that was kept. Indices, best score first. */
function ordinaryNms(boxes, scores, threshold, least) {
  const kept = [];
  for (const i of ranking(scores, least)) {
    if (kept.every((k) => overlap(boxes[k], boxes[i]).iou <= threshold)) kept.push(i);
  }
  return kept;
}

/** Fast NMS: a box is removed by any box with a higher score, kept or not. */
function fastNms(boxes, scores, threshold, least) {
  const order = ranking(scores, least);
  return order.filter((i, rank) => order.slice(0, rank).every((k) => overlap(boxes[k], boxes[i]).iou <= threshold));
}

function render({ model, el }) {
  const [height, width] = model.get("size"), unit = width / 400;
  const send = sender(model);
  const drawings = ["Ordinary NMS", "Fast NMS"].map((title) => {
    const root = stage(height, width, title, 400, unit);
    ground(root, model.get("picture_url"), [height, width]);
    const gone = svg("path", { class: "lk-many lk-gone" }), halo = svg("path", { class: "lk-many lk-halo" });
    const kept = svg("path", { class: "lk-many lk-prediction" }), marks = svg("g");
    root.append(gone, halo, kept, marks);
    return { node: html("div", { style: "width:400px" }, html("p", { class: "lk-heading" }, title), root),
             gone, halo, kept, marks };
  });
  const change = (name) => (value) => { model.set(name, value); draw(); send({ [name]: value }); };
  const iou = slider({ label: "IoU threshold", min: 0, max: 1, step: 0.05, value: model.get("iou_threshold"),
                       format: (v) => v.toFixed(2), change: change("iou_threshold") });
  const score = slider({ label: "score threshold", min: 0, max: 1, step: 0.05, value: model.get("score_threshold"),
                         format: (v) => v.toFixed(2), change: change("score_threshold") });
  const say = frame(el, model, html("div", { class: "lk-controls" }, iou.node, score.node),
                    html("div", { class: "lk-row" }, ...drawings.map((d) => d.node)),
                    html("p", { class: "lk-caption" }, "Thick orange: kept. Dotted grey: removed."));

  function draw() {
    const boxes = model.get("boxes"), scores = model.get("scores");
    const thresholds = [model.get("iou_threshold"), model.get("score_threshold")];
    const kinds = [ordinaryNms, fastNms].map((kind) => kind(boxes, scores, ...thresholds));
    drawings.forEach(({ gone, halo, kept, marks }, n) => {
      const those = (inside) => outlines(boxes.filter((b, i) => kinds[n].includes(i) === inside));
      set(gone, { d: those(false) });
      set(halo, { d: those(true) });
      set(kept, { d: those(true) });
      marks.replaceChildren(...boxes.map(([y1, x1], i) => svg("text", { class: "lk-tag", x: x1, y: y1 - 3 * unit },
                                                              scores[i].toFixed(2))));
    });
    iou.put(thresholds[0]);
    score.put(thresholds[1]);
    const extra = kinds[0].filter((i) => !kinds[1].includes(i)).map((i) => scores[i].toFixed(2));
    say(`Ordinary NMS keeps ${kinds[0].length}, Fast NMS ${kinds[1].length}`
        + (extra.length ? `; Fast NMS also removes ${extra.join(", ")}.` : ": the same boxes."));
  }
  draw();
  return watch(model, ["boxes", "scores", "iou_threshold", "score_threshold"], draw);
}
export default { render };
