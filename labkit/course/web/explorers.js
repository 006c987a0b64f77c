// What a page without a kernel needs to bring explorers to life: the model that anywidget would
// provide, and a look for their places.

function pageModel(state) {
  const listeners = {};
  return {
    get: (name) => state[name],
    set: (name, value) => {
      state[name] = value;
      for (const call of listeners[`change:${name}`] || []) call();
    },
    on: (event, call) => { (listeners[event] ||= []).push(call); },
    off: (event, call) => {
      listeners[event] = (listeners[event] || []).filter((other) => other !== call);
    },
    save_changes: () => {},
  };
}
function withBytes(state) {
  for (const [name, value] of Object.entries(state)) {
    if (value && typeof value === "object" && "base64" in value) {
      const bytes = Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0));
      state[name] = new DataView(bytes.buffer);
    }
  }
  return state;
}
function bringToLife(name, start) {
  for (const place of document.querySelectorAll(`[data-explorer="${name}"]`)) {
    const state = withBytes(JSON.parse(place.querySelector("script").textContent));
    const model = pageModel(state), el = document.createElement("div");
    place.explorer = model;
    start.render({ model, el });
    place.querySelector(".still").replaceWith(el);
    place.classList.add("alive");
  }
}
