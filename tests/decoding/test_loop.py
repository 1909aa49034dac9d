import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.decoding.keras_hub_cache import CallWithCacheDecoder
from tf_tokenrl.decoding.keras_hub_cross_cache import (
    CallDecoderWithCacheDecoder,
)
from tf_tokenrl.decoding.sampling import row_seeds
from tf_tokenrl.decoding.scheduling import decode
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy

PROMPTS = ["the name of a given file", "", "open", "return a list or value"]


def assert_scored_alike(policy, rollout, tolerance=1e-5):
    scores = policy.score(rollout)
    for name in ("log_probs", "values"):
        acted = getattr(rollout, name)
        scored = getattr(scores, name).numpy()
        np.testing.assert_allclose(
            acted[rollout.mask], scored[rollout.mask], atol=tolerance
        )


def assert_equal_rows(one, other, row):
    """The answer `one` `[1, T]` is row `row` of `other`."""
    np.testing.assert_array_equal(one.actions[0], other.actions[row])
    np.testing.assert_array_equal(one.mask[0], other.mask[row])
    for name in ("log_probs", "values"):
        np.testing.assert_allclose(
            getattr(one, name)[0], getattr(other, name)[row], atol=1e-5
        )


def test_what_was_sampled_is_what_is_scored(policy):
    rollout = tiny.sample(policy, PROMPTS, seed=1)
    assert rollout.mask.sum() > 2 * len(PROMPTS)
    assert_scored_alike(policy, rollout)


@pytest.mark.parametrize(
    "dtype",
    ["mixed_bfloat16", pytest.param("bfloat16", marks=pytest.mark.slow)],
)
def test_half_precision_scores_what_it_sampled_but_for_rounding(dtype):
    """A product's sums may come in another order, and a state's last bit is
    2**-8 of it: the bound is some of them, in nats and in units of value."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        policy = tiny.policy("gpt2")
    finally:
        keras.config.set_dtype_policy(before)
    rollout = tiny.sample(policy, PROMPTS * 4, seed=1)
    assert rollout.log_probs.dtype == rollout.values.dtype == np.float32
    assert_scored_alike(policy, rollout, tolerance=0.1)


def test_a_row_alone_is_the_row_in_a_batch(policy):
    together = tiny.sample(policy, PROMPTS, seed=2)
    for row, prompt in enumerate(PROMPTS):
        alone = tiny.sample(policy, [prompt], seeds=row_seeds(2, row, 1))
        assert_equal_rows(alone, together, row)


def test_padding_columns_change_nothing(policy):
    ids, mask = policy.encode(PROMPTS)
    plain = tiny.roll_out(policy, ids, mask)
    padded = tiny.roll_out(
        policy,
        np.pad(ids, [(0, 0), (0, 7)], constant_values=9),
        np.pad(mask, [(0, 0), (0, 7)]),
    )
    for before, after in zip(plain[2:6], padded[2:6], strict=True):
        np.testing.assert_allclose(before, after, atol=1e-5)
    before, after = policy.score(plain), policy.score(padded)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(
            one.numpy()[plain.mask], other.numpy()[plain.mask], atol=1e-5
        )


def test_each_row_has_its_own_limit(policy):
    limits = np.array([0, 1, 3, 100])
    free = tiny.sample(policy, PROMPTS, seed=3)
    rollout = tiny.sample(policy, PROMPTS, seed=3, max_new_tokens=limits)
    kept = np.arange(free.mask.shape[1])[None] < limits[:, None]
    np.testing.assert_array_equal(rollout.mask, free.mask & kept)
    np.testing.assert_array_equal(
        rollout.actions, np.where(rollout.mask, free.actions, 0)
    )


def test_settings_are_those_of_the_row(policy):
    temperature = np.array([0.0, 1.0, 0.0, 0.3])
    mixed = tiny.sample(policy, PROMPTS, seed=4, temperature=temperature)
    greedy = tiny.sample(policy, PROMPTS, seed=9, temperature=0.0)
    np.testing.assert_array_equal(mixed.actions[::2], greedy.actions[::2])


def test_greedy_is_the_argmax_of_a_whole_forward_pass(policy):
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    for row in range(len(PROMPTS)):
        prompt = rollout.prompt_ids[row][rollout.prompt_mask[row]]
        answer = rollout.actions[row][rollout.mask[row]]
        logits = uncached_logits(policy, prompt, answer)
        best = np.argmax(logits[-len(answer) - 1 : -1], axis=-1)
        np.testing.assert_array_equal(answer, best)


def uncached_logits(policy, prompt, answer):
    """Keras' own layers on one text, nothing of ours between: `[L, V]`."""
    if isinstance(policy, EncoderDecoderPolicy):
        return tiny.whole_pass(policy.seq2seq_lm, policy, prompt, answer)[0]
    ids = tf.constant([[*prompt, *answer]])
    if isinstance(policy, CausalPolicy):
        inputs = {"token_ids": ids, "padding_mask": tf.ones_like(ids)}
        return policy.causal_lm(inputs, training=False)[0]
    x = policy.embedding(ids)
    for layer in policy.recurrent_layers:
        x = layer(x)[0]
    return x[0] @ tf.transpose(policy.embedding.embeddings)


def test_a_stop_token_is_chosen_and_ends_the_answer():
    stops = (3, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    policy = tiny.policy("gru", stop_ids=stops)
    rollout = tiny.sample(policy, PROMPTS * 8)
    is_stop = np.isin(rollout.actions, stops) & rollout.mask
    lengths = rollout.mask.sum(-1)
    assert len(set(lengths)) > 3 and is_stop.any()
    for row, length in enumerate(lengths):
        assert rollout.mask[row, :length].all()
        assert not is_stop[row, : length - 1].any()
        assert is_stop[row, length - 1] or length == policy.max_new_tokens
    assert len(set(rollout.actions[is_stop])) > 2
    for array in rollout[2:6]:
        assert not array[~rollout.mask].any()


def test_padding_may_be_a_stop_token():
    policy = tiny.policy("gru", stop_ids=(0, 3))
    rollout = tiny.sample(policy, PROMPTS * 8)
    ended = (rollout.actions == 0) & rollout.mask
    assert (ended.sum(-1) <= 1).all()
    assert_scored_alike(policy, rollout)


def test_without_stop_tokens_every_answer_is_full():
    policy = tiny.policy("gru", stop_ids=())
    assert tiny.sample(policy, PROMPTS).mask.all()


def test_capacity_is_the_width_of_the_answer():
    policy = tiny.shared_policy("gru")
    ids, mask = policy.encode(PROMPTS)
    wide = tiny.roll_out(policy, ids, mask)
    narrow = tf.function(policy.act)(
        tf.constant(ids), tf.constant(mask), row_seeds(0, 0, 4), capacity=3
    )
    assert narrow.actions.shape == (4, 3)
    np.testing.assert_array_equal(narrow.actions, wide.actions[:, :3])


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("gpt2", CallWithCacheDecoder),
        ("llama", CallWithCacheDecoder),
        pytest.param(
            "bart", CallDecoderWithCacheDecoder, marks=pytest.mark.slow
        ),
    ],
)
def test_both_caches_agree(name, other):
    policy = tiny.shared_policy(name)
    ours = tiny.sample(policy, PROMPTS, seed=5)

    @tf.function
    def theirs(ids, mask, seeds):
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)
        return decode(
            other(policy),
            ids,
            lengths,
            seeds,
            policy.sampling.per_row(4),
            policy.max_new_tokens,
        )

    decoded = theirs(
        tf.constant(ours.prompt_ids), ours.prompt_mask, row_seeds(5, 0, 4)
    )
    np.testing.assert_array_equal(decoded.actions, ours.actions)
    np.testing.assert_array_equal(decoded.mask, ours.mask)
    np.testing.assert_allclose(decoded.log_probs, ours.log_probs, atol=1e-5)
    np.testing.assert_allclose(decoded.values, ours.values, atol=1e-5)


def other_backbones():
    """Options of small backbones whose architecture has no file here."""
    size = dict(vocabulary_size=tiny.tokenizer().vocabulary_size())
    size.update(num_layers=2, hidden_dim=16, intermediate_dim=32)
    grouped = dict(num_query_heads=4, num_key_value_heads=2)
    gemma = dict(**size, **grouped, head_dim=4)
    experts = dict(num_experts=4, top_k=2)
    return {
        "Bloom": dict(**size, num_heads=4),
        "Falcon": dict(**size, num_attention_heads=4),
        "Gemma": gemma,
        "Llama3": dict(**size, **grouped),
        "Mistral": dict(**size, **grouped, sliding_window=4),
        "Mixtral": dict(**size, **grouped, **experts),
        "OPT": dict(**size, num_heads=4, max_sequence_length=64),
        "Phi3": dict(**size, **grouped),
        "Qwen": dict(**size, **grouped),
        "Qwen3": gemma,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", list(other_backbones()))
def test_other_architectures_score_what_they_sampled(name):
    options = other_backbones()[name]
    backbone = getattr(keras_hub.models, f"{name}Backbone")(**options)
    policy = wrapped(getattr(keras_hub.models, f"{name}CausalLM")(backbone))
    tiny.roughen(policy)
    rollout = tiny.sample(policy, PROMPTS)
    assert rollout.mask.sum() > len(PROMPTS)
    assert_scored_alike(policy, rollout)


@pytest.mark.slow
def test_the_second_gemma_scores_what_it_sampled():
    backbone = keras_hub.models.GemmaBackbone(
        **other_backbones()["Gemma"],
        query_head_dim_normalize=False,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        final_logit_soft_cap=5.0,
        attention_logit_soft_cap=5.0,
        sliding_window_size=4,
        use_sliding_window_attention=True,
    )
    policy = wrapped(keras_hub.models.GemmaCausalLM(backbone))
    tiny.roughen(policy)
    assert_scored_alike(policy, tiny.sample(policy, PROMPTS))


def wrapped(causal_lm, **options):
    settings = dict(max_prompt_tokens=12, max_new_tokens=8, answer_start_id=2)
    settings.update(options)
    return CausalPolicy(causal_lm, tokenizer=tiny.tokenizer(), **settings)


def test_a_model_that_would_be_decoded_wrongly_is_refused():
    models = keras_hub.models
    size = dict(vocabulary_size=64, hidden_dim=16, num_layers=1)
    neo = models.GPTNeoXBackbone(**size, num_heads=2, intermediate_dim=8)
    with pytest.raises(TokenRLError, match="GPTNeoXCausalLM cannot"):
        wrapped(models.GPTNeoXCausalLM(neo))
    gemma = models.Gemma3Backbone(
        **size,
        image_size=16,
        num_query_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        intermediate_dim=8,
    )
    with pytest.raises(TokenRLError, match="Gemma3CausalLM cannot"):
        wrapped(models.Gemma3CausalLM(backbone=gemma, preprocessor=None))
