// A surface on which one image is zoomed and moved: wheel, double click, pinch, drag, keys. Scale 1 is "fits".

function zoomSurface({ onSwipe = () => {}, onChange = () => {} } = {}) {
  const image = make("img", { alt: "", draggable: "false", decoding: "async" });
  const element = make("div", { class: "surface" }, image);
  const pointers = new Map();
  let view = { scale: 1, x: 0, y: 0 };
  let gesture = null;

  const apply = (next, { quiet = false } = {}) => {
    view = bounded(next);
    image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    element.classList.toggle("zoomed", view.scale > 1);
    if (!quiet) onChange(view);
  };

  // No part of the edge comes further in than the middle.
  const bounded = ({ scale, x, y }) => {
    const kept = Math.min(highest(), Math.max(1, scale));
    if (kept === 1) return { scale: 1, x: 0, y: 0 };
    const reachX = (image.clientWidth * kept) / 2;
    const reachY = (image.clientHeight * kept) / 2;
    return { scale: kept, x: Math.min(reachX, Math.max(-reachX, x)), y: Math.min(reachY, Math.max(-reachY, y)) };
  };

  const actual = () => (image.clientWidth ? image.naturalWidth / image.clientWidth / (window.devicePixelRatio || 1) : 1);
  const highest = () => Math.max(4, actual() * 3);

  // The point under the cursor stays where it is.
  const zoomAt = (scale, clientX, clientY) => {
    const box = element.getBoundingClientRect();
    const next = Math.min(highest(), Math.max(1, scale));
    const [px, py] = [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
    const ratio = next / view.scale;
    apply({ scale: next, x: px - (px - view.x) * ratio, y: py - (py - view.y) * ratio });
  };

  const centre = () => {
    const box = element.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };

  const toggle = (clientX, clientY) => {
    if (view.scale > 1) apply({ scale: 1, x: 0, y: 0 });
    else zoomAt(Math.max(2, actual()), clientX, clientY);
  };

  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(view.scale * Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0022)), event.clientX, event.clientY);
  }, { passive: false });
  element.addEventListener("dblclick", (event) => toggle(event.clientX, event.clientY));

  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    begin(event.pointerType);
  });

  const begin = (type) => {
    const [one, other] = [...pointers.values()];
    gesture = { type, view: { ...view }, one: { ...one }, distance: other ? distance(one, other) : 0 };
  };
  const distance = (one, other) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));

  element.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId) || !gesture) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [one, other] = [...pointers.values()];
    if (other) {
      if (!gesture.distance) begin(gesture.type);
      const scale = gesture.view.scale * (distance(one, other) / gesture.distance);
      zoomAt(scale, (one.x + other.x) / 2, (one.y + other.y) / 2);
    } else if (view.scale > 1) {
      apply({ scale: view.scale, x: gesture.view.x + one.x - gesture.one.x, y: gesture.view.y + one.y - gesture.one.y });
    }
  });

  const end = (event) => {
    const point = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    if (point && gesture && !pointers.size && !gesture.distance && gesture.view.scale === 1 && view.scale === 1) {
      const [dx, dy] = [point.x - gesture.one.x, point.y - gesture.one.y];
      if (gesture.type !== "mouse" && Math.abs(dx) > 48 && Math.abs(dx) > 1.5 * Math.abs(dy)) onSwipe(dx < 0 ? 1 : -1);
    }
    if (pointers.size) begin(gesture ? gesture.type : event.pointerType);
    else gesture = null;
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);

  return {
    element,
    image,
    // Shows `sources[0]`, the next one where that can't be read, and `fallback` at last.
    show(sources, alt, fallback = null) {
      const left = [...sources];
      const next = () => {
        const source = left.shift();
        if (source) image.src = source;
        else element.replaceChildren(fallback || make("div", { class: "missing", text: "No image file" }));
      };
      element.replaceChildren(image);
      image.alt = alt;
      image.onerror = () => { if (image.hasAttribute("src")) next(); };
      apply({ scale: 1, x: 0, y: 0 }, { quiet: true });
      next();
    },
    clear(content) {
      image.removeAttribute("src");
      element.replaceChildren(content);
    },
    follow(next) {
      apply(next, { quiet: true });
    },
    zoomBy(factor) {
      zoomAt(view.scale * factor, ...centre());
    },
    toggle() {
      toggle(...centre());
    },
    pan(x, y) {
      if (view.scale > 1) apply({ scale: view.scale, x: view.x + x, y: view.y + y });
    },
    get zoomed() {
      return view.scale > 1;
    },
  };
}
