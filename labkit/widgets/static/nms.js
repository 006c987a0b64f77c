// explore_nms: non-maximum suppression, one greedy step a click.

function render({ model, el }) {
  const [height, width] = model.get("size"), unit = width / 560;
  const send = sender(model);
  const root = stage(height, width, "Boxes with scores, kept and suppressed", 560, unit);
  ground(root, model.get("picture_url"), [height, width]);
  const path = (look) => {
    const node = svg("path", { class: `lk-many ${look}` });
    root.append(node);
    return node;
  };
  const gone = path("lk-gone"), waiting = path("");
  path("lk-halo");
  const [out, kept, truth] = ["lk-out", "lk-prediction", "lk-truth"].map(path);
  const marks = svg("g");
  root.append(marks);

  const steps = () => model.get("rounds").length;
  // After the last step comes the beginning: no button is ever dead.
  function go(by) {
    const places = steps() + 1;
    model.set("step", (model.get("step") + by + places) % places);
    draw();
    send({ step: model.get("step") });
  }
  const next = button("Next", () => go(1)), back = button("Back", () => go(-1));
  const threshold = slider({ label: "IoU threshold", min: 0, max: 1, step: 0.05, value: model.get("threshold"),
                             format: (v) => v.toFixed(2), change: (v) => send({ threshold: v }) });
  const table = html("div"), list = html("div", { class: "lk-list", tabindex: 0, role: "group",
                                                  "aria-label": "Boxes, best score first" });
  const legend = html("p", { class: "lk-caption" }, "Blue dashes: an object. Thick orange with its rank: kept. "
    + "Dotted with ✕: suppressed in this step. Thin dotted grey: suppressed before. Thin line: waiting.");
  const say = frame(el, model, html("div", { class: "lk-controls" }, back, next, threshold.node),
                    html("div", { class: "lk-row" }, root, html("div", {}, table, list)), legend);

  /** "kept", "suppressed" or "waiting" for every box, with what is to be said of it. */
  function fates(step) {
    const fate = model.get("boxes").map(() => ({ is: "waiting", text: "waiting" }));
    model.get("rounds").slice(0, step).forEach(({ taken, suppressed, overlaps }, round) => {
      const now = round === step - 1;
      fate[taken] = { is: "kept", now, rank: round + 1, text: `kept, number ${round + 1}` };
      suppressed.forEach((i, k) => {
        fate[i] = { is: "suppressed", now, text: `✕ by ${round + 1}, IoU ${overlaps[k].toFixed(2)}` };
      });
    });
    return fate;
  }
  function draw() {
    const step = model.get("step"), boxes = model.get("boxes"), scores = model.get("scores");
    const fate = fates(step), rounds = model.get("rounds");
    const of = (test) => outlines(boxes.filter((b, i) => test(fate[i])));
    set(truth, { d: outlines(model.get("truth")) });
    set(waiting, { d: of((f) => f.is === "waiting") });
    set(out, { d: of((f) => f.is === "suppressed" && f.now) });
    set(gone, { d: of((f) => f.is === "suppressed" && !f.now) });
    set(kept, { d: of((f) => f.is === "kept") });
    set(root.querySelector(".lk-halo"), { d: of((f) => f.is === "kept" || f.now) });
    marks.replaceChildren(...boxes.flatMap(([y1, x1, y2, x2], i) => {
      if (fate[i].is === "kept") {
        return [svg("text", { class: "lk-tag", x: x1 + 4 * unit, y: y1 + 16 * unit }, String(fate[i].rank))];
      }
      return fate[i].now ? [svg("text", { class: "lk-tag", x: x2 - 14 * unit, y: y2 - 5 * unit }, "✕")] : [];
    }));
    const order = scores.map((s, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
    list.replaceChildren(...order.map((i) => html("div",
      { class: fate[i].now ? "lk-now" : fate[i].is === "suppressed" ? "lk-past" : null },
      html("span", {}, scores[i].toFixed(2)), html("span", {}, fate[i].text))));
    const count = (kind) => String(fate.filter((f) => f.is === kind).length);
    const rows = [["kept", count("kept"), "lk-strong"], ["suppressed", count("suppressed")], ["waiting", count("waiting")]];
    const objects = model.get("truth").length, left = step ? rounds[step - 1].objects_left : null;
    if (objects && left !== null) rows.push(["objects with a box left", `${left} of ${objects}`, "lk-strong"]);
    table.replaceChildren(numbers(rows));
    threshold.put(model.get("threshold"));
    if (!step) return say(`${boxes.length} boxes, best score first: nothing is decided yet.`);
    const { taken, suppressed } = rounds[step - 1];
    return say(`Step ${step} of ${steps()}: the box with score ${scores[taken].toFixed(2)} is kept and suppresses `
               + `${suppressed.length}.`);
  }
  draw();
  return watch(model, ["boxes", "scores", "truth", "threshold", "step", "rounds"], draw);
}
export default { render };
