"""A process that checks images and writes shards: jobs in on stdin, results out on stdout, pickled.

Pillow holds Python's lock for half of a small image's time, and a crash in a decoder takes its process along:
both are why images are not decoded in the Beam worker itself.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import BinaryIO

from components.ingest import check, shard

Job = check.CheckJob | shard.ShardJob
Result = list[check.Outcome] | shard.Written


def run(job: Job) -> Result:
    """Do one job."""
    return check.check(job) if isinstance(job, check.CheckJob) else shard.write(job)


def serve(stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Do jobs until ``stdin`` ends; an exception is sent back instead of a result."""
    while True:
        try:
            job = pickle.load(stdin)  # noqa: S301 - from the parent process, over its own pipe
        except EOFError:
            return
        answer: Result | Exception
        try:
            answer = run(job)
        except Exception as error:
            answer = error
        pickle.dump(answer, stdout, pickle.HIGHEST_PROTOCOL)
        stdout.flush()


def main() -> None:
    """Serve this process's pipes; whatever a library prints goes to stderr."""
    # Ctrl-C is for the parent; this process ends when its stdin does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, out)


if __name__ == "__main__":
    main()
