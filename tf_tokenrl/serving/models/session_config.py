"""From flags to the configuration of TensorFlow's sessions."""

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import schema
from tf_tokenrl.serving.flags import Flags


def session_config(flags: Flags) -> tf.compat.v1.ConfigProto:
    """`--tensorflow_session_config_file`, and the flags on top of it.

    Raises:
        TokenRLError: the file is not usable, or threads are given twice.
    """
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    if flags.tensorflow_session_config_file:
        schema.read(
            flags.tensorflow_session_config_file,
            config,
            "tensorflow_session_config_file",
        )
    both = flags.tensorflow_session_parallelism
    within = flags.tensorflow_intra_op_parallelism
    between = flags.tensorflow_inter_op_parallelism
    if both and within and between:
        raise TokenRLError(
            "Either configure --tensorflow_session_parallelism or "
            "(--tensorflow_intra_op_parallelism, "
            "--tensorflow_inter_op_parallelism) separately. You cannot "
            "configure all."
        )
    if within or between or both:
        config.intra_op_parallelism_threads = within or both
        config.inter_op_parallelism_threads = between or both
    if flags.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = (
            flags.per_process_gpu_memory_fraction
        )
    return config
