"""The story that stories260K is documented to tell."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import architecture as house
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers import llama2_c

FOLDER = house.ROOT.parent / "shared" / "data" / "tinyllamas_stories260K"
FILE = FOLDER / "stories260K.bin"
DOCUMENT = FOLDER / "ORIGINAL_doc_stories260K.md"


def story() -> str:
    """What the model's page says that it writes, taking the best token."""
    after = DOCUMENT.read_text("utf-8").split("-t 0.0\n")[1]
    return after.split("\n```")[0]


@pytest.mark.skipif(not FILE.is_file(), reason="needs the checkpoint")
def test_its_greedy_story_is_the_documented_one():
    found = llama2_c.load(FILE)
    embedding = found.model.backbone.token_embedding
    ids = [1, *found.tokenizer([story()]).to_list()[0]]
    given = tf.constant([ids])
    hidden = found.model.backbone(
        {"token_ids": given, "padding_mask": tf.ones_like(given)}
    )
    best = embedding(hidden, reverse=True).numpy()[0].argmax(-1)
    np.testing.assert_array_equal(best[:-1], ids[1:])
    text = found.tokenizer.detokenize(tf.ragged.constant([ids]))
    assert text.numpy()[0].decode() == story()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    file = tmp_path / "model.bin"
    for content in (b"", b"\0" * 40, b"GGUF" * 20):
        file.write_bytes(content)
        with pytest.raises(TokenRLError, match="not a checkpoint|cut off"):
            llama2_c.load(file)
