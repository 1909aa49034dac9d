"""Appends judgements of answer "a" and prints the keys that are stored.

python -m tests.support.processes.append_feedback URL NAME COUNT BATCH
"""

import sys

from tf_tokenrl.feedback import FeedbackStore, Judgement


def main(url: str, name: str, count: int, batch: int) -> None:
    with FeedbackStore(url) as store:
        for begin in range(0, count, batch):
            receipts = store.append(
                Judgement(
                    key=f"{name}-{number}", answer="a", kind="thumb", score=1
                )
                for number in range(begin, min(begin + batch, count))
            )
            for receipt in receipts:
                print(receipt.key, receipt.status, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
