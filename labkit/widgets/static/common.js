// What every explorer is made of. This text stands in front of each explorer's own module.
// Points and boxes are [y, x] and [y1, x1, y2, x2] in units of the drawing, as in labkit.

const SVG_SPACE = "http://www.w3.org/2000/svg";

// Children that are strings become text, never markup: names may come from anybody's data.
function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function svg(tag, attributes = {}, ...children) {
  return make(document.createElementNS(SVG_SPACE, tag), attributes, children);
}

function html(tag, attributes = {}, ...children) {
  return make(document.createElement(tag), attributes, children);
}

function set(node, attributes) {
  return make(node, attributes, []);
}

/**
 * A drawing of height x width units that fills its column but grows no larger than `widest` px.
 * unit: how many units letters and handles take for a pixel; width / widest on a photo of any size.
 */
function stage(height, width, label, widest = width, unit = 1) {
  return svg("svg", {
    viewBox: `0 0 ${width} ${height}`, class: "lk-stage", role: "group", "aria-label": label,
    style: `max-width:${widest}px;--lk-unit:${unit}`, "data-unit": unit,
  });
}

/** Where a mouse event is, in units of the drawing. */
function pointIn(root, event) {
  const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
  return [p.y, p.x];
}

/**
 * Makes a shape draggable and steerable by arrow keys (Shift: ten steps at once).
 * get() gives its point, put(y, x) moves it. A screen reader hears `label()`.
 * step: units a key press, or a function that says how many at present.
 */
function draggable(root, node, { get, put, label, step = 1 }) {
  set(node, { tabindex: 0, focusable: "true", "data-lm-suppress-shortcuts": "true" });
  // A screen reader then hands the arrow keys on; a knob is a slider already.
  if (!node.hasAttribute("role")) set(node, { role: "application" });
  const name = () => node.setAttribute("aria-label", label());
  name();
  let grip = null; // from the point to the mouse
  node.addEventListener("pointerdown", (event) => {
    const [y, x] = pointIn(root, event), [py, px] = get();
    grip = [py - y, px - x];
    node.setPointerCapture(event.pointerId);
    event.preventDefault();
    node.focus({ preventScroll: true });
  });
  node.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const [y, x] = pointIn(root, event);
    put(y + grip[0], x + grip[1]);
    name();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    node.addEventListener(end, () => { grip = null; });
  }
  node.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const [y, x] = get(), one = typeof step === "function" ? step() : step;
    const far = event.shiftKey ? 10 * one : one;
    put(y + way[0] * far, x + way[1] * far);
    name();
  });
  return name;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const rounded = (value, digits = 0) => Number(value.toFixed(digits));

/**
 * A box that is moved by its inside and resized by its corners.
 * change(box) is called with every new box; the answer's put(box) draws one from outside.
 * within: [height, width] that the box must not leave. look: "truth" or "prediction" (see the CSS).
 */
function boxEditor(root, { box, within, look, name, change, smallest = 1, step = 1, digits = 0 }) {
  const [height, width] = within, unit = Number(root.dataset.unit || 1);
  const body = svg("rect", { class: `lk-box lk-${look}` });
  const corners = [[0, 1], [0, 3], [2, 1], [2, 3]].map(([a, b]) => ({
    a, b, node: svg("circle", { class: `lk-corner lk-${look}`, r: 6 * unit }),
  }));
  const tag = svg("text", { class: `lk-tag lk-${look}` }, name);
  const words = () => box.map((v) => rounded(v, digits)).join(", ");
  let names = [];
  function draw() {
    const [y1, x1, y2, x2] = box;
    set(body, { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) });
    for (const { a, b, node } of corners) set(node, { cx: box[b], cy: box[a] });
    set(tag, { x: x1 + 4 * unit, y: y1 > 16 * unit ? y1 - 5 * unit : y2 + 15 * unit });
    for (const rename of names) rename();
  }
  function moved(next) {
    box = next.map((v) => rounded(v, digits));
    draw();
    change(box);
  }
  names.push(draggable(root, body, {
    get: () => box.slice(0, 2), step, label: () => `${name}, box ${words()}; arrow keys move it`,
    put: (y, x) => {
      const h = box[2] - box[0], w = box[3] - box[1];
      const y1 = clamp(y, 0, height - h), x1 = clamp(x, 0, width - w);
      moved([y1, x1, y1 + h, x1 + w]);
    },
  }));
  for (const { a, b, node } of corners) {
    const where = `${a === 0 ? "top" : "bottom"} ${b === 1 ? "left" : "right"} corner`;
    names.push(draggable(root, node, {
      get: () => [box[a], box[b]], step, label: () => `${name}, ${where} of box ${words()}`,
      put: (y, x) => {
        const next = box.slice();
        next[a] = a === 0 ? clamp(y, 0, box[2] - smallest) : clamp(y, box[0] + smallest, height);
        next[b] = b === 1 ? clamp(x, 0, box[3] - smallest) : clamp(x, box[1] + smallest, width);
        moved(next);
      },
    }));
  }
  root.append(body, tag, ...corners.map((c) => c.node));
  draw();
  return { put: (next) => { box = next.slice(); draw(); } };
}

/** A slider, drawn so that it can be dragged, typed and read like everything else here. */
function slider({ label, min, max, step, value, format = String, change }) {
  const long = 200, at = (v) => 10 + ((v - min) / (max - min)) * long;
  const root = svg("svg", { viewBox: `0 0 ${long + 20} 24`, class: "lk-slider" });
  const done = svg("line", { class: "lk-done", x1: 10, y1: 12, y2: 12 });
  const knob = svg("circle", { class: "lk-knob", r: 8, cy: 12, role: "slider" });
  const shown = html("output", { class: "lk-number" });
  const digits = (String(step).split(".")[1] || "").length;
  function draw() {
    set(knob, { cx: at(value), "aria-valuemin": min, "aria-valuemax": max, "aria-valuenow": value,
                "aria-valuetext": format(value) });
    set(done, { x2: at(value) });
    shown.textContent = format(value);
  }
  draggable(root, knob, {
    label: () => label, step: (step / (max - min)) * long,
    get: () => [0, at(value)],
    // Keys to the right and up both mean more, as in any slider.
    put: (y, x) => {
      const up = Math.abs(y) > 0.5 && x === at(value) ? -y * (max - min) / long : 0;
      const wanted = min + ((x - 10) / long) * (max - min) + up;
      const next = rounded(clamp(min + Math.round((wanted - min) / step) * step, min, max), digits);
      if (next === value) return;
      value = next;
      draw();
      change(value);
    },
  });
  root.append(svg("line", { class: "lk-track", x1: 10, x2: 10 + long, y1: 12, y2: 12 }), done, knob);
  draw();
  const node = html("label", { class: "lk-control" }, html("span", {}, label), root, shown);
  return { node, put: (next) => { value = next; draw(); } };
}

/** A drop-down list of texts; change(text). It looks like Jupyter's own. */
function choice({ label, options, value, change }) {
  const list = html("select", { "aria-label": label, "data-lm-suppress-shortcuts": "true" },
                    ...options.map((o) => html("option", { value: o }, o)));
  list.value = value;
  list.addEventListener("change", () => change(list.value));
  const node = html("label", { class: "lk-control widget-dropdown" },
                    html("span", { class: "widget-label" }, label), list);
  return { node, put: (next) => { list.value = next; } };
}

/** A box to tick; change(true or false). */
function tick({ label, value, change }) {
  const box = html("input", { type: "checkbox", "data-lm-suppress-shortcuts": "true" });
  box.checked = value;
  box.addEventListener("change", () => change(box.checked));
  const node = html("label", { class: "lk-control widget-checkbox" }, box, html("span", {}, label));
  return { node, put: (next) => { box.checked = next; } };
}

/** A button; press(). */
function button(label, press) {
  const node = html("button", { class: "jupyter-button lk-button", type: "button",
                                "data-lm-suppress-shortcuts": "true" }, label);
  node.addEventListener("click", press);
  return node;
}

/** Names and numbers beside a drawing: rows of [name, text], or [name, text, CSS class]. */
function numbers(rows) {
  return html("div", { class: "lk-numbers" }, ...rows.map(([name, text, look = null]) =>
    html("div", {}, html("span", {}, name), html("span", { class: look }, text))));
}

/** The outlines of many boxes as the `d` of one path: thousands of rectangles would be slow. */
function outlines(boxes) {
  return boxes.map(([y1, x1, y2, x2]) => `M${x1} ${y1}H${x2}V${y2}H${x1}Z`).join("");
}

/** float32 numbers that Python sent as bytes, as rows of `length`. */
function rowsOf(bytes, length) {
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return Array.from({ length: all.length / length }, (_, i) => Array.from(all.subarray(i * length, (i + 1) * length)));
}

/** The picture that a drawing lies on, or a grid where there is none. */
function ground(root, picture, [height, width]) {
  if (picture) root.append(svg("image", { href: picture, width, height }));
  for (let at = 20; !picture && at < Math.max(height, width); at += 20) {
    if (at < height) root.append(svg("line", { class: "lk-grid", x1: 0, x2: width, y1: at, y2: at }));
    if (at < width) root.append(svg("line", { class: "lk-grid", y1: 0, y2: height, x1: at, x2: at }));
  }
}

/** What to try, and a line that a screen reader hears when it changes. */
function frame(el, model, ...parts) {
  const status = html("p", { class: "lk-status", role: "status", "aria-live": "polite" });
  el.classList.add("lk-explorer");
  el.append(html("p", { class: "lk-caption" }, model.get("caption")), ...parts, status);
  return (text) => { if (status.textContent !== text) status.textContent = text; };
}

/** Calls draw() when one of the names changes in Python; the answer ends that. */
function watch(model, names, draw) {
  for (const name of names) model.on(`change:${name}`, draw);
  return () => { for (const name of names) model.off(`change:${name}`, draw); };
}

/** Sends values to Python, at most once a frame of the screen, the last ones of each frame. */
function sender(model) {
  let waiting = null;
  return (values) => {
    const first = waiting === null;
    waiting = { ...waiting, ...values };
    if (first) {
      requestAnimationFrame(() => {
        for (const [name, value] of Object.entries(waiting)) model.set(name, value);
        waiting = null;
        model.save_changes();
      });
    }
  };
}
