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
