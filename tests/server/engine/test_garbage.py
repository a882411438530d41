"""What the garbage collector leaves out, and that it takes the rest: each in a process of its own,
as the collector is one for the whole process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LEFT_OUT = """
import gc
from redraft.server.engine import garbage
from redraft.server.run import main
before = len(gc.get_objects())
garbage.leave_out_what_is_there()
print(before, len(gc.get_objects()), gc.get_freeze_count())
"""

REQUESTS = """
import gc
from redraft.server.engine import garbage

class Request:
    there = 0

    def __init__(self):
        Request.there += 1
        self.itself = self

    def __del__(self):
        Request.there -= 1

def serve(batches):
    for _ in range(batches):
        under_way = [Request() for _ in range(1000)]
        gc.collect(1)  # they were there long enough for a full collection alone to find them

imported = [[] for _ in range(400_000)]
garbage.leave_out_what_is_there()
serve(50)
at_first = Request.there
garbage.collect_what_was_left_out()
after_that = Request.there
serve(50)
print(at_first, after_that, Request.there)
"""

FREED = """
import psutil
from redraft.server.engine import garbage
pieces = [bytes(1000) for _ in range(200_000)]
kept = pieces[::20]  # so that what is freed lies between what is not
del pieces
before = psutil.Process().memory_info().rss
garbage.give_back()
print(before, psutil.Process().memory_info().rss)
"""

STEPS = """
import ctypes, resource
from redraft.server.engine import garbage
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def cleared(blocks, size):
    # Pages that Linux had to clear for ten steps, each of which frees all that it took.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        taken = [ctypes.c_void_p(libc.malloc(size)) for _ in range(blocks)]
        for block in taken:
            ctypes.memset(block, 1, size)
        for block in taken:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(cleared(2, 200 << 20))
garbage.keep_freed()
cleared(2, 200 << 20)
print(cleared(2, 200 << 20))
"""


def numbers(program: str) -> list[int]:
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    return [int(number) for number in said.stdout.split()]


def test_what_was_there_before_the_first_request_is_left_out() -> None:
    before, after, frozen = numbers(LEFT_OUT)
    assert after < before / 100
    assert frozen > before / 2


def test_finished_requests_are_collected_however_much_is_left_out() -> None:
    at_first, after_that, at_last = numbers(REQUESTS)
    assert at_first < 25_000  # of 50,000
    assert after_that == 0
    assert at_last < 25_000  # as before: the same is left out again


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    before, after = numbers(FREED)
    assert before - after > 100_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_one_step_frees_is_kept_for_the_next() -> None:
    before, after = numbers(STEPS)
    assert after < before / 100
