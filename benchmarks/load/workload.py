"""What is asked, and when: prompts of a set length, arrivals of a set rate, both by seed.

How to add a load: a function here that yields prompts or seconds, its use in latency.py, and a
case in tests/benchmarks/test_latency.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

# Short common words: one token each with nearly every tokenizer.
TEXT = """
about above after again air all also always animal another answer any around ask away back because
been before began being below between big book both boy build call came can car carry change
children city close come could country cut day did different does done door down draw each early
earth eat end enough even every example eye face family far father feet few find first food four
from full gave get girl give good great group grow had hand hard has have head hear help her here
high him his home house how idea into just keep kind know land large last late learn leave left
letter life light like line list little live long look made make man many may mean men might mile
more most mother mountain move much must name near need never new next night not now number off
often old once one only open other our out over own page paper part people place plant play point
put question quick read really right river run said same saw say school sea second see seem
sentence set she should show side small some something song soon sound spell stand start state
still stop story study such take talk tell than that their them then there these they thing think
this those thought three time together too took tree try turn two under until use very walk want
watch water way well went were what when where which while white who why will with without word
work world would write year you young your
"""
WORDS = tuple(TEXT.split())


def prompts(tokens: int, seed: int | str) -> Iterator[str]:
    """Endless instructions of about ``tokens`` tokens. No two share a prefix as long as a block of
    the cache, so the cache can only save work within a request."""
    draw = random.Random(f"{seed}/{tokens}")
    while True:
        yield " ".join(draw.choices(WORDS, k=max(1, tokens)))


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrival times in seconds of independent requests (a Poisson process)."""
    draw = random.Random(f"{seed}/{rate}")
    times, now = [], draw.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += draw.expovariate(rate)
    return times
