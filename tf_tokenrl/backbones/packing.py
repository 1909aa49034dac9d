"""Reading prompts with their answers without doing anything twice.

The tokens that are there lie one behind the other, so padding costs nothing
in a product; and neighbours that answer one prompt share it: it is read once.
"""

from collections.abc import Callable

import tensorflow as tf

from tf_tokenrl.backbones.attention import Places, attend
from tf_tokenrl.backbones.gradient_checkpointing import recomputed


def answer_states(
    architecture,
    prompt_ids: tf.Tensor,
    lengths: tf.Tensor,
    actions: tf.Tensor,
    counts: tf.Tensor,
    recomputes: bool = False,
) -> tf.Tensor:
    """Hidden states from which each token of some answers was chosen.

    Args:
        architecture: of `backbones`.
        prompt_ids: int32 `[B, P]`, padded on the right.
        lengths: int32 `[B]`, tokens of each prompt, at least 1.
        actions: int32 `[B, T]`, padded on the right.
        counts: int32 `[B]`, tokens of each answer.
        recomputes: keep of each layer only what it was given, see
            `gradient_checkpointing`.

    Returns:
        `[B, T, H]`; what stands behind the end of an answer means nothing.
    """
    groups, first = equal_neighbours(prompt_ids, lengths)
    asked = tf.gather(lengths, first)
    read = tf.maximum(counts - 1, 0)  # nothing is chosen after the last token
    prompts = Places(asked, tf.reduce_max(asked))
    answers = Places(read, tf.reduce_max(read))
    ids = tf.concat(
        [
            tf.gather_nd(tf.gather(prompt_ids, first), prompts.of_tokens),
            tf.gather_nd(actions, answers.of_tokens),
        ],
        axis=0,
    )
    row, column = tf.unstack(answers.of_tokens, axis=1)
    places = tf.gather(lengths, row) + column
    positions = tf.concat([prompts.of_tokens[:, 1], places], axis=0)

    def through(architecture, layer, x):
        projected = architecture.project(layer, x, positions)
        attended = _attended(prompts, answers, groups, *projected)
        return architecture.finish(layer, x, attended)

    x = architecture.embed(ids, positions)
    for layer in range(len(architecture.weights["layers"])):
        if recomputes:
            x = recomputed(through, architecture, layer, x)
        else:
            x = through(architecture, layer, x)
    x = architecture.normalize(x)
    return tf.gather(x, _before(groups, asked, read, tf.shape(actions)[1]))


def read(architecture, ids: tf.Tensor, place: Places, finish: Callable):
    """Read texts in one causal pass.

    Args:
        architecture: of `backbones`.
        ids: int32 `[B, L]`, padded on the right.
        place: where the tokens of the texts stand.
        finish: the rest of a layer, of its number, its state `[N, H]` and
            what was attended to, `[N, heads * size]`.

    Returns:
        States `[N, H]` of the tokens, not yet normalised; keys and values
        of each layer, `[B, key heads, L, size]`.
    """
    positions = place.of_tokens[:, 1]
    x = architecture.embed(tf.gather_nd(ids, place.of_tokens), positions)
    keys, values = [], []
    for layer in range(len(architecture.weights["layers"])):
        projected = architecture.project(layer, x, positions)
        q, k, v = (place.spread(part) for part in projected)
        keys.append(k)
        values.append(v)
        attended = attend(q, [(k, v, place.causal(q, k))])
        x = finish(layer, x, place.pack(attended))
    return x, keys, values


def equal_neighbours(
    ids: tf.Tensor, lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Groups of adjacent rows that are equal.

    Args:
        ids: int32 `[B, P]`.
        lengths: int32 `[B]`; what stands behind means nothing.

    Returns:
        groups: int32 `[B]`, the number of each row's group.
        first: int32 `[G]`, the first row of each group.
    """
    inside = tf.sequence_mask(lengths, tf.shape(ids)[1])
    own = tf.where(inside, ids, 0)
    differs = tf.reduce_any(own[1:] != own[:-1], axis=-1)
    differs |= lengths[1:] != lengths[:-1]
    differs = tf.concat([[True], differs], axis=0)
    groups = tf.cumsum(tf.cast(differs, tf.int32)) - 1
    return groups, tf.cast(tf.where(differs)[:, 0], tf.int32)


def _attended(prompts: Places, answers: Places, groups, *projected):
    """Prompts look at themselves, answers at their prompt and themselves.

    Args:
        prompts: of the G groups.
        answers: of the B rows.
        groups: int32 `[B]`.
        *projected: queries, keys and values, each `[N, heads, size]`.
    """
    sizes = [tf.shape(part.of_tokens)[0] for part in (prompts, answers)]
    pairs = [tf.split(x, sizes) for x in projected]
    q, k, v = (prompts.spread(asked) for asked, _ in pairs)
    of_prompts = attend(q, [(k, v, prompts.causal(q, k))])
    shared = (*(tf.gather(x, groups) for x in (k, v, prompts.present)),)
    q, k, v = (answers.spread(answered) for _, answered in pairs)
    of_answers = attend(q, [shared, (k, v, answers.causal(q, k))])
    return tf.concat(
        [prompts.pack(of_prompts), answers.pack(of_answers)], axis=0
    )


def _before(groups, asked, read, columns) -> tf.Tensor:
    """Where the token before each action lies, int32 `[B, T]`."""
    ends = tf.gather(tf.cumsum(asked) - 1, groups)
    begins = tf.reduce_sum(asked) + tf.cumsum(read, exclusive=True)
    place = tf.range(columns)[None]
    index = tf.where(place == 0, ends[:, None], begins[:, None] + place - 1)
    return tf.minimum(index, tf.reduce_sum(asked) + tf.reduce_sum(read) - 1)
