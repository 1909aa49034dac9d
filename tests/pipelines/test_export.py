import pytest
import tensorflow as tf

from pipelines.export import ExportOptions, main
from tf_tokenrl.errors import TokenRLError


def test_versions_count_up_and_are_never_overwritten(policy_file, tmp_path):
    model = tmp_path / "headline"
    assert main(ExportOptions(policy_file, model)) == model / "1"
    assert main(ExportOptions(policy_file, model, version=7)) == model / "7"
    assert sorted(p.name for p in model.iterdir()) == ["1", "7"]
    loaded = tf.saved_model.load(model / "7")
    assert {"serving_default", "score"} <= set(loaded.signatures)
    before = sorted(model.rglob("*"))
    with pytest.raises(TokenRLError, match="next number"):
        main(ExportOptions(policy_file, model, version=7))
    assert sorted(model.rglob("*")) == before
