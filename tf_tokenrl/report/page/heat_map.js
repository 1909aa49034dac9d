"use strict";

// Draws tokens that can be coloured; the report and the playground share it.
// Texts become text and nothing else, so that markup in an answer stays text.
//
// place: the element to fill; its textContent is the tokens' texts, joined.
// tokens: objects with
//   text      what the token added, "" for a stop token
//   hover     all its numbers in words
//   numbers   quantity -> its number in words
//   shares    quantity -> -1 to 1, where it lies on its scale
function drawTokens(place, tokens) {
  place.replaceChildren(...tokens.map((token) => {
    const span = document.createElement("span");
    span.className = "token";
    span.classList.toggle("empty", token.text === "");
    span.classList.toggle("ends-line", token.text.includes("\n"));
    span.textContent = token.text;
    span.title = token.hover;
    for (const [name, share] of Object.entries(token.shares)) {
      span.style.setProperty(`--${name}`, share);
    }
    for (const [name, number] of Object.entries(token.numbers)) {
      span.dataset[name] = number;
    }
    return span;
  }));
}
