"""Which users get the canary."""

import dataclasses
import hashlib
import math

from tf_tokenrl.errors import TokenRLError

BUCKETS = 10_000


@dataclasses.dataclass(frozen=True)
class Split:
    """A share of the users gets the canary, always the same ones.

    A user's bucket depends on the user and on the canary's version alone: it
    is the same on every machine, and each new canary gets other people.
    Raising the share moves users to the canary and nobody away from it; the
    names of the labels move nobody.

        split = Split(version=8, share=0.1)
        client = Client("localhost:8500", label=split.label("ann"))

    Attributes:
        version: of the canary.
        share: of the users, in steps of 1 / 10,000.
        stable: the label of the others' version.
        canary: the label of the canary.

    Raises:
        TokenRLError: the share is not one.
    """

    version: int
    share: float
    stable: str = "stable"
    canary: str = "canary"

    def __post_init__(self):
        if not 0 <= self.share <= 1:  # NaN is not, either
            raise TokenRLError(
                f"The canary's share is {self.share}: give 0 to 1, the rest "
                "is the stable version's."
            )

    @property
    def canary_buckets(self) -> int:
        """How many of the buckets get the canary."""
        return round(self.share * BUCKETS)

    def bucket(self, user: str) -> int:
        """The bucket of a user, 0 to 9,999."""
        named = f"{self.version}:{user}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(named, digest_size=8).digest()
        return int.from_bytes(digest, "little") % BUCKETS

    def label(self, user: str) -> str:
        """The label that a user's requests name."""
        gets_canary = self.bucket(user) < self.canary_buckets
        return self.canary if gets_canary else self.stable

    def chance_of_nobody(self, users: int) -> float:
        """How likely it is that not one of so many users gets the canary."""
        share = self.canary_buckets / BUCKETS
        if share == 1:
            return 0.0 if users else 1.0
        return math.exp(users * math.log1p(-share))
