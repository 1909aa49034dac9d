"""Numbers that change while a run goes on: one file per schedule.

weight = rl.schedules.get("linear", 0.0, 0.3, steps=100)
weight = rl.schedules.parse("linear(0.0, 0.3, steps=100)")
"""

from tf_tokenrl.schedules.base import Measurement, Product, Schedule
from tf_tokenrl.schedules.parse import get, parse

__all__ = ["Measurement", "Product", "Schedule", "get", "parse"]
