// explore_training: the film of a run, and curves with a line at the frame that is shown.

const PANEL = { wide: 218, high: 104, top: 20, left: 8, across: 4 }, TILE = 210, PAUSE = 600;
const MANY = 8;  // detections in a picture; the labels of more would hide the objects

function render({ model, el }) {
  const send = sender(model), frames = model.get("frames"), last = frames.length - 1;
  const tiles = model.get("pictures").map(tile);
  const go = (frame) => {
    model.set("frame", clamp(frame, 0, last));
    draw();
    send({ frame: model.get("frame") });
  };
  const curves = curvesView(model.get("curves"), (step) => go(nearest(frames, step)));
  const time = slider({ label: "step", min: 0, max: Math.max(last, 1), step: 1, value: model.get("frame"),
                        format: (v) => String(frames[clamp(v, 0, last)].step), change: (v) => { stop(); go(v); } });
  const score = slider({ label: "score ≥", min: 0.05, max: 0.95, step: 0.05, value: model.get("score"),
                         format: (v) => v.toFixed(2),
                         change: (v) => { model.set("score", v); draw(); send({ score: v }); } });
  const truth = tick({ label: "show what is there", value: model.get("truth"),
                       change: (v) => { model.set("truth", v); draw(); send({ truth: v }); } });
  let playing = null;
  const play = button("Play", () => (playing === null ? start() : stop()));
  function start() {
    if (model.get("frame") === last) go(0);
    play.textContent = "Stop";
    playing = setInterval(() => {
      go(model.get("frame") + 1);
      if (model.get("frame") === last) stop();
    }, PAUSE);
  }
  function stop() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }
  const legend = html("p", { class: "lk-caption" }, "Blue dashes: what is there. Orange: found and right (✓). "
    + "Dotted: found, and there is no such object (✕).");
  const say = frame(el, model, html("div", { class: "lk-controls" }, play, time.node, score.node, truth.node),
                    html("div", { class: "lk-film" }, ...tiles.map((t) => t.node)), legend, curves.node);

  function draw() {
    const at = clamp(model.get("frame"), 0, last), { step, found } = frames[at], bar = model.get("score");
    const count = { right: 0, wrong: 0 };
    let objects = 0;
    found.forEach((rows, i) => {
      const kept = rows.filter((d) => d.score >= bar);
      tiles[i].draw(kept, model.get("truth"));
      for (const d of kept) count[d.object >= 0 ? "right" : "wrong"] += 1;
      objects += tiles[i].objects;
    });
    time.put(at);
    score.put(bar);
    truth.put(model.get("truth"));
    curves.draw(step);
    say(`Step ${step}: ${count.right + count.wrong} found, ${count.right} right, ${counted(count.wrong, "false positive")}, `
        + `${objects - count.right} of ${objects} missed.`);
  }
  draw();
  const end = watch(model, ["frame", "score", "truth"], draw);
  return () => { stop(); end(); };
}

/** The place of the frame whose step is nearest. */
function nearest(frames, step) {
  let best = 0;
  frames.forEach((f, i) => { if (Math.abs(f.step - step) < Math.abs(frames[best].step - step)) best = i; });
  return best;
}

/** One picture of the film, with its objects and what was found. */
function tile(picture, i) {
  const [height, width] = picture.size, unit = width / TILE;
  const root = stage(height, width, `Picture ${i + 1} with what was found`, TILE, unit);
  set(root, { role: "img" });
  root.append(svg("image", { href: picture.url, width, height, class: height < TILE ? "lk-pixels" : null }));
  const there = svg("path", { class: "lk-edge lk-truth", d: picture.objects.map((o) => o.outline).join("") });
  const [right, wrong] = ["lk-right", "lk-wrong"].map((look) => svg("path", { class: `lk-found ${look}` }));
  const names = svg("g");
  root.append(right, wrong, there, names);
  function draw(kept, truth) {
    there.style.display = truth ? "" : "none";
    set(right, { d: kept.filter((d) => d.object >= 0).map((d) => d.outline).join("") });
    set(wrong, { d: kept.filter((d) => d.object < 0).map((d) => d.outline).join("") });
    // As in the static picture: labels must not hide small objects.
    const taken = [], many = kept.length > MANY;
    const single = new Set([...picture.objects, ...kept].map((d) => d.name)).size < 2;
    names.replaceChildren(...kept.filter((d) => !many || d.object < 0).map((d) => {
      const mark = d.object >= 0 ? "✓" : "✕", text = many || single ? mark : `${mark} ${d.name}`;
      const [y, x] = freePlace(taken, d.at, text.length * 7 * unit, 12 * unit, [height, width]);
      return svg("text", { class: "lk-tag lk-small", x, y }, text);
    }));
  }
  return { node: root, draw, objects: picture.objects.length };
}

/** Where a label of this size goes: at the corner, or below the labels that are there already. */
function freePlace(taken, [top, left], wide, line, [height, width]) {
  const x = clamp(left, 0, Math.max(width - wide, 0));
  let y = clamp(top, line, height - line / 4);
  const hidden = (t) => Math.abs(t.y - y) < line && t.x < x + wide && x < t.x + t.wide;
  for (let tries = taken.length; tries > 0 && taken.some(hidden); tries -= 1) y += line;
  taken.push({ y, x, wide });
  return [y, x];
}

/** All curves in small panels; a mouse that is pressed on one says which step it wants. */
function curvesView(curves, pick) {
  const rows = Math.ceil(curves.length / PANEL.across);
  const root = stage(rows * (PANEL.high + 8), PANEL.across * PANEL.wide, "Losses, learning rate and AP over the steps", 880);
  const panels = curves.map((curve, i) => panel(curve, (i % PANEL.across) * PANEL.wide,
                                                Math.floor(i / PANEL.across) * (PANEL.high + 8)));
  root.append(...panels.map((p) => p.node));
  let down = false;
  const follow = (event) => {
    const [y, x] = pointIn(root, event);
    const at = Math.floor(y / (PANEL.high + 8)) * PANEL.across + Math.floor(x / PANEL.wide);
    if (panels[at]) pick(panels[at].stepAt(x));
  };
  root.addEventListener("pointerdown", (event) => { down = true; event.preventDefault(); follow(event); });
  root.addEventListener("pointermove", (event) => { if (down) follow(event); });
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) root.addEventListener(name, () => { down = false; });
  return { node: root, draw: (step) => { for (const p of panels) p.draw(step); } };
}

/** One curve: its lines, and its value at the step that is shown. */
function panel({ title, lines, top, last }, left, above) {
  const wide = PANEL.wide - 2 * PANEL.left, high = PANEL.high - PANEL.top, floor = above + PANEL.high;
  const x = (step) => left + PANEL.left + (step / Math.max(last, 1)) * wide;
  const y = (value) => floor - clamp(value / (1.08 * top), 0, 1) * high;
  const path = (points) => points.map(([s, v], i) => `${i ? "L" : "M"}${x(s).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const drawn = Object.entries(lines).map(([look, points]) => svg("path", { class: `lk-curve lk-curve-${look}`, d: path(points) }));
  // A measurement or two are points, not yet a line.
  const dots = Object.values(lines).filter((points) => points.length < 3).flat()
    .map(([s, v]) => svg("circle", { cx: x(s), cy: y(v), r: 2.5, class: "lk-size-marker" }));
  const cursor = svg("line", { class: "lk-cursor", y1: above + PANEL.top, y2: floor });
  const words = svg("text", { class: "lk-small", x: left + PANEL.left, y: above + 14 });
  const node = svg("g", {}, svg("rect", { class: "lk-sheet", x: left + PANEL.left, y: above + PANEL.top, width: wide, height: high }),
                   ...drawn, ...dots, cursor, words);
  const said = Object.entries(lines).filter(([look]) => look !== "raw").map(([, points]) => points);
  function draw(step) {
    set(cursor, { x1: x(step), x2: x(step) });
    const values = said.map((points) => valueAt(points, step)).filter((v) => v !== null);
    words.textContent = `${title}  ${values.map((v) => (v !== 0 && v < 0.01 ? v.toExponential(1) : v.toFixed(2))).join(" / ")}`;
  }
  return { node, draw, stepAt: (at) => clamp((at - left - PANEL.left) / wide, 0, 1) * last };
}

/** The last value at or before a step; null before the first. */
function valueAt(points, step) {
  let value = null;
  for (const [s, v] of points) {
    if (s > step) break;
    value = v;
  }
  return value;
}
export default { render };
