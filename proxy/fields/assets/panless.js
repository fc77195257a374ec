// Panless hosted fields: what a shop's page loads. It holds frames; what is typed into them never comes here.

const SCRIPT = __PANLESS_SCRIPT__;
const ORIGIN = new URL(SCRIPT).origin;
const READY_MS = 10_000;
const LOADED_MS = 1_000;
const ANSWER_MS = 40_000;
// Which fields stand together, and which of them has to be there for a token.
const FAMILIES = { card: ["card"], parts: ["number", "expiry", "cvc"], iban: ["iban"], bank: ["account", "routing"] };
const MAIN = ["card", "number", "iban", "account"];
const TYPES = Object.values(FAMILIES).flat();
const TOKEN = /^(?:tok_[0-9a-z]{26}|[0-9]{12,19})$/;
// Elements that show nothing of what is put into them.
const HOLLOW = /^(?:AREA|AUDIO|BR|BUTTON|CANVAS|EMBED|HR|IFRAME|IMG|INPUT|METER|OBJECT|PROGRESS|SELECT|TEXTAREA|VIDEO)$/;
const EVENTS = ["ready", "change", "focus", "blur", "error", "brand", "enter"];
const SAYINGS = {
  field_unreachable: "The secure field could not be loaded. Please check your connection and reload the page.",
  network_failed: "The connection failed. Please try again.",
  tokenize_failed: "Your details could not be saved. Please try again.",
};

/** A failure that the customer may be told of: `message` is fit to be shown, `code` is stable. */
class PanlessError extends Error {
  constructor({ code, message, field = null, retry = "safe", retryAfter, detail }) {
    super(message || SAYINGS[code] || SAYINGS.tokenize_failed);
    this.name = "PanlessError";
    this.code = code;
    this.field = field;
    this.retry = retry;
    if (retryAfter) this.retryAfter = retryAfter;
    if (detail) this.detail = detail;
  }
}

/** A mistake of who wrote the page. */
function misused(sentence) {
  return new TypeError(`Panless: ${sentence}`);
}

function only(given, names, what) {
  if (given === undefined || given === null) return {};
  if (typeof given !== "object") throw misused(`the options of ${what} have to be an object.`);
  const alien = Object.keys(given).find((name) => !names.includes(name));
  if (alien) throw misused(`${what} has no option "${alien}"; there are ${names.join(", ")}.`);
  return given;
}

class Listeners {
  #of = new Map();

  on(event, listener) {
    if (!EVENTS.includes(event)) throw misused(`there is no event "${event}"; there are ${EVENTS.join(", ")}.`);
    if (typeof listener !== "function") throw misused(`the listener of "${event}" has to be a function.`);
    if (!this.#of.has(event)) this.#of.set(event, new Set());
    this.#of.get(event).add(listener);
    return () => this.#of.get(event).delete(listener);
  }

  /** Tell all listeners; return whether there were any. */
  tell(event, detail) {
    const listeners = [...(this.#of.get(event) ?? [])];
    for (const listener of listeners) listener(detail);
    return listeners.length > 0;
  }
}

async function post(path, body, sayings = {}) {
  const failed = (code, more) => new PanlessError({ code, message: sayings[code] ?? sayings.tokenize_failed, ...more });
  let answer;
  try {
    answer = await fetch(ORIGIN + path, {
      method: "POST",
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(READY_MS * 3),
    });
  } catch {
    throw failed("network_failed");
  }
  const told = (await answer.json().catch(() => null)) ?? {};
  if (answer.ok && (told.session ?? told.token)) return told;
  const seconds = Number(answer.headers.get("Retry-After"));
  const detail = told.title && `${told.title} ${told.detail} (request ${told.request_id})`;
  throw failed(told.code ?? "tokenize_failed", { retry: told.retry, retryAfter: seconds > 0 ? seconds : undefined, detail });
}

/** Do something with a new session; once more with another where that one had ended. */
async function inSession(key, work, sayings) {
  for (let again = true; ; again = false) {
    const { session } = await post("/v1/sessions", { key }, sayings);
    try {
      return await work(session);
    } catch (error) {
      if (error.code !== "field_session_ended" || !again) throw error;
    }
  }
}

/** Whether the page is light or dark where an element stands. */
function schemeAt(element) {
  const scheme = getComputedStyle(element).colorScheme;
  const dark = scheme.includes("dark") && (!scheme.includes("light") || matchMedia("(prefers-color-scheme: dark)").matches);
  return dark ? "dark" : "light";
}

function found(target) {
  const element = typeof target === "string" ? document.querySelector(target) : target;
  if (!(element instanceof Element)) throw misused(`there is no element ${typeof target === "string" ? `"${target}"` : "to mount into"}.`);
  const root = element.getRootNode();
  if (root instanceof ShadowRoot) throw misused("fields cannot be mounted in a shadow root: their frames would not find each other.");
  if (HOLLOW.test(element.tagName)) throw misused(`a field cannot be seen in <${element.tagName.toLowerCase()}>: mount it into a <div>.`);
  if (root !== document) throw misused("the element to mount into is not in the document.");
  return element;
}

class Field {
  type;
  #group;
  #options;
  #listeners = new Listeners();
  #element = null;
  #frame = null;
  #ended = null;
  #state = "unmounted";
  #waiting = [];
  #asked = new Map();
  #count = 0;
  #reason = null; // why it cannot be reached
  #wanted = false; // the focus, before there is anything to have it
  sayings = {};

  constructor(group, type, options) {
    this.type = type;
    this.#group = group;
    this.#options = only(options, ["placeholder", "style", "label", "messages"], `create("${type}")`);
  }

  on(event, listener) {
    return this.#listeners.on(event, listener);
  }

  get mounted() {
    return this.#frame !== null;
  }

  mount(target) {
    if (this.#frame) throw misused(`the ${this.type} field is mounted already.`);
    const element = found(target);
    if (element.querySelector("iframe")) throw misused("there is a field in this element already.");
    this.#element = element;
    this.#ended = new AbortController();
    this.#frame = this.#made();
    this.#listen();
    this.#mark({ empty: true });
    this.#state = "loading";
    element.append(this.#frame);
    return this;
  }

  unmount() {
    if (!this.#frame) return this;
    this.#ended.abort();
    this.#frame.remove();
    this.#frame = null;
    this.#mark({});
    this.#element.classList.remove("panless-focus");
    this.#state = "unmounted";
    this.#fail(new PanlessError({ code: "field_unreachable" }));
    return this;
  }

  focus() {
    this.#wanted = this.#state === "loading";
    if (this.#state !== "ready") return;
    this.#frame.focus();
    this.#say("focus");
  }

  clear() {
    if (this.#state === "ready") this.#say("clear");
  }

  #made() {
    const frame = document.createElement("iframe");
    const { key, channel, locale } = this.#group.settings;
    const query = new URLSearchParams({ key, origin: location.origin, field: this.type, channel, locale });
    frame.src = `${ORIGIN}/v1/frame?${query}`;
    frame.title = `Panless ${this.type}`;
    frame.referrerPolicy = "no-referrer";
    const looks = { border: 0, display: "block", width: "100%", height: "24px", opacity: 0, "color-scheme": this.#scheme() };
    for (const [name, value] of Object.entries(looks)) frame.style.setProperty(name, value);
    return frame;
  }

  #listen() {
    const { signal } = this.#ended;
    const focus = () => this.focus();
    addEventListener("message", (event) => this.#heard(event), { signal });
    this.#element.addEventListener("click", focus, { signal });
    const { id } = this.#element;
    if (id) document.querySelector(`label[for="${CSS.escape(id)}"]`)?.addEventListener("click", focus, { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#relight(), { signal });
    const timer = setTimeout(() => this.#unreachable(), READY_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
    // What loads and says nothing may be a refusal, which no page can read in a frame.
    this.#frame.addEventListener("load", () => setTimeout(() => this.#refused(), LOADED_MS), { signal });
  }

  get #style() {
    const own = this.#options.style ?? {};
    const style = { ...this.#group.settings.style };
    for (const [state, looks] of Object.entries(own)) {
      style[state] = typeof looks === "object" && looks !== null ? { ...style[state], ...looks } : looks;
    }
    return style;
  }

  #scheme() {
    return this.#style.colorScheme === undefined ? schemeAt(this.#element) : String(this.#style.colorScheme);
  }

  #relight() {
    const scheme = this.#scheme();
    this.#frame.style.setProperty("color-scheme", scheme);
    this.#say("scheme", { scheme });
  }

  #say(type, data = {}) {
    this.#frame?.contentWindow?.postMessage({ ...data, panless: this.#group.settings.channel, type }, ORIGIN);
  }

  /** Ask the frame for something; the answer is its result, or a PanlessError is raised. */
  ask(type, data) {
    const id = (this.#count += 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new PanlessError({ code: "network_failed", message: this.sayings.network_failed })), ANSWER_MS);
      this.#asked.set(id, { resolve, reject, timer });
      this.#say(type, { ...data, id });
    });
  }

  /** Return once the frame is ready; raises PanlessError where it cannot be reached. */
  reached() {
    if (this.#frame && !this.#frame.isConnected) this.#state = "unreachable"; // somebody emptied its element
    if (this.#state === "ready") return Promise.resolve();
    if (this.#state !== "loading") return Promise.reject(this.#reason ?? new PanlessError({ code: "field_unreachable", field: this.type }));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ask for a session, to learn whether it is the key or the page that is not right. */
  async #refused() {
    if (this.#state !== "loading") return;
    const error = await post("/v1/sessions", { key: this.#group.settings.key }).then(() => null, (refusal) => refusal);
    if (error?.detail) this.#unreachable(Object.assign(error, { field: this.type }));
  }

  #unreachable(error = new PanlessError({ code: "field_unreachable", field: this.type })) {
    if (this.#state !== "loading") return;
    this.#state = "unreachable";
    this.#reason = error;
    this.#fail(error);
    this.#tell("error", { error });
  }

  #fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const { reject, timer } of this.#asked.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#asked.clear();
  }

  #heard({ source, origin, data }) {
    if (source !== this.#frame?.contentWindow || origin !== ORIGIN) return;
    if (typeof data !== "object" || data === null || data.panless !== this.#group.settings.channel) return;
    const { type } = data;
    if (type === "loaded") this.#loaded();
    else if (type === "ready") this.#readied(data);
    else if (type === "height") this.#frame.style.height = `${Math.min(Math.max(Number(data.height) || 0, 16), 400)}px`;
    else if (type === "answer") this.#answered(data);
    else if (type === "change") this.#changed(data.state);
    else if (type === "focus" || type === "blur") this.#focused(type, data.part);
    else if (type === "brand") this.#tell("brand", { brand: data.brand });
    else if (type === "enter") this.#entered(data.part);
    else if (type === "error") this.#tell("error", { error: new PanlessError({ ...data.error, field: this.type }) });
  }

  #loaded() {
    if (this.#state === "ready") {
      // Its element was moved, and it loads again: what was typed is lost, and what it was asked.
      this.#fail(new PanlessError({ code: "field_unreachable", field: this.type }));
      this.#state = "loading";
    }
    const { placeholder, label, messages } = this.#options;
    this.#say("init", { options: { style: this.#style, scheme: this.#scheme(), placeholder, label, messages } });
  }

  #readied({ title, texts }) {
    this.#frame.title = title;
    this.#frame.style.opacity = 1;
    this.sayings = texts;
    this.#state = "ready";
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    if (this.#wanted) this.focus();
    this.#tell("ready", {});
  }

  #answered({ id, result, error }) {
    const asked = this.#asked.get(id);
    if (!asked) return;
    this.#asked.delete(id);
    clearTimeout(asked.timer);
    if (error?.detail) console.error(`Panless: ${error.code}: ${error.detail}`);
    if (error) asked.reject(new PanlessError(error));
    else asked.resolve(result);
  }

  #changed(state) {
    this.#mark({ empty: state.empty, complete: state.complete, invalid: !state.valid });
    this.#tell("change", state);
  }

  #focused(type, part) {
    this.#element.classList.toggle("panless-focus", type === "focus");
    this.#tell(type, { part });
  }

  /** Without a listener, Enter does what it does in any input. */
  #entered(part) {
    if (this.#tell("enter", { part })) return;
    const form = this.#element.closest("form");
    if (form && !form.querySelector("button:not([type=button], [type=reset]), [type=submit]")?.disabled) form.requestSubmit();
  }

  #mark(now) {
    for (const name of ["empty", "complete", "invalid"]) this.#element.classList.toggle(`panless-${name}`, Boolean(now[name]));
  }

  #tell(event, detail) {
    const told = { ...detail, field: this.type };
    const heard = [this.#listeners.tell(event, told), this.#group.tell(event, told)];
    const { error } = told;
    if (event === "error" && (error.detail || !heard.includes(true))) {
      console.error(`Panless: ${error.code}: ${error.detail ?? error.message} This page is ${location.origin}.`);
    }
    return heard.includes(true);
  }
}

class Group {
  #fields = [];
  #listeners = new Listeners();
  #running = null;
  settings;

  constructor(key, options) {
    const { locale, style, token } = options;
    if (token !== undefined && !TOKEN.test(token)) throw misused("the token has to be one of a card: tok_...");
    this.settings = {
      key,
      style,
      token,
      channel: Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(""),
      locale: String(locale || document.documentElement.lang || "en"),
    };
  }

  create(type, options) {
    if (!TYPES.includes(type)) throw misused(`there is no field "${type}"; there are ${TYPES.join(", ")}.`);
    if (this.#fields.some((field) => field.type === type)) throw misused(`this group has a ${type} field already.`);
    if (this.settings.token && type !== "cvc") throw misused("a group with a token takes a cvc field only.");
    const field = new Field(this, type, options);
    this.#fields.push(field);
    return field;
  }

  on(event, listener) {
    return this.#listeners.on(event, listener);
  }

  tell(event, detail) {
    return this.#listeners.tell(event, detail);
  }

  /** Swap what is typed for tokens. Raises PanlessError. */
  tokenize(options) {
    const { name } = only(options, ["name"], "tokenize()");
    if (name !== undefined && typeof name !== "string") throw misused("the name has to be text.");
    this.#running ??= this.#tokenized(name).finally(() => (this.#running = null));
    return this.#running;
  }

  async #tokenized(name) {
    const fields = this.#fields.filter((field) => field.mounted);
    if (!fields.length) throw misused("no field of this group is mounted.");
    const family = Object.values(FAMILIES).find((types) => types.includes(fields[0].type));
    const alien = fields.find((field) => !family.includes(field.type));
    if (alien) throw misused(`the ${fields[0].type} and ${alien.type} fields do not go together: make a group for each.`);
    const whole = this.settings.token || fields.some((field) => MAIN.includes(field.type));
    if (!whole) throw misused("there is no token for this: mount a number, iban or account field, or give fields() the token of a saved card.");
    await Promise.all(fields.map((field) => field.reached()));
    const [lead] = fields;
    await lead.ask("check");
    const { key, token } = this.settings;
    return inSession(key, (session) => lead.ask("tokenize", { session, name, token }), lead.sayings);
  }
}

/** Begin with a publishable key. */
function Panless(key, options) {
  if (typeof key !== "string" || !/^pk_[A-Za-z0-9_]+$/.test(key)) throw misused("the key has to be a publishable one, pk_...; never put another into a page.");
  const shared = only(options, ["locale"], "Panless()");
  return Object.freeze({
    fields: (given) => new Group(key, { ...shared, ...only(given, ["locale", "style", "token"], "fields()") }),
    wallet: async (wallet, payload) => {
      if (wallet !== "apple_pay" && wallet !== "google_pay") throw misused("the wallet has to be apple_pay or google_pay.");
      if (!payload || !["string", "object"].includes(typeof payload)) throw misused("the payload has to be an object or text.");
      const text = typeof payload === "string" ? payload : JSON.stringify(payload);
      return inSession(key, (session) => post("/v1/tokens", { session, wallet, payload: text }));
    },
  });
}

Panless.PanlessError = PanlessError;

export { Panless };
export default Panless;
