"""A run's outcome in a few lines for the terminal."""

from collections.abc import Mapping

from tf_tokenrl.evaluation.answers import Answers

_STAGES = {
    "before": "supervised",
    "supervised_longer": "supervised longer",
    "after": "reinforced",
}


def table(results: Mapping) -> str:
    """Means and 95% intervals, one row per policy, one column per metric."""
    metrics = list(results["after"])
    rows = [["test split", *metrics]]
    for name, title in _STAGES.items():
        cells = [
            "{mean:.4f} [{low:.4f}, {high:.4f}]".format(**results[name][m])
            for m in metrics
        ]
        rows.append([title, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    )


def examples(answers: Mapping[str, Answers], count: int) -> str:
    """The first prompts with their answers before and after."""
    before, after = answers["before"], answers["after"]
    lines = []
    for row in range(min(count, len(after.examples))):
        example = after.examples[row]
        lines += [
            "",
            f"prompt     {' '.join(example.prompt.split())[:100]}",
            f"reference  {example.reference}",
            f"before     {before.responses[row].text}",
            f"after      {after.responses[row].text}",
        ]
    return "\n".join(lines)
