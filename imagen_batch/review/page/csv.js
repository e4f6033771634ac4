// review.csv, as imagen_batch/review/review_csv.py reads and writes it.

const REVIEW_COLUMNS = ["row", "id", "sample", "version", "key", "decision", "prompt", "seed", "note"];
const FORMULA = /^'*[=+\-@\t\r]/;
const GUARDED = /^'+[=+\-@\t\r]/;

function csvCell(value) {
  let cell = value === null || value === undefined ? "" : String(value);
  cell = cell.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "?");
  if (FORMULA.test(cell)) cell = `'${cell}`; // a spreadsheet would run it
  return /[",;\t\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function reviewLine(item) {
  const mark = review.get(item);
  const redo = mark.decision === "redo";
  return {
    row: number("row", item),
    id: text("id", item),
    sample: number("sample", item),
    version: number("version", item),
    key: text("key", item),
    decision: mark.decision,
    prompt: redo ? mark.prompt : null,
    seed: redo ? mark.seed : null,
    note: mark.note,
  };
}

function reviewText() {
  const lines = [REVIEW_COLUMNS.join(",")];
  for (const item of review.marked()) {
    const line = reviewLine(item);
    lines.push(REVIEW_COLUMNS.map((column) => csvCell(line[column])).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

// Bytes as a spreadsheet saves them: UTF-8 or UTF-16 with a mark, plain UTF-8, else Western.
function decodeText(bytes) {
  const view = new Uint8Array(bytes);
  if (view[0] === 0xff && view[1] === 0xfe) return new TextDecoder("utf-16le").decode(view);
  if (view[0] === 0xfe && view[1] === 0xff) return new TextDecoder("utf-16be").decode(view);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(view);
  } catch {
    return new TextDecoder("windows-1252").decode(view);
  }
}

// Records with the line each begins on. A quote only means something at the start of a cell.
function csvRecords(source, delimiter, firstLine) {
  const records = [];
  let cells = [];
  let cell = "";
  let line = firstLine;
  let begin = firstLine;
  let at = 0;
  const endRecord = () => {
    cells.push(cell);
    if (cells.some((each) => each.trim())) records.push({ line: begin, cells });
    cells = [];
    cell = "";
    begin = line;
  };
  while (at < source.length) {
    const mark = source[at];
    if (mark === '"' && cell === "") {
      let end = at + 1;
      for (;;) {
        end = source.indexOf('"', end);
        if (end < 0) throw new Error(`line ${line}: the quote that opens here is never closed`);
        if (source[end + 1] !== '"') break;
        end += 2;
      }
      const quoted = source.slice(at + 1, end);
      line += (quoted.match(/\r\n|\r|\n/g) || []).length;
      cell = quoted.replaceAll('""', '"');
      at = end + 1;
    } else if (mark === delimiter) {
      cells.push(cell);
      cell = "";
      at += 1;
    } else if (mark === "\r" || mark === "\n") {
      at += mark === "\r" && source[at + 1] === "\n" ? 2 : 1;
      line += 1;
      endRecord();
    } else {
      cell += mark;
      at += 1;
    }
  }
  if (cell || cells.length) endRecord();
  return records;
}

// Marks by item, and everything that is wrong with the file.
function parseReview(source) {
  const marked = source.replace(/^\ufeff/, "");
  const clean = marked.replace(/^"?sep=."?\r?\n/i, ""); // Excel's hint
  const firstLine = clean === marked ? 1 : 2;
  const header = clean.slice(0, clean.search(/[\r\n]|$/));
  const delimiter = [",", ";", "\t"].reduce((best, each) =>
    header.split(each).length > header.split(best).length ? each : best);
  let records;
  try {
    records = csvRecords(clean, delimiter, firstLine);
  } catch (error) {
    return { marks: new Map(), problems: [error.message] };
  }
  const names = (records.shift() || { cells: [] }).cells.map((name) => name.trim().toLowerCase());
  const missing = ["row", "sample", "decision"].filter((name) => !names.includes(name));
  if (missing.length) return { marks: new Map(), problems: [`line ${firstLine}: there is no column ${missing.join(", ")}`] };
  const index = itemIndex();
  const marks = new Map();
  const problems = [];
  for (const { line, cells } of records) {
    const fields = {};
    for (const name of REVIEW_COLUMNS) {
      const cell = names.includes(name) ? cells[names.indexOf(name)] || "" : "";
      fields[name] = GUARDED.test(cell) ? cell.slice(1) : cell;
    }
    const found = markOf(fields, index);
    if (typeof found === "string") problems.push(`line ${line}: ${found}`);
    else marks.set(found.item, found.mark);
  }
  return { marks, problems };
}

function itemIndex() {
  const index = new Map();
  for (let item = 0; item < items.count; item += 1) {
    // A line without a version is about the present one.
    for (const version of [number("version", item), ""]) {
      const place = `/${number("sample", item)}/${version}`;
      index.set(`row ${number("row", item)}${place}`, item);
      if (text("key", item)) index.set(text("key", item) + place, item);
    }
  }
  return index;
}

const DECISION_SPELLINGS = {
  "": null, approve: "approve", approved: "approve", reject: "reject", rejected: "reject", redo: "redo",
};

// The mark that the fields of one line state, or what is wrong with them.
function markOf(fields, index) {
  const trimmed = (name) => String(fields[name] ?? "").trim();
  const whole = (name) => trimmed(name).replace(/^0+(?=\d)/, "").replace(/\.0*$/, "");
  const place = `/${whole("sample")}/${whole("version")}`;
  const key = trimmed("key").toLowerCase();
  const item = key ? index.get(key + place) : index.get(`row ${whole("row")}${place}`);
  if (item === undefined) return `row ${trimmed("row")}, sample ${trimmed("sample")} is not an image of this page`;
  const word = trimmed("decision").toLowerCase();
  if (!Object.hasOwn(DECISION_SPELLINGS, word)) return `"${word}" is not a decision (approve, reject, redo or empty)`;
  const seed = whole("seed");
  if (seed && !validSeed(seed)) return "the seed must be a whole number from 0 to 4294967295";
  const decision = DECISION_SPELLINGS[word];
  const prompt = trimmed("prompt") ? String(fields.prompt) : null;
  if (decision !== "redo" && (prompt || seed)) return "a new prompt or seed needs the decision redo";
  const note = trimmed("note") ? String(fields.note) : null;
  return { item, mark: { decision, prompt, seed: seed ? Number(seed) : null, note } };
}

function validSeed(seed) {
  return /^\d{1,10}$/.test(seed) && Number(seed) <= 4294967295;
}
