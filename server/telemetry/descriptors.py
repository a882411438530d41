"""Descriptors: the open files and sockets of this process, of which it may have so many.

Without one left, new connections are dropped before anything of ours sees them, so it is said here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource

log = logging.getLogger("redraft")

EVERY_S = 1.0
ENOUGH = 65_536


def raise_limit() -> int:
    """Let the process have as many as it may; returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


async def watch() -> None:
    """Say when there are none left, and when there are again."""
    were_out = False
    while True:
        are_out = none_left()
        if are_out and not were_out:
            log.error(
                "out of file descriptors (%d): new connections are dropped; raise the limit "
                "(ulimit -n) or lower --max-connections",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )
        elif were_out and not are_out:
            log.warning("there are file descriptors again: connections are taken")
        were_out = are_out
        await asyncio.sleep(EVERY_S)


def none_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
