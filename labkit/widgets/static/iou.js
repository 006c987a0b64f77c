// explore_iou: two boxes to drag, and what they share.

function render({ model, el }) {
  const [height, width] = model.get("size");
  const send = sender(model);
  const root = stage(height, width, "Two boxes that can be dragged and resized", 620, width / 620);
  const picture = model.get("picture_url");
  if (picture) root.append(svg("image", { href: picture, width, height }));
  for (let at = 20; !picture && at < Math.max(height, width); at += 20) {
    if (at < height) root.append(svg("line", { class: "lk-grid", x1: 0, x2: width, y1: at, y2: at }));
    if (at < width) root.append(svg("line", { class: "lk-grid", y1: 0, y2: height, x1: at, x2: at }));
  }
  const around = svg("rect", { class: "lk-hull" }), shared = svg("rect", { class: "lk-shared" });
  root.append(around);
  const looks = [["A (truth)", "truth"], ["B (prediction)", "prediction"]];
  const editors = looks.map(([name, look], i) => boxEditor(root, {
    box: model.get("boxes")[i], within: [height, width], look, name,
    change: (box) => {
      const boxes = model.get("boxes").map((b, k) => (k === i ? box : b));
      model.set("boxes", boxes); // drawn at once, sent with the next frame
      send({ boxes });
    },
  }));
  root.append(shared);
  const measure = choice({ label: "Measure", options: ["IoU", "GIoU"], value: model.get("measure"),
                           change: (v) => send({ measure: v }) });
  const names = Object.keys(model.get("presets"));
  const preset = choice({ label: "Try", options: ["your own boxes", ...names], value: "your own boxes",
                          change: (v) => { if (names.includes(v)) send({ boxes: model.get("presets")[v] }); } });
  const table = html("div");
  const say = frame(el, model, html("div", { class: "lk-controls" },
                                           ...(names.length ? [preset.node] : []), measure.node),
                    html("div", { class: "lk-row" }, root, table));

  function place(rect, [y1, x1, y2, x2]) {
    set(rect, { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) });
  }
  function draw() {
    const [a, b] = model.get("boxes"), found = overlap(a, b), generous = model.get("measure") === "GIoU";
    editors[0].put(a);
    editors[1].put(b);
    place(shared, sharedBox(a, b));
    if (found.shared === 0) set(shared, { width: 0, height: 0 });
    place(around, hull(a, b));
    around.style.display = generous ? "" : "none";
    const rows = [["area of A", area(a).toFixed(0)], ["area of B", area(b).toFixed(0)],
                  ["shared", found.shared.toFixed(0)], ["in either", found.union.toFixed(0)],
                  ["IoU", found.iou.toFixed(3), "lk-strong"]];
    if (generous) rows.push(["box around both", found.hull.toFixed(0)], ["GIoU", found.giou.toFixed(3), "lk-strong"]);
    table.replaceChildren(numbers(rows));
    measure.put(model.get("measure"));
    const key = JSON.stringify([a, b]);
    preset.put(names.find((n) => JSON.stringify(model.get("presets")[n]) === key) || "your own boxes");
    say(`IoU = ${found.shared.toFixed(0)} / ${found.union.toFixed(0)} = ${found.iou.toFixed(3)}`
        + (generous ? `, GIoU = ${found.giou.toFixed(3)}` : ""));
  }
  draw();
  return watch(model, ["boxes", "measure"], draw);
}
export default { render };
