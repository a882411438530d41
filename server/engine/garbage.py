"""What is freed, and when.

Python's garbage collector looks at no objects that were there before the first request, because a
full collection of all that vLLM imports would stall all streams for half a second.

A full collection is due when what is new has grown to a quarter of what the last one looked at. The
one before the freeze looks at everything, so that a second one has to say that next to nothing is
left; otherwise the requests of hours, as far as their objects refer to each other, stay in memory.

glibc gives large blocks back to Linux when they are freed, which hands them out again page by
page, each cleared first. A training on a CPU frees and takes gigabytes in every step.
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
# mallopt's numbers: no block comes from Linux directly, next to nothing goes back.
_KEEP = ((-4, 0), (-1, 2**31 - 1), (-2, 256 * MiB))  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD


def keep_freed() -> None:
    """Keep what is freed for the next step, where the C library is glibc. For a process that will
    end before its memory is in pieces."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in _KEEP:
            mallopt(option, value)
