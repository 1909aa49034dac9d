"""A client of TensorFlow Serving's gRPC API."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Unpack, overload

import grpc
import numpy as np

from tf_tokenrl.client.attempts import Readiness
from tf_tokenrl.client.base import Base
from tf_tokenrl.client.calls import (
    Call,
    GenerationOptions,
    Rating,
    Result,
    StreamOptions,
)
from tf_tokenrl.client.errors import ServingError
from tf_tokenrl.client.replies import (
    Label,
    Piece,
    Reply,
    Score,
    Signature,
    Tags,
    VersionStatus,
)

if TYPE_CHECKING:
    from tf_tokenrl.client.rating import Sink
    from tf_tokenrl.feedback import Judgement


class Client(Base):
    """Talks to one model; safe to share between threads.

    A call that finds no server (UNAVAILABLE) is tried again, at the next
    address at once and at the same one with growing pauses, within the
    timeout. Every method raises a `ServingError` that carries the code and
    the text of the server. Every method that asks takes a `timeout` of its
    own.

    Args:
        address: "host:port" or "unix:path"; several, with commas or as a
            list, are taken in turn.
        model: the name under which the model is served.
        version: which version; the newest by default.
        label: which version, by its label.
        timeout: seconds that one call may take, tries included.
        max_message_bytes: the longest message to send or to accept.
        tls: with what the connection is encrypted; not at all by default.
        feedback: a feedback store, or its URL, that keeps the answers of
            `generate`.
        tries: how often each address is tried. 1 suits signatures that change
            something, for a call that broke off may have been answered.

    Raises:
        TokenRLError: an address is none, both `version` and `label` are
            given, or a certificate cannot be read.
    """

    def predict(
        self,
        inputs: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            inputs: arrays by name; their types must be the signature's.
            signature: its name.
            outputs: the names of those wanted; all by default.

        Returns:
            Arrays by name, strings as `bytes` objects.
        """
        return self._ask(
            self._calls.predict(inputs, signature, outputs), timeout
        )

    @overload
    def generate(  # type: ignore[overload-overlap]  # str is a Sequence[str]
        self,
        prompt: str,
        *,
        timeout: float | None = None,
        feedback: "Sink | str | None" = None,
        user: str = "",
        **options: Unpack[GenerationOptions],
    ) -> Reply: ...

    @overload
    def generate(
        self,
        prompt: Sequence[str],
        *,
        timeout: float | None = None,
        feedback: "Sink | str | None" = None,
        user: str = "",
        **options: Unpack[GenerationOptions],
    ) -> list[Reply]: ...

    def generate(
        self, prompt, *, timeout=None, feedback=None, user="", **options
    ):
        """Answer one prompt, or several in one request.

        Every option is one value for all prompts or one per prompt.

        Args:
            prompt: a text, or a list of texts.
            seed: the same seed draws the same answer; 0 by default.
            temperature: 0, the default, always takes the likeliest token.
            top_k: draw among the k likeliest tokens only; 0, the default,
                for all.
            top_p: draw among the likeliest tokens that hold this share of
                the probability; 1 by default.
            max_new_tokens: the most tokens to add; the model's own limit by
                default, which it cannot exceed.
            feedback: a `FeedbackStore`, or the URL of one or of a feedback
                server; the answers are stored there before they are returned.
            user: a `feedback.user_hash` of who asks.

        Returns:
            One `Reply`, or a list of them in the order of the prompts.

        Raises:
            TokenRLError: the feedback store does not take the answers.
        """
        replies = self._ask(self._calls.generate(prompt, **options), timeout)
        sink = self._sink(feedback)
        if sink is None:
            return replies
        return self._record(sink, replies, options, user)

    def rate(
        self,
        reply: Reply,
        *,
        feedback: "Sink | str | None" = None,
        **said: Unpack[Rating],
    ) -> "list[Judgement]":
        """Say what an answer is worth; it is stored when this returns.

            reply = client.generate(prompt, feedback="sqlite:///feedback.db")
            client.rate(reply, thumb=1, spans=[(0, 4, -1.0)])

        Args:
            reply: what `generate` returned where it stored feedback.
            feedback: by default where the client stored last.
            score: a number.
            thumb: 1 for up, -1 for down.
            better_than: a worse reply to the same prompt.
            edit: a better text.
            spans: parts of the text, each with its first character, the one
                behind its last, and a number.
            rater: a `feedback.user_hash` of who judges.
            comment: free text.

        Raises:
            TokenRLError: the reply is not in the store, a span lies outside
                its text, or the store cannot be reached.
        """
        return self._judge(reply, feedback, dict(said))

    def stream(
        self,
        prompt: str,
        *,
        timeout: float | None = None,
        **options: Unpack[StreamOptions],
    ) -> Iterator[Piece]:
        """Answer one prompt piece by piece, as it is written.

        Needs the embedded server with streaming switched on; TensorFlow
        Serving has no such call. To close the iterator ends the answer.

        Args:
            prompt: a text.
            stop: a text that ends the answer, or several; none of them is
                part of it.
            timeout: seconds for the whole answer.

        The other options are those of `generate`.

        Returns:
            An iterator over `Piece`s.
        """
        return self._listen(self._calls.stream(prompt, **options), timeout)

    def score(
        self,
        prompts: Sequence[str],
        answers: Sequence[str],
        timeout: float | None = None,
    ) -> list[Score]:
        """What the model says about given answers to prompts.

        Raises:
            ValueError: there are not as many answers as prompts.
        """
        return self._ask(self._calls.score(prompts, answers), timeout)

    @overload
    def tag(  # type: ignore[overload-overlap]  # str is a Sequence[str]
        self, text: str, timeout: float | None = None
    ) -> Tags: ...

    @overload
    def tag(
        self, text: Sequence[str], timeout: float | None = None
    ) -> list[Tags]: ...

    def tag(self, text, timeout=None):
        """The likeliest label of each word of a text, or of several texts."""
        return self._ask(self._calls.tag(text), timeout)

    @overload
    def classify(  # type: ignore[overload-overlap]  # str is a Sequence[str]
        self, text: str, timeout: float | None = None
    ) -> Label: ...

    @overload
    def classify(
        self, text: Sequence[str], timeout: float | None = None
    ) -> list[Label]: ...

    def classify(self, text, timeout=None):
        """The likeliest label of a text, or of several texts."""
        return self._ask(self._calls.classify(text), timeout)

    def metadata(self, timeout: float | None = None) -> dict[str, Signature]:
        """The signatures of the model, by name."""
        return self._ask(self._calls.metadata(), timeout)

    def status(self, timeout: float | None = None) -> list[VersionStatus]:
        """The versions of the model that the server knows, newest first.

        The server looks at `version`, if one was given, and not at `label`.
        """
        return self._ask(self._calls.status(), timeout)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Return when a server has a version of the model that answers.

        Raises:
            Unavailable: none had within `seconds`.
        """
        wait = Readiness(self._servers, self.model, seconds)
        while not wait.over:
            try:
                call = self._calls.status()
                wait.saw(self._ask(call, wait.remaining, tries=1))
            except ServingError as error:
                wait.failed(error)
            time.sleep(wait.pause())

    def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _ask(
        self,
        call: Call[Result],
        timeout: float | None,
        tries: int | None = None,
    ) -> Result:
        if call.request is None:
            return call.read(None)
        attempts = self._attempts(timeout, tries)
        while True:
            method = call.on(self._channels[attempts.begin()])
            try:
                response = method(call.request, timeout=attempts.remaining)
            except grpc.RpcError as error:
                time.sleep(attempts.pause(error))
            else:
                attempts.succeeded()
                return call.read(response)

    def _listen(
        self, call: Call[Result], timeout: float | None
    ) -> Iterator[Result]:
        attempts = self._attempts(timeout)
        answered = False
        while True:
            method = call.on(self._channels[attempts.begin()], streamed=True)
            stream = method(call.request, timeout=attempts.remaining)
            try:
                for response in stream:
                    answered = True
                    yield call.read(response)
            except grpc.RpcError as error:
                time.sleep(attempts.pause(error, answered))
            else:
                attempts.succeeded()
                return
            finally:
                stream.cancel()

    def _api(self) -> ModuleType:
        return grpc
