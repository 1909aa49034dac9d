"""Five minutes to a result: three prompts, one reward, twenty steps."""

import keras

import tf_tokenrl as rl
from tf_tokenrl.options.model import ModelOptions
from tf_tokenrl.policies import from_scratch
from tf_tokenrl.text.tokenizer import load_tokenizer, train_sentencepiece

PROMPTS = ["say something nice", "greet a friend", "praise the cook"]


class Short(rl.rewards.Reward):
    """1 for an answer that ends by itself within four tokens."""

    def score(self, example, response):
        """Ask only what the answer itself says."""
        return float(response.stopped and len(response.token_ids) <= 4)


def mean_reward(policy):
    """The mean reward of 64 sampled answers to each prompt."""
    answers = policy.generate(PROMPTS * 64, temperature=1.0, seed=1)
    return sum(Short().score(None, a) for a in answers) / len(answers)


tokenizer = load_tokenizer(train_sentencepiece(PROMPTS, 300))
shape = ModelOptions(architecture="llama", layers=2, heads=2, width=32)
policy = from_scratch.build(shape, tokenizer, 24, 12)
print(f"before: {mean_reward(policy):.2f}")

trainer = rl.Trainer(
    policy, Short(), "grpo(samples_per_prompt=8)", keras.optimizers.Adam(0.01)
)
trainer.fit([rl.Example(p) for p in PROMPTS], steps=20, batch_size=48)
print(f"after:  {mean_reward(policy):.2f}")
