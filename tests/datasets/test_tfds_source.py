import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tensorflow_datasets.core.download.downloader as tfds_downloader

from tf_tokenrl import tasks
from tf_tokenrl.datasets import tfds_source
from tf_tokenrl.datasets.splits import SPLITS
from tf_tokenrl.errors import TokenRLError


class ToyPairs(tfds.core.GeneratorBasedBuilder):
    """Pairs with lists of texts and no validation split."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = Path(__file__)

    def _info(self):
        text = tfds.features.Text()
        features = tfds.features.FeaturesDict(
            {
                "sentences": tfds.features.Sequence(text),
                "titles": tfds.features.Sequence(text),
                "number": np.int64,
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(80),
            "test": self._generate_examples(2),
        }

    def _generate_examples(self, size):
        for i in range(size):
            yield (
                i,
                {
                    "sentences": [f"Müller {i}.", "Second."],
                    "titles": [f"One {i}", "Two"],
                    "number": i,
                },
            )


class ToyBroken(ToyPairs):
    """A data set that cannot be prepared."""

    def _split_generators(self, dl_manager):
        raise ConnectionError("the server is away\nand more lines")


with tfds.core.registered.skip_registration():

    class Scitldr(ToyPairs):
        """Known by the files that it left in the data folder alone."""


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))


def headline(data, source="sentences", target="titles"):
    return tasks.get("headline", data=data, source=source, target=target)


def test_any_data_set_is_read_by_name_and_fields():
    task = headline("tfds:toy_pairs")
    found = {split: task.examples(split) for split in SPLITS}
    assert len(found["test"]) == 2
    assert len(found["train"]) + len(found["validation"]) == 80
    assert len(found["validation"]) > 0
    prompts = {e.prompt: e.references for e in found["test"]}
    assert prompts["Müller 1. Second."] == ("One 1", "Two")


def test_a_missing_field_is_named():
    with pytest.raises(TokenRLError, match="it has number, sentences, titles"):
        headline("tfds:toy_pairs", source="text").examples("test")


def test_unknown_names_have_one_short_sentence():
    with pytest.raises(TokenRLError, match="Did you mean .*imdb_reviews"):
        headline("tfds:imdb_review").examples("train")
    with pytest.raises(TokenRLError) as error:
        headline("tfds:glue/absent").examples("train")
    assert "glue/absent" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_preparation_says_why():
    with pytest.raises(TokenRLError, match="toy_broken.*server is away"):
        headline("tfds:toy_broken").examples("train")


def test_a_data_set_that_was_prepared_elsewhere_is_read_by_its_name(tmp_path):
    assert "scitldr" not in tfds.list_builders(with_community_datasets=False)
    with pytest.raises(TokenRLError, match='no data set "scitldr"'):
        headline("tfds:scitldr").examples("test")
    Scitldr(data_dir=tmp_path).download_and_prepare()
    found = headline("tfds:scitldr").examples("test")
    assert {e.prompt for e in found} == {
        "Müller 0. Second.",
        "Müller 1. Second.",
    }
    with pytest.raises(TokenRLError, match="sentences"):
        headline("tfds:scitldr", source="abstract").examples("test")


def test_a_download_is_given_up_after_four_attempts():
    asked = []

    class Unavailable(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(503)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Unavailable) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/data"
        try:
            with (
                tfds_source._few_retries(),
                pytest.raises(OSError),
                tfds_downloader._open_with_requests(url),
            ):
                pass
        finally:
            server.shutdown()
            thread.join()
    assert asked == ["/data"] * 4
