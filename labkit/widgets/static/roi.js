// explore_roi: one RoI on a feature map, where an operator reads it, and what it reads.

const WIDEST = 470, SIDE = 160, ZOOM = 330;
const ADAPTIVE = "adaptive";

function render({ model, el }) {
  const [rows, columns, channels] = model.get("shape"), stride = model.get("stride");
  const [height, width] = [rows * stride, columns * stride], unit = width / WIDEST;
  const send = sender(model), names = model.get("names");
  const keyOf = (text) => Object.keys(names).find((k) => names[k] === text);
  const change = (values) => { // drawn at once, sent with the next frame
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    send(values);
  };
  const root = stage(height, width, "A feature map with one region of interest", WIDEST, unit);
  const map = svg("image", { width, height, class: "lk-pixels", preserveAspectRatio: "none" });
  const picture = svg("image", { width, height, preserveAspectRatio: "none" });
  picture.style.display = "none";
  root.append(map, picture, svg("path", { class: "lk-grid", d: gridLines(rows, columns, stride) }));
  const reading = svg("g", { class: "lk-reading" });
  root.append(reading);
  const editor = boxEditor(root, {
    box: model.get("box"), within: [height, width], look: "prediction", name: "RoI", step: 0.25,
    digits: 2, smallest: stride / 2, change: (box) => change({ box }),
  });
  const controls = {
    operator: choice({ label: "Where it reads", options: Object.values(names).slice(0, 3),
                       value: names[model.get("operator")], change: (v) => change({ operator: keyOf(v) }) }),
    output: choice({ label: "Output", options: ["2 × 2", "4 × 4", "7 × 7"], value: null,
                     change: (v) => change({ output: Number(v[0]), bin: [0, 0] }) }),
    sampling_ratio: choice({ label: "RoIAlign's samples a bin, each way", options: ["1", "2", "4", ADAPTIVE],
                             value: null, change: (v) => change({ sampling_ratio: v === ADAPTIVE ? 0 : Number(v) }) }),
    aligned: tick({ label: "aligned", value: true, change: (v) => change({ aligned: v }) }),
  };
  const row = Object.values(controls).map((c) => c.node);
  const channel = slider({ label: "Channel", min: 0, max: Math.max(channels - 1, 1), step: 1,
                           value: model.get("channel"), change: (v) => change({ channel: v }) });
  if (channels > 1) row.push(channel.node);
  if (model.get("picture_url")) {
    set(picture, { href: model.get("picture_url") });
    const under = tick({ label: "show the picture instead of the map", value: false,
                         change: (v) => { picture.style.display = v ? "" : "none"; } });
    row.push(under.node);
  }
  const zoom = svg("svg", { viewBox: `0 0 ${ZOOM} ${ZOOM}`, class: "lk-stage", role: "img",
                            style: `max-width:${ZOOM}px` });
  const grids = Object.keys(names).map((name) => resultGrid(model, name, names[name], change));
  const say = frame(el, model, html("div", { class: "lk-controls" }, ...row),
                    html("div", { class: "lk-row" }, root, zoom),
                    html("div", { class: "lk-row lk-results" }, ...grids.map((g) => g.node)));

  function draw() {
    const output = model.get("output");
    editor.put(model.get("box"));
    set(map, { href: model.get("map_url") });
    controls.operator.put(names[model.get("operator")]);
    controls.output.put(`${output} × ${output}`);
    controls.sampling_ratio.put(String(model.get("sampling_ratio") || ADAPTIVE));
    controls.aligned.put(model.get("aligned"));
    channel.put(model.get("channel"));
    const axes = [0, 1].map((axis) => readAxis(model, axis));
    reading.replaceChildren(...drawReading(axes, stride, unit));
    const chosen = model.get("bin").map((v) => Math.min(v, output - 1));
    drawZoom(zoom, axes, chosen, names[model.get("operator")]);
    for (const grid of grids) grid.draw(chosen);
    const errors = model.get("results").errors || {};
    say("Off the exact mean, in per cent of the map's range: " + Object.entries(errors)
      .map(([name, share]) => `${names[name]} ${(100 * share).toFixed(1)}`).join(", ") + ".");
  }
  draw();
  return watch(model, ["box", "operator", "output", "sampling_ratio", "aligned", "channel", "bin",
                       "map_url", "results"], draw);
}

function gridLines(rows, columns, stride) {
  const across = Array.from({ length: rows - 1 }, (_, i) => `M0 ${(i + 1) * stride}H${columns * stride}`);
  const down = Array.from({ length: columns - 1 }, (_, i) => `M${(i + 1) * stride} 0V${rows * stride}`);
  return [...across, ...down].join("");
}

/** One axis as the chosen operator sees it: bins (edges in cells), samples, and cells' weights. */
function readAxis(model, axis) {
  const stride = model.get("stride"), length = model.get("shape")[axis], output = model.get("output");
  const [start, end] = [model.get("box")[axis] / stride, model.get("box")[axis + 2] / stride];
  const kind = model.get("operator");
  if (kind === "pool") {
    const bins = poolCells(start, end, output).map((b) => b.map((v) => clamp(v, 0, length)));
    return { bins, samples: bins.map(() => []), weights: null, length };
  }
  const aligned = kind === "crop_and_resize" || model.get("aligned");
  // Without the half cell, everything is read from where this box stands.
  const from = aligned ? start : start + 0.5, size = aligned ? end - start : Math.max(end - start, 1);
  const bins = Array.from({ length: output }, (_, b) => [from + b * size / output, from + (b + 1) * size / output]);
  const samples = kind === "align"
    ? alignSamples(start, end, output, model.get("sampling_ratio"), aligned)
    : cropSamples(start, end, output, length, stride);
  const [low, high] = kind === "align" ? [-1, length] : [0, length - 1];
  return { bins, samples, weights: samples.map((s) => cellWeights(s, length, low, high)), length };
}

/** The bins of the RoI, and the points where it is read. Cell i's centre is drawn at i + 0.5. */
function drawReading([y, x], stride, unit) {
  const parts = [];
  for (const [top, bottom] of y.bins) {
    for (const [left, right] of x.bins) {
      const box = { x: left * stride, y: top * stride, width: (right - left) * stride, height: (bottom - top) * stride };
      parts.push(svg("rect", { ...box, class: "lk-bin lk-bin-under" }), svg("rect", { ...box, class: "lk-bin" }));
    }
  }
  const all = [y, x].map((axis) => axis.samples.flat());
  const r = unit * (all[0].length * all[1].length > 300 ? 1.2 : 2.2);
  for (const at of all[0]) {
    for (const across of all[1]) {
      parts.push(svg("circle", { class: "lk-sample", r, cy: (at + 0.5) * stride, cx: (across + 0.5) * stride }));
    }
  }
  return parts;
}

/** The chosen bin from near: which cells it is made of, and how much each of them counts. */
function drawZoom(root, axes, chosen, operator) {
  const spans = axes.map((axis, i) => {
    const [from, to] = axis.bins[chosen[i]], points = axis.samples[chosen[i]].map((v) => v + 0.5);
    return [Math.floor(Math.min(from, ...points) - 0.5), Math.ceil(Math.max(to, ...points) + 0.5)];
  });
  const cells = Math.max(...spans.map(([a, b]) => b - a)), side = (ZOOM - 26) / cells;
  const at = (axis, v) => (v - spans[axis][0]) * side + (axis === 0 ? 26 : 0);
  const parts = [svg("text", { x: 4, y: 17, class: "lk-small" },
                     `${operator}, bin ${chosen[0] + 1}, ${chosen[1] + 1}: how much each cell counts`)];
  for (let r = spans[0][0]; r < spans[0][1]; r++) {
    for (let c = spans[1][0]; c < spans[1][1]; c++) {
      if (r < 0 || c < 0 || r >= axes[0].length || c >= axes[1].length) continue;
      const inside = axes.every((axis, i) => [r, c][i] >= axis.bins[chosen[i]][0] && [r, c][i] < axis.bins[chosen[i]][1]);
      const weight = axes[0].weights ? axes[0].weights[chosen[0]][r] * axes[1].weights[chosen[1]][c] : Number(inside);
      parts.push(svg("rect", { class: "lk-cell", x: at(1, c), y: at(0, r), width: side, height: side,
                               "fill-opacity": weight > 0 ? 0.12 + 0.6 * Math.min(weight * (axes[0].weights ? 2 : 0.5), 1) : 0 }));
      if (weight > 0.004 && side >= 30) {
        parts.push(svg("text", { class: "lk-small", "text-anchor": "middle", x: at(1, c) + side / 2, y: at(0, r) + side - 6 },
                       axes[0].weights ? weight.toFixed(2) : "max"));
      }
    }
  }
  const [y, x] = axes.map((axis, i) => axis.bins[chosen[i]]);
  parts.push(svg("rect", { class: "lk-bin-near", x: at(1, x[0]), y: at(0, y[0]), width: (x[1] - x[0]) * side,
                           height: (y[1] - y[0]) * side }));
  for (const a of axes[0].samples[chosen[0]]) {
    for (const b of axes[1].samples[chosen[1]]) {
      parts.push(svg("circle", { class: "lk-sample", r: 4, cy: at(0, a + 0.5), cx: at(1, b + 0.5) }));
    }
  }
  set(root, { "aria-label": `${operator}: the cells that bin ${chosen[0] + 1}, ${chosen[1] + 1} is made of` });
  root.replaceChildren(...parts);
}

/** What one operator made of the RoI: a grid of numbers, with a marker that chooses a bin. */
function resultGrid(model, name, title, put) {
  const root = svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "lk-stage", role: "group",
                            "aria-label": title, style: `max-width:${SIDE}px;width:${SIDE}px` });
  const cells = svg("g"), marker = svg("rect", { class: "lk-marker" });
  const error = html("div", { class: "lk-small" });
  root.append(cells, marker);
  const side = () => SIDE / model.get("output");
  const chosen = () => model.get("bin").map((v) => Math.min(v, model.get("output") - 1));
  const rename = draggable(root, marker, {
    label: () => `${title}: bin ${chosen().map((v) => v + 1).join(", ")}; arrow keys choose another`,
    step: SIDE, // a whole bin, whatever the number of bins: put() takes no more than one
    get: () => chosen().map((v) => (v + 0.5) * side()),
    put: (y, x) => {
      const now = chosen(), last = model.get("output") - 1;
      const next = [y, x].map((v, i) => {
        const wanted = Math.floor(v / side());
        return clamp(Math.abs(wanted - now[i]) > last ? now[i] + Math.sign(wanted - now[i]) : wanted, 0, last);
      });
      if (next[0] !== now[0] || next[1] !== now[1]) put({ bin: next });
    },
  });
  root.addEventListener("pointerdown", (event) => {
    const last = model.get("output") - 1;
    put({ bin: pointIn(root, event).map((v) => clamp(Math.floor(v / side()), 0, last)) });
  });
  function draw([row, column]) {
    const results = model.get("results");
    if (!results.values) return;
    const values = results.values[name], colors = results.colors[name], step = SIDE / values.length;
    const parts = [];
    values.forEach((line, r) => line.forEach((value, c) => {
      parts.push(svg("rect", { x: c * step, y: r * step, width: step, height: step, fill: `rgb(${colors[r][c]})` }));
      if (values.length <= 4) {
        parts.push(svg("text", { class: "lk-small", x: (c + 0.5) * step, y: (r + 0.5) * step + 4, "text-anchor": "middle" },
                       Math.abs(value) < 100 ? value.toFixed(2) : value.toFixed(0)));
      }
    }));
    cells.replaceChildren(...parts);
    set(marker, { x: column * side() + 1.5, y: row * side() + 1.5, width: side() - 3, height: side() - 3 });
    rename();
    const share = results.errors[name];
    error.textContent = share === undefined ? "the yardstick" : `off by ${(100 * share).toFixed(1)} %`;
  }
  return { node: html("div", { class: "lk-result" }, html("div", { class: "lk-strong" }, title), root, error), draw };
}
export default { render };
