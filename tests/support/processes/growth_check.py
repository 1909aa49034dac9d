"""How much memory a server takes for many words that it has never seen.

    python -m tests.support.processes.growth_check FOLDER SIGNATURE

Asks a SavedModel about 100,000 distinct words and prints the resident memory,
in KB, after the first tenth and after all of them. The signature takes prompts
and answers.
"""

import sys

import numpy as np

from tests.support.processes import serve_once

WORDS, ROWS, WORDS_PER_ROW = 100_000, 50, 10
ALPHABET = np.array([*"abcdefghijklmnopqrstuvwxyz"])


def main(folder, signature):
    servable = serve_once.load(folder)
    generator = np.random.default_rng(0)
    rounds = WORDS // (ROWS * WORDS_PER_ROW)
    for done in range(rounds):
        letters = generator.choice(ALPHABET, [ROWS, WORDS_PER_ROW, 12])
        prompts = [" ".join(map("".join, row)) for row in letters]
        inputs = {"prompt": prompts, "answer": [""] * ROWS}
        serve_once.ask(servable, signature, inputs)
        if done == rounds // 10:
            before = resident()
    print(before, resident())


def resident():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
