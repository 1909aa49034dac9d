"""What a user may get wrong: one sentence that names it, nothing lost."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from tests.support import disk, served
from tf_tokenrl import CausalPolicy, cli, runs
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines import prepare
from tf_tokenrl.pipelines.train import TrainOptions
from tf_tokenrl.policies import from_scratch, storage
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.text.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Prepared rows of the kind `prepare` reads by default."""
    folder = tmp_path_factory.mktemp("bad")
    rows = [
        {"source": f"text number {n} of many", "target": f"text {n}"}
        for n in range(60)
    ]
    file = write(folder / "rows.jsonl", *map(json.dumps, rows))
    options = prepare.PrepareOptions(
        data=str(file), out=folder / "data", vocabulary_size=290
    )
    return prepare.main(options)


@pytest.fixture(scope="module")
def policy_file(data):
    policy = from_scratch.build(
        from_scratch.ModelOptions("gru", layers=1, width=16),
        load_tokenizer(data / "tokenizer.spm"),
        max_prompt_tokens=24,
        max_new_tokens=8,
    )
    return storage.save(policy, data.parent / "policy.keras")


def write(path, *lines):
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.fixture
def complaint(monkeypatch, capfd):
    """The one line that a command says before it fails."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tf-tokenrl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 1
        lines = capfd.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("tf-tokenrl: ")
        assert len(lines[0]) < 600
        return lines[0]

    return run


@pytest.fixture
def earlier(tmp_path):
    """A folder that an earlier run filled, and must find as it was."""
    out = tmp_path / "rl"
    (out / "checkpoints" / "step-00000002").mkdir(parents=True)
    for name in ("log.csv", "policy.keras"):
        (out / name).write_text("precious")
    (out / "options.json").write_text("{}")
    before = contents(out)
    yield out
    assert contents(out) == before


def contents(folder):
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--task=headlin", 'Did you mean "headline"'),
        ("--task=nowhere:Task", "PYTHONPATH"),
        ("--reward=rogue", 'Did you mean "rouge"'),
        ("--reward=rouge(variant='x')", "variant"),
        ("--reward=rouge +", "character"),
        ("--algorithm=pppo", 'Did you mean "ppo"'),
        ("--algorithm=ppo(clip=-1)", "clip must be"),
        ("--algorithm=ppo(clipp=0.1)", "clipp"),
        ("--compute.strategy=mirored", 'Did you mean "mirrored"'),
        ("--policy=absent.keras", 'no policy "absent.keras"'),
        ("--data=absent", "absent"),
        ("--batch-size=7", "batch_size is 7"),
    ],
)
def test_train(flag, words, complaint, earlier, data, policy_file):
    line = complaint(
        "train",
        f"--policy={policy_file}",
        f"--data={data}",
        f"--out={earlier}",
        "--algorithm=ppo(minibatches=2)",
        "--batch-size=8",
        flag,
    )
    assert words in line


def test_a_fresh_run_never_replaces_another(
    complaint, earlier, data, policy_file
):
    line = complaint(
        "train",
        f"--policy={policy_file}",
        f"--data={data}",
        f"--out={earlier}",
        "--batch-size=8",
    )
    assert str(earlier) in line
    assert "another --out" in line and "--overwrite" in line


def test_resuming_with_other_options(complaint, tmp_path, data, policy_file):
    flags = [
        f"--policy={policy_file}",
        f"--data={data}",
        f"--out={tmp_path}",
        "--resume",
    ]
    options = cli.parse(TrainOptions, [*flags, "--batch-size=8"], "train")
    runs.record(tmp_path, "train", options)
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    before = contents(tmp_path)
    line = complaint("train", *flags, "--batch-size=16", "--steps=9")
    assert "batch_size was 8, now 16" in line
    assert "steps was 100, now 9" in line
    assert "strategy" not in line and "--out" in line
    assert contents(tmp_path) == before


def test_a_prompt_that_does_not_fit(complaint, earlier, data, policy_file):
    folder = data.parent / "long"
    shutil.copytree(data, folder, dirs_exist_ok=True)
    row = json.dumps({"source": "many " * 50, "target": "text"})
    with (folder / "train.jsonl").open("a") as file:
        file.write(row + "\n")
    line = complaint(
        "train",
        f"--policy={policy_file}",
        f"--data={folder}",
        f"--out={earlier}",
        "--batch-size=8",
    )
    assert "longer than 24 tokens" in line and "many many" in line


def test_a_corrupt_policy(complaint, earlier, data, policy_file, tmp_path):
    whole = policy_file.read_bytes()
    for content in (b"", b"no policy", whole[: len(whole) // 2]):
        broken = tmp_path / "broken.keras"
        broken.write_bytes(content)
        line = complaint(
            "train", f"--policy={broken}", f"--data={data}", f"--out={earlier}"
        )
        assert "broken.keras" in line


def test_half_written_checkpoints(earlier, data, policy_file, capfd):
    """It says which one it passed over, and then that none is left."""
    flags = [f"--policy={policy_file}", f"--data={data}", f"--out={earlier}"]
    with pytest.raises(TokenRLError, match="in place of --resume"):
        cli.run(["train", *flags, "--resume"])
    line = capfd.readouterr().err
    assert "step-00000002" in line and line.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b'{"source": "caf\xe9", "target": "b"}\n', "not UTF-8"),
        (b'{"source": "a"\n', "line 1"),
        (b"[1, 2]\n", "object"),
        (b'{"body": "a", "target": "b"}\n', 'no field "source"'),
    ],
)
def test_prepare(content, words, complaint, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    out = tmp_path / "data"
    line = complaint("prepare", f"--data={file}", f"--out={out}")
    assert words in line and "rows.jsonl" in line
    assert not out.exists()


def test_sft(complaint, data, tmp_path):
    line = complaint(
        "sft",
        f"--data={data}",
        f"--out={tmp_path}",
        "--model.architecture=gru2",
    )
    assert 'Did you mean "gru"' in line
    line = complaint("sft", f"--data={tmp_path}", f"--out={tmp_path}")
    assert str(tmp_path) in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not JSON", "not valid JSON"),
        ('{"stepps": 3}', "stepps"),
        ('{"steps": "many"}', "steps"),
        ("[1]", "options.json"),
    ],
)
def test_config_files(text, words, complaint, tmp_path):
    file = write(tmp_path / "options.json", text)
    assert words in complaint("train", "--config", file)


def test_a_config_file_that_is_not_there(complaint):
    assert "absent.json" in complaint("train", "--config=absent.json")
    assert "--config needs a file" in complaint("train", "--config")


@pytest.mark.skipif(disk.resource is None, reason="needs file size limits")
def test_a_full_disk_at_export(policy_file, tmp_path):
    policy = storage.load(policy_file)
    model = tmp_path / "headline"
    with disk.full(), pytest.raises(TokenRLError, match="space") as caught:
        policy.export(model / "1")
    assert str(model / "1") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(model.iterdir()) == []


def test_a_version_that_exists(complaint, policy_file, tmp_path):
    (tmp_path / "headline" / "3").mkdir(parents=True)
    line = complaint(
        "export",
        f"--policy={policy_file}",
        f"--model={tmp_path / 'headline'}",
        "--version=3",
    )
    assert "next number" in line


def test_a_port_in_use(complaint, tmp_path):
    base = served.put(tmp_path / "half")
    with socket.socket() as held:
        held.bind(("", 0))
        held.listen()
        port = held.getsockname()[1]
        line = complaint("serve", f"--port={port}", f"--model_base_path={base}")
    assert str(port) in line and "port" in line


def test_a_model_or_a_signature_that_is_not_served(complaint, tmp_path):
    base = served.put(tmp_path / "half")
    flags = Flags(model_base_path=str(base), model_name="half", port=0)
    with Server(flags) as server:
        address = f"--address=localhost:{server.port}"
        line = complaint("query", "a prompt", address, "--model=headline")
        assert "headline" in line
        line = complaint("query", "a prompt", address, "--model=half")
        assert "half" in line


@pytest.mark.parametrize("preset", ["no_such_preset", "./no/such/folder"])
def test_a_preset_that_is_nowhere(preset):
    """Found out without asking the network."""
    with pytest.raises(TokenRLError, match=preset) as caught:
        CausalPolicy.from_preset(preset)
    assert "\n" not in str(caught.value)


def test_a_flag_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tf-tokenrl", "train", "--stepz=3"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert "--stepz" in capsys.readouterr().err


def test_the_process_says_one_line_and_fails(data):
    code = "from tf_tokenrl.cli import main; main()"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "evaluate",
            f"--data={data}",
            "--policy=gone",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
