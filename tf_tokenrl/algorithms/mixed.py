"""Mixed: reinforcement learning, and imitation of the reference at once."""

import dataclasses

from tf_tokenrl.algorithms.base import Algorithm, Guided
from tf_tokenrl.flow import Batch, Tensor
from tf_tokenrl.schedules import Schedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixed(Guided):
    """A weighted sum of another algorithm's loss and of maximum likelihood.

        loss = (1 - w) * loss of the algorithm
               - w * mean over the reference's tokens of log p(token)

    Attributes:
        algorithm: what learns from rewards, such as "ppo(epochs=2)".
        imitation_weight: w, from 0 to 1, or a schedule; the reference's
            tokens are scored at the policy's own temperature.

    Source: Paulus et al. (2018), "A Deep Reinforced Model for Abstractive
    Summarization", eq. 16.

    Note:
        Each part is a mean over its own tokens. The reference is the first
        of an example's; every answer of a group comes with it.
    """

    algorithm: str | Algorithm = "reinforce"
    imitation_weight: float | Schedule = 0.1

    def __post_init__(self):
        super().__post_init__()
        self._check_scheduled(0, 1, "imitation_weight")

    def loss_weights(
        self, batch: Batch, longest: int
    ) -> tuple[Tensor, Tensor | None]:
        """See `Algorithm.loss_weights`."""
        share = self._setting("imitation_weight", batch)
        chosen, _ = self.inner.loss_weights(batch, longest)
        return (1.0 - share) * chosen, share * self._taught(batch, longest)

    def kl_weights(self, batch: Batch, longest: int) -> Tensor | None:
        """See `Algorithm.kl_weights`: in full, whatever the share."""
        return self.inner.loss_weights(batch, longest)[0]
