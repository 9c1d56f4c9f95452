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
  const ratio = contrast(over(colour(style.color), below), below);
  if (ratio < needed) wrong.push(`${name(element)} has a contrast of ${ratio.toFixed(2)}, not ${needed}`);
}
if (texts < 5) wrong.push(`only ${texts} texts were looked at`);

for (const field of document.querySelectorAll("input:not([type=hidden]), textarea, select")) {
  if (!field.labels.length) wrong.push(`${name(field)} has no label`);
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
if (!document.title.includes(" – foobar.com")) wrong.push(`the title is “${document.title}”`);
if (document.querySelectorAll("main").length !== 1) wrong.push("there is not one main part");
const levels = Array.from(document.querySelectorAll("h1, h2, h3, h4"), heading => Number(heading.tagName[1]));
if (levels.filter(level => level === 1).length !== 1 || levels[0] !== 1) wrong.push(`the headings are ${levels}`);
levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) wrong.push(`a heading skips a level: ${levels}`); });
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
  wrong.push(`the page is ${document.documentElement.scrollWidth} wide in ${document.documentElement.clientWidth}`);
}
return wrong;
