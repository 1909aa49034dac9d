import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.text.label_codec import unpack

PROMPTS = ["the filename of a given list", "", "Open", "a LIST or"]
TAGS = ["O O O B-X I-X O", "", "B-X", "I-X B-X O"]
LABELS = ["O", "I-X", "O", "B-X"]


@pytest.fixture(scope="module", params=["bert", "distil_bert", "roberta"])
def tagger(request):
    return tiny.shared_label_policy(name=request.param)


@pytest.fixture(scope="module", params=["word", "text"])
def policy(request):
    return tiny.shared_label_policy(unit=request.param)


def pairs(policy):
    answers = TAGS if policy.unit == "word" else LABELS
    return policy.encode_pairs(PROMPTS, answers)


def assert_same_scores(one, other, mask, atol=2e-6):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(
            a.numpy()[mask], b.numpy()[mask], rtol=0, atol=atol
        )


def test_a_word_is_scored_at_its_first_piece(tagger):
    rollout = tagger.encode_pairs(PROMPTS, TAGS)
    scores = tagger.score(rollout, temperature=0.7)
    for row, tags in enumerate(TAGS):
        ids = rollout.prompt_ids[row][rollout.prompt_mask[row]]
        hidden = tagger.hidden_states(ids[None], np.ones([1, len(ids)], bool))
        pieces = [tagger.tokenizer(w) for w in PROMPTS[row].split()]
        assert row or any(len(p) > 1 for p in pieces)
        first = 1 + np.cumsum([0, *map(len, pieces)])[:-1]
        hidden = tf.gather(hidden[0], first)
        log_p = tf.nn.log_softmax(tagger.logits(hidden) / 0.7).numpy()
        labels = [tiny.TAGS.index(tag) for tag in tags.split()]
        for got, expected in (
            (scores.log_probs, log_p[np.arange(len(labels)), labels]),
            (scores.values, tagger.state_values(hidden)),
            (scores.entropy, -(np.exp(log_p) * log_p).sum(-1)),
        ):
            np.testing.assert_allclose(
                got[row, : len(labels)], expected, atol=1e-5
            )


def test_a_text_is_scored_at_its_start():
    policy = tiny.shared_label_policy(unit="text")
    rollout = policy.encode_pairs(PROMPTS, LABELS)
    assert rollout.mask.shape == (4, 1) and rollout.mask.all()
    hidden = policy.hidden_states(rollout.prompt_ids, rollout.prompt_mask)
    log_p = tf.nn.log_softmax(policy.logits(hidden[:, 0])).numpy()
    labels = [tiny.TAGS.index(label) for label in LABELS]
    np.testing.assert_allclose(
        policy.score(rollout).log_probs[:, 0],
        log_p[range(4), labels],
        atol=1e-6,
    )


@pytest.mark.parametrize("junk", [-1, 10**8])
def test_masked_slots_mean_nothing(policy, junk):
    clean = pairs(policy)
    dirty = clean._replace(
        actions=np.where(clean.mask, clean.actions, junk),
        prompt_ids=np.where(clean.prompt_mask, clean.prompt_ids, junk),
        log_probs=np.full_like(clean.log_probs, np.nan),
    )
    assert (dirty.prompt_ids != clean.prompt_ids).any()
    assert_same_scores(policy.score(clean), policy.score(dirty), clean.mask)
    sampled = tiny.roll_out(policy, clean.prompt_ids, clean.prompt_mask)
    again = tiny.roll_out(policy, dirty.prompt_ids, clean.prompt_mask)
    np.testing.assert_array_equal(sampled.actions, again.actions)


def test_padding_and_neighbours_mean_nothing(policy):
    together, seeds = pairs(policy), np.arange(8).reshape(4, 2)
    scores = policy.score(together)
    sampled = tiny.sample(policy, PROMPTS, seeds=seeds)
    for row, prompt in enumerate(PROMPTS):
        mask = together.mask[row]
        alone = policy.encode_pairs(
            [prompt], [policy.decode(together)[row].text]
        )
        for a, b in zip(policy.score(alone), scores, strict=True):
            np.testing.assert_allclose(a[0], b[row][mask], atol=2e-6)
        one = tiny.sample(policy, [prompt], seeds=seeds[row : row + 1])
        np.testing.assert_array_equal(one.actions[0], sampled.actions[row])
        np.testing.assert_allclose(
            one.log_probs[0], sampled.log_probs[row], atol=2e-6
        )


def test_the_order_of_rows_means_nothing(policy):
    forth = pairs(policy)
    back = tf.nest.map_structure(
        lambda x: None if x is None else x[::-1], forth
    )
    turned = [x[::-1] for x in policy.score(back)]
    assert_same_scores(policy.score(forth), turned, forth.mask)


def test_neighbours_that_are_one_prompt_are_read_once(policy, monkeypatch):
    rows = pairs(policy)._replace(log_probs=None, values=None)
    together, apart = [0, 0, 0, 2, 3, 3], [0, 3, 0, 2, 3, 0]
    read, hidden_states = [], policy.hidden_states

    def counted(ids, mask):
        read.append(len(ids))
        return hidden_states(ids, mask)

    monkeypatch.setattr(policy, "hidden_states", counted)
    weights = [v.value for v in policy.trainable_variables]
    found = []
    for order in (together, apart):
        rollout = rows._replace(
            **{
                name: getattr(rows, name)[order]
                for name in ("prompt_ids", "prompt_mask", "actions", "mask")
            }
        )
        with tf.GradientTape() as tape:
            scores = policy.score(rollout)
            loss = tf.reduce_sum(scores.log_probs + scores.values)
        found.append((scores, tape.gradient(loss, weights)))
    assert read == [3, 6]
    order = [0, 5, 2, 3, 1, 4]  # of `apart`, as in `together`
    for one, other in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(one, other.numpy()[order], atol=2e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        one, other = map(tf.convert_to_tensor, (one, other))
        np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_labels_are_drawn_as_they_are_scored(temperature):
    policy = tiny.label_policy(temperature=temperature)
    rollout = tiny.sample(policy, PROMPTS)
    assert rollout.mask.sum(-1).tolist() == [6, 0, 1, 3]
    scores = policy.score(rollout)
    np.testing.assert_allclose(
        rollout.log_probs, scores.log_probs.numpy(), atol=1e-5
    )
    np.testing.assert_allclose(
        rollout.values[rollout.mask],
        scores.values.numpy()[rollout.mask],
        atol=1e-5,
    )
    other = policy.score(rollout, temperature=1.0).log_probs
    assert np.abs(other - scores.log_probs).max() > 0.01


def test_labels_come_as_often_as_they_are_likely():
    policy = tiny.shared_label_policy(unit="word")
    rows = 3000
    rollout = tiny.sample(policy, ["the file"] * rows)
    for column in range(2):
        for label in range(3):
            given = np.full((1, 2), label, np.int32)
            one = rollout._replace(
                prompt_ids=rollout.prompt_ids[:1],
                prompt_mask=rollout.prompt_mask[:1],
                actions=given,
                mask=np.ones((1, 2), bool),
            )
            p = np.exp(policy.score(one).log_probs[0, column])
            share = (rollout.actions[:, column] == label).mean()
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / rows) + 1e-9
    # Labels of one text are independent of each other.
    first, second = (rollout.actions[:, :2] == 0).T.astype(float)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(rows)


def test_given_labels_stand_and_the_others_are_drawn_as_ever():
    policy = tiny.shared_label_policy(unit="word")
    ids, mask = policy.encode(PROMPTS)
    seeds = tf.constant(np.arange(8).reshape(4, 2))
    free = tiny.roll_out(policy, ids, mask, seeds=seeds)
    prefix = Prefix(
        tf.constant([[2, 0, 2]] * 4), tf.constant([3, 0, 1, 1]), [False] * 4
    )
    rollout = tf.function(policy.act_after)(ids, mask, prefix, seeds)
    begun = np.arange(free.mask.shape[1]) < prefix.counts.numpy()[:, None]
    np.testing.assert_array_equal(rollout.mask, free.mask & ~begun)
    for name in ("actions", "log_probs", "values"):
        np.testing.assert_allclose(
            getattr(rollout, name).numpy()[rollout.mask],
            getattr(free, name)[rollout.mask],
            atol=1e-6,
        )
    assert rollout.actions.numpy()[0, :3].tolist() == [2, 0, 2]
    assert not rollout.log_probs.numpy()[~rollout.mask.numpy()].any()
    scores = policy.score(rollout)
    np.testing.assert_allclose(scores.log_probs, rollout.log_probs, atol=1e-5)


def test_temperature_0_takes_the_likeliest(policy):
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    best = policy.score(rollout, temperature=1.0).log_probs.numpy()
    np.testing.assert_allclose(rollout.log_probs, best, atol=1e-5)
    for label in range(3):
        other = rollout._replace(actions=np.full_like(rollout.actions, label))
        other = policy.score(other, temperature=1.0).log_probs.numpy()
        assert (best >= other - 1e-6).all()


def test_answers_are_labels_joined_by_spaces(policy):
    answers = TAGS if policy.unit == "word" else LABELS
    responses = policy.decode(pairs(policy))
    for response, answer in zip(responses, answers, strict=True):
        assert response.text == answer and response.stopped
        spans = [response.text[a:b] for a, b in response.offsets]
        assert spans == answer.split()
        assert [tiny.TAGS[i] for i in response.token_ids] == spans


def test_labels_that_do_not_fit_are_named():
    policy = tiny.shared_label_policy(unit="word")
    with pytest.raises(TokenRLError, match='example 1\\) "B-Y".*Did you mean'):
        policy.encode_pairs(["the file", "open"], ["O O", "B-Y"])
    with pytest.raises(TokenRLError, match="Example 1 has 2 words but 1 lab"):
        policy.encode_pairs(["open", "the file"], ["O", "B-X"])
    with pytest.raises(TokenRLError, match="Prompt 0 is longer than 24"):
        policy.encode(["the file " * 20])
    classifier = tiny.shared_label_policy(unit="text")
    with pytest.raises(TokenRLError, match='Unknown label.*"O O"'):
        classifier.encode_pairs(["open"], ["O O"])


def test_letter_case_is_seen_where_it_is_asked_for():
    policy = tiny.shared_label_policy(unit="word")
    other = tiny.shared_label_policy(unit="word", letter_case=False)
    for made, differ in ((policy, True), (other, False)):
        prompts = ["open file", "Open file"]
        ids, mask = made.encode(prompts)
        tokens, cases, places = map(np.asarray, unpack(ids))
        same = np.array_equal(cases[0], cases[1])
        assert same != differ
        assert places.sum(-1).tolist() == [2, 2]


def test_every_weight_but_the_pooler_gets_a_gradient(tagger):
    rollout = tagger.encode_pairs(PROMPTS, TAGS)
    weights = tagger.trainable_variables
    assert not any("pooled" in weight.path for weight in weights)
    with tf.GradientTape() as tape:
        scores = tagger.score(rollout)
        loss = tf.reduce_sum(scores.log_probs + scores.values)
    for weight, slope in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        assert slope is not None, weight.path


def test_a_fresh_policy_is_undecided_and_its_critic_knows_nothing():
    policy = LabelPolicy(
        tiny.encoder(), tiny.TAGS, 24, tokenizer=tiny.tokenizer()
    )
    scores = policy.score(policy.encode_pairs(["open file"], ["O O"]))
    assert not scores.values.numpy().any()
    np.testing.assert_allclose(scores.entropy, np.log(3), atol=0.02)


def test_a_frozen_copy_is_equal_and_stays(policy):
    copy = policy.frozen_copy()
    assert not copy.trainable_variables
    rollout = pairs(policy)
    assert_same_scores(policy.score(rollout), copy.score(rollout), rollout.mask)


def test_a_policy_comes_back_whole(tagger, tmp_path):
    loaded = storage.load(storage.save(tagger, tmp_path / "policy.keras"))
    assert type(loaded) is LabelPolicy
    assert loaded.get_config().keys() == tagger.get_config().keys()
    assert len(loaded.trainable_variables) == len(tagger.trainable_variables)
    one, other = (p.encode_pairs(PROMPTS, TAGS) for p in (tagger, loaded))
    np.testing.assert_array_equal(one.prompt_ids, other.prompt_ids)
    for a, b in zip(tagger.score(one), loaded.score(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision_stays_inside():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        policy = tiny.label_policy()
        rollout = tiny.sample(policy, PROMPTS)
    finally:
        keras.config.set_dtype_policy("float32")
    scores = policy.score(rollout)
    for field in (*scores, rollout.log_probs, rollout.values):
        assert field.dtype == "float32"
    np.testing.assert_allclose(
        rollout.log_probs, scores.log_probs.numpy(), atol=0.1
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(labels=("O",)), "two or more, each once"),
        (dict(labels=("O", "O")), "two or more, each once"),
        (dict(labels=("O", "B X")), "'B X' is empty or has white space"),
        (dict(labels=("O", "")), "'' is empty or has white space"),
        (dict(unit="words"), 'Unknown unit of labels "words".*"word"'),
        (dict(max_prompt_tokens=33), "32 positions, too few for 33"),
        (dict(temperature=0.0), "temperature is 0.0"),
        (dict(max_prompt_tokens=2), "must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(TokenRLError, match=message):
        tiny.label_policy(**options)


def test_letter_case_needs_segments():
    with pytest.raises(TokenRLError, match="6 segments.*this one has 0"):
        tiny.label_policy("roberta", letter_case=True)


def test_labels_of_texts_may_have_spaces():
    labels = ("very good", "so so")
    policy = tiny.label_policy(unit="text", labels=labels)
    rollout = policy.encode_pairs(["open", "a"], ["so so", " very good "])
    assert [r.text for r in policy.decode(rollout)] == ["so so", "very good"]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = ["the", "file", "open", "a", "##s", "."]
    tokenizer = keras_hub.models.BertTokenizer(special + words, lowercase=True)
    encoder = keras_hub.models.BertBackbone(
        vocabulary_size=11,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
    )
    folder = tmp_path_factory.mktemp("preset")
    encoder.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return str(folder), encoder


@pytest.mark.parametrize("letter_case", [False, True])
def test_a_preset_folder_becomes_a_policy(preset, letter_case):
    folder, encoder = preset
    policy = LabelPolicy.from_preset(
        folder, tiny.TAGS, letter_case=letter_case, max_prompt_tokens=16
    )
    ids, mask = policy.encode(["Open the files.", "zebra"])
    tokens = unpack(ids)[0]
    assert tokens.tolist() == [[2, 7, 5, 6, 9, 10, 3], [2, 1, 3, 0, 0, 0, 0]]
    inputs = {
        "token_ids": tokens,
        "padding_mask": mask.astype("int32"),
        "segment_ids": np.zeros_like(tokens),
    }
    # All segments are equal at first, so that nothing is lost.
    np.testing.assert_allclose(
        policy.hidden_states(tf.constant(ids), tf.constant(mask)),
        encoder(inputs)["sequence_output"],
        atol=1e-6,
    )


def test_an_unknown_preset_is_named(tmp_path):
    with pytest.raises(TokenRLError, match="Cannot load the preset"):
        LabelPolicy.from_preset(str(tmp_path / "nothing"), tiny.TAGS)
