"use strict";

const byId = (id) => document.getElementById(id);
const LOWEST_LOG_PROB = 5; // nats, the end of the colour scale
const STARS = 5;
const SIDES = { "": "", left: "Left", right: "Right" };
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

let asking = null; // aborts the question that is being answered
let shown = []; // the cards of the newest question
const memory = load("history") ?? [];
const rater = loadRater();

// ---------------------------------------------------------------- the server

function headers() {
  const found = { "Content-Type": "application/json" };
  if (token) found.Authorization = `Bearer ${token}`;
  return found;
}

function post(path, body, signal) {
  return fetch(path, {
    method: "POST",
    headers: headers(),
    body: JSON.stringify(body),
    signal,
  });
}

async function reason(response) {
  try {
    const found = await response.json();
    if (found.error) return found.error;
    const refused = found.results.find((result) => result.reason);
    return refused.reason;
  } catch {
    return `the server answered ${response.status}`;
  }
}

// Server-sent events of a POST; EventSource can only GET.
async function* events(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += decoder.decode(value, { stream: true });
    const parts = waiting.split("\n\n");
    waiting = parts.pop();
    for (const part of parts) yield JSON.parse(part.slice("data: ".length));
  }
}

// -------------------------------------------------------------------- asking

async function ask(event) {
  event.preventDefault();
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const question = {
    prompt: byId("prompt").value,
    temperature: Number(byId("temperature").value),
    max_new_tokens: Number(byId("max_new_tokens").value),
    compare: byId("compare").checked,
    user: rater,
  };
  if (byId("seed").value !== "") question.seed = Number(byId("seed").value);
  const sides = question.compare ? ["left", "right"] : [""];
  show(question.prompt, sides.map((side) => ({ side, text: "", tokens: [] })));
  say("Writing …");
  byId("stop").hidden = false;
  try {
    const response = await post("api/answers", question, signal);
    if (!response.ok) throw new Error(await reason(response));
    for await (const news of events(response)) take(news);
    const failed = shown.find((card) => card.answer.error);
    if (failed) throw new Error(failed.answer.error);
    if (!shown.every((card) => card.answer.key)) {
      throw new Error("the connection broke off");
    }
    say("The answer is complete.");
    remember(question.prompt);
  } catch (error) {
    const stopped = signal.aborted;
    say(stopped ? "Stopped." : `No answer: ${error.message}`, !stopped);
  }
  if (asking.signal === signal) byId("stop").hidden = true;
}

function take(news) {
  const card = shown.find((each) => each.answer.side === news.side);
  const { answer } = card;
  if ("tokens" in news) {
    answer.text = news.text;
    answer.tokens.push(...news.tokens);
    answer.truncated = news.truncated;
  }
  for (const name of ["key", "finish", "version", "error"]) {
    if (name in news) answer[name] = news[name];
  }
  draw(card);
}

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
}

// ------------------------------------------------------------------- showing

function show(prompt, answers) {
  byId("answers").replaceChildren();
  shown = answers.map((answer) => makeCard(answer));
  for (const card of shown) draw(card);
  byId("preference").hidden = true;
  byId("revealed").textContent = "";
  for (const button of preferences()) button.disabled = false;
}

function preferences() {
  return byId("preference").querySelectorAll("button");
}

function makeCard(answer) {
  const part = byId("answer").content.cloneNode(true).querySelector("article");
  const card = { answer, part, tokens: part.querySelector(".tokens") };
  card.cursor = card.anchor = null; // the current token, and where marking began
  part.querySelector("h3").textContent = SIDES[answer.side];
  card.tokens.setAttribute(
    "aria-label",
    `${SIDES[answer.side]} answer, token by token; arrow keys move, with ` +
      "Shift they mark, G says good and B bad",
  );
  card.tokens.addEventListener("keydown", (event) => onKey(card, event));
  card.tokens.addEventListener("mouseover", (event) => {
    if (event.target.matches(".token")) note(card, event.target);
  });
  connectJudging(card);
  byId("answers").append(part);
  return card;
}

function draw(card) {
  const { answer, part } = card;
  drawTokens(card.tokens, pieces(answer));
  part.classList.toggle("writing", !answer.finish && !answer.error);
  part.querySelector(".judging").hidden = !answer.key;
  const facts = [];
  if (answer.finish) facts.push(`${answer.tokens.length} tokens`);
  if (answer.finish === "length") facts.push("ended by the limit");
  if (answer.version !== undefined) facts.push(`version ${answer.version}`);
  if (answer.writtenBy) facts.push(answer.writtenBy);
  if (answer.truncated) facts.push("the prompt was too long and was cut");
  part.querySelector(".facts").textContent = facts.join(" · ");
  const ready = shown.length === 2 && shown.every((each) => each.answer.key);
  if (ready) byId("preference").hidden = false;
}

// The tokens of an answer with their texts and colours.
function pieces(answer) {
  const characters = [...answer.text]; // by code points, as the server counts
  const known = answer.tokens.every((each) => each.end >= 0);
  if (!known) {
    const whole = { text: answer.text, hover: "", numbers: {}, shares: {} };
    return [whole];
  }
  const values = answer.tokens.map((each) => each.value);
  const low = Math.min(...values);
  const width = Math.max(...values) - low || 1;
  let begin = 0;
  return answer.tokens.map((each) => {
    const text = characters.slice(begin, each.end).join("");
    begin = Math.max(begin, each.end);
    const logProb = each.log_prob.toFixed(2);
    const value = each.value.toPrecision(3);
    const chance = (100 * Math.exp(each.log_prob)).toPrecision(2);
    return {
      text,
      hover: `Log-prob ${logProb} nats (${chance} %)\nValue ${value}`,
      numbers: { log_prob: logProb, value },
      shares: {
        log_prob: Math.max(-1, 1 + (2 * each.log_prob) / LOWEST_LOG_PROB),
        value: (2 * (each.value - low)) / width - 1,
      },
    };
  });
}

function note(card, span) {
  const text = span.textContent === "" ? "end" : `“${span.textContent}”`;
  const numbers = span.title.replaceAll("\n", ", ");
  card.part.querySelector(".token-note").textContent = `${text}: ${numbers}`;
}

// ------------------------------------------------------------------- marking

function onKey(card, event) {
  const spans = [...card.tokens.children];
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  if (event.key in steps && spans.length) {
    const from = card.cursor ?? (steps[event.key] > 0 ? -1 : spans.length);
    const to = from + steps[event.key];
    card.cursor = Math.max(0, Math.min(spans.length - 1, to));
    if (!event.shiftKey || card.anchor === null) card.anchor = card.cursor;
    getSelection().removeAllRanges();
    const [first, last] = [card.anchor, card.cursor].sort((a, b) => a - b);
    spans.forEach((span, place) => {
      span.classList.toggle("current", place === card.cursor);
      span.classList.toggle("marked", first <= place && place <= last);
    });
    note(card, spans[card.cursor]);
    event.preventDefault();
  } else if ("gb".includes(event.key.toLowerCase()) && !event.ctrlKey) {
    mark(card, event.key.toLowerCase() === "g" ? 1 : -1);
  }
}

// The marked characters: [first, behind the last], in UTF-16 units.
function marked(card) {
  const selection = getSelection();
  if (selection.rangeCount && !selection.isCollapsed) {
    const range = selection.getRangeAt(0);
    if (!card.tokens.contains(range.commonAncestorContainer)) return null;
    const before = range.cloneRange();
    before.selectNodeContents(card.tokens);
    before.setEnd(range.startContainer, range.startOffset);
    const start = before.toString().length;
    return [start, start + range.toString().length];
  }
  if (card.cursor === null) return null;
  const texts = [...card.tokens.children].map((span) => span.textContent);
  const [first, last] = [card.anchor, card.cursor].sort((a, b) => a - b);
  const length = (count) => texts.slice(0, count).join("").length;
  return [length(first), length(last + 1)];
}

// UTF-16 units -> code points, which is what the store counts.
function codePoints(text, units) {
  return [...text.slice(0, units)].length;
}

function mark(card, score) {
  const range = marked(card);
  if (!range || range[0] === range[1]) {
    tell(card, "Mark a part of the answer first.", true);
    return;
  }
  const text = card.tokens.textContent;
  const [start, end] = range.map((units) => codePoints(text, units));
  const good = score > 0 ? "good" : "bad";
  judge(card, { kind: "span", start, end, score }, ` (marked as ${good})`).then(
    (saved) => {
      if (saved) paint(card, range, good);
    },
  );
}

function paint(card, [start, end], className) {
  let begin = 0;
  for (const span of card.tokens.children) {
    const until = begin + span.textContent.length;
    if (begin < end && start < until) {
      span.classList.remove("good", "bad");
      span.classList.add(className);
    }
    begin = until;
  }
}

// ------------------------------------------------------------------- judging

function connectJudging(card) {
  const { part } = card;
  for (const button of part.querySelectorAll(".thumb")) {
    button.addEventListener("click", () =>
      press(card, button, { kind: "thumb", score: Number(button.dataset.score) }),
    );
  }
  const stars = part.querySelector(".stars");
  for (let count = 1; count <= STARS; count++) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "★".repeat(count);
    button.setAttribute("aria-label", `${count} of ${STARS} stars`);
    button.setAttribute("aria-pressed", "false");
    const score = (count - 1) / (STARS - 1);
    button.addEventListener("click", () =>
      press(card, button, { kind: "score", score }),
    );
    stars.append(button);
  }
  for (const button of part.querySelectorAll(".span")) {
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", () =>
      mark(card, Number(button.dataset.score)),
    );
  }
  const editor = part.querySelector(".editor");
  const field = editor.querySelector("textarea");
  part.querySelector(".edit").addEventListener("click", () => {
    editor.hidden = !editor.hidden;
    if (!field.value) field.value = card.answer.text;
    if (!editor.hidden) field.focus();
  });
  editor.querySelector(".save").addEventListener("click", async () => {
    const saved = await judge(card, { kind: "edit", edit: field.value }, "");
    if (saved) editor.hidden = true; // what was typed stays in the field
  });
}

async function press(card, button, said) {
  if (!(await judge(card, said, ""))) return;
  for (const other of button.parentElement.children) {
    other.setAttribute("aria-pressed", String(other === button));
  }
}

// True once the judgement is stored, and not before.
async function judge(card, said, done) {
  tell(card, "Saving …");
  const found = await send(card, { answer: card.answer.key, ...said });
  if (found) tell(card, `Your judgement is stored${done}.`);
  return Boolean(found);
}

// A judgement that could not be sent keeps its key: sent again, it is stored
// once.
const unsent = new Map();

async function send(card, judgement) {
  const contents = JSON.stringify(judgement);
  if (!unsent.has(contents)) unsent.set(contents, newKey());
  const record = { key: unsent.get(contents), rater, ...judgement };
  try {
    const response = await post("api/judgements", [record]);
    if (!response.ok) throw new Error(await reason(response));
    unsent.delete(contents);
    return await response.json();
  } catch (error) {
    tell(card, `Not saved: ${error.message}. Try again.`, true);
    return null;
  }
}

function tell(card, text, isError = false) {
  const said = card.part.querySelector(".said");
  said.textContent = text;
  said.classList.toggle("error", isError);
}

async function prefer(side) {
  const better = shown.find((card) => card.answer.side === side);
  const worse = shown.find((card) => card.answer.side !== side);
  const found = await send(better, {
    answer: better.answer.key,
    kind: "pair",
    other: worse.answer.key,
  });
  if (!found) return;
  for (const button of preferences()) button.disabled = true;
  for (const { answer } of shown) {
    const by = found.written_by[answer.key];
    if (by) answer.writtenBy = `${by.label}, version ${by.version}`;
  }
  shown.forEach(draw);
  byId("revealed").textContent = `Your vote is stored: the ${side} one. ` +
    shown.map((c) => `${SIDES[c.answer.side]}: ${c.answer.writtenBy}.`).join(" ");
  keep();
}

// ------------------------------------------------------------------- history

function remember(prompt) {
  memory.unshift({ prompt, answers: shown.map((card) => card.answer) });
  memory.length = Math.min(memory.length, 50);
  keep();
  list();
}

function list() {
  byId("history").replaceChildren(...memory.map((past) => {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${past.prompt} → ${past.answers[0].text}`;
    button.addEventListener("click", () => {
      byId("prompt").value = past.prompt;
      show(past.prompt, past.answers);
      for (const button of preferences()) {
        button.disabled = past.answers.some((answer) => answer.writtenBy);
      }
    });
    row.append(button);
    return row;
  }));
}

function keep() {
  try {
    sessionStorage.setItem("history", JSON.stringify(memory));
  } catch {
    // The history is a convenience; the store has everything.
  }
}

function load(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

function loadRater() {
  let found = localStorage.getItem("rater");
  if (!found) localStorage.setItem("rater", (found = newKey()));
  return found;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --------------------------------------------------------------------- start

byId("ask").addEventListener("submit", ask);
byId("stop").addEventListener("click", () => asking?.abort());
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    byId("ask").requestSubmit();
  }
});
for (const button of preferences()) {
  button.addEventListener("click", () => prefer(button.dataset.side));
}
list();
fetch("api/settings").then(async (response) => {
  const settings = await response.json();
  byId("model").textContent = settings.model;
  byId("compare-label").hidden = !settings.compares;
});
