import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.models.session_config import session_config


def test_flags_go_before_the_file(tmp_path):
    path = tmp_path / "session.config"
    path.write_text(
        "intra_op_parallelism_threads: 3 inter_op_parallelism_threads: 4 "
        "gpu_options { allow_growth: true }"
    )
    file = str(path)
    config = session_config(Flags(tensorflow_session_config_file=file))
    assert config.intra_op_parallelism_threads == 3
    assert config.gpu_options.allow_growth
    config = session_config(
        Flags(
            tensorflow_session_config_file=file,
            tensorflow_session_parallelism=2,
            tensorflow_inter_op_parallelism=1,
            per_process_gpu_memory_fraction=0.5,
        )
    )
    assert config.intra_op_parallelism_threads == 2
    assert config.inter_op_parallelism_threads == 1
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.5


def test_threads_given_twice():
    flags = Flags(
        tensorflow_session_parallelism=1,
        tensorflow_intra_op_parallelism=1,
        tensorflow_inter_op_parallelism=1,
    )
    with pytest.raises(TokenRLError, match="You cannot configure all"):
        session_config(flags)
