import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy

PROMPTS = ["the name of a given file", "", "open"]
ANSWERS = ["list", "a number or value", "the"]


@pytest.fixture
def pairs(policy):
    return policy.encode_pairs(PROMPTS, ANSWERS)


def chosen(scores, mask):
    return [field.numpy()[mask] for field in scores]


def assert_same_scores(one, other, mask, atol=2e-6):
    for a, b in zip(chosen(one, mask), chosen(other, mask), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_a_token_is_scored_by_the_state_before_it(policy, pairs):
    scores = policy.score(pairs, temperature=0.7)
    for row in range(len(PROMPTS)):
        prompt = pairs.prompt_ids[row][pairs.prompt_mask[row]]
        answer = pairs.actions[row][pairs.mask[row]]
        before = states_before(policy, prompt, answer)
        log_p = tf.nn.log_softmax(policy.logits(before)[0] / 0.7).numpy()
        columns = np.arange(len(answer))
        for got, expected in (
            (scores.log_probs, log_p[columns, answer]),
            (scores.values, policy.state_values(before)[0]),
            (scores.entropy, -(np.exp(log_p) * log_p).sum(-1)),
        ):
            np.testing.assert_allclose(
                got[row, : len(answer)], expected, atol=1e-5
            )


def states_before(policy, prompt, answer):
    """Of each token of one answer: `[1, T, H]`."""
    if not isinstance(policy, EncoderDecoderPolicy):
        text = tf.constant([[*prompt, *answer]])
        hidden = policy.hidden_states(text, tf.ones_like(text, tf.bool))
        return hidden[:, len(prompt) - 1 : -1]
    states = tiny.whole_pass(policy.backbone, policy, prompt, answer)
    return states["decoder_sequence_output"][:, -len(answer) - 1 : -1]


@pytest.mark.parametrize("junk", [-1, 10**6])
def test_masked_slots_mean_nothing(policy, pairs, junk):
    dirty = pairs._replace(
        actions=np.where(pairs.mask, pairs.actions, junk),
        prompt_ids=np.where(pairs.prompt_mask, pairs.prompt_ids, 7),
    )
    assert (dirty.actions != pairs.actions).any()
    assert_same_scores(policy.score(pairs), policy.score(dirty), pairs.mask)


def test_forced_tokens_within_an_answer_are_read_but_not_chosen(policy, pairs):
    mask = pairs.mask.copy()
    mask[1, 1:3] = False
    partly = pairs._replace(mask=mask)
    assert_same_scores(policy.score(pairs), policy.score(partly), mask)
    actions = pairs.actions.copy()
    actions[1, 1] += 1
    other = policy.score(partly._replace(actions=actions)).log_probs
    assert other[1, 3] != policy.score(partly).log_probs[1, 3]


def test_dropout_is_never_active():
    policy = tiny.shared_policy("gpt2")
    assert policy.backbone.dropout > 0
    pairs = policy.encode_pairs(PROMPTS, ANSWERS)
    inputs = {k: v for k, v in pairs._asdict().items() if v is not None}
    one, again, other = (
        policy(inputs, training=training)["log_probs"]
        for training in (True, True, False)
    )
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_sampling_and_scoring_share_the_temperature(temperature):
    policy = tiny.policy("gru", temperature=temperature)
    rollout = tiny.sample(policy, PROMPTS)
    scores = policy.score(rollout)
    np.testing.assert_allclose(
        rollout.log_probs[rollout.mask],
        scores.log_probs.numpy()[rollout.mask],
        atol=1e-5,
    )
    other = policy.score(rollout, temperature=1.0).log_probs
    assert np.abs(other - scores.log_probs).max() > 0.01


def test_training_samples_from_the_whole_distribution(policy):
    assert not policy.sampling.truncates
    assert policy.sampling.temperature == policy.temperature


@pytest.mark.parametrize(
    "name",
    [
        "llama",
        "gru",
        *(
            pytest.param(other, marks=pytest.mark.slow)
            for other in ("gpt2", "mistral", "lstm", "bart")
        ),
    ],
)
def test_half_precision_stays_inside(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        policy = tiny.policy(name)
        rollout = tiny.sample(policy, PROMPTS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert policy.value_head.compute_dtype == "float32"
    scores = policy.score(rollout)
    for field in (*scores, rollout.log_probs, rollout.values):
        assert field.dtype == "float32"
    np.testing.assert_allclose(
        rollout.log_probs[rollout.mask],
        scores.log_probs.numpy()[rollout.mask],
        atol=0.3,
    )
    copy = policy.frozen_copy()
    assert_same_scores(scores, copy.score(rollout), rollout.mask)


def test_a_fresh_critic_knows_nothing():
    keras.config.set_dtype_policy("bfloat16")
    try:
        policy = CausalPolicy(
            tiny.causal_lm("llama"),
            tokenizer=tiny.tokenizer(),
            max_prompt_tokens=12,
            max_new_tokens=8,
            answer_start_id=2,
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert {w.dtype for w in policy.value_head.weights} == {"float32"}
    pairs = policy.encode_pairs(PROMPTS, ANSWERS)
    scores = policy.score(pairs)
    assert not scores.values.numpy().any()
    assert (scores.entropy.numpy()[pairs.mask] > 0).all()


def test_a_frozen_copy_is_equal_and_stays(policy, pairs):
    copy = policy.frozen_copy()
    assert copy is not policy and not copy.trainable_variables
    assert_same_scores(policy.score(pairs), copy.score(pairs), pairs.mask)
    kept = [w.numpy() for w in copy.weights]
    before = policy.get_weights()
    policy.set_weights([w + 1 for w in before])
    for weight, value in zip(copy.weights, kept, strict=True):
        np.testing.assert_array_equal(weight, value)
    policy.set_weights(before)
    assert policy.trainable_variables


def test_every_weight_of_the_model_gets_a_gradient(policy, pairs):
    with tf.GradientTape() as tape:
        scores = policy.score(pairs)
        loss = tf.reduce_sum(scores.log_probs + scores.values)
    weights = policy.trainable_variables
    for weight, slope in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        assert slope is not None, weight.path


def test_a_prompt_that_does_not_fit_is_named(policy):
    fits = "the name of a list"
    ids, mask = policy.encode([fits])
    limit = policy.max_prompt_tokens
    with pytest.raises(TokenRLError, match=f"Prompt 1 .* {limit} tokens"):
        policy.encode([fits, fits * 5])
    with pytest.raises(TokenRLError, match="Answer 0 is longer than 8"):
        policy.encode_pairs([fits], [fits * 2])


def test_no_prompts_make_no_rows(policy):
    ids, mask = policy.encode([])
    assert len(ids) == len(mask) == 0


def test_sampled_ids_survive_decoding(policy):
    rollout = tiny.sample(policy, PROMPTS)
    for row, response in enumerate(policy.decode(rollout)):
        kept = rollout.actions[row][rollout.mask[row]]
        assert response.token_ids == tuple(kept)
        assert response.stopped == (kept[-1] in policy.stop_ids)
        assert response.offsets[-1][1] == len(response.text)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(temperature=0.0), "temperature is 0.0"),
        (dict(max_new_tokens=0), "must be at least 1"),
        (dict(answer_start_id=None, stop_ids=()), "no token to start from"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(TokenRLError, match=message):
        tiny.policy("gru", **options)


def test_a_model_with_too_few_positions_is_refused():
    tiny.policy("gpt2", max_prompt_tokens=56, max_new_tokens=8)
    with pytest.raises(TokenRLError, match="64 positions, too few for 57"):
        tiny.policy("gpt2", max_prompt_tokens=57, max_new_tokens=8)


def test_the_cell_must_be_known():
    with pytest.raises(TokenRLError, match='cell "gnu".*"gru"'):
        tiny.RecurrentPolicy(
            "gnu",
            8,
            4,
            tokenizer=tiny.tokenizer(),
            max_prompt_tokens=4,
            max_new_tokens=4,
            answer_start_id=2,
        )


def test_a_preset_folder_becomes_a_policy(tmp_path):
    proto = tiny.tokenizer().proto
    models = keras_hub.models
    tokenizer = models.LlamaTokenizer(proto)
    backbone = models.LlamaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=8,
        intermediate_dim=16,
    )
    preprocessor = models.LlamaCausalLMPreprocessor(tokenizer)
    causal_lm = models.LlamaCausalLM(backbone, preprocessor)
    causal_lm.save_to_preset(str(tmp_path / "preset"))
    policy = CausalPolicy.from_preset(
        str(tmp_path / "preset"), max_new_tokens=16
    )
    assert policy.stop_ids == (tokenizer.end_token_id,)
    assert policy.prompt_start_id == tokenizer.start_token_id
    ids, mask = policy.encode(["the name"])
    inputs = {"token_ids": ids, "padding_mask": mask.astype("int32")}
    np.testing.assert_allclose(
        policy.logits(policy.hidden_states(tf.constant(ids), mask)),
        causal_lm(inputs),
        atol=1e-5,
    )


def test_an_unknown_preset_is_named(tmp_path):
    with pytest.raises(TokenRLError, match="Cannot load the preset"):
        CausalPolicy.from_preset(str(tmp_path / "nothing"))
