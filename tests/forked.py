"""The real scripts and `genbench` in a process of their own that need not import all first.

Such a process is forked from a server that has; else it is what a shell starts: its own folder,
environment, arguments and streams, and its exit code.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        *("genbench.train", "genbench.report", "genbench.commands", "genbench.evaluate.evaluation"),
        *("genbench.search.search", "genbench.handlers.pruning", "optuna.storages._rdb.storage"),
        *("torch._dynamo", "torch_fidelity", "sklearn.linear_model", "sklearn.neighbors"),
        "sklearn.mixture",
    ]
)


def run(
    script: Path | None, words: list[str], cwd: Path, env: dict[str, str], timeout: float
) -> subprocess.CompletedProcess:
    """Run a script, or without one `genbench`, as `subprocess.run` would, stdin at its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        name = str(script or "genbench")
        paths = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, err)]
        process = SERVER.Process(target=_main, args=(script, [name, *words], cwd, env, paths))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([name, *words], timeout, _text(out), _text(err))
        return subprocess.CompletedProcess([name, *words], process.exitcode, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _main(
    script: Path | None, argv: list[str], cwd: Path, env: dict[str, str], paths: list[str]
) -> None:
    for descriptor, path in enumerate([os.devnull, *paths]):
        os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), descriptor)
    sys.stdin = open(0)  # noqa: SIM115 - multiprocessing has closed it
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    if script:
        sys.path.insert(0, str(script.parent))
    try:
        if script:
            runpy.run_path(str(script), run_name="__main__")
        else:
            from genbench.commands import main

            main()
    finally:
        atexit._run_exitfuncs()  # multiprocessing would leave them out
        sys.stdout.flush()
        sys.stderr.flush()
