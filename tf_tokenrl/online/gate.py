"""Canary against stable: promote, roll back, or go on."""

import dataclasses
from typing import Literal, NamedTuple

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Judged
from tf_tokenrl.online.evidence import evidence


class Decision(NamedTuple):
    """What a gate says, and the figures that it says it by.

    Attributes:
        verdict: "go on", "promote", "roll back", or "stop" where the arms
            did not get the share of answers that they should have.
        wins: raters whose first vote was for the canary.
        losses: raters whose first vote was for the stable version.
        votes: all votes that were given, second ones and unblinded ones
            included.
        evidence: against "neither is better"; at 1 / alpha it decides.
        share_evidence: against the canary's share of answers; at
            1 / share_alpha it stops.
    """

    verdict: Literal["go on", "promote", "roll back", "stop"]
    wins: int
    losses: int
    votes: int
    evidence: float
    share_evidence: float


@dataclasses.dataclass
class PairGate:
    """A test of blind preferences that is valid at every look.

    Each rater counts once, with the first blind vote: votes of one person
    are not independent, and counted one by one they make a test at 5% decide
    in most of the cases without any difference. Votes on other versions, and
    those of raters who knew who wrote what, are counted in `votes` alone.

        gate = PairGate(stable=7, canary=8)
        for judged in store.read(after=started):
            decision = gate.add(judged)

    Attributes:
        stable: its version.
        canary: its version.
        alpha: the chance of a decision where there is no difference, of all
            looks together.
        share: the canary's share of the answers, 0 where nothing is split.
        share_alpha: the chance of a false "stop".

    Raises:
        TokenRLError: a number is out of its range.
    """

    stable: int
    canary: int
    alpha: float = 0.05
    share: float = 0.0
    share_alpha: float = 0.001
    wins: int = dataclasses.field(default=0, init=False)
    losses: int = dataclasses.field(default=0, init=False)
    votes: int = dataclasses.field(default=0, init=False)

    def __post_init__(self):
        if self.stable == self.canary:
            raise TokenRLError("The canary must be another version.")
        for name in ("alpha", "share_alpha"):
            if not 0 < getattr(self, name) < 1:
                raise TokenRLError(f"{name} must lie between 0 and 1.")
        if not 0 <= self.share < 1:
            raise TokenRLError("share must be 0 or more, and below 1.")
        self._seen: set[str] = set()
        self._served = {self.stable: 0, self.canary: 0}

    def served(self, version: int, answers: int = 1) -> None:
        """Count answers that a version gave, judged or not, or failed to."""
        if version in self._served:
            self._served[version] += answers

    def add(self, judged: Judged) -> Decision:
        """Take one judgement into account; only pairs matter."""
        said = judged.judgement
        if said.kind == "pair" and judged.other is not None:
            better, worse = judged.answer.version, judged.other.version
            if {better, worse} == {self.stable, self.canary}:
                self.votes += 1
                if said.blind and said.rater not in self._seen:
                    self._seen.add(said.rater)
                    self.wins += better == self.canary
                    self.losses += better == self.stable
        return self.decision()

    def decision(self) -> Decision:
        """What the figures say now."""
        found = evidence(self.wins, self.losses)
        share = 1.0
        if self.share:
            canary, stable = (
                self._served[self.canary],
                self._served[self.stable],
            )
            share = evidence(canary, stable, self.share)
        verdict: Literal["go on", "promote", "roll back", "stop"] = "go on"
        if share >= 1 / self.share_alpha:
            verdict = "stop"
        elif found >= 1 / self.alpha:
            verdict = "promote" if self.wins > self.losses else "roll back"
        return Decision(
            verdict, self.wins, self.losses, self.votes, found, share
        )
