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
