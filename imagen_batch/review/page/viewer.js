// The full view of one image with its facts and history, and the comparison of two.

const viewer = { item: -1, version: null, surface: null };

function openViewer(item) {
  const dialog = find("viewer");
  if (!viewer.surface) buildViewer(dialog);
  if (!dialog.open) dialog.showModal();
  showInViewer(item);
  dialog.querySelector(".stage").focus({ preventScroll: true });
}

function buildViewer(dialog) {
  viewer.surface = zoomSurface({ onSwipe: (step) => stepViewer(step) });
  const stage = make("div", { class: "stage", tabindex: -1 }, viewer.surface.element,
    button("\u2039", () => stepViewer(-1), { class: "step back", "aria-label": "Previous image" }),
    button("\u203a", () => stepViewer(1), { class: "step on", "aria-label": "Next image" }));
  dialog.append(
    button("\u00d7", closeViewer, { class: "close", "aria-label": "Close the full view" }),
    stage,
    make("aside", { class: "facts", "aria-label": "About this image" }),
    markBar(["approve", "reject", "redo", "edit", "undo"]));
  closeOnEscape(dialog, closeViewer);
}

// The browser tells of a closed dialog later, when the next key may already have moved the focus. So every way to close
// one goes through a function that also places the focus.
function closeOnEscape(dialog, close) {
  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog) return; // a file chooser's
    event.preventDefault();
    close();
  });
}

function markBar(actions) {
  const labels = { approve: "Approve", reject: "Reject", redo: "Redo", edit: "Edit", undo: "Undo" };
  const keys = { approve: "a", reject: "r", redo: "x", edit: "e", undo: "u" };
  return make("div", { class: "buttons", role: "toolbar", "aria-label": "Mark this image" }, ...actions.map((action) => {
    const element = button(labels[action], () => act(action));
    element.dataset.action = action;
    element.append(" ", make("kbd", { text: keys[action] }));
    return element;
  }));
}

function closeViewer() {
  find("viewer").close();
  viewer.surface.clear("");
  focusItem(viewer.item);
}

function stepViewer(step) {
  const next = neighbour(viewer.item, step);
  if (next !== viewer.item) showInViewer(next);
  else announce(step > 0 ? "This is the last image." : "This is the first image.");
}

function showInViewer(item) {
  viewer.item = item;
  viewer.version = null;
  clearSelection(item);
  focusItem(item, { take: false });
  showVersion(null);
  preload(neighbour(item, 1));
}

function preload(item) {
  const source = address(text("file", item));
  if (source) new Image().src = source;
}

// `version` is an earlier one, or null for the present.
function showVersion(version) {
  const item = viewer.item;
  viewer.version = version;
  const sources = (version ? [version.file, version.thumbnail] : [text("file", item), text("thumbnail", item)])
    .map(address).filter((source) => source);
  const alt = version ? `Version ${version.version} of ${alternativeText(item)}` : alternativeText(item);
  if (sources.length) viewer.surface.show(sources, alt);
  else viewer.surface.clear(version ? bigReason(item, version) : missingWithEditor(item));
  showFacts();
}

function bigReason(item, version) {
  const category = version ? null : text("category", item);
  const status = version ? wordOfStatus(version.status) : statusWord(item);
  const panel = make("div", { class: "missing big" },
    make("b", { text: category ? `${status}: ${words(category)}` : status }),
    make("span", { text: (version ? version.reason : text("reason", item)) || "" }));
  if (!version && text("advice", item)) panel.append(make("span", { class: "advice", text: text("advice", item) }));
  return panel;
}

// The reason with a box for another prompt. Its pointer events do not reach the surface, which would zoom.
function missingWithEditor(item) {
  const panel = bigReason(item, null);
  const box = make("textarea", { rows: 5, id: "viewer-prompt", dir: "auto", spellcheck: "true", "aria-label": "Prompt for the redo" });
  box.value = review.get(item).prompt || text("prompt", item) || "";
  const save = () => {
    const edited = box.value.trim() && box.value !== text("prompt", item) ? box.value : null;
    find("viewer").querySelector(".stage").focus({ preventScroll: true });
    mark([item], { decision: "redo", prompt: edited }, "Marked for redo");
  };
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
    if (event.key !== "Escape") return;
    event.preventDefault(); // leaves the box, not the view
    find("viewer").querySelector(".stage").focus({ preventScroll: true });
  });
  panel.append(box, make("div", { class: "sheet-buttons" },
    button("Save and redo", save, { class: "strong", id: "viewer-save", title: "Ctrl+Enter" })));
  for (const kind of ["pointerdown", "dblclick", "wheel"]) panel.addEventListener(kind, (event) => event.stopPropagation());
  return panel;
}

function showFacts() {
  const item = viewer.item;
  const mark = review.get(item);
  const panel = find("viewer").querySelector(".facts");
  find("viewer").dataset.decision = mark.decision || "";
  panel.replaceChildren(
    make("h2", { text: rowName(item) }),
    make("p", { class: "place", text: placeText(item) }),
    make("p", { class: "decided", text: markWord(mark) || "undecided" }),
    mark.decision === "redo" && mark.prompt ? passage("Edited prompt for the redo", mark.prompt, "edited") : "",
    mark.note ? passage("Note", mark.note) : "",
    passage("Prompt", (viewer.version && viewer.version.prompt) || text("prompt", item) || ""),
    text("input_prompt", item) ? passage("As written in the row", text("input_prompt", item)) : "",
    historyElement(item),
    factList(item));
}

function placeText(item) {
  const at = placeOf(item);
  const siblings = grid.order.filter((each) => sameRow(each, item)).length;
  const version = viewer.version ? `, version ${viewer.version.version} (earlier)` : "";
  return `sample ${number("sample", item)}${siblings > 1 ? ` of ${siblings}` : ""}${version} · `
    + `${(at + 1).toLocaleString("en-US")} of ${grid.order.length.toLocaleString("en-US")}`;
}

function passage(title, content, style = "") {
  return make("section", { class: `passage ${style}` }, make("h3", { text: title }),
    make("p", { text: content, dir: "auto" }));
}

function historyElement(item) {
  const earlier = items.earlier.get(item);
  if (!earlier || !earlier.length) return "";
  const present = { version: number("version", item), thumbnail: text("thumbnail", item), file: text("file", item) };
  const strip = make("div", { class: "history" });
  for (const version of [...earlier, present]) {
    const isPresent = version === present;
    const chosen = isPresent ? viewer.version === null : viewer.version === version;
    const source = address(version.thumbnail || version.file);
    const label = `Version ${version.version}${isPresent ? ", the present one" : ""}`
      + `${version.decision ? `, ${MARK_WORDS[version.decision]}` : ""}`;
    strip.append(make("button", {
      type: "button", class: "version", "aria-pressed": String(chosen), "aria-label": label, title: label,
      onclick: () => showVersion(isPresent ? null : version),
    }, source ? make("img", { src: source, alt: "" }) : make("span", { class: "none", text: wordOfStatus(version.status) }),
    make("span", { text: `v${version.version}` })));
  }
  return make("section", { class: "passage" }, make("h3", { text: "Versions" }), strip);
}

function factList(item) {
  const size = number("width", item) ? `${number("width", item)} × ${number("height", item)}` : null;
  const cost = number("cost_usd", item);
  const facts = [
    ["Status", statusWord(item)],
    ["Warnings", (items.warnings.get(item) || []).map(warningWords).join(", ") || null],
    ["Size", size],
    ["Model", text("model", item)],
    ["Provider", text("provider", item)],
    ["Seed", number("seed", item)],
    ["New seed", review.get(item).seed],
    ["Cost", cost === null ? null : `$${cost.toFixed(4).replace(/0{1,2}$/, "")}`],
    ...[...items.user.keys()].map((name) => [name, userText(name, item)]),
  ];
  const list = make("dl");
  for (const [name, value] of facts) {
    if (value === null || value === undefined || value === "") continue;
    list.append(make("dt", { text: name }), make("dd", { text: String(value), dir: "auto" }));
  }
  const file = viewer.version ? viewer.version.file : text("file", item);
  if (file && address(file)) {
    list.append(make("dt", { text: "File" }), make("dd", {},
      make("a", { href: address(file), target: "_blank", rel: "noopener", text: file })));
  }
  return list;
}

// --- two images side by side, zoomed and moved together

const comparison = { sides: [], items: [-1, -1], active: 0 };

function openComparison() {
  const pair = comparisonPair();
  if (!pair) {
    announce("Select two images to compare them.");
    return;
  }
  const dialog = find("compare");
  if (!comparison.sides.length) buildComparison(dialog);
  comparison.items = pair;
  comparison.active = 0;
  if (!dialog.open) dialog.showModal();
  pair.forEach((_, side) => showSide(side));
  markActiveSide();
  dialog.querySelector(".sides").focus({ preventScroll: true });
}

// The two that are selected; else the image at hand and the next of its row, or the one before.
function comparisonPair() {
  if (grid.selected.size === 2) return targets();
  const item = find("viewer").open ? viewer.item : grid.active;
  if (grid.selected.size || !grid.lineOf.has(item)) return null;
  const [next, previous] = [neighbour(item, 1), neighbour(item, -1)];
  const other = next !== item && (sameRow(item, next) || previous === item || !sameRow(item, previous)) ? next : previous;
  return other === item ? null : [item, other].sort((one, another) => one - another);
}

function buildComparison(dialog) {
  comparison.sides = [0, 1].map((side) => {
    const surface = zoomSurface({ onChange: (view) => comparison.sides[1 - side].surface.follow(view) });
    const caption = make("div", { class: "side-caption" });
    const element = make("div", { class: "side", onpointerdown: () => { comparison.active = side; markActiveSide(); } },
      surface.element, caption);
    return { surface, caption, element };
  });
  dialog.append(
    button("\u00d7", closeComparison, { class: "close", "aria-label": "Close the comparison" }),
    make("div", { class: "sides", tabindex: -1 }, ...comparison.sides.map((side) => side.element)),
    markBar(["approve", "reject", "redo", "undo"]));
  closeOnEscape(dialog, closeComparison);
}

function closeComparison() {
  find("compare").close();
  for (const side of comparison.sides) side.surface.clear("");
  const item = comparison.items[comparison.active];
  clearSelection(item);
  if (find("viewer").open) showInViewer(item);
  else focusItem(item);
}

function showSide(side) {
  const { surface } = comparison.sides[side];
  const item = comparison.items[side];
  const sources = [text("file", item), text("thumbnail", item)].map(address).filter((source) => source);
  if (sources.length) surface.show(sources, alternativeText(item));
  else surface.clear(bigReason(item, null));
  comparison.sides[1 - side].surface.follow({ scale: 1, x: 0, y: 0 });
  captionSides();
}

function captionSides() {
  comparison.sides.forEach(({ caption, element }, side) => {
    const item = comparison.items[side];
    const mark = review.get(item);
    element.dataset.decision = mark.decision || "";
    caption.replaceChildren(make("b", { text: `${rowName(item)} · ${number("sample", item)}` }),
      make("span", { class: "mark", text: markWord(mark) }),
      make("span", { class: "row-prompt", text: shorten(text("prompt", item)) }));
  });
}

function markActiveSide() {
  comparison.sides.forEach(({ element }, side) => element.classList.toggle("active", side === comparison.active));
  const item = comparison.items[comparison.active];
  announce(`${comparison.active ? "Right" : "Left"}: ${itemName(item)}`, { show: false });
}

// Left and right choose the side; up and down put another image there.
function compareKey(key) {
  if (key === "ArrowLeft" || key === "ArrowRight") {
    comparison.active = key === "ArrowLeft" ? 0 : 1;
    markActiveSide();
    return true;
  }
  if (key !== "ArrowUp" && key !== "ArrowDown") return false;
  const step = key === "ArrowUp" ? -1 : 1;
  let next = neighbour(comparison.items[comparison.active], step);
  if (next === comparison.items[1 - comparison.active]) next = neighbour(next, step);
  if (next !== comparison.items[1 - comparison.active]) {
    comparison.items[comparison.active] = next;
    showSide(comparison.active);
    markActiveSide();
  }
  return true;
}
