// Keeps the caret where it was while the text around it is grouped anew.

const SIGNIFICANT = /[0-9A-Za-z\uff10-\uff19]/;

const count = (text) => [...text].filter((char) => SIGNIFICANT.test(char)).length;

/** Where the caret stands in `formatted` if `before` characters that count stand in front of it. */
export function caretAfter(formatted, before) {
  let at = 0;
  for (let seen = 0; at < formatted.length && seen < before; at += 1) {
    if (SIGNIFICANT.test(formatted[at])) seen += 1;
  }
  return at;
}

/** Group what is in an input by a rule and return what counts of it. */
export function regroup(input, rule, context) {
  const typed = input.value;
  const caret = input.selectionStart ?? typed.length;
  const plain = rule.clean(typed, context);
  const formatted = rule.format(plain, context);
  if (formatted !== typed) {
    input.value = formatted;
    const at = caret >= typed.length ? formatted.length : caretAfter(formatted, count(typed.slice(0, caret)));
    if (input.ownerDocument.activeElement === input) input.setSelectionRange(at, at);
  }
  return plain;
}

/** Step over a separator that is about to be deleted, so that the digit behind it goes. */
export function overSeparator(event) {
  const input = event.target;
  let at = input.selectionStart;
  if (at === null || at !== input.selectionEnd) return;
  if (event.inputType === "deleteContentBackward") {
    while (at > 0 && !SIGNIFICANT.test(input.value[at - 1])) at -= 1;
  } else if (event.inputType === "deleteContentForward") {
    while (at < input.value.length && !SIGNIFICANT.test(input.value[at])) at += 1;
  }
  if (at !== input.selectionStart) input.setSelectionRange(at, at);
}
