"""Break details on purpose; each must be caught by a named test.

    python -m tests.support.mutations [NAME ...]

Works on a copy of the sources. `docs/correctness.md` lists what is broken;
a mutation whose text is no longer found counts as not caught.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("tf_tokenrl", "tests", "pipelines", "conftest")


class Mutation(NamedTuple):
    """One detail: where it stands, what it becomes, and who notices."""

    name: str
    file: str
    right: str
    wrong: str
    test: str


MUTATIONS = (
    Mutation(
        "the stop token is left out of the mask",
        "decoding/loop.py",
        "return state, Columns(ids, chosen, log_probs, values)",
        "return state, Columns(ids, chosen & ~is_any(ids, stop_ids), log_probs,"
        " values)",
        "tests/decoding/test_loop.py"
        "::test_a_stop_token_is_chosen_and_ends_the_answer",
    ),
    Mutation(
        "a token is scored by its own state, not by the one before",
        "policies/language_model.py",
        "before = lengths[:, None] - 1 + tf.range(columns)[None]",
        "before = lengths[:, None] + tf.range(columns)[None]",
        "tests/policies/test_base.py"
        "::test_a_token_is_scored_by_the_state_before_it[gru]",
    ),
    Mutation(
        "the temperature is forgotten when scoring",
        "policies/output_layer.py",
        "lambda *x: logits_of(*x) / temperature",
        "lambda *x: logits_of(*x)",
        "tests/policies/test_base.py"
        "::test_sampling_and_scoring_share_the_temperature[0.5]",
    ),
    Mutation(
        "masked slots are multiplied by 0",
        "ops/masking.py",
        "tf.where(mask, x, tf.zeros_like(x))",
        "x * tf.cast(mask, tf.float32)",
        "tests/ops/test_masking.py::test_gradients_do_not_see_masked_slots",
    ),
    Mutation(
        "the mean of whitening counts padding",
        "ops/masking.py",
        "mean = masked_mean(x, mask)",
        "mean = masked_mean(x)",
        "tests/ops/test_masking.py::test_whitening_equals_its_definition",
    ),
    Mutation(
        "advantages decay through masked slots",
        "ops/returns.py",
        "decays = tf.where(mask, discount * trace_decay, 1.0)",
        "decays = discount * trace_decay * tf.ones_like(errors)",
        "tests/ops/test_returns.py::test_advantages_equal_the_sum",
    ),
    Mutation(
        "the value of the state itself stands for the next one's",
        "ops/returns.py",
        "next_values = tf.concat([nearest[:, 1:], end[:, tf.newaxis]], axis=1)",
        "next_values = nearest",
        "tests/ops/test_returns.py::test_golden_advantages",
    ),
    Mutation(
        "the surrogate takes the better of the two",
        "ops/losses.py",
        "return tf.maximum(free, bound), tf.cast(bound > free, tf.float32)\n"
        "\n\ndef value_loss",
        "return tf.minimum(free, bound), tf.cast(bound > free, tf.float32)\n"
        "\n\ndef value_loss",
        "tests/ops/test_losses.py::test_clipped_surrogate_by_sign_and_side",
    ),
    Mutation(
        "the gradient runs through the advantages",
        "ops/losses.py",
        "advantages = tf.stop_gradient(keep_chosen(advantages, mask))\n"
        "    bounded",
        "advantages = keep_chosen(advantages, mask)\n    bounded",
        "tests/ops/test_losses.py"
        "::test_what_was_collected_is_constant_and_masked_slots_are_dead",
    ),
    Mutation(
        "the value is clipped around the return, not the old value",
        "ops/losses.py",
        "near = tf.clip_by_value(values, old_values - clip, old_values + clip)",
        "near = tf.clip_by_value(values, returns - clip, returns + clip)",
        "tests/ops/test_losses.py::test_clipped_value_loss",
    ),
    Mutation(
        "k3 with the ratio upside down",
        "ops/kl.py",
        "inverse = tf.minimum(-tf.convert_to_tensor(log_ratio), "
        "LARGEST_EXPONENT)",
        "inverse = tf.minimum(tf.convert_to_tensor(log_ratio), "
        "LARGEST_EXPONENT)",
        "tests/ops/test_kl.py::test_k1_and_k3_are_unbiased",
    ),
    Mutation(
        "whitened advantages become the critic's returns",
        "algorithms/base.py",
        "return targets._replace(advantages=masked_whiten(targets.advantages, "
        "mask))",
        "white = masked_whiten(targets.advantages, mask)\n    return Targets("
        "white, targets.returns - targets.advantages + white)",
        "tests/algorithms/test_contract.py"
        "::test_returns_stem_from_advantages_before_whitening",
    ),
    Mutation(
        "a baseline counts the answer's own reward",
        "ops/groups.py",
        "keepdims=True) - groups",
        "keepdims=True)",
        "tests/algorithms/test_reinforce.py"
        "::test_mean_is_the_mean_of_the_other_rows",
    ),
    Mutation(
        "each part is divided by its own number of tokens",
        "training/updates/updater.py",
        "mask = batch.rollout.mask\n",
        "mask = batch.rollout.mask\n        weights['chosen'] = "
        "loss_weights(mask, 'token', 8) / self._step.accumulation\n",
        "tests/training/updates/test_updater.py"
        "::test_parts_add_up_to_the_gradient_of_the_whole[2-nan]",
    ),
    Mutation(
        "each part is clipped before the sum",
        "training/updates/gradient_step.py",
        "return sums, [tf.convert_to_tensor(g) for g in gradients]",
        "return sums, tf.clip_by_global_norm([tf.convert_to_tensor(g) for g "
        "in gradients], self.gradient_clip or 1e9)[0]",
        "tests/training/updates/test_updater.py::test_the_gradient_is_clipped_after_the_sum",
    ),
    Mutation(
        "every step draws the same noise",
        "training/rollouts/sampler.py",
        "first = np.int64(step) * len(prompt_ids)",
        "first = np.int64(0)",
        "tests/training/rollouts/test_sampler.py::test_rows_and_steps_have_noise_of_their_own",
    ),
    Mutation(
        "a score goes to the first token",
        "rewards/base.py",
        "row[positions[-1:]] = values",
        "row[positions[:1]] = values",
        "tests/rewards/test_base.py"
        "::test_a_float_goes_to_the_last_chosen_token_whole",
    ),
    Mutation(
        "rewards are whole numbers",
        "rewards/base.py",
        "rewards = np.zeros(mask.shape, np.float32)",
        "rewards = np.zeros(mask.shape, np.int32)",
        "tests/rewards/test_base.py"
        "::test_a_float_goes_to_the_last_chosen_token_whole",
    ),
    Mutation(
        "KL is rewarded against the policy's own log-probs",
        "rewards/kl.py",
        "reference = np.asarray(rollout.reference_log_probs)",
        "reference = np.asarray(rollout.log_probs)",
        "tests/rewards/test_kl.py::test_k1_is_the_difference_of_log_probs",
    ),
    Mutation(
        "block and token of a draw share one random number",
        "decoding/sampling.py",
        "token, _ = _first_above(inside, noise[:, 1])",
        "token, _ = _first_above(inside, noise[:, 0])",
        "tests/decoding/test_sampling.py"
        "::test_every_token_of_many_blocks_is_drawn_at_its_probability",
    ),
    Mutation(
        "direct KL in the loss is not direct",
        "training/updates/kl_loss.py",
        "            self.direct,\n        )",
        "            False,\n        )",
        "tests/training/updates/test_kl_loss.py"
        "::test_a_token_counts_as_often_as_the_policy_now_takes_it[True]",
    ),
    Mutation(
        "KL in the loss ignores that the policy has moved",
        "training/updates/kl_loss.py",
        "            rollout.log_probs,\n            rollout.reference",
        "            scores.log_probs,\n            rollout.reference",
        "tests/training/updates/test_kl_loss.py"
        "::test_a_token_counts_as_often_as_the_policy_now_takes_it[False]",
    ),
    Mutation(
        "the upper bound of the ratio is dropped",
        "algorithms/grpo.py",
        "            self.clip_high,\n        )",
        "            None,\n        )",
        "tests/algorithms/test_grpo.py"
        "::test_a_good_answer_may_rise_to_its_own_bound[0.5]",
    ),
    Mutation(
        "the KL that weights follow is that of a token",
        "training/step_logs.py",
        'logs["kl"] = float(_kl(rollout).sum() / rows)',
        'logs["kl"] = float(_kl(rollout).sum() / rollout.mask.sum())',
        "tests/training/test_step_logs.py::test_kl_is_that_of_whole_answers",
    ),
    Mutation(
        "approximate KL of PPO is upside down",
        "algorithms/ppo.py",
        "kl.k3(-log_ratio)",
        "kl.k3(log_ratio)",
        "tests/algorithms/test_contract.py"
        "::test_approximate_kl_is_that_of_the_old_policy_to_the_new[ppo]",
    ),
    Mutation(
        "approximate KL of GRPO is upside down",
        "algorithms/grpo.py",
        "kl.k3(-log_ratio)",
        "kl.k3(log_ratio)",
        "tests/algorithms/test_contract.py"
        "::test_approximate_kl_is_that_of_the_old_policy_to_the_new[grpo]",
    ),
    Mutation(
        "Dr. GRPO divides by the longest answer",
        "training/updates/updater.py",
        "        longest = self.policy.max_new_tokens\n",
        "        longest = int(batch.rollout.mask.shape[1])\n",
        "tests/training/updates/test_updater.py"
        "::test_a_constant_is_the_limit_of_the_policy_not_the_longest_answer",
    ),
    Mutation(
        "a teacher is scored under exploration",
        "training/updates/updater.py",
        "nll = -self.policy.score(batch.teacher).log_probs",
        "nll = -self.policy.score(batch.teacher, "
        "**sampling(settings)).log_probs",
        "tests/training/updates/test_updater.py"
        "::test_a_teacher_is_scored_without_exploration",
    ),
    Mutation(
        "a resumed run forgets the lowered learning rate",
        "training/trainer.py",
        "        self.learning_rate.restore(state)\n",
        "",
        "tests/training/updates/test_learning_rate.py"
        "::test_a_restored_trainer_has_the_lowered_rate",
    ),
    Mutation(
        "a run is resumed under another exploration",
        "training/trainer.py",
        '            "exploration": repr(self.exploration),\n',
        "",
        "tests/training/updates/test_learning_rate.py"
        "::test_a_run_is_known_by_the_rate_it_began_with_and_how_it_strays",
    ),
    Mutation(
        "what the greedy answer earned is not discounted",
        "algorithms/reinforce.py",
        "greedy = discounted_returns(context.greedy_rewards, mask, "
        "self.discount)",
        "greedy = discounted_returns(context.greedy_rewards, mask, 1.0)",
        "tests/algorithms/test_reinforce.py"
        "::test_what_the_greedy_answer_earned_is_discounted_too",
    ),
    Mutation(
        "a scheduled entropy weight stands still",
        "algorithms/base.py",
        'return loss - self._setting("entropy_weight", batch) * entropy',
        "return loss - float(getattr(self.entropy_weight, '__call__', "
        "lambda _: self.entropy_weight)(0)) * entropy",
        "tests/algorithms/test_contract.py"
        "::test_a_scheduled_entropy_weight_follows_its_schedule[reinforce]",
    ),
    Mutation(
        "mixed and MIXER leave out the whitening of minibatches",
        "algorithms/base.py",
        "return self.inner.minibatch_targets(batch)",
        "return batch.targets",
        "tests/algorithms/test_mixed.py"
        "::test_the_minibatches_of_the_other_are_whitened[mixer]",
    ),
    Mutation(
        "a reward that looks ahead is summed from a token on",
        "training/rollouts/scorer.py",
        "if self.causal and reward.looks_ahead:",
        "if False:",
        "tests/rewards/test_causality.py"
        "::test_the_mean_gradient_is_that_of_the_expected_reward",
    ),
)


def main(names: list[str]) -> int:
    """Report each mutation; 0 if all were caught."""
    wanted = [m for m in MUTATIONS if not names or m.name in names]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("tf_tokenrl", "tests", "pipelines"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, copy / name)
        sys.path.insert(0, folder)
        if passes(copy, sorted({m.test for m in wanted})) is not True:
            print("The tests fail before anything is broken.")
            return 1
        caught = [tried(copy, mutation) for mutation in wanted]
    print(f"{sum(caught)} of {len(wanted)} caught.")
    return 0 if all(caught) else 1


def tried(copy: Path, mutation: Mutation) -> bool:
    """Break one detail, run its test, mend it again."""
    file = copy / "tf_tokenrl" / mutation.file
    whole = file.read_text("utf-8")
    found = whole.count(mutation.right) == 1
    if found:
        file.write_text(whole.replace(mutation.right, mutation.wrong), "utf-8")
        found = passes(copy, [mutation.test]) is False
        file.write_text(whole, "utf-8")
    print(f"{'caught' if found else 'MISSED'}: {mutation.name}", flush=True)
    return found


def passes(copy: Path, tests: list[str]) -> bool | None:
    """Whether tests pass; None where they did not run at all."""
    forget()
    code = pytest.main(
        [
            "-qq",
            "-x",
            "-p",
            "no:cacheprovider",
            "--tb=no",
            "--durations=0",
            "--durations-min=1e9",
            f"--rootdir={copy}",
            f"-c{copy / 'pyproject.toml'}",
            *(str(copy / test) for test in tests),
        ]
    )
    forget()
    known = {pytest.ExitCode.OK: True, pytest.ExitCode.TESTS_FAILED: False}
    return known.get(pytest.ExitCode(code))


def forget() -> None:
    """Let the sources be imported again."""
    for name in list(sys.modules):
        ours = name.split(".")[0] in OURS or name.startswith("test_")
        if ours and name != "tests.support.mutations":
            del sys.modules[name]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
