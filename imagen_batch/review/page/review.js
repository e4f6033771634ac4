// Decisions: what they are, how they are undone, and where they are kept.
//
// From disk they live in the browser, in one storage entry per first two digits of the key, so that a mark writes little
// however many there are. Served on loopback they go to the run's review.csv at once and the browser keeps nothing.

const NO_MARK = Object.freeze({ decision: null, prompt: null, seed: null, note: null });

const review = {
  marks: new Map(), // item -> mark; items without anything to say are absent
  undone: [], // steps taken back, for "U"
  steps: [], // each: { changes: [[item, before, after]], focus, text }
  counts: { approve: 0, reject: 0, redo: 0 },
  listeners: [],
  served: false,

  get(item) {
    return this.marks.get(item) || NO_MARK;
  },

  marked() {
    return [...this.marks.keys()].sort((one, other) => one - other);
  },

  get decided() {
    return this.counts.approve + this.counts.reject + this.counts.redo;
  },

  // One step that can be undone: `change` gives the new mark of each item.
  apply(list, change, { focus = null, label = "" } = {}) {
    const changes = [];
    for (const item of list) {
      const before = this.get(item);
      const after = Object.freeze({ ...before, ...change(before, item) });
      if (!sameMark(before, after)) changes.push([item, before, after]);
    }
    if (!changes.length) return 0;
    this.steps.push({ changes, focus, label });
    this.undone = [];
    this.write(changes.map(([item, , after]) => [item, after]));
    return changes.length;
  },

  undo() {
    const step = this.steps.pop();
    if (!step) return null;
    this.undone.push(step);
    this.write(step.changes.map(([item, before]) => [item, before]));
    return step;
  },

  repeat() {
    const step = this.undone.pop();
    if (!step) return null;
    this.steps.push(step);
    this.write(step.changes.map(([item, , after]) => [item, after]));
    return step;
  },

  // Without a step: what another tab, the storage or the server says.
  set(item, mark) {
    const before = this.get(item).decision;
    if (before) this.counts[before] -= 1;
    if (mark.decision) this.counts[mark.decision] += 1;
    if (sameMark(mark, NO_MARK)) this.marks.delete(item);
    else this.marks.set(item, Object.freeze({ ...mark }));
  },

  write(entries) {
    for (const [item, mark] of entries) this.set(item, mark);
    keep(entries);
    this.changed(entries.map(([item]) => item));
  },

  changed(list) {
    for (const listener of this.listeners) listener(list);
  },
};

function sameMark(one, other) {
  return one.decision === other.decision && one.prompt === other.prompt && one.seed === other.seed
    && one.note === other.note;
}

// What the run knew when the page was written.
function presetMark(item) {
  return {
    decision: text("decision", item), prompt: text("edited_prompt", item),
    seed: number("new_seed", item), note: text("note", item),
  };
}

function markCode(mark) {
  return [mark.decision, mark.prompt, mark.seed, mark.note];
}

// --- kept in the browser

let unsaved = false;

function bucketName(item) {
  return `imagen-batch:${run.run}:${(text("key", item) || "").slice(0, 2)}`;
}

// Names a version of a sample wherever its row moves to.
function entryName(item) {
  const key = text("key", item);
  return `${key ? key.slice(0, 20) : `r${number("row", item)}`}.${number("sample", item)}.${number("version", item)}`;
}

function keep(entries) {
  if (review.served) {
    send(entries.map(([item]) => item));
    return;
  }
  const buckets = new Map();
  for (const [item, mark] of entries) {
    const name = bucketName(item);
    if (!buckets.has(name)) buckets.set(name, []);
    buckets.get(name).push([item, mark]);
  }
  for (const [name, changes] of buckets) keepBucket(name, changes);
}

// Read again before each write: another tab may have marked other images of the same bucket.
function keepBucket(name, changes) {
  try {
    const kept = JSON.parse(storage.getItem(name) || "{}");
    for (const [item, mark] of changes) {
      const preset = presetMark(item);
      if (sameMark(mark, preset)) delete kept[entryName(item)];
      else kept[entryName(item)] = keptEntry(mark, preset);
    }
    if (Object.keys(kept).length) storage.setItem(name, JSON.stringify(kept));
    else storage.removeItem(name);
  } catch {
    unsaved = true;
    warn("This browser keeps no data for the page. Your marks last until it is closed: export the review before.");
  }
}

// Marks of the items from `start` on: the run's, replaced by the browser's unless the run has learned something newer.
function recall(start) {
  const buckets = new Map();
  for (let item = start; item < items.count; item += 1) {
    const preset = presetMark(item);
    const kept = review.served ? undefined : bucketEntries(buckets, bucketName(item))[entryName(item)];
    const mark = isCurrent(kept, preset) ? keptMark(kept) : preset;
    if (!sameMark(mark, NO_MARK)) review.set(item, mark);
  }
}

// A mark with what the run knew when it was made. The usual one is a letter: a browser keeps 5 MB for all pages from
// disk together, and 100,000 marks have to fit.
const LETTERS = { approve: "a", reject: "r", redo: "x" };

function keptEntry(mark, preset) {
  const plain = mark.decision && mark.prompt === null && mark.seed === null && mark.note === null;
  return plain && sameMark(preset, NO_MARK) ? LETTERS[mark.decision] : [...markCode(mark), markCode(preset)];
}

function isCurrent(entry, preset) {
  if (typeof entry === "string") return sameMark(preset, NO_MARK);
  return Array.isArray(entry) && JSON.stringify(entry[4]) === JSON.stringify(markCode(preset));
}

function keptMark(entry) {
  if (typeof entry === "string") {
    const decision = Object.keys(LETTERS).find((each) => LETTERS[each] === entry) || null;
    return { ...NO_MARK, decision };
  }
  const [decision, prompt, seed, note] = entry;
  return {
    decision: Object.hasOwn(review.counts, decision) ? decision : null,
    prompt: typeof prompt === "string" ? prompt : null,
    seed: Number.isInteger(seed) ? seed : null,
    note: typeof note === "string" ? note : null,
  };
}

function bucketEntries(buckets, name) {
  if (!buckets.has(name)) {
    let kept = {};
    try {
      kept = JSON.parse((storage && storage.getItem(name)) || "{}") || {};
    } catch {
      // Not ours, or damaged: the run's own decisions hold.
    }
    buckets.set(name, kept);
  }
  return buckets.get(name);
}

// Another tab with the same page has marked something.
function followOtherTabs() {
  window.addEventListener("storage", (event) => {
    if (review.served || !event.key || !event.key.startsWith(`imagen-batch:${run.run}:`)) return;
    const kept = bucketEntries(new Map(), event.key);
    const changed = [];
    for (let item = 0; item < items.count; item += 1) {
      if (bucketName(item) !== event.key) continue;
      const entry = kept[entryName(item)];
      const mark = entry === undefined ? presetMark(item) : keptMark(entry);
      if (sameMark(mark, review.get(item))) continue;
      review.set(item, mark);
      changed.push(item);
    }
    review.changed(changed);
  });
}

window.addEventListener("beforeunload", (event) => {
  if (unsaved || failing) event.preventDefault();
});

// What is on its way when the page goes is handed to the browser, which sends it afterwards.
window.addEventListener("pagehide", () => {
  const left = [...new Set([...inFlight, ...outbox])];
  if (left.length) navigator.sendBeacon("review", new Blob([decisionsBody(left)], { type: "application/json" }));
});

// --- sent to the server that shows the page

const outbox = new Set(); // items whose marks the server does not have yet
let inFlight = []; // items whose marks are being sent
let failing = false;

function decisionsBody(list) {
  return JSON.stringify({ decisions: list.map(reviewLine) });
}

function request(method, path, body, done) {
  const call = new XMLHttpRequest();
  call.open(method, path);
  call.timeout = 20000;
  if (body !== null) call.setRequestHeader("Content-Type", "application/json");
  call.onloadend = () => {
    let answer = null;
    try {
      answer = JSON.parse(call.responseText);
    } catch {
      // no JSON: not our server, or none at all
    }
    done(call.status, answer);
  };
  call.send(body);
}

// Tells a page served by `gallery --serve` from one from disk or from any other web server.
function connect(ready) {
  if (!location.protocol.startsWith("http")) {
    ready();
    return;
  }
  request("GET", "session.json", null, (status, answer) => {
    review.served = status === 200 && answer !== null && answer.review === 1;
    if (review.served) review.session = answer.decisions;
    ready();
  });
}

// The server's decisions are newer than those the page was written with.
function recallSession() {
  const index = itemIndex();
  for (const fields of review.session || []) {
    const found = markOf(fields, index);
    if (typeof found !== "string") review.set(found.item, found.mark);
  }
}

function send(list) {
  for (const item of list) outbox.add(item);
  if (!inFlight.length) flush();
}

function flush() {
  if (inFlight.length || !outbox.size) return;
  inFlight = [...outbox].slice(0, 5000);
  for (const item of inFlight) outbox.delete(item);
  request("POST", "review", decisionsBody(inFlight), (status, answer) => {
    const batch = inFlight;
    inFlight = [];
    failing = status !== 200;
    if (!failing) {
      warn("");
      flush();
      return;
    }
    for (const item of batch) outbox.add(item);
    const reason = (answer && answer.error) || "the gallery's server does not answer";
    warn(`Your last marks are not saved: ${reason}. They are tried again; you can also export the review.`);
    setTimeout(flush, 3000);
  });
}
