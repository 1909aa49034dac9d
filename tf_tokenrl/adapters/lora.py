"""LoRA: a product of two small matrices beside a large one."""

import tensorflow as tf

from tf_tokenrl.adapters.base import Adapter, added, uniform, widths
from tf_tokenrl.backbones.linear import Entries
from tf_tokenrl.errors import TokenRLError

ROLES = ("query", "value")


class Lora(Adapter):
    """Low-rank adaptation of some linear maps.

        y = x W + b + (alpha / rank) (x A) B

    A begins at random and B with zeros, so that the policy is at first what
    it was. With `dora` the columns of the sum have magnitudes of their own:

        y = m (x (W + s A B)) / |W + s A B| + b

    where |.| is the norm of each column, an output's weights, and gets no
    gradient. There is no dropout: it would make the ratio of new to old
    probabilities differ from 1 by itself.

    Args:
        rank: columns of A, rows of B.
        alpha: the strength, which does not change with the rank; by default
            the rank, which makes the factor 1.
        roles: the maps; "query", "key", "value", "attention_output", "up",
            "down", "embedding", "logits", a Llama's "gate", the "cross_" ones
            of an encoder-decoder.
        rank_stabilized: divide by sqrt(rank) instead of the rank.
        dora: learn magnitudes too.
        l1: see `Adapter`; of the change of W.
        l2: see `Adapter`.

    Raises:
        TokenRLError: rank below 1, or no roles.

    Source: Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language
    Models", eq. 3; Kalajdzievski (2023), "A Rank Stabilization Scaling Factor
    for Fine-Tuning with LoRA"; Liu et al. (2024), "DoRA: Weight-Decomposed
    Low-Rank Adaptation", eq. 5 and section 4.3.
    """

    def __init__(
        self,
        rank: int = 8,
        alpha: float | None = None,
        roles: tuple[str, ...] = ROLES,
        rank_stabilized: bool = False,
        dora: bool = False,
        l1: float = 0.0,
        l2: float = 0.0,
    ):
        super().__init__(l1, l2)
        if rank < 1 or not roles:
            raise TokenRLError(
                f"lora: rank is {rank} and roles are {roles}: give a rank of "
                "at least 1 and one role or more."
            )
        self.rank = rank
        self.alpha = rank if alpha is None else alpha
        self.roles = (roles,) if isinstance(roles, str) else tuple(roles)
        self.rank_stabilized = rank_stabilized
        self.dora = dora

    @property
    def factor(self) -> float:
        """alpha / rank, or alpha / sqrt(rank)."""
        power = 0.5 if self.rank_stabilized else 1.0
        return self.alpha / self.rank**power

    def add(self, path: str, leaves: Entries) -> None:
        """See `Adapter.add`."""
        inputs, outputs = widths(leaves)
        bound = uniform(path, "down", inputs**-0.5)
        self.number(path, "down", [inputs, self.rank], bound)
        self.number(path, "up", [self.rank, outputs])
        if self.dora:
            norm = _norm(_matrix({k: v.tensor() for k, v in leaves.items()}))
            self.number(
                path, "magnitude", [outputs], lambda *_, x=norm, **__: x
            )

    def entries(self, path: str, entries: Entries) -> Entries:
        """See `Adapter.entries`."""
        down, up = self.value(path, "down"), self._up(path)
        if not self.dora:
            return added(entries, down=down, up=up)
        matrix = _matrix(entries) + tf.matmul(down, up)
        scale = self.value(path, "magnitude") / tf.stop_gradient(_norm(matrix))
        wrapped = added(entries, down=down, up=up, scale=scale)
        if "bias" not in entries:
            return wrapped
        # The bias was added before the columns are scaled.
        bias = tf.stop_gradient(tf.cast(entries["bias"], tf.float32))
        return added(wrapped, shift=bias * (1.0 - scale))

    def distances(self, path: str, entries: Entries) -> list[tf.Tensor]:
        """The change of W, and that of its magnitudes."""
        change = [tf.matmul(self.value(path, "down"), self._up(path))]
        if self.dora:
            norm = _norm(_matrix(entries))
            change.append(self.value(path, "magnitude") - norm)
        return change

    def _up(self, path: str) -> tf.Tensor:
        return self.value(path, "up") * self.factor


def _matrix(entries: Entries) -> tf.Tensor:
    """W `[I, O]` of a map, which learns nothing."""
    if "rows" in entries:
        matrix = tf.transpose(entries["rows"])
    else:
        matrix = entries["kernel" if "kernel" in entries else "table"]
    return tf.stop_gradient(tf.cast(matrix, tf.float32))


def _norm(matrix: tf.Tensor) -> tf.Tensor:
    """Of each column."""
    return tf.norm(matrix, axis=0)
