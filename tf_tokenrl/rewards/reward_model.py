"""A learned judge of answers, loaded from disk."""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import Span, on_spans


class RewardModel(Reward):
    """What a learned model gives an answer to a prompt.

    The model takes two string tensors `[B]`, `prompt` and `answer`, and
    gives one of:

    * one float tensor `[B]` or `[B, 1]`, or several of which one is `score`:
      a number per answer, for its last token;
    * `scores` float `[B, N]` and `offsets` int `[B, N, 2]`: amounts for the
      characters `answer[start:end]`, each shared by the sampled tokens that
      added them; where start is not less than end, the amount is dropped.

    An ensemble gives the mean of its members, less what they disagree by:

        score = mean - disagreement * standard deviation

    so that a policy gains nothing where the judges only guess.

    Attributes:
        path: the folder of a SavedModel, or a `.keras` file whose model is
            called with a dictionary; several are an ensemble.
        signature: of the SavedModel.
        batch_size: answers judged at once.
        disagreement: what the deviation of an ensemble costs.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", section 2; Coste et al. (2023), "Reward Model Ensembles
    Help Mitigate Overoptimization", section 4, with the deviation in place
    of the variance.

    Note:
        A SavedModel is a program: load only what you trust. Keras files are
        read in safe mode, without code of their own.
    """

    looks_ahead = True  # the model reads the whole answer

    def __init__(
        self,
        path: str | Sequence[str],
        signature: str = "serving_default",
        batch_size: int = 64,
        disagreement: float = 0.0,
    ):
        self.path = path
        self.signature = signature
        self.batch_size = batch_size
        self.disagreement = disagreement
        self._paths = [path] if isinstance(path, str) else list(path)
        if not self._paths:
            raise TokenRLError("RewardModel: name at least one model.")
        if not 0.0 <= disagreement < math.inf:
            raise TokenRLError(
                "RewardModel: disagreement must be at least 0, not "
                f"{disagreement!r}."
            )
        for one in self._paths:
            _judge(one, signature)

    def score(self, example: Example, response: Response):
        """See `Reward.score`."""
        return self.score_batch([example], [response])[0]

    def score_batch(
        self, examples: Sequence[Example], responses: Sequence[Response]
    ) -> list[float | list[float]]:
        """See `Reward.score_batch`.

        Raises:
            TokenRLError: a model gives none of the above, or one of an
                ensemble judges answers and another their characters.
        """
        judged = [self._of(one, examples, responses) for one in self._paths]
        if len(judged) == 1:
            return judged[0]
        joined = zip(*judged, strict=True)
        return [self._joined(list(scores)) for scores in joined]

    def _joined(self, scores: list) -> float | list[float]:
        if len({np.ndim(score) for score in scores}) > 1:
            raise TokenRLError(
                f"RewardModel: of {', '.join(self._paths)} some judge whole "
                "answers and others their characters: name models of a kind."
            )
        table = np.array(scores, np.float64)
        found = table.mean(0) - self.disagreement * table.std(0)
        return found.tolist()

    def _of(self, path: str, examples, responses) -> list:
        """What one model gives."""
        prompts = [example.prompt for example in examples]
        scores: list[float | list[float]] = []
        for start in range(0, len(prompts), self.batch_size):
            rows = slice(start, start + self.batch_size)
            given = responses[rows]
            texts = [response.text for response in given]
            outputs = _judge(path, self.signature)(prompts[rows], texts)
            scores += self._placed(path, outputs, given)
        return scores

    def _placed(
        self, path: str, outputs: dict[str, np.ndarray], responses
    ) -> list:
        rows = len(responses)
        if {"scores", "offsets"} <= set(outputs):
            scores, offsets = outputs["scores"], outputs["offsets"]
            if offsets.shape == (*scores.shape, 2) and len(scores) == rows:
                parts = zip(responses, scores, offsets, strict=True)
                return [on_spans(r, _spans(s, o)) for r, s, o in parts]
        score = outputs.get("score", next(iter(outputs.values())))
        if (len(outputs) == 1 or "score" in outputs) and score.size == rows:
            return score.reshape(rows).tolist()
        shapes = {name: value.shape for name, value in outputs.items()}
        raise TokenRLError(
            f'RewardModel: "{path}" gave {shapes} for {rows} answers; '
            "expected `score` of shape [B], or `scores` [B, N] with `offsets` "
            "[B, N, 2]."
        )


def _spans(scores: np.ndarray, offsets: np.ndarray) -> list[Span]:
    spans = zip(offsets.tolist(), scores.tolist(), strict=True)
    return [Span(a, b, score) for (a, b), score in spans if a < b]


Judge = Callable[[list[str], list[str]], dict[str, np.ndarray]]


@functools.lru_cache(8)
def _judge(path: str, signature: str) -> Judge:
    """The model as a function from prompts and answers to NumPy arrays."""
    import tensorflow as tf

    try:
        call = _load(path, signature)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise TokenRLError(
            f'RewardModel: cannot load "{path}": {reason}; give the folder of '
            "a SavedModel or a .keras file."
        ) from error

    def judge(prompts: list[str], answers: list[str]) -> dict[str, np.ndarray]:
        outputs = call(
            {"prompt": tf.constant(prompts), "answer": tf.constant(answers)}
        )
        if not isinstance(outputs, dict):
            outputs = {"score": outputs}
        return {name: np.asarray(value) for name, value in outputs.items()}

    return judge


def _load(path: str, signature: str) -> Callable[[dict], dict]:
    if Path(path).is_file():
        import keras

        model = keras.saving.load_model(path, compile=False)
        return functools.partial(model, training=False)
    import tensorflow as tf

    saved = tf.saved_model.load(path)
    if signature not in saved.signatures:
        raise ValueError(
            f'it has no signature "{signature}" but '
            f"{', '.join(saved.signatures) or 'none'}"
        )
    # Through `saved`, for a signature does not keep its model's variables.
    return lambda inputs: saved.signatures[signature](**inputs)
