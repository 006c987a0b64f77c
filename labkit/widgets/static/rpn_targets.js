// explore_rpn_targets: which anchors are positive, negative or ignored, and which are sampled.

const LEVELS = ["all levels", "P2", "P3", "P4", "P5", "P6"];
const VIEWS = ["positive anchors", "every anchor", "the sample"];

function render({ model, el }) {
  const [height, width] = model.get("size"), unit = width / 560;
  const send = sender(model);
  const root = stage(height, width, "A picture, its objects and its anchors", 560, unit);
  ground(root, model.get("picture_url"), [height, width]);
  const anchors = rowsOf(model.get("anchors"), 4);
  const level = model.get("counts").flatMap((n, i) => Array(n).fill(i));
  const path = (look) => {
    const node = svg("path", { class: look });
    root.append(node);
    return node;
  };
  const halo = path("lk-marks lk-halo"), negative = path("lk-marks lk-negative"), out = path("lk-marks lk-crossing");
  const negatives = path("lk-many lk-gone"), ignored = path("lk-many lk-between"), light = path("lk-many lk-halo");
  const positive = path("lk-many lk-prediction");
  const editors = model.get("boxes").map((box, i) => boxEditor(root, {
    box, within: [height, width], look: "truth", name: `object ${i + 1}`, smallest: 2, digits: 1,
    change: (next) => {
      const boxes = model.get("boxes").map((b, k) => (k === i ? next : b));
      model.set("boxes", boxes); // drawn at once, sent with the next frame
      send({ boxes });
    },
  }));
  const threshold = (name, label) => slider({ label, min: 0, max: 1, step: 0.05, value: model.get(name),
    format: (v) => v.toFixed(2), change: (v) => send({ [name]: v }) });
  const high = threshold("positive_iou", "positive from IoU"), low = threshold("negative_iou", "negative below IoU");
  const best = tick({ label: "best anchor of every object is positive", value: model.get("every_object"),
                      change: (v) => send({ every_object: v }) });
  const inside = tick({ label: "leave out anchors that cross the border", value: model.get("inside_only"),
                        change: (v) => send({ inside_only: v }) });
  const samples = slider({ label: "sample", min: 16, max: 512, step: 16, value: model.get("samples"),
                           change: (v) => send({ samples: v }) });
  const again = button("Draw another sample", () => send({ seed: model.get("seed") + 1 }));
  const view = choice({ label: "Show", options: VIEWS, value: model.get("view"), change: (v) => send({ view: v }) });
  const which = choice({ label: "Level", options: LEVELS, value: LEVELS[model.get("level") + 1],
                         change: (v) => send({ level: LEVELS.indexOf(v) - 1 }) });
  const row = (...nodes) => html("div", { class: "lk-controls" }, ...nodes);
  const table = html("div");
  const legend = html("p", { class: "lk-caption" }, "Blue dashes: an object. Thick orange: positive. Dotted: ignored. "
    + "Dots: centres of negative anchors. Small crosses: centres of anchors left out at the border.");
  const say = frame(el, model, row(high.node, low.node), row(best.node, inside.node),
                    row(view.node, which.node, samples.node, again),
                    html("div", { class: "lk-row" }, root, table), legend);

  /** One dot, or cross, for each centre: the anchors of a cell share theirs. */
  function centres(boxes, mark) {
    const places = new Set(boxes.map(([y1, x1, y2, x2]) => `${(x1 + x2) / 2} ${(y1 + y2) / 2}`));
    return Array.from(places, (place) => `M${place}${mark}`).join("");
  }
  function draw() {
    const bytes = model.get("matches"), matches = new Int32Array(
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const chosen = model.get("sampled"), only = model.get("level"), shown = model.get("view");
    const positiveOnly = shown === VIEWS[0], sampleOnly = shown === VIEWS[2];
    const of = (test) => anchors.filter((a, i) => test(matches[i]) && (only < 0 || level[i] === only)
                                                  && (!positiveOnly || matches[i] >= 0)
                                                  && (!sampleOnly || chosen.getUint8(i)));
    const [no, lost, yes] = [of((m) => m === -1), of((m) => m === -3), of((m) => m >= 0)];
    const r = 2.5 * unit;
    set(halo, { d: centres(no, "h0") });
    set(negative, { d: centres(no, "h0") });
    set(negatives, { d: sampleOnly ? outlines(no) : "" });
    set(out, { d: centres(lost, `m${-r} ${-r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`) });
    set(ignored, { d: outlines(of((m) => m === -2)) });
    set(light, { d: outlines(yes) });
    set(positive, { d: outlines(yes) });
    model.get("boxes").forEach((box, i) => { if (editors[i]) editors[i].put(box); });
    high.put(model.get("positive_iou"));
    low.put(model.get("negative_iou"));
    best.put(model.get("every_object"));
    inside.put(model.get("inside_only"));
    samples.put(model.get("samples"));
    view.put(model.get("view"));
    which.put(LEVELS[only + 1]);
    const found = model.get("found"), count = (name) => found[name].toLocaleString("en");
    table.replaceChildren(numbers([
      ["anchors", anchors.length.toLocaleString("en")], ["positive", count("positive"), "lk-strong"],
      ["ignored", count("ignored")], ["negative", count("negative")], ["left out", count("left_out")],
      ["sampled positive", count("sampled_positive"), "lk-strong"], ["sampled negative", count("sampled_negative")],
      ...found.positives.map((n, i) => [`anchors of object ${i + 1}`, n ? String(n) : "✕ none",
                                        n ? null : "lk-strong"]),
    ]));
    const objects = found.positives.length, alone = found.without.length;
    say(`${alone} of ${objects} objects without an anchor (${objects ? Math.round(100 * alone / objects) : 0} %); `
        + `${count("negative")} negative anchors against ${count("positive")} positive.`);
  }
  draw();
  return watch(model, ["boxes", "positive_iou", "negative_iou", "every_object", "inside_only", "samples", "matches",
                       "sampled", "found", "level", "view"], draw);
}
export default { render };
