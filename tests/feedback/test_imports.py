"""What the store brings into a process."""

import subprocess
import sys

CODE = """
import sys
from tf_tokenrl.feedback import Answer, FeedbackStore, Judgement
with FeedbackStore(sys.argv[1]) as store:
    answer = Answer(model="m", prompt="p", text="t")
    said = Judgement(answer=answer.key, kind="thumb", score=1)
    assert all(receipt.safe for receipt in store.append([answer, said]))
    assert len(list(store.read())) == 1
print(*sys.modules)
"""


def test_no_tensorflow_and_no_keras(tmp_path):
    url = f"sqlite:///{tmp_path}/new/folder/feedback.db"
    done = subprocess.run(
        [sys.executable, "-c", CODE, url], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not {"tensorflow", "keras", "keras_hub", "torch"} & loaded
