"""Several feedbacks on one response: what they decide together, what each may cost."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.engine.base import EngineUnavailable, Sampling
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.refine.events import Delta, FeedbackDone, FeedbackRejected
from redraft.server.refine.policy import Policy
from redraft.server.refine.stopping import reaches
from redraft.server.refine.trace import Trace
from tests.support.loops import feedback, gather, run, trace_of

SEEDS = {
    (Policy(seed=1).seed_for("feedback", iteration, candidate, 1, vote), vote)
    for iteration in range(1, 4)
    for candidate in range(3)
    for vote in range(5)
}
VOTE_OF = dict(SEEDS)
GONE = Fail(EngineUnavailable("gone"))


def voting(*votes: Entry, drafts: str = "Lyon", refinement: str = "Paris") -> ScriptedEngine:
    """Each vote of a first attempt is told by its seed."""

    def reply(prompt: str, sampling: Sampling) -> Entry:
        if sampling.seed in VOTE_OF:
            return votes[VOTE_OF[sampling.seed]]
        return refinement if "Overall Score" in prompt else drafts

    return ScriptedEngine(reply=reply)


def answer(*votes: Entry, **options: Any) -> Trace:
    policy = Policy(
        feedback_votes=len(votes), seed=1, feedback=Sampling(temperature=None), **options
    )
    return trace_of(run(gather(voting(*votes), policy)))


def told(number: int, score: int) -> str:
    return feedback(score, weaknesses=f"Weakness {number}.")


@pytest.mark.parametrize(
    ("scores", "stop_reason"),
    [((9, 9, 1), "good_enough"), ((10, 2, 10), "good_enough"), ((8, 8, 10), "max_iterations")],
)
def test_the_majority_says_whether_it_is_good_enough(
    scores: tuple[int, ...], stop_reason: str
) -> None:
    trace = answer(*map(feedback, scores), good_enough=9)
    assert trace.stop_reason == stop_reason
    assert trace.totals["feedback"].usage.calls == 3


@pytest.mark.parametrize(
    ("votes", "reached"),
    [((9,), True), ((9, 1), False), ((9, 9, 1), True), ((9, None, None), True), ((None,), False)],
)
def test_a_tie_is_no_majority_and_void_votes_do_not_count(
    votes: tuple[int | None, ...], reached: bool
) -> None:
    assert reaches(9, votes) is reached


def test_the_score_is_the_mean_and_the_text_that_of_the_vote_in_the_middle() -> None:
    trace = answer(told(0, 9), told(1, 2), told(2, 4))
    (iteration,) = trace.iterations
    assert iteration.feedback.weaknesses == "Weakness 2."
    assert iteration.feedback.score == 5
    assert [vote.score for vote in iteration.feedback.votes] == [9, 2, 4]


def test_the_refinement_follows_the_vote_in_the_middle() -> None:
    engine = voting(told(0, 9), told(1, 2), told(2, 4))
    policy = Policy(feedback_votes=3, seed=1, feedback=Sampling(temperature=None))
    run(gather(engine, policy))
    assert "Weakness 2." in engine.history[-1].text
    assert "Weakness 0." not in engine.history[-1].text


def test_unrounded_means_choose_the_best_response() -> None:
    votes = iter([5, 5, 5, 5, 5, 6])
    script = (feedback(score) for score in votes)
    texts = iter(["one", "two"])

    def reply(prompt: str, sampling: Sampling) -> Entry:
        return next(script) if sampling.seed in VOTE_OF else next(texts)

    policy = Policy(feedback_votes=3, seed=1, keep="best", feedback=Sampling(temperature=None))
    trace = trace_of(run(gather(ScriptedEngine(reply=reply), policy)))
    assert (trace.scores, trace.kept) == ((5, 5), 1)


def test_the_first_vote_is_seen_while_it_is_written_and_no_other() -> None:
    policy = Policy(feedback_votes=3, seed=1, feedback=Sampling(temperature=None))
    events = run(gather(voting(told(0, 9), told(1, 2), told(2, 4)), policy))
    seen = "".join(e.text for e in events if isinstance(e, Delta) and e.phase == "feedback")
    assert seen == told(0, 9)
    (done,) = (e for e in events if isinstance(e, FeedbackDone))
    assert done.feedback.votes[0].text == seen


@pytest.mark.parametrize("malformed", [0, 1, 2])
def test_a_void_vote_costs_nothing_but_itself(malformed: int) -> None:
    votes: list[Entry] = [feedback(4), feedback(6), feedback(8)]
    votes[malformed] = "Hm."
    trace = answer(*votes)
    left = [score for place, score in enumerate((4, 6, 8)) if place != malformed]
    assert trace.scores[0] == sum(left) // 2
    assert (trace.malformed, trace.stop_reason) == (1, "max_iterations")
    assert trace.totals["feedback"].usage.calls == 3


@pytest.mark.parametrize("failed", [0, 1, 2])
def test_a_vote_that_the_engine_fails_costs_nothing_but_itself(failed: int) -> None:
    votes: list[Entry] = [feedback(4), feedback(4), feedback(4)]
    votes[failed] = GONE
    trace = answer(*votes)
    assert (trace.scores[0], trace.answer.text) == (4, "Paris")
    (iteration,) = trace.iterations
    void = [vote.score is None for vote in iteration.feedback.votes]
    assert void == [vote == failed for vote in range(3)]
    assert trace.failure == "gone"


def test_when_all_are_void_they_are_asked_for_once_more_and_then_the_loop_ends() -> None:
    engine = ScriptedEngine(reply=lambda prompt, sampling: "Hm.")
    policy = Policy(feedback_votes=3, seed=1, feedback=Sampling(temperature=None))
    events = run(gather(engine, policy))
    trace = trace_of(events)
    assert (trace.stop_reason, trace.malformed) == ("malformed_feedback", 6)
    assert sum(isinstance(event, FeedbackRejected) for event in events) == 2


def test_when_all_fail_the_loop_ends_with_its_draft() -> None:
    trace = answer(GONE, GONE, GONE)
    assert (trace.stop_reason, trace.answer.text) == ("engine_failure", "Lyon")


def test_votes_share_one_prefix_and_differ_in_their_seeds() -> None:
    engine = voting(*map(feedback, (3, 4, 5)))
    policy = Policy(feedback_votes=3, seed=1, feedback=Sampling(temperature=None))
    run(gather(engine, policy))
    votes = [call for call in engine.history if "feedback" in call.call.request_id]
    assert len({call.text for call in votes}) == 1
    assert len({call.sampling.seed for call in votes}) == 3
    assert len({call.call.request_id for call in votes}) == 3
    assert {call.sampling.temperature for call in votes} == {0.7}


def test_several_drafts_are_ranked_by_votes() -> None:
    trace = answer(feedback(2), feedback(8), feedback(5), drafts=2, max_iterations=0)
    assert [draft.feedback.score for draft in trace.drafts if draft.feedback] == [5, 5]
    assert trace.totals["feedback"].usage.calls == 6


def test_votes_share_the_token_budget() -> None:
    trace = answer(*map(feedback, (3, 4, 5)), token_budget=6)
    assert trace.stop_reason == "token_budget"
    assert trace.totals["feedback"].usage.completion_tokens <= 6
