// Which items are shown. A filter value has three states: any, include, exclude. Included values of one facet are
// alternatives; facets add up. The list changes only when the user changes a filter, never by a mark.

const MAX_VALUES = 24; // a user column with more different values is searched, not filtered

const filters = {
  facets: [], // { name, title, values: [{ value, label, count }], of: item -> list of values }
  states: new Map(), // "facet\nvalue" -> "include" | "exclude"
  query: "",

  state(facet, value) {
    return this.states.get(`${facet.name}\n${value}`) || "any";
  },

  cycle(facet, value, backwards) {
    const order = ["any", "include", "exclude"];
    const next = order[(order.indexOf(this.state(facet, value)) + (backwards ? 2 : 1)) % 3];
    this.put(facet, value, next);
    return next;
  },

  put(facet, value, state) {
    if (state === "any") this.states.delete(`${facet.name}\n${value}`);
    else this.states.set(`${facet.name}\n${value}`, state);
  },

  get active() {
    return this.states.size > 0 || this.query.trim() !== "";
  },

  matching() {
    const tests = this.facets.map((facet) => facetTest(facet)).filter((test) => test !== null);
    const query = searchTest(this.query);
    if (query) tests.push(query);
    const found = [];
    for (let item = 0; item < items.count; item += 1) {
      if (tests.every((test) => test(item))) found.push(item);
    }
    return found;
  },
};

function facetTest(facet) {
  const included = new Set();
  const excluded = new Set();
  for (const { value } of facet.values) {
    const state = filters.state(facet, value);
    if (state === "include") included.add(value);
    if (state === "exclude") excluded.add(value);
  }
  if (!included.size && !excluded.size) return null;
  return (item) => {
    const values = facet.of(item);
    return !values.some((value) => excluded.has(value))
      && (!included.size || values.some((value) => included.has(value)));
  };
}

// Every word has to be found somewhere in the item's texts.
function searchTest(query) {
  const wanted = query.toLowerCase().split(/\s+/).filter((word) => word);
  if (!wanted.length) return null;
  const hits = wanted.map((word) => texts.map((value) => value !== null && value.toLowerCase().includes(word)));
  const columns = ["id", "prompt", "input_prompt", "reason", "category", "model"]
    .map((name) => items.texted[name]).concat([...items.user.values()]);
  const file = items.texted.file; // full of digits, which short words would find everywhere
  return (item) => {
    const mark = review.get(item);
    const own = `${mark.note || ""} ${mark.prompt || ""}`.toLowerCase();
    return wanted.every((word, at) => columns.some((column) => hits[at][column[item]]) || own.includes(word)
      || (word.length > 5 && hits[at][file[item]]));
  };
}

const DECISION_LABELS = { approve: "approved", reject: "rejected", redo: "to redo", "": "undecided" };

function buildFacets() {
  const facets = [
    facetOf("decision", "Decision", (item) => [review.get(item).decision || ""], (value) => DECISION_LABELS[value],
      ["", "approve", "reject", "redo"]),
    facetOf("status", "Status", (item) => [text("status", item)], wordOfStatus),
    facetOf("category", "Reason", (item) => listed(text("category", item)), words),
    facetOf("warning", "Warning", (item) => items.warnings.get(item) || [], warningWords),
    facetOf("model", "Model", (item) => listed(text("model", item)), String),
    facetOf("history", "History", (item) => (items.earlier.has(item) ? ["earlier"] : []), () => "has earlier versions"),
  ];
  for (const name of items.user.keys()) {
    const facet = facetOf(`user:${name}`, name, (item) => [userText(name, item) || ""], (value) => value || "(empty)");
    facet.values.sort((one, other) => one.label.localeCompare(other.label, undefined, { numeric: true }));
    facets.push(facet);
  }
  filters.facets = facets.filter((facet) => isUseful(facet));
}

function listed(value) {
  return value === null ? [] : [value];
}

function facetOf(name, title, of, label, fixed = []) {
  const counts = new Map(fixed.map((value) => [value, 0]));
  for (let item = 0; item < items.count; item += 1) {
    for (const value of of(item)) counts.set(value, (counts.get(value) || 0) + 1);
    if (counts.size > MAX_VALUES) return { name, title, of, values: [] };
  }
  const values = [...counts].map(([value, total]) => ({ value, total, label: label(value) }));
  if (!fixed.length) values.sort((one, other) => other.total - one.total || (one.label < other.label ? -1 : 1));
  return { name, title, of, values };
}

function isUseful(facet) {
  if (facet.values.length > 1) return true;
  const covers = facet.values.length === 1 && facet.values[0].total < items.count;
  return covers;
}

function showFacets() {
  const panel = find("filters");
  panel.textContent = "";
  for (const facet of filters.facets) {
    const list = make("div", { class: "facet", role: "group", "aria-label": facet.title });
    list.append(make("h2", { text: facet.title }));
    for (const entry of facet.values) list.append(facetButton(facet, entry));
    panel.append(list);
  }
  panel.append(make("p", { class: "hint", text: "Click once to show only these, twice to hide them, again for any." }));
}

function facetButton(facet, entry) {
  const total = make("span", { class: "total", text: entry.total.toLocaleString("en-US") });
  const element = make("button", { type: "button", class: "value" },
    make("span", { class: "state", "aria-hidden": "true" }),
    make("span", { class: "label", text: entry.label, title: entry.label }), total);
  entry.total_element = total;
  const show = () => {
    const state = filters.state(facet, entry.value);
    element.dataset.state = state;
    element.firstChild.textContent = { any: "", include: "+", exclude: "\u2212" }[state];
    element.setAttribute("aria-label", `${facet.title} ${entry.label}: ${state}, ${count(entry.total, "sample")}`);
  };
  element.addEventListener("click", (event) => {
    const state = filters.cycle(facet, entry.value, event.shiftKey);
    show();
    applyFilters();
    announce(`${facet.title} ${entry.label}: ${state}. ${count(grid.order.length, "sample")}.`, { show: false });
  });
  entry.show = show;
  show();
  return element;
}

// The counts beside the decisions follow the marks; the list of images does not.
function updateDecisionCounts() {
  const facet = filters.facets.find((each) => each.name === "decision");
  if (!facet) return;
  for (const entry of facet.values) {
    entry.total = entry.value ? review.counts[entry.value] : items.count - review.decided;
    if (entry.total_element) entry.total_element.textContent = entry.total.toLocaleString("en-US");
  }
}

function dependsOnMarks() {
  return [...filters.states.keys()].some((name) => name.startsWith("decision\n"));
}

function clearFilters() {
  filters.states.clear();
  filters.query = "";
  find("search").value = "";
  for (const facet of filters.facets) for (const entry of facet.values) if (entry.show) entry.show();
  applyFilters();
}
