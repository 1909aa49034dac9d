"""Write files as commit 50f483e wrote them, for `test_old_files.py`.

Made with that commit (Python 3.11, TensorFlow on a CPU); the library's
modules lay elsewhere then. From the root of a checkout of it:

    PYTHONPATH=. python make_old_files.py NEW_FOLDER

writes `NEW_FOLDER/old_files.tar.xz`. It holds

    policies/KIND.keras      a policy of each kind
    exports/KIND/1           SavedModels: one that writes, one that tags
                             words, one that judges answers
    asked.json               prompts, and an answer to each for each kind
    expected.npz             what that commit computed with these, under
                             "KIND/what/name"
    rows/, data/, sft/, rl/  a run from rows to RL, all paths relative; the
                             RL run was stopped by Ctrl-C after 2 of 4 steps
    straight/                the same RL run, not stopped, without its
                             checkpoints

It takes two minutes. The numbers are the same each time on one machine; the
bytes are not, since Keras writes the date into its files.
"""

import json
import os
import random
import shutil
import signal
import sys
import tarfile
from pathlib import Path

from tf_tokenrl.quiet import start_tensorflow

start_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tests import tiny  # noqa: E402
from tf_tokenrl import cli, rewards  # noqa: E402
from tf_tokenrl.flow import Example  # noqa: E402
from tf_tokenrl.models import storage  # noqa: E402
from tf_tokenrl.models.sampling import row_seeds  # noqa: E402
from tf_tokenrl.pipelines import train  # noqa: E402
from tf_tokenrl.serving.servable import Servable  # noqa: E402

PROMPTS = ["the name of a given file", "", "open"]
ANSWERS = ["list", "a number or value", ""]
TAGS = ["B-X O O I-X O O", "", "O"]
CLASSES = ["O", "I-X", "B-X"]
WRITING = ("gpt2", "llama", "lstm", "gru", "bart", "t5")
LABELLING = {"tagger": "word", "classifier": "text"}
WORDS = ["sun", "moon", "star", "sky", "cloud", "rain", "wind", "storm"]
RUN = [
    "--data=data",
    "--policy=sft/policy.keras",
    "--reward=0.2 * length + chrf - adaptive(0.1, target=1.0, horizon=80) * kl",
    "--algorithm=ppo(epochs=2, minibatches=2)",
    "--kl-loss=exact",
    "--kl-weight=linear(0.1, 0.0, steps=3)",
    "--steps=4",
    "--batch-size=8",
    "--learning-rate=1e-2",
    "--early-stopping=50",
    "--monitor-every=2",
    "--sample-answers=2",
]


def answers(kind):
    if kind in WRITING:
        return ANSWERS
    return TAGS if LABELLING[kind] == "word" else CLASSES


def fresh(kind):
    """A policy with a temperature that is no default."""
    if kind in WRITING:
        return tiny.policy(kind, temperature=0.7)
    return tiny.label_policy(unit=LABELLING[kind], temperature=0.7)


def computed(policy, prompts, answers):
    """A seeded rollout and the scores of given answers."""

    @tf.function
    def act(ids, mask, seeds):
        return policy.act(ids, mask, seeds)

    ids, mask = policy.encode(prompts)
    rollout = act(ids, mask, row_seeds(1, 0, len(prompts)))
    pairs = policy.encode_pairs(prompts, answers)
    parts = {
        "rollout": rollout,
        "pairs": pairs,
        "scores": policy.score(pairs),
    }
    return {
        f"{part}/{name}": np.asarray(value)
        for part, values in parts.items()
        for name, value in values._asdict().items()
        if value is not None
    }


def write_policies(folder):
    expected = {}
    kinds = (*WRITING, *LABELLING)
    for kind in kinds:
        policy = fresh(kind)
        storage.save(policy, folder / "policies" / f"{kind}.keras")
        for name, value in computed(policy, PROMPTS, answers(kind)).items():
            expected[f"{kind}/{name}"] = value
    given = {kind: answers(kind) for kind in kinds}
    text = json.dumps({"prompts": PROMPTS, "answers": given}, indent=2)
    (folder / "asked.json").write_text(text + "\n")
    return expected


def asked(path, name, **inputs):
    """What a SavedModel replies, as the library's own server asks it."""
    servable = Servable(str(path), ["serve"], tf.compat.v1.ConfigProto())
    signature = servable.signatures[name]
    feeds = {
        signature.inputs[key].name: np.array(value)
        for key, value in inputs.items()
    }
    outputs = {key: info.name for key, info in signature.outputs.items()}
    return dict(
        zip(outputs, servable.run(feeds, list(outputs.values())), strict=True)
    )


def generation(rows):
    """Inputs of `serving_default` besides the prompts."""
    return {
        "seed": np.arange(rows, dtype=np.int64),
        "temperature": np.array([0.0, *[1.0] * (rows - 1)], np.float32),
        "max_new_tokens": np.zeros(rows, np.int32),
        "top_k": np.zeros(rows, np.int32),
        "top_p": np.ones(rows, np.float32),
    }


def write_exports(folder):
    """SavedModels of policies that `policies` holds, and their replies."""
    writer, judge, tags = (
        folder / "exports" / name / "1" for name in ("writer", "judge", "tags")
    )
    gpt2 = storage.load(folder / "policies" / "gpt2.keras")
    gpt2.export(writer)
    gpt2.export_reward_model(judge)
    storage.load(folder / "policies" / "tagger.keras").export(tags)
    prompts = [prompt.encode() for prompt in PROMPTS]
    options = generation(len(prompts))
    replies = {
        "writer": asked(writer, "serving_default", prompt=prompts, **options),
        "tags": asked(tags, "tag", text=prompts),
        "judge": {"rewards": judged(judge, gpt2, PROMPTS, ANSWERS)},
    }
    return {
        f"{kind}/reply/{name}": plain(value)
        for kind, reply in replies.items()
        for name, value in reply.items()
    }


def judged(path, policy, prompts, answers):
    """What the reward `reward_model` gives, from the SavedModel `path`."""
    reward = rewards.get("reward_model", path=str(path))
    rollout = policy.encode_pairs(prompts, answers)
    examples = [Example(prompt) for prompt in prompts]
    return reward(examples, policy.decode(rollout), rollout)


def plain(value):
    """Bytes as text that `.npz` holds without pickle."""
    value = np.asarray(value)
    return value.astype("S") if value.dtype == object else value


def write_rows(folder):
    draw = random.Random(0)
    folder.mkdir()
    for split, size in (("train", 40), ("validation", 8), ("test", 8)):
        with (folder / f"{split}.jsonl").open("w") as file:
            for number in range(size):
                words = draw.choices(WORDS, k=draw.randint(4, 8))
                text = " ".join([split, *words, str(number)])
                row = {"text": text, "title": " ".join(words[:2])}
                file.write(json.dumps(row) + "\n")


class Stop(train.ProgressBar):
    """Presses Ctrl-C in the second step."""

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if batch + 1 == 2:
            signal.raise_signal(signal.SIGINT)


def write_run(folder):
    """Rows, prepared data, a warm start, a run and the same run stopped."""
    os.chdir(folder)
    write_rows(Path("rows"))
    limits = ["--max-prompt-tokens=24"]
    prepare = ["--data=rows", "--source=text", "--target=title", "--out=data"]
    prepare += ["--vocabulary-size=300", "--max-answer-tokens=8"]
    cli.run(["prepare", *prepare, *limits])
    sft = ["--data=data", "--out=sft", "--epochs=2", "--warmup=2"]
    sft += ["--model.width=8", "--model.heads=2", "--max-new-tokens=8"]
    cli.run(["sft", *sft, *limits])
    cli.run(["train", *RUN, "--out=straight"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    progress_bar, train.ProgressBar = train.ProgressBar, Stop
    try:
        cli.run(["train", *RUN, "--out=rl"])
    except KeyboardInterrupt:
        print("Stopped.")
    else:
        raise RuntimeError("The run was not stopped.")
    train.ProgressBar = progress_bar
    keep_little()


def keep_little():
    """Without event files, whose names hold the name of the machine."""
    for run in ("straight", "rl"):
        shutil.rmtree(f"{run}/tensorboard")
    shutil.rmtree("straight/checkpoints")
    shutil.rmtree("rl/checkpoints/step-00000000")


def pack(folder, path):
    """The same files give the same names, dates and owners."""

    def anonymous(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(folder / name, name, filter=anonymous)


def main(folder):
    folder.mkdir(parents=True)
    content = folder.resolve() / "content"
    content.mkdir()
    expected = write_policies(content)
    expected |= write_exports(content)
    np.savez_compressed(content / "expected.npz", **expected)
    write_run(content)
    pack(content, content.parent / "old_files.tar.xz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
