"""What a reward is, and how rewards add up."""

import asyncio
import contextlib
import inspect
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tf_tokenrl import catalog
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.rewards.shared import checks
from tf_tokenrl.schedules import Measurement, Product, Schedule


class Reward:
    """A score for what the policy chose, placed on the tokens it chose.

    Override `score`; a reward that needs tensors alone overrides `__call__`.
    The constructor is the configuration: keep every argument as an attribute
    of the same name, and `repr` is the expression that `parse` reads.

        class Politeness(Reward):
            def score(self, example, response):
                return float("please" in response.text)

        reward = rouge + 0.3 * Politeness() - 0.1 * kl

    A reward that changes while a run goes on overrides `begin`, `observe`,
    `state` and `restore` too, and lets nothing change but by them: then a
    resumed run is the same, and so are all workers of one.
    """

    __array_ufunc__ = None  # np.float32(0.3) * reward is ours to multiply
    _scored_by: Callable | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = checks.checked(cls.__call__)  # type: ignore

    def score(
        self, example: Example, response: Response
    ) -> float | Sequence[float]:
        """One float for the whole answer, or one per chosen token."""
        raise TokenRLError(
            f"{type(self).__name__} defines neither score nor __call__."
        )

    def score_batch(
        self, examples: Sequence[Example], responses: Sequence[Response]
    ) -> Sequence[float | Sequence[float]]:
        """`score` of each row; override it where many at once are cheaper.

        Where `score` is an `async def`, those of all rows wait side by side.
        """
        rows = zip(examples, responses, strict=True)
        if inspect.iscoroutinefunction(self.score):
            return asyncio.run(checks.score_rows_together(self, [*rows]))
        return [checks.score_row(self, *row) for row in rows]

    def __call__(
        self,
        examples: Sequence[Example],
        responses: Sequence[Response],
        rollout: Rollout,
    ) -> np.ndarray:
        """Rewards float32 `[B, T]`, 0 where the rollout's mask is False.

        A float from `score` goes to the last chosen token of its row, a list
        to the chosen tokens in order.

        Raises:
            TokenRLError: `score` raised an error, or what it returned is no
                number, not finite, or a list of the wrong length. The same
                holds for a `__call__` that a subclass defines.
        """
        mask = np.asarray(rollout.mask, bool)
        rewards = np.zeros(mask.shape, np.float32)
        score = self._scored_by or _score_here
        scores = score(self, examples, responses)
        checks.counted(self, scores, len(examples))
        rows = zip(examples, scores, mask, rewards, strict=True)
        for example, score, chosen, row in rows:
            positions = np.flatnonzero(chosen)
            values = checks.numbers(self, score, example)
            if values.ndim == 0:
                row[positions[-1:]] = values
            elif values.shape == positions.shape:
                row[positions] = values
            else:
                raise TokenRLError(
                    f"Reward {self!r} returned a list of shape "
                    f"{values.shape} for {checks.name(example)}; expected "
                    f"{len(positions)} numbers, one per chosen token."
                )
        return rewards

    def terms(self) -> list[tuple[str, float, "Reward"]]:
        """`(name, weight, reward)` of each part; names are unique."""
        return [(self._label(), 1.0, self)]

    def within(self) -> "list[Reward]":
        """The rewards that this one is made of: its attributes."""
        return [v for v in vars(self).values() if isinstance(v, Reward)]

    @property
    def looks_ahead(self) -> bool:
        """Whether what a token earns may depend on the tokens behind it.

        By default: whether a reward that this one is made of does. Where
        returns are sums of the rewards from a token on, credit that was given
        too early would be lost, so a trainer moves what such a reward pays to
        the last token, see `Scorer`. A reward of your own that gives a list
        says `looks_ahead = True` in its class if it does.
        """
        return any(reward.looks_ahead for reward in self.within())

    @property
    def by_row(self) -> bool:
        """Whether all of it is `score`, in Python and one row at a time."""
        own = type(self)
        placed = own.__call__ is Reward.__call__
        return placed and own.score_batch is Reward.score_batch

    @property
    def listens(self) -> bool:
        """True where `observe` changes what is rewarded later."""
        own = type(self).observe is not Reward.observe
        return own or any(reward.listens for reward in self.within())

    @contextlib.contextmanager
    def scored_by(self, scorer: Callable) -> "Iterator[Reward]":
        """Let `scorer(reward, examples, responses)` score rows in this block.

        It stands in for `score_batch` of this reward and of those that it is
        made of, wherever they are placed by `Reward.__call__`.
        """
        with contextlib.ExitStack() as inner:
            for reward in self.within():
                inner.enter_context(reward.scored_by(scorer))
            before, self._scored_by = self._scored_by, scorer
            try:
                yield self
            finally:
                self._scored_by = before

    def __getstate__(self) -> dict:
        """What travels to another process; who scores here does not."""
        return {k: v for k, v in vars(self).items() if k != "_scored_by"}

    def begin(self, step: int) -> None:
        """Step `step`, from 0, begins: what is rewarded now is learned."""
        for reward in self.within():
            reward.begin(step)

    def observe(self, measured: Measurement) -> None:
        """The step is over; the numbers are the same on every worker."""
        for reward in self.within():
            reward.observe(measured)

    def state(self) -> dict:
        """What `observe` left, fit for JSON; saved in checkpoints."""
        states = [reward.state() for reward in self.within()]
        return {"rewards": states} if any(states) else {}

    def restore(self, state: dict) -> None:
        """Take up what `state` gave."""
        states = state.get("rewards", ())
        for reward, saved in zip(self.within(), states, strict=False):
            reward.restore(saved)

    def report(self, name: str = "") -> dict[str, float]:
        """Numbers for the logs, of the step that has begun.

        Args:
            name: of this reward among the terms of the whole.
        """
        return {}

    def __add__(self, other: "Reward | Callable") -> "Mixture":
        return _mix(self, other, 1.0)

    def __sub__(self, other: "Reward | Callable") -> "Mixture":
        return _mix(self, other, -1.0)

    def __mul__(self, weight: float | Schedule) -> "Mixture":
        if not isinstance(weight, numbers.Real | Schedule):
            return NotImplemented
        parts = _parts(self)
        if isinstance(weight, Schedule) and weight.listens and len(parts) > 1:
            raise TokenRLError(
                f"{weight!r} follows the mean of one reward, not of several: "
                "scale one term by it."
            )
        return Mixture([(weight * w, r) for w, r in parts])

    __rmul__ = __mul__

    def __neg__(self) -> "Mixture":
        return -1.0 * self

    def __repr__(self) -> str:
        return catalog.expression(self, __package__)

    def _path(self) -> str:
        return catalog.path(type(self), __package__)

    def _label(self) -> str:
        """Its name, then the names of the terms it is made of."""
        name = self._path().strip("'").rpartition(":")[2].rpartition(".")[2]
        inner = (n for r in self.within() for n, _, _ in r.terms())
        return "_".join([name, *inner])


class Mixture(Reward):
    """A weighted sum of rewards, made by `+`, `-` and `*`.

        r_t = sum_k weight_k * r_{k,t}

    The parts of a mixture that is added or scaled become parts of the new. A
    weight that is a schedule is a number anew in each step.
    """

    def __init__(self, parts: Sequence[tuple[float | Schedule, Reward]]):
        """`parts` are `(weight, reward)`.

        Raises:
            TokenRLError: a weight is not finite.
        """
        self.parts = tuple(
            (w if isinstance(w, Schedule) else float(w), r) for w, r in parts
        )
        self._step = 0
        for weight, reward in self.parts:
            if not isinstance(weight, Schedule) and not np.isfinite(weight):
                raise TokenRLError(
                    f"The weight of reward {reward!r} must be finite, "
                    f"not {weight}."
                )

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`."""
        return weighted_sum(
            (
                (weight, reward(examples, responses, rollout))
                for _, weight, reward in self.terms()
            ),
            np.shape(rollout.mask),
        )

    def terms(self) -> list[tuple[str, float, Reward]]:
        """See `Reward.terms`; a second "rouge" is called "rouge_2"."""
        terms = []
        seen: dict[str, int] = {}
        for weight, reward in self.parts:
            label = reward._label()
            seen[label] = seen.get(label, 0) + 1
            name = f"{label}_{seen[label]}" if seen[label] > 1 else label
            if isinstance(weight, Schedule):
                weight = weight(self._step)
            terms.append((name, weight, reward))
        return terms

    def within(self) -> list[Reward]:
        """See `Reward.within`."""
        return [reward for _, reward in self.parts]

    @property
    def listens(self) -> bool:
        """See `Reward.listens`."""
        parts = (x for part in self.parts for x in part)
        return any(getattr(x, "listens", False) for x in parts)

    def begin(self, step: int) -> None:
        """See `Reward.begin`."""
        super().begin(step)
        self._step = step

    def observe(self, measured: Measurement) -> None:
        """Each schedule gets the mean of the term that it scales."""
        super().observe(measured)
        for name, schedule in self.schedules():
            if schedule.listens:
                mean = measured.logs[f"rewards/{name}"]
                schedule.observe(measured._replace(mean=mean))

    def schedules(self) -> list[tuple[str, Schedule]]:
        """`(name, weight)` of the terms whose weight is a schedule."""
        return [
            (name, weight)
            for (name, _, _), (weight, _) in zip(
                self.terms(), self.parts, strict=True
            )
            if isinstance(weight, Schedule)
        ]

    def state(self) -> dict:
        """See `Reward.state`."""
        weights = [schedule.state() for _, schedule in self.schedules()]
        return super().state() | ({"weights": weights} if any(weights) else {})

    def restore(self, state: dict) -> None:
        """See `Reward.restore`."""
        super().restore(state)
        states = state.get("weights", ())
        for (_, schedule), saved in zip(self.schedules(), states, strict=False):
            schedule.restore(saved)

    def report(self, name: str = "") -> dict[str, float]:
        """See `Reward.report`: `weights/NAME`, and what schedules add."""
        found: dict[str, float] = {}
        for term, _, reward in self.terms():
            found |= reward.report(term)
        for term, schedule in self.schedules():
            found[f"weights/{term}"] = schedule(self._step)
            found |= schedule.report(term)
        return found

    def __repr__(self) -> str:
        text = ""
        for weight, reward in self.parts:
            negative = _negative(weight)
            sign = ("-" if negative else "+") if text or negative else ""
            size = -weight if negative else weight
            factor = "" if size == 1 else f"{size!r} * "
            space = " " if text else ""
            text += f"{space}{sign}{space}{factor}{reward!r}"
        return text


class Function(Reward):
    """A plain function `f(example, response, **options)` as a reward."""

    def __init__(self, function: Callable, /, **options):
        """`options` are passed on to each call.

        Raises:
            TokenRLError: the function does not take these arguments.
        """
        self.function, self.options = function, options
        try:
            inspect.signature(function).bind(None, None, **options)
        except (TypeError, ValueError) as error:
            raise TokenRLError(
                f"Cannot use {self!r} as a reward: {error}; "
                "expected f(example, response, **options)."
            ) from error

    def score(self, example, response):
        """See `Reward.score`."""
        return self.function(example, response, **self.options)

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.options.items())
        return f"{self._path()}({options})"

    def _path(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return repr(f"{self.function.__module__}:{name}")


def weighted_sum(
    terms: Iterable[tuple[float, np.ndarray]], shape: tuple[int, ...]
) -> np.ndarray:
    """The sum of `weight * values` over terms, float32 `[B, T]`.

    Args:
        terms: pairs of a weight and the rewards of one term `[B, T]`.
        shape: `(B, T)`, for a sum of no terms.
    """
    total = np.zeros(shape, np.float32)
    for weight, values in terms:
        total += np.float32(weight) * values
    return total


def _score_here(reward: Reward, examples, responses):
    return checks.named(reward, reward.score_batch, examples, responses)


def _negative(weight: float | Schedule) -> bool:
    if isinstance(weight, Product):
        return weight.factor < 0
    return not isinstance(weight, Schedule) and weight < 0


def _parts(reward: Reward) -> tuple[tuple[float | Schedule, Reward], ...]:
    if isinstance(reward, Mixture):
        return reward.parts
    return ((1.0, reward),)


def _mix(first: Reward, second: Reward | Callable, sign: float) -> Mixture:
    if isinstance(second, Schedule) or not callable(second):
        return NotImplemented
    second = second if isinstance(second, Reward) else Function(second)
    return Mixture(_parts(first) + _parts(sign * second))
