// Puts the parts together: first screen, the rest of the data, keyboard, pointer.

const MARK_SAID = { approve: "Approved", reject: "Rejected", redo: "Marked for redo" };

// What a mark is about in the view that is open.
function currentTargets() {
  if (find("compare").open) return [comparison.items[comparison.active]];
  if (find("viewer").open) return [viewer.item];
  return targets();
}

function act(action) {
  if (action === "undo") { undo(); return; }
  if (action === "repeat") { repeat(); return; }
  if (action === "compare") { openComparison(); return; }
  const list = currentTargets();
  if (!list.length) return;
  if (action === "edit") openEditor(list, (change) => mark(list, change, "Marked for redo"));
  else if (action === "note") openNote(list, (change) => mark(list, change, "Noted", { move: false }));
  else if (action === "clear") mark(list, { decision: null }, "Mark taken away", { move: false });
  else mark(list, { decision: action }, MARK_SAID[action]);
}

function mark(marked, change, said, { move = true } = {}) {
  const list = change.decision === "approve" ? marked.filter((item) => text("file", item) !== null) : marked;
  if (!list.length) {
    announce("There is no image to approve.");
    return;
  }
  review.apply(list, () => change, { focus: list[0], label: said });
  announce(`${said}: ${list.length > 1 ? count(list.length, "image") : itemName(list[0])}`);
  if (find("compare").open) return;
  if (find("viewer").open) {
    if (move) stepAfterMark(list[list.length - 1]);
    return;
  }
  const next = move ? neighbour(list[list.length - 1], 1) : grid.active;
  clearSelection(next);
  focusItem(next);
}

function stepAfterMark(item) {
  const next = neighbour(item, 1);
  if (next === item) showFacts();
  else showInViewer(next);
}

function undo() {
  const step = review.undo();
  if (!step) { announce("There is nothing to undo."); return; }
  returnTo(step, `Undone: ${step.label.toLowerCase()}`);
}

function repeat() {
  const step = review.repeat();
  if (!step) { announce("There is nothing to do again."); return; }
  returnTo(step, `Done again: ${step.label.toLowerCase()}`);
}

// Goes back to where the step was made, if that is still shown.
function returnTo(step, said) {
  announce(`${said}, ${step.changes.length > 1 ? count(step.changes.length, "image") : itemName(step.changes[0][0])}`);
  const item = step.focus;
  if (item === null || !grid.lineOf.has(item) || find("compare").open) return;
  if (find("viewer").open) { showInViewer(item); return; }
  clearSelection(item);
  focusItem(item);
}

function onMarked(changed) {
  for (const item of changed) paintState(item);
  showProgress();
  updateDecisionCounts();
  find("reapply").hidden = !dependsOnMarks();
  if (find("viewer").open) showFacts();
  if (find("compare").open) captionSides();
}

function showProgress() {
  const { approve, reject, redo } = review.counts;
  find("progress-text").textContent =
    `${review.decided.toLocaleString("en-US")} of ${items.count.toLocaleString("en-US")} decided`;
  find("progress").title = summaryText();
  const meter = document.querySelector(".meter");
  for (const [name, value] of Object.entries({ approve, reject, redo })) {
    meter.querySelector(`.${name}`).style.width = `${(100 * value) / Math.max(1, items.count)}%`;
  }
}

function showFound() {
  const all = items.count;
  const found = grid.order.length;
  find("found").textContent = found === all ? count(all, "sample") : `${found.toLocaleString("en-US")} of ${count(all, "sample")}`;
  find("clear-filters").hidden = !filters.active;
  find("reapply").hidden = true;
  find("filters-toggle").classList.toggle("on", filters.states.size > 0);
}

function applyFilters() {
  setOrder(filters.matching());
  showFound();
}

// --- keyboard

const ACTIONS = {
  a: "approve", r: "reject", x: "redo", e: "edit", n: "note", u: "undo", U: "repeat", c: "compare",
  Delete: "clear", Backspace: "clear",
};

// The letter on the key also with the Caps Lock on and with a keyboard of another alphabet.
function keyOf(event) {
  if (event.key.length !== 1) return event.key;
  const letter = event.key > "\u007f" && event.code.startsWith("Key") ? event.code[3] : event.key;
  return event.shiftKey ? letter.toUpperCase() : letter.toLowerCase();
}

function onKey(event) {
  if (event.defaultPrevented || event.isComposing) return;
  const typing = event.target.closest && event.target.closest("input, textarea, select");
  if (typing) {
    if (event.key === "Escape" && event.target.id === "search") { event.target.blur(); focusItem(grid.active); }
    return;
  }
  if (find("dialog").open) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a" && !find("viewer").open) {
    event.preventDefault();
    setSelection([...grid.order]);
    announce(`${count(grid.selected.size, "image")} selected`);
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    act(event.shiftKey ? "repeat" : "undo");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const handled = find("compare").open ? compareKeys(event) : find("viewer").open ? viewerKeys(event) : gridKeys(event);
  if (handled) event.preventDefault();
}

function isPressing(event) {
  return event.target.closest("button, a, summary") !== null;
}

function commonKeys(event) {
  const key = keyOf(event);
  if (Object.hasOwn(ACTIONS, key)) { act(ACTIONS[key]); return true; }
  if (event.key === "?") { openHelp(); return true; }
  return false;
}

function compareKeys(event) {
  const { surface } = comparison.sides[comparison.active];
  const key = keyOf(event);
  if (zoomKeys(key, surface)) return true;
  if (key === " " || key === "c") {
    if (event.key === " " && isPressing(event)) return false;
    closeComparison();
    return true;
  }
  return compareKey(key) || (key !== "e" && key !== "n" && commonKeys(event));
}

function zoomKeys(key, surface) {
  if (key === "+" || key === "=") surface.zoomBy(1.4);
  else if (key === "-") surface.zoomBy(1 / 1.4);
  else if (key === "z") surface.toggle();
  else return false;
  return true;
}

function viewerKeys(event) {
  if (zoomKeys(keyOf(event), viewer.surface)) return true;
  if (event.key === " " && isPressing(event)) return false;
  if (event.key === " " || event.key === "Enter") {
    if (isPressing(event)) return false;
    closeViewer();
    return true;
  }
  if (event.key.startsWith("Arrow") || ["Home", "End"].includes(event.key)) {
    const next = target(event.key);
    if (next !== undefined && next !== viewer.item) showInViewer(next);
    return true;
  }
  return commonKeys(event);
}

function gridKeys(event) {
  const onControl = isPressing(event);
  if ((event.key === " " || event.key === "Enter") && !onControl && grid.lineOf.has(grid.active)) {
    openViewer(grid.active);
    return true;
  }
  const next = grid.lineOf.has(grid.active) ? target(event.key) : grid.order[0];
  if (next !== undefined && (event.key.startsWith("Arrow") || ["Home", "End", "PageUp", "PageDown"].includes(event.key))) {
    moveTo(next, { extend: event.shiftKey });
    return true;
  }
  switch (keyOf(event)) {
    case "/": find("search").focus(); find("search").select(); return true;
    case "f": toggleFilters(); return true;
    case "s": toggleSelection(grid.active); return true;
    case "+": case "=": resize(1); return true;
    case "-": resize(-1); return true;
    case "Escape": clearSelection(); return true;
    default: return commonKeys(event);
  }
}

// --- pointer

function cardUnder(event) {
  const card = event.target.closest(".card");
  return card ? Number(card.dataset.item) : null;
}

// A tap opens, a mouse click focuses. Not every browser says on a click what made it, so the press before is remembered.
const press = { type: "mouse", timer: 0, long: false, x: 0, y: 0 };
const LONG_PRESS_MS = 450;

function onCardClick(event) {
  const item = cardUnder(event);
  if (item === null) return;
  if (press.type === "touch") {
    if (press.long) return;
    if (grid.selected.size) togglePressed(item);
    else openViewer(item);
    return;
  }
  if (event.shiftKey) selectRange(item);
  else if (event.ctrlKey || event.metaKey) toggleSelection(item);
  else clearSelection(item);
  focusItem(item, { scroll: false });
}

function onPressStart(event) {
  Object.assign(press, { type: event.pointerType, long: false, x: event.clientX, y: event.clientY });
  clearTimeout(press.timer);
  const item = cardUnder(event);
  if (item === null || event.pointerType !== "touch") return;
  press.timer = setTimeout(() => {
    press.long = true;
    togglePressed(item);
  }, LONG_PRESS_MS);
}

function onPressMove(event) {
  if (Math.hypot(event.clientX - press.x, event.clientY - press.y) > 10) clearTimeout(press.timer);
}

function togglePressed(item) {
  toggleSelection(item, { alone: true });
  focusItem(item, { scroll: false });
  announce(`${count(grid.selected.size, "image")} selected`);
}

function toggleFilters(open = find("filters").hidden) {
  find("filters").hidden = !open;
  find("filters-toggle").setAttribute("aria-expanded", String(open));
  setPreference("filters", open ? "open" : "closed");
  layOut();
  if (grid.active >= 0) focusItem(grid.active, { take: false });
}

function listen() {
  document.addEventListener("keydown", onKey);
  const element = grid.element;
  element.addEventListener("click", onCardClick);
  element.addEventListener("dblclick", (event) => { if (cardUnder(event) !== null) openViewer(cardUnder(event)); });
  element.addEventListener("pointerdown", onPressStart);
  element.addEventListener("pointermove", onPressMove, { passive: true });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => clearTimeout(press.timer));
  element.addEventListener("contextmenu", (event) => { if (press.type === "touch") event.preventDefault(); });
  element.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); }); // selects no text
  element.addEventListener("focus", () => { if (grid.active >= 0) focusItem(grid.active, { scroll: false }); });
  find("theme").addEventListener("click", nextTheme);
  find("smaller").addEventListener("click", () => resize(-1));
  find("larger").addEventListener("click", () => resize(1));
  find("help").addEventListener("click", openHelp);
  find("export").addEventListener("click", openExport);
  find("import").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", (event) => {
    if (event.target.files[0]) readFile(event.target.files[0]);
    event.target.value = "";
  });
  find("filters-toggle").addEventListener("click", () => toggleFilters());
  find("clear-filters").addEventListener("click", clearFilters);
  find("reapply").addEventListener("click", () => { applyFilters(); grid.element.focus({ preventScroll: true }); });
  for (const each of document.querySelectorAll(".marks [data-action]")) {
    each.addEventListener("click", () => act(each.dataset.action));
  }
  let searching = 0;
  find("search").addEventListener("input", (event) => {
    clearTimeout(searching);
    searching = setTimeout(() => { filters.query = event.target.value; applyFilters(); }, 120);
  });
  closeOnEscape(find("dialog"), closeSheet);
  let waiting = false;
  window.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }, { passive: true });
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) { paint(); return; } // a phone's address bar comes and goes
    width = window.innerWidth;
    layOut();
    if (grid.active >= 0) focusItem(grid.active, { take: false });
  });
}

// --- start: the first screen comes from the data before this script, the rest is read when the page is complete

function showFirst() {
  readChunks();
  recall(0);
  measureShape();
  if (preference("filters", window.innerWidth > 1100 ? "open" : "closed") === "open" && window.innerWidth > 700) {
    find("filters").hidden = false;
    find("filters-toggle").setAttribute("aria-expanded", "true");
  }
  setOrder(Array.from({ length: items.count }, (_, item) => item));
  performance.mark("first-view");
}

function showRest() {
  const start = items.count;
  if (readChunks()) {
    recall(start);
    const before = grid.active;
    grid.order = Array.from({ length: items.count }, (_, item) => item);
    layOut();
    if (before < 0 && items.count) setOrder(grid.order);
  }
  textNumbers.clear(); // only needed while reading
  connect(() => {
    if (review.served) recallSession();
    document.body.dataset.mode = review.served ? "served" : "disk";
    buildFacets();
    showFacets();
    updateDecisionCounts();
    if (filters.active) applyFilters(); // somebody searched before everything was read
    showFound();
    showProgress();
    for (const item of grid.cards.keys()) paintState(item);
    find("empty").hidden = items.count > 0;
    if (document.activeElement === document.body && grid.active >= 0) focusItem(grid.active, { scroll: false });
    performance.mark("complete");
    document.body.dataset.ready = "yes";
  });
}

applyTheme(preference("theme", "system"));
if (run.notice) {
  find("notice").textContent = run.notice;
  find("notice").hidden = false;
}
review.listeners.push(onMarked);
showFirst();
listen();
followOtherTabs();
if (!storage && location.protocol === "file:") {
  warn("This browser keeps no data for pages from disk. Your marks last until the page is closed: export the review before that.");
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", showRest);
else showRest();
