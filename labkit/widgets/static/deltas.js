// explore_deltas: an anchor, a box, and the four numbers between them; each moves the others.

const REACH = 2.5; // sides of the anchor, and logarithms: e to the 2.5 is twelve times as high

function render({ model, el }) {
  const [height, width] = model.get("size"), smallest = model.get("smallest");
  const widest = Math.min(520, 480 * width / height), unit = width / widest, send = sender(model);
  const root = stage(height, width, "An anchor and a box that can be dragged", widest, unit);
  const picture = model.get("picture_url");
  if (picture) root.append(svg("image", { href: picture, width, height }));
  for (let at = 20; !picture && at < Math.max(height, width); at += 20) {
    if (at < height) root.append(svg("line", { class: "lk-grid", x1: 0, x2: width, y1: at, y2: at }));
    if (at < width) root.append(svg("line", { class: "lk-grid", y1: 0, y2: height, x1: at, x2: at }));
  }
  const put = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value); // draws at once
    send(values);
  };
  const editors = [["anchor", "prediction", "anchor"], ["box", "truth", "box (target)"]].map(([trait, look, name]) =>
    boxEditor(root, { box: model.get(trait), within: [height, width], look, name, smallest,
                      change: (box) => put({ [trait]: box }) }));
  const arrow = svg("path", { class: "lk-arrow" });
  root.append(arrow);

  const std = () => (model.get("divide") ? model.get("std") : [1, 1, 1, 1]);
  const deltas = () => encode(model.get("box"), model.get("anchor"), std());
  const names = ["dy", "dx", "dh", "dw"], plain = () => encode(model.get("box"), model.get("anchor"));
  // The knobs keep to the plain deltas, so that dividing by std changes the numbers and nothing else.
  const sliders = names.map((label, i) => slider({
    label, min: -REACH, max: REACH, step: 0.01, value: 0, format: () => deltas()[i].toFixed(2),
    change: (value) => put({ box: decode(plain().map((d, k) => (k === i ? value : d)), model.get("anchor")) }),
  }));
  const divide = tick({ label: `Divide by std (${model.get("std").join(", ")})`, value: model.get("divide"),
                        change: (v) => put({ divide: v }) });
  const home = button("Box onto the anchor", () => put({ box: model.get("anchor") }));
  const table = html("div");
  const say = frame(el, model, html("div", { class: "lk-controls" }, divide.node, home),
                    html("div", { class: "lk-row" }, root, html("div", {}, html("div", { class: "lk-stack" }, ...sliders.map((s) => s.node)), table)));

  function draw() {
    const anchor = model.get("anchor"), box = model.get("box"), found = deltas();
    editors[0].put(anchor);
    editors[1].put(box);
    const [ay, ax, by, bx] = [anchor, box].flatMap((b) => [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2]);
    const far = Math.hypot(by - ay, bx - ax) || 1, turn = ([a, b]) => [(bx - ax) * a - (by - ay) * b, (by - ay) * a + (bx - ax) * b];
    const tips = [[-9, -5], [-9, 5]].map((t) => turn(t).map((v) => (v * unit) / far));
    set(arrow, { d: far < 2 ? "" : `M${ax} ${ay}L${bx} ${by}` + tips.map(([x, y]) => `M${bx} ${by}l${x} ${y}`).join("") });
    plain().forEach((d, i) => sliders[i].put(clamp(d, -REACH, REACH)));
    divide.put(model.get("divide"));
    const [h, w, H, W] = [anchor, box].flatMap((b) => [b[2] - b[0], b[3] - b[1]]);
    const misprint = H - h > 0 ? Math.log(H - h).toFixed(2) : "no number";
    table.replaceChildren(numbers([
      ["anchor, h × w", `${rounded(h, 1)} × ${rounded(w, 1)} px`], ["box, h* × w*", `${rounded(H, 1)} × ${rounded(W, 1)} px`],
      ["h* / h", (H / h).toFixed(3)], ["w* / w", (W / w).toFixed(3)],
      ["log(h* − h), misprinted", misprint],
    ]));
    say(names.map((n, i) => `${n} = ${found[i].toFixed(2)}`).join(", ") + (model.get("divide") ? ", divided by std" : ""));
  }
  draw();
  return watch(model, ["anchor", "box", "std", "divide"], draw);
}
export default { render };
