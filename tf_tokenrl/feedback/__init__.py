"""What was asked, answered and judged; it imports no TensorFlow.

store = FeedbackStore("sqlite:///runs/feedback.db")
store.append([Answer(key="a1", model="headline", version=7,
                     prompt="def area(w, h)", text="The area.")])
store.append([Judgement(answer="a1", kind="thumb", score=1)])
for judged in store.read(after=store.position("learner")):
    ...
"""

from tf_tokenrl.feedback.records import (
    Answer,
    Judged,
    Judgement,
    Receipt,
    user_hash,
)
from tf_tokenrl.feedback.store import FeedbackStore

__all__ = [
    "Answer",
    "FeedbackStore",
    "Judged",
    "Judgement",
    "Receipt",
    "user_hash",
]
