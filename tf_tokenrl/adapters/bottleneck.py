"""Bottleneck adapters: a small network behind a map."""

from tf_tokenrl.adapters.base import Adapter, added, uniform, widths
from tf_tokenrl.backbones.linear import Entries
from tf_tokenrl.errors import TokenRLError

_NAMES = ("narrow", "narrow_bias", "widen", "widen_bias")


class Bottleneck(Adapter):
    """Adds a network of one narrow layer to what some maps give.

        y <- y + relu(y D + c) U + d

    U and d begin with zeros.

    Args:
        width: of the narrow layer.
        roles: the maps; by default the last of attention and of the
            feed-forward network.
        l1: see `Adapter`.
        l2: see `Adapter`.

    Raises:
        TokenRLError: width below 1, or a role whose outputs are logits.

    Source: Houlsby et al. (2019), "Parameter-Efficient Transfer Learning for
    NLP", figure 2.
    """

    mergeable = False

    def __init__(
        self,
        width: int = 64,
        roles: tuple[str, ...] = ("attention_output", "down"),
        l1: float = 0.0,
        l2: float = 0.0,
    ):
        super().__init__(l1, l2)
        self.roles = (roles,) if isinstance(roles, str) else tuple(roles)
        if width < 1 or "logits" in self.roles:
            raise TokenRLError(
                f"bottleneck: width is {width} and roles are {self.roles}: "
                'give a width of at least 1 and leave out "logits".'
            )
        self.width = width

    def add(self, path: str, leaves: Entries) -> None:
        """See `Adapter.add`."""
        _, outputs = widths(leaves)
        bound = uniform(path, "narrow", outputs**-0.5)
        self.number(path, "narrow", [outputs, self.width], bound)
        self.number(path, "narrow_bias", [self.width])
        self.number(path, "widen", [self.width, outputs])
        self.number(path, "widen_bias", [outputs])

    def entries(self, path: str, entries: Entries) -> Entries:
        """See `Adapter.entries`."""
        tensors = {name: self.value(path, name) for name in _NAMES}
        return added(entries, **tensors)

    def distances(self, path: str, entries: Entries) -> list:
        """What is added is 0 where these are."""
        return [self.value(path, name) for name in ("widen", "widen_bias")]
