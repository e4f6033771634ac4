// The samples, as arrays by column. Item `i` of the page is index `i` of every array; 100,000 objects with twenty
// properties each would take several times the memory.

const run = JSON.parse(find("run").textContent);

const NUMBER_COLUMNS = ["row", "sample", "version", "width", "height", "seed", "cost_usd", "new_seed"];
const TEXT_COLUMNS = [
  "id", "key", "status", "file", "thumbnail", "prompt", "input_prompt", "model", "provider", "reason", "category",
  "advice", "decision", "edited_prompt", "note",
];

const texts = [null]; // every different text once; columns hold numbers into it
const textNumbers = new Map([[null, 0]]);

const items = {
  count: 0,
  numbers: Object.fromEntries(NUMBER_COLUMNS.map((name) => [name, []])),
  texted: Object.fromEntries(TEXT_COLUMNS.map((name) => [name, []])),
  user: new Map(), // name -> array of text numbers, with holes where a chunk does not have the column
  warnings: new Map(), // item -> texts
  earlier: new Map(), // item -> versions, oldest first
};

function text(column, item) {
  return texts[items.texted[column][item]];
}

function number(column, item) {
  return items.numbers[column][item];
}

function userText(name, item) {
  return texts[items.user.get(name)[item] || 0];
}

function internText(value) {
  let place = textNumbers.get(value);
  if (place === undefined) {
    place = texts.length;
    texts.push(value);
    textNumbers.set(value, place);
  }
  return place;
}

// Reads the chunks that the parser has reached and forgets their source. Returns how many items are new.
function readChunks() {
  const before = items.count;
  for (const block of document.querySelectorAll("script.items")) {
    addChunk(JSON.parse(block.textContent));
    block.remove();
  }
  return items.count - before;
}

function addChunk(chunk) {
  const places = chunk.texts.map(internText);
  const start = items.count;
  for (const name of NUMBER_COLUMNS) append(items.numbers[name], chunk.numbers[name] ?? null, chunk.count);
  for (const name of TEXT_COLUMNS) append(items.texted[name], chunk.texted[name] ?? 0, chunk.count, places);
  for (const [name, column] of chunk.user) {
    if (!items.user.has(name)) items.user.set(name, new Array(start).fill(0));
    append(items.user.get(name), column, chunk.count, places);
  }
  for (const [at, words] of Object.entries(chunk.warnings)) {
    items.warnings.set(start + Number(at), words.map((word) => chunk.texts[word]));
  }
  for (const [at, versions] of Object.entries(chunk.earlier)) {
    items.earlier.set(start + Number(at), versions.map((fields) => readVersion(fields, chunk.texts)));
  }
  items.count += chunk.count;
  for (const column of items.user.values()) while (column.length < items.count) column.push(0);
}

function append(target, column, length, places = null) {
  for (let at = 0; at < length; at += 1) {
    const value = Array.isArray(column) ? column[at] : column;
    target.push(places ? places[value] : value);
  }
}

function readVersion([version, ...fields], names) {
  const [status, file, thumbnail, prompt, reason, decision, note] = fields.map((place) => names[place]);
  return { version, status, file, thumbnail, prompt, reason, decision, note };
}

const STATUS_WORDS = {
  ok: "ok",
  filtered: "refused",
  failed: "failed",
  unknown: "no reply",
  skipped_budget: "over budget",
  not_attempted: "not attempted",
};

function wordOfStatus(status) {
  return Object.hasOwn(STATUS_WORDS, status) ? STATUS_WORDS[status] : String(status);
}

function statusWord(item) {
  return wordOfStatus(text("status", item));
}

const WARNING_WORDS = {
  aspect_ratio: "other aspect ratio",
  duplicate_bytes: "same bytes as another",
  flat_color: "flat color",
  extra_image: "further image dropped",
};

function warningWords(name) {
  return Object.hasOwn(WARNING_WORDS, name) ? WARNING_WORDS[name] : words(name);
}

function words(name) {
  return String(name).replaceAll("_", " ");
}

// "12 cover" or "row 12"
function rowName(item) {
  const id = text("id", item);
  return id === null ? `row ${number("row", item)}` : `${number("row", item)} ${id}`;
}

function itemName(item) {
  const id = text("id", item);
  return `${id === null ? `row ${number("row", item)}` : id}, sample ${number("sample", item)}`;
}

// A prompt may have 150,000 characters; what is shown in one line needs the first few.
function shorten(value, length = 300) {
  return value !== null && value.length > length ? `${value.slice(0, length)}…` : value || "";
}

// What an image is said to show: there is nothing better than the prompt it was made from.
function alternativeText(item) {
  return `${itemName(item)}: ${shorten(text("prompt", item))}`;
}

// Same row next to each other: the first item of each row's group, and behind the last one the end.
function sameRow(one, other) {
  return number("row", one) === number("row", other);
}
