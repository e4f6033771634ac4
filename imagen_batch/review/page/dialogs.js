// The small dialogs: edit, export, import, help.

function openSheet(title, ...content) {
  const dialog = find("dialog");
  dialog.setAttribute("aria-label", title);
  const heading = make("h2", { text: title, tabindex: -1 });
  dialog.replaceChildren(make("form", { method: "dialog" }, heading, ...content));
  if (!dialog.open) dialog.showModal();
  heading.focus(); // a button further down would scroll the dialog there
  return dialog;
}

function closeSheet() {
  find("dialog").close();
  if (!find("viewer").open && !find("compare").open && grid.active >= 0) focusItem(grid.active, { scroll: false });
}

function sheetButtons(...buttons) {
  return make("div", { class: "sheet-buttons" }, ...buttons);
}

// The prompt of one image, or of several that have the same.
function openEditor(list, done) {
  const prompts = new Set(list.map((item) => review.get(item).prompt || text("prompt", item) || ""));
  if (prompts.size > 1) {
    announce("The selected images have different prompts: edit them one row at a time.");
    return;
  }
  const item = list[0];
  const mark = review.get(item);
  const original = text("prompt", item) || "";
  const prompt = make("textarea", { rows: 8, id: "edit-prompt", dir: "auto", spellcheck: "true" });
  const seed = make("input", { id: "edit-seed", inputmode: "numeric", autocomplete: "off", placeholder: "the service's choice" });
  const note = make("input", { id: "edit-note", autocomplete: "off" });
  const wrong = make("p", { class: "wrong", role: "alert" });
  prompt.value = mark.prompt || original;
  seed.value = mark.seed ?? "";
  note.value = mark.note || "";
  const save = () => {
    if (seed.value.trim() && !validSeed(seed.value.trim())) {
      wrong.textContent = "The seed must be a whole number from 0 to 4294967295.";
      seed.focus();
      return;
    }
    const edited = prompt.value.trim() && prompt.value !== original ? prompt.value : null;
    closeSheet();
    done({
      decision: "redo", prompt: edited, seed: seed.value.trim() ? Number(seed.value.trim()) : null,
      note: note.value.trim() ? note.value : null,
    });
  };
  const dialog = openSheet(list.length > 1 ? `Edit the prompt of ${list.length} images and redo them` : "Edit the prompt and redo",
    make("p", { class: "hint", text: list.length > 1 ? rowName(item) : itemName(item) }),
    make("label", { for: "edit-prompt", text: "Prompt" }), prompt,
    make("div", { class: "pair" },
      make("div", {}, make("label", { for: "edit-seed", text: "New seed" }), seed),
      make("div", {}, make("label", { for: "edit-note", text: "Note" }), note)),
    wrong,
    sheetButtons(
      button("Original prompt", () => { prompt.value = original; prompt.focus(); }, { class: "quiet" }),
      button("Cancel", closeSheet, { class: "quiet" }),
      button("Save and redo", save, { class: "strong", id: "edit-save", title: "Ctrl+Enter" })));
  dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); save(); });
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
  });
  prompt.focus();
  prompt.setSelectionRange(prompt.value.length, prompt.value.length);
}

function openNote(list, done) {
  const note = make("textarea", { rows: 4, id: "note", dir: "auto" });
  note.value = review.get(list[0]).note || "";
  const save = () => {
    closeSheet();
    done({ note: note.value.trim() ? note.value : null });
  };
  const dialog = openSheet(list.length > 1 ? `Note for ${list.length} images` : `Note for ${itemName(list[0])}`, note,
    sheetButtons(button("Cancel", closeSheet, { class: "quiet" }), button("Save", save, { class: "strong" })));
  dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); save(); });
  note.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
  });
  note.focus();
}

function openExport() {
  const source = reviewText();
  const lines = review.marks.size;
  const shown = make("textarea", { rows: 9, readonly: true, id: "review-text", "aria-label": "review.csv", wrap: "off" });
  shown.value = source.length > 200000 ? `${source.slice(0, 200000)}\n…` : source;
  openSheet("Export the review",
    make("p", { text: summaryText() }),
    make("p", { class: "hint", text: "Save review.csv into the run's folder, then run again with --redo." }),
    shown,
    sheetButtons(
      button("Close", closeSheet, { class: "quiet" }),
      button("Copy", () => copyText(source), { class: "quiet", id: "copy-review" }),
      button("Download review.csv", () => download(source), { class: "strong", id: "download-review", disabled: !lines })));
}

function summaryText() {
  const { approve, reject, redo } = review.counts;
  return `${approve} approved, ${redo} to redo, ${reject} rejected, ${items.count - review.decided} undecided.`;
}

// With a byte order mark: without one a spreadsheet takes UTF-8 for something else.
function download(source) {
  const link = make("a", { href: URL.createObjectURL(new Blob(["\ufeff", source], { type: "text/csv;charset=utf-8" })), download: "review.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 30000);
  if (!review.served) unsaved = false;
  closeSheet();
  announce("review.csv is downloaded.");
}

async function copyText(source) {
  try {
    await navigator.clipboard.writeText(source);
  } catch {
    const shown = find("review-text");
    shown.value = source;
    shown.select();
    if (!document.execCommand("copy")) {
      announce("The browser did not allow copying: select the text and copy it by hand.");
      return;
    }
  }
  announce("The review is copied.");
}

function importReview(source) {
  const { marks, problems } = parseReview(source);
  const before = grid.active;
  const changed = review.apply([...marks.keys()], (_, item) => marks.get(item), { focus: before, label: "import" });
  const list = make("ul", { class: "problems" });
  for (const problem of problems.slice(0, 200)) list.append(make("li", { text: problem }));
  openSheet("Import a review",
    make("p", { text: `${count(marks.size, "line")} read, ${count(changed, "image")} changed.` }),
    problems.length ? make("p", { text: `${count(problems.length, "problem")}; these lines are left out:` }) : "",
    problems.length ? list : "",
    sheetButtons(button("Close", closeSheet, { class: "strong" })));
}

function readFile(file) {
  const reader = new FileReader();
  reader.addEventListener("load", () => importReview(decodeText(reader.result)));
  reader.addEventListener("error", () => announce("The file can't be read."));
  reader.readAsArrayBuffer(file);
}

const KEYS = [
  ["Arrows", "move; in the full view and the comparison too"],
  ["Space", "open and close the full view"],
  ["a", "approve"],
  ["r", "reject"],
  ["x", "redo: make it again"],
  ["e", "edit the prompt, then redo"],
  ["n", "note"],
  ["Delete", "take the mark away"],
  ["u", "undo, as often as you like; Shift+U does it again"],
  ["Shift+arrows, Shift+click", "select a range"],
  ["Ctrl+click, s", "add to the selection or take out of it"],
  ["Ctrl+A, Esc", "select everything shown; nothing"],
  ["c", "compare two"],
  ["+ \u2212 z", "zoom in the full view; larger or smaller cards"],
  ["/", "search"],
  ["f", "filters"],
  ["?", "this help"],
];

function openHelp() {
  const table = make("dl", { class: "keys" });
  for (const [keys, meaning] of KEYS) {
    table.append(make("dt", {}, ...keys.split(", ").map((key) => make("kbd", { text: key }))), make("dd", { text: meaning }));
  }
  const touch = "On a touch screen: tap opens, swipe turns, two fingers zoom, a long press selects.";
  openSheet("Keyboard", window.matchMedia("(pointer: coarse)").matches ? make("p", { text: touch }) : "", table,
    make("p", {
      class: "hint",
      text: review.served ? "Each mark is written to review.csv in the run's folder at once."
        : "Marks stay in this browser. Export the review and save it into the run's folder to act on it.",
    }),
    sheetButtons(button("Close", closeSheet, { class: "strong" })));
}
