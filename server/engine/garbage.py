"""What is freed, and when.

Python's garbage collector looks at no objects that were there before the first request, because a
full collection of all that vLLM imports would stall all streams for half a second.

A full collection is due when what is new has grown to a quarter of what the last one looked at. The
one before the freeze looks at everything, so that a second one has to say that next to nothing is
left; otherwise the requests of hours, as far as their objects refer to each other, stay in memory.

glibc gives large blocks back to Linux when they are freed, which hands them out again page by
page, each cleared first. Where every step of a model frees and takes as much, that is up to a third
of the time on a CPU.
"""

from __future__ import annotations

import ctypes
import gc


def leave_out_what_is_there() -> None:
    gc.collect()
    gc.freeze()
    gc.collect()


def collect_what_was_left_out() -> None:
    """Free what is needed no more, and leave out the rest again if anything was left out."""
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    if frozen:
        leave_out_what_is_there()
    else:
        gc.collect()


def give_back() -> None:
    """Return to the system what was freed; the C library keeps it, and glibc's can be told to."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


MiB = 2**20
# The numbers of mallopt's options. No larger threshold of mmap is taken.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_KEPT = ((_MMAP_THRESHOLD, 32 * MiB), (_TRIM_THRESHOLD, 512 * MiB), (_TOP_PAD, 64 * MiB))
_ALL = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 * MiB))


def keep_freed(*, all_sizes: bool = False) -> None:
    """Keep what is freed for the next step, where the C library is glibc: blocks up to 32 MiB, or
    all, in a process that will end before its memory is in pieces."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in _ALL if all_sizes else _KEPT:
            mallopt(option, value)
