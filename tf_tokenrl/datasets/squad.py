"""Questions and answers in the JSON of SQuAD.

{"data": [{"title": "...", "paragraphs": [
    {"context": "...", "qas": [
        {"id": "...", "question": "...", "answers": [
            {"text": "...", "answer_start": 0}]}]}]}]}
"""

import json
from pathlib import Path

from tf_tokenrl.datasets.jsonl import Row, read_text
from tf_tokenrl.errors import TokenRLError


def read_squad(path: Path) -> list[dict]:
    """Rows with question, context, the different answers, and a group.

    The group is the title: its paragraphs stay in one split. A question that
    SQuAD 2 marks as impossible has no answer.

    Raises:
        TokenRLError: the file is not JSON, or not of this shape.
    """
    try:
        articles = json.loads(read_text(path))["data"]
        rows = [
            _row(article, paragraph, question)
            for article in articles
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokenRLError(
            f'"{path}" is not JSON as SQuAD has it ({error}): it needs data, '
            "paragraphs, context, qas, question and answers; write other rows "
            "as .jsonl, one object per line."
        ) from error
    if not rows:
        raise TokenRLError(f'"{path}" has no questions; give it some.')
    for number, row in enumerate(rows, 1):
        row.place = f'"{path}", question {number}'
    return list(rows)


def _row(article: dict, paragraph: dict, question: dict) -> Row:
    answers = [answer["text"] for answer in question.get("answers", ())]
    return Row(
        key=str(question["id"]),
        question=question["question"],
        context=paragraph["context"],
        answers=list(dict.fromkeys(answers)),
        group=article.get("title", ""),
    )
