// The cards. Only the lines near the visible part exist in the document; every line has the same height, so the place
// of any of 100,000 cards is a multiplication.

const HEAD = 26; // pixels of a row's heading
const CAPTION = 26;
const GAP = 10;
const LINE_GAP = 20;
const GROUP_GAP = 14; // between two rows of variants, more than between the variants
const SIZES = [110, 150, 210, 290, 380]; // wished widths of a square card

const grid = {
  order: [], // items that are shown, in the run's order
  lines: [], // each: groups { row, items, first } of neighbouring rows
  lineOf: new Map(), // item -> line
  active: -1, // item
  anchor: -1, // where a range selection began
  selected: new Set(),
  shown: new Map(), // line -> element
  cards: new Map(), // item -> element
  size: Math.min(SIZES.length - 1, Math.max(0, Number(preference("size", "2")) || 0)),
  columns: 1,
  width: 200,
  tile: 200,
  lineHeight: 0,
  shape: { variants: 1, aspect: 1 },

  get element() {
    return find("grid");
  },
};

// How many variants most rows have and how wide most images are; taken from the first items, so that nothing moves
// when the rest arrives.
function measureShape() {
  const sizes = new Map();
  const aspects = [];
  let run_length = 0;
  for (let item = 0; item < items.count; item += 1) {
    run_length += 1;
    if (item + 1 === items.count || !sameRow(item, item + 1)) {
      sizes.set(run_length, (sizes.get(run_length) || 0) + 1);
      run_length = 0;
    }
    if (number("width", item) && number("height", item)) aspects.push(number("width", item) / number("height", item));
  }
  aspects.sort((one, other) => one - other);
  grid.shape.variants = [...sizes].sort((one, other) => other[1] - one[1])[0]?.[0] || 1;
  grid.shape.aspect = Math.min(1.9, Math.max(0.62, aspects[Math.floor(aspects.length / 2)] || 1));
}

// As many columns as come closest to the wished size and leave no gap behind the usual number of variants.
function chooseColumns(room) {
  const wished = SIZES[grid.size] * Math.sqrt(grid.shape.aspect); // the same area, tall or wide
  const ideal = Math.max(1, (room + GAP) / (wished + GAP));
  const most = Math.max(1, Math.floor((room + GAP) / (86 + GAP)));
  const variants = grid.shape.variants;
  let best = Math.max(1, Math.min(most, Math.round(ideal)));
  if (variants > 1) {
    let distance = Infinity;
    for (let columns = 1; columns <= most; columns += 1) {
      if (columns % variants && variants % columns) continue;
      const off = Math.abs(Math.log(columns / ideal));
      if (off < distance) [best, distance] = [columns, off];
    }
  }
  grid.columns = best;
  const groups = variants > 1 ? Math.max(0, Math.floor(best / variants) - 1) : 0;
  grid.width = Math.floor((room - GAP * (best - 1) - GROUP_GAP * groups) / best);
  if (variants === 1) grid.width = Math.min(grid.width, wished * 1.5);
  grid.tile = Math.round(grid.width / grid.shape.aspect);
  grid.lineHeight = HEAD + grid.tile + CAPTION + LINE_GAP;
}

function layOut() {
  const room = grid.element.clientWidth || 320;
  chooseColumns(room);
  const between = grid.shape.variants > 1 ? GROUP_GAP : 0;
  grid.lines = [];
  grid.lineOf = new Map();
  let line = null;
  let free = 0;
  const place = (list, first) => {
    const width = list.length * (grid.width + GAP);
    if (!line || width > free) {
      line = [];
      free = room + GAP;
      grid.lines.push(line);
    }
    line.push({ items: list, first });
    free -= width + between;
    for (const item of list) grid.lineOf.set(item, grid.lines.length - 1);
  };
  for (let at = 0; at < grid.order.length;) {
    let end = at + 1;
    while (end < grid.order.length && sameRow(grid.order[at], grid.order[end])) end += 1;
    for (let part = at; part < end; part += grid.columns) {
      place(grid.order.slice(part, Math.min(end, part + grid.columns)), part);
    }
    at = end;
  }
  const element = grid.element;
  element.style.height = `${grid.lines.length * grid.lineHeight}px`;
  element.style.setProperty("--card", `${grid.width}px`);
  element.style.setProperty("--tile", `${grid.tile}px`);
  element.style.setProperty("--gap", `${GAP}px`);
  element.style.setProperty("--group-gap", `${GAP + between}px`);
  element.setAttribute("aria-rowcount", String(grid.lines.length));
  const focused = element.contains(document.activeElement) && document.activeElement !== element;
  for (const shown of grid.shown.values()) drop(shown);
  grid.shown.clear();
  grid.cards.clear();
  paint();
  if (focused && grid.cards.has(grid.active)) grid.cards.get(grid.active).focus({ preventScroll: true });
}

// Shows the lines on and around the screen, and the one in focus wherever it is: removing it would lose the focus.
function paint() {
  const top = -grid.element.getBoundingClientRect().top;
  const height = window.innerHeight;
  const from = Math.max(0, Math.floor((top - height) / grid.lineHeight));
  const to = Math.min(grid.lines.length - 1, Math.ceil((top + 2 * height) / grid.lineHeight));
  const wanted = new Set();
  for (let line = from; line <= to; line += 1) wanted.add(line);
  if (grid.lineOf.has(grid.active)) wanted.add(grid.lineOf.get(grid.active));
  for (const [line, element] of grid.shown) {
    if (wanted.has(line)) continue;
    for (const group of grid.lines[line] || []) for (const item of group.items) grid.cards.delete(item);
    drop(element);
    grid.shown.delete(line);
  }
  const added = document.createDocumentFragment();
  for (const line of wanted) {
    if (grid.shown.has(line)) continue;
    const element = lineElement(line);
    grid.shown.set(line, element);
    added.append(element);
  }
  grid.element.append(added);
}

function drop(element) {
  for (const image of element.querySelectorAll("img")) image.removeAttribute("src"); // ends its loading
  element.remove();
}

function lineElement(line) {
  const element = make("div", { class: "line", role: "row", "aria-rowindex": line + 1 });
  element.style.transform = `translateY(${line * grid.lineHeight}px)`;
  for (const group of grid.lines[line]) {
    const item = group.items[0];
    const id = text("id", item);
    element.append(make("div", { class: "group", role: "presentation" },
      make("div", { class: "head", "aria-hidden": "true", title: shorten(text("prompt", item), 2000) },
        make("span", { class: "row-number", text: String(number("row", item)) }),
        id === null ? null : make("span", { class: "row-id", text: id }),
        make("span", { class: "row-prompt", text: shorten(text("input_prompt", item) || text("prompt", item)) })),
      make("div", { class: "cards", role: "presentation" }, ...group.items.map(cardElement))));
  }
  return element;
}

function cardElement(item) {
  const card = make("div", { class: "card", role: "gridcell", tabindex: item === grid.active ? 0 : -1 });
  card.dataset.item = item;
  card.append(tileElement(item), captionElement(item));
  grid.cards.set(item, card);
  paintState(item);
  return card;
}

function tileElement(item) {
  const tile = make("div", { class: "tile" });
  if (text("file", item) === null) tile.append(reasonElement(item));
  else tile.append(imageElement(item, tile));
  return tile;
}

function imageElement(item, tile) {
  const image = make("img", { alt: alternativeText(item), decoding: "async", draggable: "false" });
  const sources = [text("thumbnail", item), text("file", item)].filter((source) => source !== null);
  const next = () => {
    const source = address(sources.shift());
    if (source) image.src = source;
    else tile.replaceChildren(make("div", { class: "missing" }, make("b", { text: "No image file" }),
      make("span", { text: "It can't be read or was removed." })));
  };
  image.addEventListener("error", () => { if (image.hasAttribute("src")) next(); });
  next();
  return image;
}

function reasonElement(item) {
  const category = text("category", item);
  return make("div", { class: "missing" },
    make("b", { text: category ? `${statusWord(item)}: ${words(category)}` : statusWord(item) }),
    make("span", { class: "why", text: shorten(text("reason", item)) }),
    text("advice", item) ? make("span", { class: "advice", text: text("advice", item) }) : null,
    make("span", { class: "said", text: shorten(text("prompt", item), 600) }),
    button("Edit the prompt", (event) => {
      event.stopPropagation();
      clearSelection(item);
      focusItem(item, { scroll: false });
      act("edit");
    }, { class: "edit", tabindex: -1 }));
}

function captionElement(item) {
  const warnings = items.warnings.get(item) || [];
  const versions = number("version", item);
  return make("div", { class: "caption" },
    make("span", { class: "sample", text: String(number("sample", item)) }),
    versions > 1 ? make("span", { class: "tag", text: `v${versions}` }) : null,
    text("status", item) === "ok" ? null : make("span", { class: "tag", text: statusWord(item) }),
    warnings.length ? make("span", { class: "tag warn", text: warnings.map(warningWords).join(", "),
      title: warnings.map(warningWords).join(", ") }) : null,
    make("span", { class: "mark" }));
}

const MARK_WORDS = { approve: "approved", reject: "rejected", redo: "redo" };

function markWord(mark) {
  if (mark.decision === "redo" && mark.prompt) return "redo, edited";
  return MARK_WORDS[mark.decision] || (mark.note ? "note" : "");
}

// Everything about a card that changes while it is shown.
function paintState(item) {
  const card = grid.cards.get(item);
  if (!card) return;
  const mark = review.get(item);
  const selected = grid.selected.has(item);
  card.dataset.decision = mark.decision || "";
  card.classList.toggle("active", item === grid.active);
  card.classList.toggle("selected", selected);
  card.setAttribute("aria-selected", String(selected));
  card.tabIndex = item === grid.active ? 0 : -1;
  card.querySelector(".mark").textContent = markWord(mark);
  card.setAttribute("aria-label",
    [itemName(item), statusWord(item), markWord(mark) || "undecided", shorten(text("prompt", item))].join(", "));
}

// --- focus and selection

function focusItem(item, { scroll = true, take = true } = {}) {
  if (!grid.lineOf.has(item)) return;
  const before = grid.active;
  grid.active = item;
  if (before !== item) paintState(before);
  if (scroll) reveal(grid.lineOf.get(item));
  paint();
  paintState(item);
  if (take) grid.cards.get(item).focus({ preventScroll: true });
  showFocus();
}

// Scrolls no further than it takes to see the line.
function reveal(line) {
  const box = grid.element.getBoundingClientRect();
  const above = document.querySelector(".found").getBoundingClientRect().bottom + 2; // sticks to the top
  const below = document.querySelector(".marks").getBoundingClientRect().top - 8;
  const top = box.top + line * grid.lineHeight;
  const bottom = top + grid.lineHeight - LINE_GAP;
  if (top < above) window.scrollBy(0, top - above);
  else if (bottom > below) window.scrollBy(0, Math.min(bottom - below, top - above));
}

function placeOf(item) {
  const line = grid.lines[grid.lineOf.get(item)];
  for (const group of line || []) {
    const at = group.items.indexOf(item);
    if (at >= 0) return group.first + at;
  }
  return -1;
}

function neighbour(item, step) {
  const at = placeOf(item);
  return grid.order[Math.min(grid.order.length - 1, Math.max(0, at + step))];
}

// The card in the same column of a line above or below.
function vertical(item, step) {
  const at = grid.lineOf.get(item);
  const line = grid.lines[Math.min(grid.lines.length - 1, Math.max(0, at + step))];
  const flat = (groups) => groups.flatMap((group) => group.items);
  const column = flat(grid.lines[at]).indexOf(item);
  const cards = flat(line);
  return cards[Math.min(column, cards.length - 1)];
}

function target(key) {
  const page = Math.max(1, Math.floor((window.innerHeight - 160) / grid.lineHeight));
  switch (key) {
    case "ArrowLeft": return neighbour(grid.active, -1);
    case "ArrowRight": return neighbour(grid.active, 1);
    case "ArrowUp": return vertical(grid.active, -1);
    case "ArrowDown": return vertical(grid.active, 1);
    case "PageUp": return vertical(grid.active, -page);
    case "PageDown": return vertical(grid.active, page);
    case "Home": return grid.order[0];
    case "End": return grid.order[grid.order.length - 1];
    default: return undefined;
  }
}

function moveTo(item, { extend = false } = {}) {
  if (item === undefined) return;
  if (extend) selectRange(item);
  else clearSelection(item);
  focusItem(item);
}

function selectRange(item) {
  if (!grid.lineOf.has(grid.anchor)) grid.anchor = grid.active;
  const [from, to] = [placeOf(grid.anchor), placeOf(item)].sort((one, other) => one - other);
  setSelection(grid.order.slice(from, to + 1));
}

// With a first one the card in focus is selected too, unless `alone`.
function toggleSelection(item, { alone = false } = {}) {
  const list = new Set(grid.selected);
  if (!alone && !list.size && grid.active !== item && grid.lineOf.has(grid.active)) list.add(grid.active);
  if (!list.delete(item)) list.add(item);
  grid.anchor = item;
  setSelection([...list]);
}

function clearSelection(anchor = grid.active) {
  grid.anchor = anchor;
  setSelection([]);
}

function setSelection(list) {
  const changed = new Set([...grid.selected, ...list]);
  grid.selected = new Set(list);
  for (const item of changed) paintState(item);
  showFocus();
}

// What a mark is about: the selection, else the card in focus.
function targets() {
  if (grid.selected.size) return [...grid.selected].sort((one, other) => one - other);
  return grid.lineOf.has(grid.active) ? [grid.active] : [];
}

function showFocus() {
  const selected = grid.selected.size;
  find("focus-text").textContent = selected ? `${selected} selected`
    : grid.lineOf.has(grid.active) ? `${rowName(grid.active)} · ${number("sample", grid.active)}` : "";
  document.querySelector('.marks [data-action="compare"]').disabled = selected !== 2 && selected !== 0;
}

function setOrder(order) {
  const before = grid.active;
  grid.order = order;
  grid.selected = new Set();
  layOut();
  if (!grid.lineOf.has(before)) grid.active = order.find((item) => item >= before) ?? order[order.length - 1] ?? -1;
  find("empty").hidden = order.length > 0;
  if (grid.active >= 0) focusItem(grid.active, { take: false, scroll: before >= 0 });
  else showFocus();
}

function resize(step) {
  const size = Math.min(SIZES.length - 1, Math.max(0, grid.size + step));
  if (size === grid.size) return;
  grid.size = size;
  setPreference("size", String(size));
  layOut();
  if (grid.active >= 0) focusItem(grid.active, { take: false });
}
