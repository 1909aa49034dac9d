import threading
from concurrent import futures

import grpc
import pytest

from tests.support.spelled import spelling
from tf_tokenrl.serving.generation.convention import GenerationRequest
from tf_tokenrl.serving.generation.loop import Loop, Settings
from tf_tokenrl.serving.generation.pending_request import PendingRequest
from tf_tokenrl.serving.metrics import REGISTRY
from tf_tokenrl.serving.status import StatusError

ENDLESS = 1 << 20  # tokens; a test that waits for them would not end
SECONDS = 20


def value(name, **labels):
    return REGISTRY.get_sample_value(f"tf_tokenrl_{name}", labels)


@pytest.fixture
def make(generator):
    """A loop; when the test ends it has nothing left to do."""
    made = []

    def make(**settings):
        made.append(Loop(generator, Settings(**settings)))
        return made[-1]

    yield make
    for loop in made:
        wait(lambda loop=loop: loop.idle)
    assert value("queue_length") == value("slots_in_use") == 0


def submit(loop, requests):
    pending = PendingRequest(requests)
    loop.submit(pending)
    return pending


def wait(true):
    for _ in range(SECONDS * 1000):
        if true():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came true")


def answers(pending):
    """The whole text of each answer, and all of its tokens."""
    texts, tokens = {}, {}
    for piece in pending:
        texts[piece.row] = texts.get(piece.row, "") + piece.text
        tokens.setdefault(piece.row, []).extend(piece.tokens)
    return [texts[i] for i in sorted(texts)], [
        tokens[i] for i in sorted(tokens)
    ]


@pytest.mark.parametrize("slots", [1, 2, 16])
@pytest.mark.parametrize("steps", [1, 3])
def test_answers_are_those_of_each_row_alone(make, slots, steps):
    loop = make(slots=slots, steps=steps)
    prompts = ["abc", "€é", "a", "hello there", "🦊"]
    limits = [0, 7, 1, 4, 0]
    requests = [
        GenerationRequest(prompt.encode(), seed=seed, max_new_tokens=limit)
        for seed, (prompt, limit) in enumerate(
            zip(prompts, limits, strict=True)
        )
    ]
    with futures.ThreadPoolExecutor(3) as pool:
        pendings = [submit(loop, requests) for _ in range(3)]
        for texts, tokens in pool.map(answers, pendings):
            for seed, prompt in enumerate(prompts):
                data = spelling(prompt.encode(), limits[seed])
                assert texts[seed] == data.decode("utf-8", "replace")
                assert [token.id for token in tokens[seed]] == [*data]
                assert b"".join(t.text for t in tokens[seed]) == data
                for place, token in enumerate(tokens[seed]):
                    assert token.value == place
                    log_prob = -seed - place / 100
                    assert token.log_prob == pytest.approx(log_prob)


def test_a_request_joins_a_running_batch(make):
    loop = make(slots=2)
    long = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)])
    pieces = iter(long)
    next(pieces)
    assert answers(submit(loop, [GenerationRequest(b"short")]))[0] == ["short"]
    assert not next(pieces).finish
    assert value("slots_in_use") >= 1
    long.cancel()


def test_who_is_cancelled_frees_the_slot(make):
    loop = make(slots=1)
    long = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)])
    next(iter(long))
    waiting = submit(loop, [GenerationRequest(b"next")])
    long.cancel()
    assert answers(waiting)[0] == ["next"]
    with pytest.raises(StatusError) as caught:
        answers(long)
    assert caught.value.code is grpc.StatusCode.CANCELLED


def test_who_is_cancelled_while_waiting_never_starts(make):
    loop = make(slots=1)
    long = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)])
    waiting = submit(loop, [GenerationRequest(b"b")] * 3)
    waiting.cancel()
    long.cancel()
    assert answers(submit(loop, [GenerationRequest(b"c")]))[0] == ["c"]
    wait(lambda: not value("queue_length"))


def test_requests_take_turns(make):
    """Who asks for one answer does not wait for another's hundred."""
    loop = make(slots=1)
    gate = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)])
    next(iter(gate))
    many = submit(loop, [GenerationRequest(b"m")] * 100)
    one = submit(loop, [GenerationRequest(b"o")])
    gate.cancel()
    assert answers(one)[0] == ["o"]
    assert len(many.waiting) > 90
    assert answers(many)[0] == ["m"] * 100


def test_a_full_queue_refuses(make):
    loop = make(slots=1, longest_queue=2)
    long = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)])
    next(iter(long))
    waiting = submit(loop, [GenerationRequest(b"b")] * 2)
    with pytest.raises(StatusError) as caught:
        submit(loop, [GenerationRequest(b"c")])
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    long.cancel()
    assert answers(waiting)[0] == ["b", "b"]


def test_a_prompt_that_fails_fails_alone(make):
    loop = make(slots=4)
    long = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)])
    pieces = iter(long)
    next(pieces)
    with pytest.raises(StatusError, match="told to fail"):
        answers(submit(loop, [GenerationRequest(b"fail")]))
    assert not next(pieces).finish
    assert answers(submit(loop, [GenerationRequest(b"good")]))[0] == ["good"]
    long.cancel()


def test_a_stop_text_ends_an_answer_and_is_not_told(make):
    loop = make(steps=4)
    (request,) = [
        GenerationRequest(
            b"one. two. ", max_new_tokens=ENDLESS, stop=(". t", "w")
        )
    ]
    texts, tokens = answers(submit(loop, [request]))
    assert texts == ["one"]
    assert len(tokens[0]) == len("one. t")


def test_times_and_tokens_are_measured(make):
    names = [
        "time_to_first_token_seconds_count",
        "inter_token_seconds_count",
        "generated_tokens_total",
    ]
    before = [value(name) for name in names]
    answers(
        submit(
            make(steps=2),
            [GenerationRequest(b"abcdef"), GenerationRequest(b"g")],
        )
    )
    grown = [value(n) - b for n, b in zip(names, before, strict=True)]
    assert grown == [2, 5, 7]


class Gated:
    """A generator that reads long prompts only when it is let."""

    def __init__(self, generator):
        self._generator = generator
        self.gate, self.reading = threading.Event(), threading.Semaphore(0)

    def begin(self, requests):
        if any(len(request.prompt) > LONG for request in requests):
            self.reading.release()
            assert self.gate.wait(SECONDS)
            short = [request.prompt[:5] for request in requests]
            requests = [
                request._replace(prompt=prompt)
                for request, prompt in zip(requests, short, strict=True)
            ]
        return self._generator.begin(requests)

    def advance(self, state, steps):
        return self._generator.advance(state, steps)


LONG = 16 * 2**10
WORDS = b"words" * LONG


@pytest.fixture
def gated(generator):
    return Gated(generator)


def test_a_long_prompt_holds_up_nobody(gated):
    loop = Loop(gated, Settings(slots=4))
    long = submit(loop, [GenerationRequest(WORDS)])
    assert gated.reading.acquire(timeout=SECONDS)
    for word in (b"one", b"two"):
        asked = submit(loop, [GenerationRequest(word)])
        assert answers(asked)[0] == [word.decode()]
    gated.gate.set()
    assert answers(long)[0] == ["words"]
    wait(lambda: loop.idle)


def test_who_gives_up_a_long_prompt_keeps_its_slot_until_it_is_read(gated):
    """What is counted is the work, not who waits for it."""
    loop = Loop(gated, Settings(slots=4, longest_queue=2))
    before = value("slots_in_use")
    given_up = submit(loop, [GenerationRequest(WORDS)])
    assert gated.reading.acquire(timeout=SECONDS)
    given_up.cancel()
    for _ in range(20):  # far more than the queue may hold
        submit(loop, [GenerationRequest(WORDS)]).cancel()
    assert value("slots_in_use") == before + 1
    assert value("queue_length") == 0
    assert not gated.reading.acquire(blocking=False)
    assert not loop.idle
    gated.gate.set()
    wait(lambda: loop.idle)
    assert value("slots_in_use") == before


def test_what_a_request_holds_is_let_go_when_its_work_is_done(gated):
    loop = Loop(gated, Settings(slots=4))
    pending = PendingRequest([GenerationRequest(WORDS)])
    let_go = threading.Event()
    pending.held.callback(let_go.set)
    loop.submit(pending)
    assert gated.reading.acquire(timeout=SECONDS)
    pending.cancel()
    assert not let_go.is_set()
    gated.gate.set()
    assert let_go.wait(SECONDS)
    wait(lambda: loop.idle)


def test_a_prompt_that_fails_beside_others_fails_alone(make):
    loop = make(slots=4)
    gate = submit(loop, [GenerationRequest(b"a", max_new_tokens=ENDLESS)] * 4)
    next(iter(gate))
    asked = [
        submit(loop, [GenerationRequest(word)])
        for word in (b"good", b"fail", b"fine")
    ]
    gate.cancel()
    assert answers(asked[0])[0] == ["good"]
    assert answers(asked[2])[0] == ["fine"]
    with pytest.raises(StatusError, match="told to fail"):
        answers(asked[1])
