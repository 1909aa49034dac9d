const figures = JSON.parse(document.getElementById("figures").textContent);

const answers = JSON.parse(document.getElementById("tokens").textContent);
const places = document.querySelectorAll(".tokens");
answers.forEach((tokens, number) => drawTokens(places[number], tokens));

// A hidden figure has no width, so the figures of a closed part wait.
function draw(part) {
  for (const drawing of part.querySelectorAll(".drawing:empty")) {
    if (!drawing.closest("details:not([open])")) {
      const figure = figures[drawing.id];
      Plotly.newPlot(drawing, figure.data, figure.layout, {
        displayModeBar: false,
        responsive: true,
      });
    }
  }
}

draw(document);
for (const more of document.querySelectorAll("details.more")) {
  more.addEventListener("toggle", () => draw(more));
}
