"""How good are a policy's greedy answers?"""

from tf_tokenrl import evaluation, files, rewards, tasks
from tf_tokenrl.evaluation import label_scores
from tf_tokenrl.options.evaluate import EvaluateOptions
from tf_tokenrl.policies import storage


def main(options: EvaluateOptions) -> dict[str, dict]:
    """Print each metric's mean and its 95% interval.

    For a task of labels a table of precision, recall and F1 follows, and for
    tags of spans a second one of whole spans.
    """
    task = tasks.of(options.data, options.task)
    examples = task.examples(options.split)[: options.limit or None]
    metrics = {n: rewards.parse(text) for n, text in task.metrics.items()}
    policy = storage.load(options.policy)
    task.check(policy)
    answers = evaluation.answer(policy, examples, batch_size=options.batch_size)
    found = evaluation.measure(answers, metrics)
    for name, estimate in found.items():
        mean, low, high = estimate
        print(f"{name:12} {mean:8.4f}  [{low:.4f}, {high:.4f}]")
    results: dict[str, dict] = {n: v._asdict() for n, v in found.items()}
    for name, scores in _label_scores(task, answers).items():
        low, high = scores.micro_f1[1:]
        title = f"\n{name.replace('_', ', ')}\n{label_scores.table(scores)}"
        print(f"{title}  [{low:.4f}, {high:.4f}]")
        results[name] = scores.as_plain()
    if options.out is not None:
        files.write_json(options.out, results)
    return results


def _label_scores(
    task: tasks.Task, answers: evaluation.Answers
) -> dict[str, label_scores.LabelScores]:
    if not task.kind.labels:
        return {}
    if task.kind.unit == "text":
        return {"labels": label_scores.text_scores(answers)}
    words = label_scores.word_scores(answers)
    entities = label_scores.entity_scores(answers)
    if not entities.micro.support:
        return {"labels": words}
    found = {"labels": words, "entities": entities}
    strict = label_scores.entity_scores(answers, strict=True)
    if strict.micro != entities.micro:
        found["entities_strict"] = strict
    return found
