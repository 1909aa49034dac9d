"""What watches a run: progress, logs, guards and early stopping.

All are `keras.callbacks.Callback`s. A step is one round of collecting and
learning; `on_train_batch_end(step, logs)` counts steps from 0, and what is
written for people (log rows, the bar) counts finished steps, from 1.
"""

from tf_tokenrl.callbacks.answers_log import AnswersLog
from tf_tokenrl.callbacks.best_policy import BestPolicy
from tf_tokenrl.callbacks.csv_log import CsvLog
from tf_tokenrl.callbacks.divergence_guard import DivergenceGuard
from tf_tokenrl.callbacks.early_stopping import EarlyStopping
from tf_tokenrl.callbacks.epoch_lines import EpochLines
from tf_tokenrl.callbacks.progress import ProgressBar
from tf_tokenrl.callbacks.reward_monitor import RewardMonitor
from tf_tokenrl.callbacks.tensorboard_log import TensorBoardLog
from tf_tokenrl.callbacks.time_limit import TimeLimit

__all__ = [
    "AnswersLog",
    "BestPolicy",
    "CsvLog",
    "DivergenceGuard",
    "EarlyStopping",
    "EpochLines",
    "ProgressBar",
    "RewardMonitor",
    "TensorBoardLog",
    "TimeLimit",
]
