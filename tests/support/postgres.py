"""A PostgreSQL of a test's own, from Debian's package."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

_HOMES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
BINARIES = next((p for p in _HOMES if (p / "initdb").exists()), None)
MISSING = "needs PostgreSQL (Debian: postgresql)"
_QUIET = "-c listen_addresses='' -c fsync=off -c unix_socket_directories="


@contextlib.contextmanager
def running():
    """The URL of a server on a UNIX socket; gone at the end.

    PostgreSQL refuses to run as root, so root starts it as nobody.
    """
    folder = Path(tempfile.mkdtemp(prefix="tokenrl-postgres-"))
    root = os.getuid() == 0
    user = {}
    if root:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    data = folder / "data"

    def call(program, *arguments):
        subprocess.run(
            [BINARIES / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **user,
        )

    try:
        call("initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8")
        log = folder / "log"
        call(
            "pg_ctl", "-D", data, "-l", log, "-o", f"{_QUIET}{folder}",
            "-w", "start",
        )  # fmt: skip
        try:
            yield f"postgresql+psycopg://owner@/postgres?host={folder}"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
