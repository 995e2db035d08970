"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const words = page.words;
const $ = (id) => document.getElementById(id);
const MARKS = { right: "✓", changed: "✎", unreadable: "✕" };
const SAID = { right: "right", changed: "corrected", unreadable: "unreadable" };
const store = "jstr-review-" + page.id;
let answers = {};
let at = 0;

function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = false;
}

try {
  answers = JSON.parse(localStorage.getItem(store) || "{}");
} catch (error) {
  warn("This browser does not keep the work of this page: save the labels before you close it.");
}

function keep() {
  try {
    localStorage.setItem(store, JSON.stringify(answers));
  } catch (error) {
    warn("This browser does not keep the work of this page: save the labels before you close it.");
  }
}

function stateOf(i) {
  const answer = answers[words[i].id];
  if (!answer) return "";
  if (answer.unreadable) return "unreadable";
  return answer.text === words[i].text ? "right" : "changed";
}

function textOf(i) {
  const answer = answers[words[i].id];
  return answer && !answer.unreadable ? answer.text : words[i].text;
}

function interval(right, total) {  // Wilson, 95 %
  const z = 1.959964, p = right / total, n = total;
  const middle = p + z * z / (2 * n), half = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const scale = 1 + z * z / n;
  return [(middle - half) / scale, (middle + half) / scale];
}

function counts() {
  let done = 0, total = 0, right = 0, readable = 0, unreadable = 0;
  words.forEach((word, i) => {
    total += word.files.length;
    const state = stateOf(i);
    if (!state) return;
    done += word.files.length;
    if (state === "unreadable") { unreadable += 1; return; }
    readable += 1;
    right += state === "right" ? 1 : 0;
  });
  return { done, total, right, readable, unreadable };
}

const percent = (value) => (100 * value).toFixed(0);

function showCounts() {
  const { done, total, right, readable, unreadable } = counts();
  $("done").value = total ? done / total : 1;
  const line = $("counts");
  line.replaceChildren();
  const bold = document.createElement("b");
  bold.textContent = done.toLocaleString("en") + " of " + total.toLocaleString("en");
  line.append(bold, " done");
  if (unreadable) line.append(", " + unreadable + " unreadable");
  if (!readable) return;
  const [low, high] = interval(right, readable);
  const what = page.random ? "all words are read right: about " : "right as read, of these doubtful ones: ";
  const value = document.createElement("b");
  value.textContent = percent(right / readable) + " %";
  line.append(" · " + what, value, " (95 %: " + percent(low) + "–" + percent(high) + ")");
}

const rows = words.map((word, i) => {
  const row = document.createElement("button");
  const image = document.createElement("img");
  image.src = word.image;
  image.alt = "";
  image.loading = "lazy";
  image.decoding = "async";
  const said = document.createElement("span");
  said.className = "said";
  said.dir = "auto";
  const mark = document.createElement("span");
  row.type = "button";
  row.tabIndex = -1;
  row.append(image, said, mark);
  row.addEventListener("click", () => show(i));
  return row;
});
document.querySelector("nav").append(...rows);

function showRow(i) {
  const [, said, mark] = rows[i].children;
  const state = stateOf(i);
  said.textContent = state === "unreadable" ? "unreadable" : textOf(i) || "(nothing)";
  mark.textContent = MARKS[state] || "";
  mark.className = "mark " + state;
  rows[i].setAttribute("aria-label", said.textContent + (state ? ", " + SAID[state] : ", not done"));
}

function image(source, alt) {
  const image = document.createElement("img");
  image.src = source;
  image.alt = alt;
  return image;
}

function show(i) {
  rows[at].removeAttribute("aria-current");
  at = Math.max(0, Math.min(i, words.length - 1));
  const word = words[at], state = stateOf(at);
  rows[at].setAttribute("aria-current", "true");
  rows[at].scrollIntoView({ block: "nearest" });
  $("place").textContent = "Word " + (at + 1) + " of " + words.length;
  $("sure").textContent = "read with confidence " + word.confidence.toFixed(2);
  $("source").textContent = word.source;
  $("image").src = word.image;
  $("image").alt = "Image of a word, read as " + (word.text || "nothing");
  $("twins").replaceChildren();
  if (word.files.length > 1) {
    $("twins").append("answers " + word.files.length + " equal images ", ...word.twins.map((t) => image(t, "")));
  }
  const input = $("text");
  input.value = textOf(at);
  input.placeholder = state === "unreadable" ? "unreadable" : "nothing is read";
  $("state").textContent = state ? MARKS[state] + " " + SAID[state] : "";
  $("state").className = state;
  $("others").replaceChildren();
  word.others.forEach((text, k) => {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    const said = document.createElement("bdi");
    key.textContent = "Alt " + (k + 1);
    said.textContent = text;
    button.type = "button";
    button.append(key, said);
    button.addEventListener("click", () => answer({ text }));
    $("others").append(button);
  });
  if (word.others.length) {
    const lead = document.createElement("span");
    lead.textContent = "or is it";
    $("others").prepend(lead);
  }
  input.focus({ preventScroll: true });
  input.select();
  showAccept();
}

function showAccept() {
  const text = $("text").value.trim();
  $("accept").lastChild.textContent = !text ? "Nothing to read" : text === words[at].text ? "Right" : "Correct to this";
}

function answer(given) {
  const i = at;
  answers[words[i].id] = given;
  keep();
  showRow(i);
  showCounts();
  $("live").textContent = "Word " + (i + 1) + ": " + SAID[stateOf(i)];
  let next = words.findIndex((word, k) => k > i && !answers[word.id]);
  if (next < 0) next = words.findIndex((word) => !answers[word.id]);
  if (next < 0) {
    $("live").textContent = "All words are done; save the labels";
    next = i;
  }
  show(next);
  if (next === i) $("save").focus();
}

function accept() {
  const text = $("text").value.replace(/[\t\r\n]+/g, " ").trim();
  if (text) answer({ text });
  else answer({ unreadable: true });
}

function undo() {
  delete answers[words[at].id];
  keep();
  showRow(at);
  showCounts();
  show(at);
}

function labels() {
  const lines = ["filename\tlabel"];
  words.forEach((word) => {
    const given = answers[word.id];
    if (!given) return;
    for (const file of word.files) lines.push(file + "\t" + (given.unreadable ? "###" : given.text));
  });
  return lines.join("\n") + "\n";
}

function save() {
  const { done } = counts();
  if (!done) { warn("Nothing is done yet: there are no labels to save."); return; }
  $("warning").hidden = true;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([labels()], { type: "text/tab-separated-values;charset=utf-8" }));
  link.download = page.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  $("live").textContent = done + " labels saved";
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const input = $("text"), whole = input.selectionStart === 0 && input.selectionEnd === input.value.length;
  const plain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const inText = document.activeElement === input;
  const untouched = whole && input.value === textOf(at);
  let act = null;
  if (event.key === "Enter" && plain && inText) act = accept;
  else if (event.key === "Escape" && plain) act = () => answer({ unreadable: true });
  else if (event.key === "ArrowUp" && plain) act = () => show(at - 1);
  else if (event.key === "ArrowDown" && plain) act = () => show(at + 1);
  else if (event.key === "ArrowLeft" && plain && inText && untouched) act = () => show(at - 1);
  else if (event.key === "ArrowRight" && plain && inText && untouched) act = () => show(at + 1);
  else if (event.altKey && /^Digit[1-9]$/.test(event.code)) {
    const text = words[at].others[Number(event.code.slice(5)) - 1];
    if (text !== undefined) act = () => answer({ text });
  } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") act = save;
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && inText && untouched) act = undo;
  if (!act) return;
  event.preventDefault();
  act();
});
$("text").addEventListener("input", showAccept);
$("accept").addEventListener("click", accept);
$("lost").addEventListener("click", () => answer({ unreadable: true }));
$("back").addEventListener("click", () => show(at - 1));
$("on").addEventListener("click", () => show(at + 1));
$("clear").addEventListener("click", undo);
$("save").addEventListener("click", save);
$("title").textContent = page.title;
document.title = page.title;
words.forEach((word, i) => showRow(i));
showCounts();
show(Math.max(0, words.findIndex((word) => !answers[word.id])));
