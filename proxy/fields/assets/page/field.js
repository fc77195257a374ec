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
