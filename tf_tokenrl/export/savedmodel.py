"""A policy as a SavedModel that a stock TensorFlow Serving can run.

Two signatures, strings in and strings out; every input has rank 1 and one
entry per row, so that the server may batch requests:

* `serving_default`: sample (or greedily choose) an answer to each prompt;
* `score`: log-prob and value of each token of a given answer.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_tokenrl import files
from tf_tokenrl.decoding.sampling import Sampling
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export import model_card, warm_up_records
from tf_tokenrl.flow import Rollout
from tf_tokenrl.text import byte_pair


def _rows(dtype: tf.DType, name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], dtype, name)


PROMPTS = (
    _rows(tf.string, "prompt"),
    _rows(tf.int64, "seed"),
    _rows(tf.float32, "temperature"),
    _rows(tf.int32, "max_new_tokens"),
    _rows(tf.int32, "top_k"),
    _rows(tf.float32, "top_p"),
)
# What a server takes for an option that a request leaves out, as `Client` does.
_DEFAULTS = {
    "seed": 0,
    "temperature": 0.0,
    "max_new_tokens": 0,
    "top_k": 0,
    "top_p": 1.0,
}
PAIRS = (_rows(tf.string, "prompt"), _rows(tf.string, "answer"))
_FORBIDDEN = ("Xla", "PyFunc", "EagerPyFunc", "NumpyFunction")


def check_numbers(temperature: tf.Tensor, top_p: tf.Tensor) -> None:
    """Fail in the graph where a number is none: NaN passes comparisons."""
    tf.debugging.Assert(
        tf.reduce_all(tf.math.is_finite(temperature)),
        ["temperature must be finite:", temperature],
    )
    tf.debugging.Assert(
        tf.reduce_all((top_p >= 0.0) & (top_p <= 1.0)),
        ["top_p must be from 0 to 1:", top_p],
    )


def of_any_rows(graph: Callable[..., dict[str, tf.Tensor]]) -> Any:
    """A graph that needs a row, for none as well.

    It is given one that nobody asked for, and its answer is cut off again.
    """

    def whole(*inputs):
        rows = tf.size(inputs[0])
        padded = []
        for x in inputs:
            missing = tf.cast((rows == 0) & (tf.size(x) == 0), tf.int32)
            padded.append(tf.concat([x, tf.zeros([missing], x.dtype)], 0))
        outputs = graph(*padded)
        return {name: tensor[:rows] for name, tensor in outputs.items()}

    return tf.function(whole, autograph=False)


class ServedPolicy(tf.Module):
    """The graphs of a policy, with its weights stored once."""

    def __init__(self, policy):
        super().__init__()
        policy.text.revive()
        self._policy = lambda: policy  # hidden from TensorFlow's tracking
        self.weights = [weight.value for weight in policy.weights]
        self.tokenizer = policy.tokenizer

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Both signatures, traced."""
        generate = of_any_rows(self.generate).get_concrete_function(*PROMPTS)
        score = of_any_rows(self.score).get_concrete_function(*PAIRS)
        return {"serving_default": generate, "score": score}

    def generate(
        self, prompt, seed, temperature, max_new_tokens, top_k, top_p
    ) -> dict[str, tf.Tensor]:
        """Answer prompts.

        Args:
            prompt: string `[B]`; one that is too long keeps its beginning.
            seed: int64 `[B]`; the same seed and prompt give the same answer
                whatever else is in the batch.
            temperature: float32 `[B]`; 0 chooses greedily.
            max_new_tokens: int32 `[B]`; 0 or less means the policy's own
                limit, which is also the most that is possible.
            top_k: int32 `[B]`; 0 keeps the whole vocabulary.
            top_p: float32 `[B]`; 1 keeps the whole distribution.

        Returns:
            `text` string `[B]`; `token_ids` int32, `log_probs` (nats) and
            `values` float32 `[B, T]`, of which the first `lengths` int32
            `[B]` count; `stopped` bool `[B]`, a stop token ended the answer;
            `truncated` bool `[B]`, the prompt was cut.
        """
        policy, rows = self._policy(), tf.shape(prompt)
        check_numbers(temperature, top_p)
        # A default of the signature is one value for all rows.
        seed, temperature, max_new_tokens, top_k, top_p = (
            tf.broadcast_to(x, rows)
            for x in (seed, temperature, max_new_tokens, top_k, top_p)
        )
        ids, lengths, truncated = policy.text.prompt_graph(prompt)
        limit = policy.max_new_tokens
        max_new_tokens = tf.where(max_new_tokens > 0, max_new_tokens, limit)
        seeds = tf.stack([seed, tf.zeros_like(seed)], axis=1)
        sampling = Sampling(temperature, top_k, top_p, max_new_tokens)
        rollout = self._act(ids, tf.sequence_mask(lengths), seeds, sampling)
        stops = tf.constant(policy.stop_ids, tf.int32, [len(policy.stop_ids)])
        is_stop = tf.reduce_any(rollout.actions[..., None] == stops, axis=-1)
        return {
            "text": policy.text.text_graph(rollout.actions, rollout.mask),
            "token_ids": rollout.actions,
            "lengths": _lengths(rollout.mask),
            "log_probs": rollout.log_probs,
            "values": rollout.values,
            "stopped": tf.reduce_any(is_stop & rollout.mask, axis=-1),
            "truncated": truncated,
        }

    def _act(self, *asked):
        return self._policy().act(*asked)

    def score(self, prompt, answer) -> dict[str, tf.Tensor]:
        """Judge given answers.

        Args:
            prompt: string `[B]`.
            answer: string `[B]`; a stop token is put after it.

        Returns:
            `token_ids` int32, `log_probs` (nats, at temperature 1, as a
            greedy answer reports them) and `values` float32 `[B, T]`, of
            which the first `lengths` int32 `[B]` count; `truncated` bool
            `[B]`, the prompt or the answer was cut.
        """
        policy = self._policy()
        ids, lengths, cut = policy.text.prompt_graph(prompt)
        actions, counts, cut_answer = policy.text.answer_graph(answer)
        mask = tf.sequence_mask(counts)
        scores = policy.score(
            Rollout(ids, tf.sequence_mask(lengths), actions, mask, None, None),
            temperature=1.0,
        )
        return {
            "token_ids": actions,
            "lengths": counts,
            "log_probs": tf.where(mask, scores.log_probs, 0.0),
            "values": tf.where(mask, scores.values, 0.0),
            "truncated": cut | cut_answer,
        }


def export(
    policy,
    path: str | Path,
    known: Mapping[str, Any] | None = None,
    served: Callable[[Any], ServedPolicy] | None = None,
) -> Path:
    """Write `policy` as a SavedModel to `path`, whole or not at all.

    Beside the graph lie warm-up records and a model card, see
    `warm_up_records` and `model_card`.

    Args:
        policy: a `Policy`.
        path: `<name>/<version>`; the version is a whole number, as TensorFlow
            Serving wants it.
        known: what else the model card shall say, such as the run.
        served: makes the graphs of the policy; by default its own `served`.

    Returns:
        The path.

    Raises:
        TokenRLError: the version is no number or exists, or the disk is
            full; nothing is left behind.
    """
    path = Path(path)
    if not path.name.isdigit():
        raise TokenRLError(
            f'"{path}" does not end in a version number: TensorFlow Serving '
            "reads <name>/<version>, such as savedmodels/headline/1."
        )
    if path.exists():
        raise TokenRLError(
            f'Version "{path}" exists and may be in use: export to the next '
            "number."
        )
    made = served or type(policy).served
    with files.replacing_folder(path, also=(tf.errors.OpError,)) as new:
        _write(policy, path.parent.name, new, known or {}, made)
    return path


def next_version(folder: str | Path) -> Path:
    """The first free version number above all that `folder` has."""
    folder = Path(folder)
    found = folder.iterdir() if folder.is_dir() else ()
    versions = [int(p.name) for p in found if p.name.isdigit()]
    return folder / str(max(versions, default=0) + 1)


def _write(
    policy, name: str, folder: Path, known: Mapping[str, Any], served
) -> None:
    policy.encode([""])  # some tokenizers make their tables on first use
    with byte_pair.forgetful(policy.tokenizer):
        module = served(policy)
        signatures = module.signatures()
        tf.saved_model.save(module, str(folder), signatures=signatures)
    _check_ops(folder / "saved_model.pb")
    _add_defaults(folder / "saved_model.pb")
    extra = folder / "assets.extra"
    extra.mkdir()
    warm_up_records.write(policy, name, signatures, extra)
    model_card.write(policy, signatures, known, extra)


def _check_ops(file: Path) -> None:
    """Refuse a graph that a stock TensorFlow Serving would refuse to run.

    Raises:
        TokenRLError: it has an XLA op or calls Python.
    """
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
    found = sorted({n.op for n in nodes if n.op.startswith(_FORBIDDEN)})
    if found:
        raise TokenRLError(
            f"The policy's graph uses {', '.join(found)}, which TensorFlow "
            "Serving does not run: decode without these ops."
        )


def _add_defaults(file: Path) -> None:
    """Let a request to `serving_default` name the prompt alone.

    `tf.saved_model.save` takes defaults from Python functions only, and not
    from the traced ones that are also needed for other things here.
    """
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    if signature.inputs.keys() >= _DEFAULTS.keys():
        for name, value in _DEFAULTS.items():
            dtype = tf.as_dtype(signature.inputs[name].dtype)
            default = tf.make_tensor_proto([value], dtype)
            signature.defaults[name].CopyFrom(default)
        file.write_bytes(saved.SerializeToString(deterministic=True))


def _lengths(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)
