"""Scripts in two processes, as torchrun starts them, without the seconds in which each process imports PyTorch.

    with Launcher() as launcher:
        done = launcher.start(script, "7", "--epochs", "2")
        done = launcher.start(script, "7", "--epochs", "2", anew=True)

One process imports PyTorch, and forks for each start: torchrun, and, unless `anew`, the two processes of the script.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 120  # seconds that a job may take
FORKS = sys.platform == "linux"  # elsewhere, what has started threads must not fork


class Done(NamedTuple):
    """What came of a job: torchrun's exit status, what it and its processes printed, and how long it took."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


class Launcher:
    """A process that starts jobs of two processes each, one after the other."""

    def __init__(self) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-m", __name__], text=True, **pipes)

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()  # it ends with its input

    def start(self, script: str, *arguments: object, anew: bool = False) -> Done:
        """Run a script in two processes.

        Args:
            script: its file.
            arguments: of the script.
            anew: whether both processes start from nothing, as for a reader.
        """
        assert self.process.stdin and self.process.stdout
        print(json.dumps([script, [*map(str, arguments)], anew]), file=self.process.stdin, flush=True)
        return Done(*json.loads(self.process.stdout.readline()))


# --- in the process that starts them ----------------------------------------------------------------------------------


def launch(script: str, arguments: list[str], anew: bool) -> None:
    """Start a script in two processes; raise, or exit, as torchrun does."""
    from torch.distributed import run
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    def work() -> None:
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")

    if anew:
        run.main(["--standalone", "--nproc-per-node", "2", script, *arguments])
        return
    config = LaunchConfig(1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id=str(os.getpid()))
    config.max_restarts, config.start_method = 0, "fork"
    elastic_launch(config, work)()


def job(folder: Path, script: str, arguments: list[str], anew: bool) -> Done:
    """Launch in a process of its own; return what came of it."""
    began, files = time.monotonic(), [folder / "stdout", folder / "stderr"]
    if not FORKS:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=LONGEST)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for number, file in enumerate(files, 1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            signal.alarm(LONGEST)
            launch(script, arguments, anew)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Done(status, *(file.read_text(encoding="utf-8") for file in files), time.monotonic() - began)


def main() -> None:
    """Do the jobs that the lines of the input describe."""
    import torch._dynamo  # what optimizers import, once for all
    import torch.distributed.fsdp  # noqa: F401  (and what shards)

    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            print(json.dumps(job(Path(folder), *json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
