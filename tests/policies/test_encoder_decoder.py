"""What is particular to policies whose prompt and answer are two texts."""

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tf_tokenrl.decoding.keras_hub_cross_cache import (
    CallDecoderWithCacheDecoder,
)
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import from_preset
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy
from tf_tokenrl.training.objectives.likelihood import Likelihood

PROMPTS = ["the name of a given file", "", "open", "return a list or value"]
NOT_CAUSAL = "BartSeq2.* an EncoderDecoderPolicy"


@pytest.fixture(scope="module")
def t5():
    return tiny.shared_policy("t5")


def test_the_encoder_reads_the_prompt_and_nothing_else():
    """A token of the prompt changes every state, one of the answer those
    behind it alone."""
    policy = tiny.shared_policy("bart")
    pairs = policy.encode_pairs(["open a file"], ["a number or value"])
    np.testing.assert_array_equal(pairs.prompt_ids[0, [0, -1]], [2, 3])

    def states(**changed):
        names = ("prompt_ids", "prompt_mask", "actions", "mask")
        inputs = {name: getattr(pairs, name) for name in names}
        return policy.action_states(inputs | changed).numpy()[0]

    plain = states()
    prompt_ids = pairs.prompt_ids + [[0, 0, 1, 0, 0]]
    assert (np.abs(states(prompt_ids=prompt_ids) - plain).max(-1) > 1e-3).all()
    actions = pairs.actions.copy()
    actions[0, 2] += 1
    moved = np.abs(states(actions=actions) - plain).max(-1) > 1e-3
    assert list(moved) == [False] * 3 + [True] * (len(moved) - 3)


def test_prompts_are_not_learned():
    """The decoder writes no prompts, whatever weight they are given."""
    policy = tiny.shared_policy("bart")
    plain, weighted = (
        Likelihood(prompt_weight=weight).rows(policy, toy.EXAMPLES)
        for weight in (0.0, 0.5)
    )
    everything = np.arange(len(toy.EXAMPLES)), 1
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        plain.batch(*everything),
        weighted.batch(*everything),
    )


@pytest.mark.slow
def test_a_step_of_ppo_moves_encoder_and_decoder():
    trainer = toy.trainer("bart", options={"epochs": 1, "minibatches": 1})
    policy = trainer.policy
    before = [w.numpy() for w in policy.trainable_variables]
    (log,) = trainer.fit(toy.EXAMPLES, steps=1, batch_size=8)
    assert abs(log["kl"]) < 1e-5 and np.isfinite(log["loss"])
    still = [
        weight.path
        for weight, old in zip(policy.trainable_variables, before, strict=True)
        if np.array_equal(weight, old)
    ]
    # A key's bias adds the same to every score.
    assert all(path.endswith("key/bias") for path in still)


@pytest.fixture(scope="module")
def over():
    """Makes policies over one model of 64 positions."""
    model = tiny.seq2seq_lm("bart")
    settings = dict(
        seq2seq_lm=model,
        tokenizer=tiny.tokenizer(),
        max_prompt_tokens=12,
        max_new_tokens=8,
        answer_start_ids=(3, 2),
        prompt_end_id=3,
    )
    return lambda **options: EncoderDecoderPolicy(**{**settings, **options})


def test_a_fresh_critic_knows_nothing(over):
    made = over()
    pairs = made.encode_pairs(PROMPTS, ["list", "a number", "", "the"])
    assert not made.score(pairs).values.numpy().any()
    assert {w.dtype for w in made.value_head.weights} == {"float32"}


# T5, through KerasHub's cache.


@pytest.mark.slow
def test_t5_scores_what_it_sampled(t5):
    assert isinstance(t5.decoder(), CallDecoderWithCacheDecoder)
    rollout = tiny.sample(t5, PROMPTS, seed=1)
    scores = t5.score(rollout)
    for name in ("log_probs", "values"):
        np.testing.assert_allclose(
            getattr(rollout, name)[rollout.mask],
            getattr(scores, name).numpy()[rollout.mask],
            atol=1e-5,
        )


@pytest.mark.slow
def test_t5_is_scored_as_by_its_own_layers(t5):
    rollout = tiny.sample(t5, PROMPTS, seed=2)
    log_probs = t5.score(rollout, temperature=1.0).log_probs.numpy()
    for row in range(len(PROMPTS)):
        prompt = rollout.prompt_ids[row][rollout.prompt_mask[row]]
        answer = rollout.actions[row][rollout.mask[row]]
        logits = tiny.whole_pass(t5.seq2seq_lm, t5, prompt, answer)[0]
        expected = tf.nn.log_softmax(logits[-len(answer) - 1 : -1]).numpy()
        np.testing.assert_allclose(
            log_probs[row][rollout.mask[row]],
            expected[np.arange(len(answer)), answer],
            atol=1e-5,
        )


@pytest.mark.slow
def test_a_row_of_t5_alone_is_the_row_in_a_batch(t5):
    ids, mask = t5.encode(PROMPTS)
    seeds = np.array([[seed, 0] for seed in range(len(PROMPTS))])
    together = tiny.roll_out(t5, ids, mask, seeds=seeds)
    wider = [np.pad(ids, [(0, 0), (0, 5)]), np.pad(mask, [(0, 0), (0, 5)])]
    padded = tiny.roll_out(t5, *wider, seeds=seeds)
    np.testing.assert_array_equal(padded.actions, together.actions)
    for row, prompt in enumerate(PROMPTS):
        alone = tiny.sample(t5, [prompt], seeds=seeds[row : row + 1])
        np.testing.assert_array_equal(alone.actions[0], together.actions[row])
        np.testing.assert_allclose(
            alone.log_probs[0], together.log_probs[row], atol=1e-5
        )


# Presets.


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A folder with a BART of one layer and the model that lies there."""
    letters = [chr(i) for i in range(33, 127)]
    tokens = ["<s>", "<pad>", "</s>", "<mask>", *letters, "Ġ", "ab"]
    models = keras_hub.models
    tokenizer = models.BartTokenizer(
        vocabulary={token: i for i, token in enumerate(tokens)},
        merges=["a b"],
    )
    backbone = models.BartBackbone(
        vocabulary_size=len(tokens),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=32,
    )
    preprocessor = models.BartSeq2SeqLMPreprocessor(
        tokenizer, encoder_sequence_length=12, decoder_sequence_length=8
    )
    model = models.BartSeq2SeqLM(backbone, preprocessor)
    folder = str(tmp_path_factory.mktemp("bart") / "preset")
    model.save_to_preset(folder)
    return folder, model


@pytest.mark.slow
def test_a_preset_is_read_as_its_makers_read_it(preset):
    folder, model = preset
    policy = from_preset.policy(folder, max_prompt_tokens=16, max_new_tokens=16)
    assert isinstance(policy, EncoderDecoderPolicy)
    theirs, labels, _ = model.preprocessor(
        {"encoder_text": ["a name"], "decoder_text": ["abc"]}
    )
    prompt_ids, _ = policy.encode(["a name"])
    width = prompt_ids.shape[1]
    np.testing.assert_array_equal(
        prompt_ids, theirs["encoder_token_ids"][:, :width]
    )
    answers = policy.encode_pairs(["a name"], ["abc"])
    first = len(policy.answer_start_ids) - 1
    columns = slice(first, first + answers.mask.sum())
    np.testing.assert_array_equal(answers.actions, labels[:, columns])
    expected = tf.nn.log_softmax(model(theirs))[:, columns]
    expected = tf.gather(expected, answers.actions, batch_dims=2)
    np.testing.assert_allclose(
        policy.score(answers).log_probs, expected, atol=1e-5
    )


@pytest.mark.slow
def test_a_preset_of_another_kind_is_refused(preset):
    with pytest.raises(TokenRLError, match=NOT_CAUSAL):
        CausalPolicy.from_preset(preset[0])


# What is refused.


def test_a_causal_policy_is_not_made_of_it():
    with pytest.raises(TokenRLError, match=NOT_CAUSAL):
        CausalPolicy(
            tiny.seq2seq_lm("bart"),
            tokenizer=tiny.tokenizer(),
            max_prompt_tokens=8,
            max_new_tokens=8,
            answer_start_id=2,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(answer_start_ids=()), "answer_start_ids is empty"),
        (dict(prompt_end_id=None), "no token for the encoder"),
        (dict(max_prompt_tokens=65), "64 positions, too few for 65 prompt"),
        (dict(max_new_tokens=63), "an answer of 65 with what opens it"),
    ],
)
def test_impossible_settings_are_refused(over, options, message):
    with pytest.raises(TokenRLError, match=message):
        over(**options)


def test_every_position_may_be_used(over):
    made = over(max_prompt_tokens=64, max_new_tokens=62)
    assert made.decoder().last_position == 63


def test_other_models_are_refused(over):
    with pytest.raises(TokenRLError, match="GPT2CausalLM cannot .* T5Seq2"):
        over(seq2seq_lm=tiny.causal_lm("gpt2"))
