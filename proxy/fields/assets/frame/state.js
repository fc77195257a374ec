// What the shop's page is told about a field: whether it is empty, complete, right; never what was typed.

/** The state of the parts of one frame. Last digits are told once the number was left: not digit by digit. */
export function stateOf(parts, texts) {
  const wrong = parts.find((part) => part.error);
  const complete = parts.every((part) => part.complete);
  const state = { empty: parts.every((part) => part.empty), complete, valid: !wrong };
  if (wrong) state.error = { code: wrong.error, field: wrong.name, message: texts[`error.${wrong.error}`] ?? "" };
  const number = parts.find((part) => part.rule.brand);
  if (number?.brand) state.brand = number.brand;
  if (number?.last4 && complete && !number.focused) state.last4 = number.last4;
  return state;
}
