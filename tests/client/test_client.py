import socket
from concurrent import futures

import grpc
import numpy as np
import pytest

from tests.support import served
from tf_tokenrl import client as api
from tf_tokenrl.client import Client, Label, Reply, Tags, TensorSpec
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server


def test_predict(half):
    outputs = half.predict({"x": np.float32([[1.0], [2.0]])})
    assert list(outputs) == ["y"]
    np.testing.assert_array_equal(outputs["y"], np.float32([[2.5], [3.0]]))


def test_predict_by_signature_and_output(half):
    one = np.float32([1.0])
    outputs = half.predict({"a": one, "b": one}, "subtract", ["sum"])
    assert list(outputs) == ["sum"]
    outputs = half.predict({"text": ["abc", b"\xff"]}, signature="shout")
    assert outputs["loud"].tolist() == [b"ABC", b"\xff"]


def test_generate_one(client):
    reply = client.generate("ab", seed=3, temperature=0.5, top_p=0.25)
    assert reply == Reply(
        text="ab",
        token_ids=(ord("a") + 3, ord("b") + 3),
        log_probs=(-0.5, -0.5),
        values=(0.25, 0.25),
        stopped=False,
        truncated=False,
        prompt="ab",
        model="headline",
        version=2,
    )


def test_generate_several_trims_each_to_its_length(client):
    replies = client.generate(
        ["é", "", "abc"], seed=[0, 1, 2], top_k=[0, 4, 0], max_new_tokens=5
    )
    assert [r.text for r in replies] == ["é", "", "abc"]
    assert [r.token_ids for r in replies] == [(233,), (), (99, 100, 101)]
    assert [len(r.log_probs) for r in replies] == [1, 0, 3]
    assert [r.stopped for r in replies] == [False, True, False]
    assert all(r.truncated for r in replies)
    assert client.generate([]) == []


def test_score(client):
    first, second = client.score(["abc", "d"], ["x", "yz"])
    assert first.token_ids == (120,) and first.values == (3.0,)
    assert second.token_ids == (121, 122) and second.values == (1.0, 1.0)
    assert second.log_probs == (-1.0, -1.0)
    assert client.score([], []) == []
    with pytest.raises(ValueError, match="1 prompts but 2 answers"):
        client.score(["a"], ["b", "c"])


def test_tag(client):
    one = Tags(("a", "b", "c"), (-0.5, -0.5, -0.5), True)
    assert client.tag("a b c") == one
    assert client.tag(["é", "", "a b c"]) == [
        Tags(("é",), (-0.5,), False),
        Tags((), (), False),
        one,
    ]
    assert client.tag([]) == []


def test_classify(client):
    assert client.classify("abc") == Label("ABC", -0.25, False)
    assert client.classify(["abcd", "é"]) == [
        Label("ABCD", -0.25, True),
        Label("é", -0.25, False),
    ]
    assert client.classify([]) == []


def test_an_option_that_no_model_has(client):
    with pytest.raises(TypeError, match="heat"):
        client.generate("a", heat=1.0)


def test_a_call_may_have_its_own_timeout(half):
    with pytest.raises(api.DeadlineExceeded):
        half.predict({"count": np.int32([2**31 - 1])}, "spin", timeout=0.2)


def test_messages_of_more_than_four_megabytes(half):
    outputs = half.predict({"x": np.ones([2_000_000, 1], np.float32)})
    np.testing.assert_array_equal(outputs["y"], np.full([2_000_000, 1], 2.5))


def test_metadata(client):
    signatures = client.metadata()
    score = signatures["score"]
    assert score.inputs["prompt"] == TensorSpec("string", (-1,))
    assert score.outputs["token_ids"].dtype == "int32"
    assert signatures["serving_default"].inputs["seed"].dtype == "int64"


def test_status_lists_the_newest_first(client):
    seen = client.status()
    assert [(v.version, v.state, v.error) for v in seen] == [
        (2, "AVAILABLE", ""),
        (1, "AVAILABLE", ""),
    ]


@pytest.mark.parametrize("choice", [{"version": 1}, {"label": "stable"}])
def test_a_version_can_be_chosen(kind, address, choice):
    with kind(address, **choice) as chosen:
        chosen.wait_ready(5)
        assert chosen.generate("a").version == 1


def test_not_both_a_version_and_a_label(kind):
    with pytest.raises(TokenRLError, match="not both"):
        kind(version=1, label="stable")


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "http://localhost:8500", "a b:1", "a:1,", [], "unix:"],
)
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(TokenRLError, match="write HOST:PORT"):
        Client(address)


def test_errors_are_typed_and_carry_code_and_text(kind, address, half):
    with pytest.raises(api.FailedPrecondition) as caught:
        half.predict({}, signature="nosuch")
    assert caught.value.code.name == "FAILED_PRECONDITION"
    assert caught.value.text == 'Serving signature key "nosuch" not found.'
    assert f'Model "half" at {address}: FAILED_PRECONDITION: ' in str(
        caught.value
    )
    with pytest.raises(api.InvalidArgument):
        half.predict({"x": np.float64([[1.0]])})
    with kind(address, model="nosuch") as other, pytest.raises(api.NotFound):
        other.metadata()
    assert issubclass(api.ServingError, TokenRLError)


def test_the_timeout_ends_a_call(kind, address):
    with (
        kind(address, model="half", timeout=0.2) as hasty,
        pytest.raises(api.DeadlineExceeded, match="longer timeout"),
    ):
        hasty.predict({"count": np.int32([2**31 - 1])}, "spin")


def test_a_message_longer_than_allowed(kind, address):
    with (
        kind(address, model="half", max_message_bytes=1000) as small,
        pytest.raises(api.ResourceExhausted),
    ):
        small.predict({"x": np.zeros([1000, 1], np.float32)})


def test_no_server(kind, nobody):
    with kind(nobody, timeout=0.5) as lost:
        with pytest.raises(api.ServingError) as caught:
            lost.generate("a")
        assert nobody in str(caught.value)
        with pytest.raises(api.Unavailable, match="not ready within 0.2 sec"):
            lost.wait_ready(0.2)


def test_a_server_that_starts_late_is_waited_for(kind, tmp_path):
    base = served.put(tmp_path, 1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    flags = Flags(model_base_path=str(base), model_name="half", port=port)
    with (
        kind(f"127.0.0.1:{port}", model="half", timeout=30) as early,
        futures.ThreadPoolExecutor(1) as pool,
    ):
        ready = pool.submit(early.wait_ready, 30)
        with Server(flags):
            ready.result()
            y = early.predict({"x": np.float32([[2.0]])})["y"]
    assert y.tolist() == [[3.0]]


def test_unavailable_is_tried_again(kind, moody):
    moody.moods += [grpc.StatusCode.UNAVAILABLE] * 3
    with kind(moody.address) as patient:
        assert patient.predict({}) == {}
    assert len(moody.calls) == 4


def test_unavailable_for_good_is_given_up_in_time(kind, moody):
    moody.moods += [grpc.StatusCode.UNAVAILABLE] * 9
    with (
        kind(moody.address, timeout=0.3) as hasty,
        pytest.raises(api.Unavailable),
    ):
        hasty.predict({})
    assert 2 <= len(moody.calls) <= 4


def test_one_try_where_a_second_may_do_harm(kind, moody):
    moody.moods.append(grpc.StatusCode.UNAVAILABLE)
    with (
        kind(moody.address, tries=1) as careful,
        pytest.raises(api.Unavailable),
    ):
        careful.predict({})
    assert len(moody.calls) == 1


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK],
    ids=lambda c: c.name,
)
def test_each_failure_has_a_type_and_no_other_is_tried_again(moody, code):
    moody.moods.append(code)
    with Client(moody.address, tries=1) as careful:
        with pytest.raises(api.ServingError) as caught:
            careful.predict({})
        assert type(caught.value).code is code
        assert type(caught.value).__name__ in api.__all__
        assert (caught.value.code, caught.value.text) == (code, "not now")
        assert len(moody.calls) == 1
    moody.moods.append(code)
    with Client(moody.address) as patient:
        if code is grpc.StatusCode.UNAVAILABLE:
            patient.predict({})
        else:
            with pytest.raises(type(caught.value)):
                patient.predict({})
            assert len(moody.calls) == 2
