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
