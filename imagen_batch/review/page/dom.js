// Elements, announcements and preferences. Text reaches the page through textContent and properties only, so a prompt
// can never become markup.

const find = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function button(text, onclick, properties = {}) {
  return make("button", { type: "button", text, onclick, ...properties });
}

function count(number, noun) {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

// Read out by a screen reader, and shown for a moment.
let toastTimer = 0;
function announce(text, { show = true } = {}) {
  find("status").textContent = text;
  if (!show) return;
  const toast = find("toast");
  toast.textContent = text;
  toast.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove("shown"), 2200);
}

function warn(text) {
  find("warning").textContent = text;
  find("warning").hidden = !text;
}

// Some browsers block storage for pages from disk, and then even reading the property fails.
function openStorage() {
  try {
    const storage = window.localStorage;
    storage.setItem("imagen-batch:probe", "1");
    storage.removeItem("imagen-batch:probe");
    return storage;
  } catch {
    return null;
  }
}
const storage = openStorage();

function preference(name, fallback) {
  try {
    return (storage && storage.getItem(`imagen-batch:${name}`)) || fallback;
  } catch {
    return fallback;
  }
}

function setPreference(name, value) {
  try {
    if (storage) storage.setItem(`imagen-batch:${name}`, value);
  } catch {
    // A preference that can't be kept is no loss.
  }
}

const THEMES = ["system", "light", "dark"];
function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const name = { system: "Auto", light: "Light", dark: "Dark" }[theme];
  find("theme").textContent = name;
  find("theme").setAttribute("aria-label", `Colors: ${name}. Click to change.`);
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(preference("theme", "system")) + 1) % THEMES.length];
  setPreference("theme", theme);
  applyTheme(theme);
}

// A path below the run folder as an address. Each segment is encoded, so no name can be read as a scheme or a query.
function address(path) {
  try {
    return path ? path.split("/").map(encodeURIComponent).join("/") : null;
  } catch {
    return null; // a lone surrogate
  }
}
