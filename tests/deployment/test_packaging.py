"""Wheels are built and installed in environments of their own."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import architecture as house

LEFT_OUT = (".venv", ".git", "runs", "build", "*.egg-info", "__pycache__")
CLIENT = """
import sys
from tf_tokenrl.client import Client
assert not {"tensorflow", "keras"} & set(sys.modules)
client = Client("localhost:1", "headline", timeout=0.1)
client.close()
import tf_tokenrl as rl
try:
    rl.Trainer
except rl.TokenRLError as error:
    print(error)
"""
WHOLE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this source tree, built in a copy of it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignore = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(house.ROOT, source, ignore=ignore)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", f"--wheel-dir={folder}", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture
def environment(tmp_path):
    """A fresh environment's Python."""
    subprocess.run(
        [sys.executable, "-m", "venv", tmp_path / "venv"], check=True
    )
    return tmp_path / "venv" / "bin" / "python"


def install(python, *arguments):
    """Install with pip; skip where no package index can be reached."""
    command = [python, "-m", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No matching distribution" in done.stderr:
        pytest.skip("No package index can be reached from here.")
    assert done.returncode == 0, done.stderr


def run(program, *arguments):
    """What a process of that environment prints."""
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_every_module_and_page(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name, file in house.modules().items():
        if not name.startswith(house.BENCHMARKS):
            folder = "/".join(name.split("."))
            own = f"{folder}/__init__.py", f"{folder}.py"
            assert set(own) & names, name
        for other in file.parent.glob("page/*"):
            assert any(n.endswith(f"page/{other.name}") for n in names)
    assert not [n for n in names if n.startswith(("tests/", "pipelines/"))]


@pytest.mark.slow
def test_the_client_is_installed_without_tensorflow(wheel, environment):
    install(environment, str(wheel))
    said = run(environment, "-c", CLIENT)
    assert 'pip install "tf_tokenrl[train]"' in said
    assert "usage: tf-tokenrl" in run(environment.with_name("tf-tokenrl"), "-h")
    files = Path(environment).parents[1].rglob("*")
    size = sum(f.stat().st_size for f in files if f.is_file())
    assert size < 200e6


@pytest.mark.slow
def test_the_whole_is_installed_from_the_lock(wheel, environment):
    lock = house.ROOT / "requirements.lock"
    install(environment, "--no-deps", "--require-hashes", f"-r{lock}")
    install(environment, "--no-deps", str(wheel))
    assert "No broken" in run(environment, "-m", "pip", "check")
    left_out = (house.BENCHMARKS, f"{house.PACKAGE}.training.q_learning")
    names = [n for n in house.modules() if not n.startswith(left_out)]
    names.remove(f"{house.PACKAGE}.serving.__main__")
    assert run(environment, "-c", WHOLE, *names).strip() == str(len(names))
