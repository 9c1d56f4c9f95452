// What is wrong with the page for those who hear it, use a keyboard, or see little: a list of sentences.
// Contrast is computed from the styles as they are, by WCAG 2.2 (success criteria 1.4.3 and 1.4.11).
const wrong = [];
const name = element => `<${element.tagName.toLowerCase()}> “${(element.textContent || element.id || "").trim().slice(0, 40)}”`;

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function colour(text) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  return Array.from(canvas.getImageData(0, 0, 1, 1).data);
}
// How much of an element is seen through what dims it and what it is in.
function presence(element) {
  let part = 1;
  for (let at = element; at; at = at.parentElement) part *= Number(getComputedStyle(at).opacity);
  return part;
}
function over([r, g, b, a], [R, G, B]) {
  const part = a / 255;
  return [r * part + R * (1 - part), g * part + G * (1 - part), b * part + B * (1 - part), 255];
}
function ground(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return layers.reduceRight((below, layer) => over(layer, below), dark ? [18, 18, 18, 255] : [255, 255, 255, 255]);
}
function luminance(colour) {
  const [r, g, b] = colour.slice(0, 3).map(value => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".unseen, script, style")) continue;
  texts++;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  const below = ground(element);
  const ink = colour(style.color);
  ink[3] *= presence(element);
  const ratio = contrast(over(ink, below), below);
  if (ratio < needed) wrong.push(`${name(element)} has a contrast of ${ratio.toFixed(2)}, not ${needed}`);
}
if (texts < 5) wrong.push(`only ${texts} texts were looked at`);

for (const field of document.querySelectorAll("input:not([type=hidden]), textarea, select")) {
  if (!field.labels.length) wrong.push(`${name(field)} has no label`);
  if (field.getAttribute("aria-invalid") === "true" && !document.getElementById((field.getAttribute("aria-describedby") || "").split(" ")[0])?.textContent.trim()) {
    wrong.push(`${name(field)} is wrong, and does not say why`);
  }
  const edge = contrast(colour(getComputedStyle(field).borderTopColor), ground(field.parentElement));
  if (edge < 3) wrong.push(`${name(field)} has an edge of contrast ${edge.toFixed(2)}, not 3`);
}
for (const reference of document.querySelectorAll("[aria-describedby], [aria-labelledby]")) {
  for (const attribute of ["aria-describedby", "aria-labelledby"]) {
    for (const id of (reference.getAttribute(attribute) || "").split(" ").filter(Boolean)) {
      if (!document.getElementById(id)) wrong.push(`${name(reference)}: ${attribute} names ${id}, which is not there`);
    }
  }
}
for (const image of document.images) if (!image.hasAttribute("alt")) wrong.push(`${image.src} has no alt`);
for (const control of document.querySelectorAll("a, button")) {
  if (!(control.textContent.trim() || control.getAttribute("aria-label"))) wrong.push(`${control.outerHTML} has no name`);
}
const ids = Array.from(document.querySelectorAll("[id]"), element => element.id);
ids.filter((id, at) => ids.indexOf(id) !== at).forEach(id => wrong.push(`there are two of ${id}`));

if (document.documentElement.lang !== "en") wrong.push("the page does not say its language");
if (!/^(.+ – foobar\.com|[45]\d\d \S.*)$/.test(document.title)) wrong.push(`the title is “${document.title}”`);
if (document.doctype?.name !== "html" || document.compatMode !== "CSS1Compat") wrong.push("the page is in quirks mode");
if (document.querySelectorAll("main").length !== 1) wrong.push("there is not one main part");
const levels = Array.from(document.querySelectorAll("h1, h2, h3, h4"), heading => Number(heading.tagName[1]));
if (levels.filter(level => level === 1).length !== 1 || levels[0] !== 1) wrong.push(`the headings are ${levels}`);
levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) wrong.push(`a heading skips a level: ${levels}`); });
// Motion is for those who did not ask for less of it (WCAG 2.3.3).
if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
  for (const element of document.querySelectorAll("*")) for (const part of [null, "::before", "::after"]) {
    const style = getComputedStyle(element, part);
    const lasts = (style.transitionDuration + "," + style.animationDuration).split(",").some(time => parseFloat(time) > 0);
    if (lasts || style.scrollBehavior === "smooth") wrong.push(`${name(element)} moves`);
  }
}
// The focus is seen on whatever can have it (WCAG 2.4.7), at 3:1 against what is around it (1.4.11).
for (const element of document.querySelectorAll("a[href], button, input:not([type=hidden]), textarea, select, summary")) {
  element.focus({ focusVisible: true });
  if (document.activeElement !== element) { wrong.push(`${name(element)} cannot have the focus`); continue; }
  const style = getComputedStyle(element);
  const ring = contrast(colour(style.outlineColor), ground(element.parentElement));
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2 || ring < 3) wrong.push(`${name(element)} does not show the focus`);
  element.blur();
}
scrollTo(0, 0);
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
  wrong.push(`the page is ${document.documentElement.scrollWidth} wide in ${document.documentElement.clientWidth}`);
}
return wrong;
