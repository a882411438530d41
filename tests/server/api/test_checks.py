"""Checks in requests: verified on every response, their findings the feedback of the loop.
Spans: server/api/feedback_source, server/api/decide"""

from __future__ import annotations

import json
from typing import Any

import pytest

from redraft.server.api.schema.answers import ChatCompletion, FeedbackObject, RefineObject
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from tests.support.asgi import check_shape, post
from tests.support.loops import WITHOUT_SCORE, feedback

NO_COMMAS = {"kind": "without", "characters": ","}
WORDS = {"kind": "words", "at_least": 4}
PASSES = "Pears and figs and plums"


def refined(*script: Any, **fields: Any) -> dict[str, Any]:
    response = post("/v1/refine", {"prompt": "Name fruits.", **fields}, *script)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    check_shape(content, RefineObject)
    return content


def test_the_findings_are_the_feedback_and_cost_no_tokens() -> None:
    answer = refined("pears, figs", "Pears and figs", PASSES, checks=[NO_COMMAS, WORDS])
    assert (answer["answer"], answer["stop_reason"]) == (PASSES, "checks_passed")
    assert answer["scores"] == [1, 5, 10]
    assert answer["kept"] == 2
    assert answer["usage"]["phases"].keys() == {"draft", "refinement"}
    assert answer["checks"][0] == [
        {"check": NO_COMMAS, "passed": False, "why": 'found "pears, figs"'},
        {"check": WORDS, "passed": False, "why": "2 words"},
    ]
    assert [[finding["passed"] for finding in found] for found in answer["checks"]] == [
        [False, False],
        [True, False],
        [True, True],
    ]
    written = answer["trace"]["iterations"][0]["feedback"]["text"]
    assert '- no commas: found "pears, figs". Not met.' in written
    assert "Remove all commas." in written


def test_a_draft_that_passes_is_not_refined() -> None:
    answer = refined(PASSES, checks=[NO_COMMAS])
    assert (answer["answer"], answer["iterations"]) == (PASSES, 0)
    assert answer["stop_reason"] == "checks_passed"


def test_the_best_response_passes_most_checks_then_has_the_best_score() -> None:
    answer = refined("Pears", "a, b, c, d", "a, b", "a, b, c", checks=[NO_COMMAS, WORDS])
    assert answer["stop_reason"] == "max_iterations"
    assert answer["scores"] == [5, 5, 1, 1]
    assert (answer["kept"], answer["answer"]) == (0, "Pears")


def test_without_iterations_the_draft_is_verified_alone() -> None:
    answer = refined("pears, figs", checks=[NO_COMMAS], max_iterations=0)
    assert (answer["answer"], answer["stop_reason"]) == ("pears, figs", "max_iterations")
    assert answer["checks"][0][0]["passed"] is False


def test_the_last_refinement_is_verified_though_nothing_follows_it() -> None:
    answer = refined("pears, figs", PASSES, checks=[NO_COMMAS], max_iterations=1, keep="last")
    assert answer["stop_reason"] == "checks_passed"
    assert answer["scores"] == [1, 10]


def test_of_several_drafts_the_one_that_passes_most_is_refined() -> None:
    answer = refined(
        "a, b", "One pear", PASSES, drafts=2, temperature=1.0, checks=[NO_COMMAS, WORDS]
    )
    assert answer["trace"]["picked"] == 1
    assert answer["stop_reason"] == "checks_passed"


def test_the_models_feedback_may_come_beside_what_the_checks_find() -> None:
    answer = refined(
        *("pears, figs", feedback(4), "Pears and figs"),
        checks=[NO_COMMAS],
        feedback_by="model",
    )
    given = answer["trace"]["iterations"][0]["feedback"]
    assert given["text"] == f'- no commas: found "pears, figs". Not met.\n\n{feedback(4)}'
    assert given["score"] == 4
    assert answer["stop_reason"] == "checks_passed"


def test_with_the_model_beside_good_enough_needs_both() -> None:
    fields = {"checks": [NO_COMMAS], "feedback_by": "model", "good_enough": 8}
    answer = refined("One pear", feedback(5), "Two pears", feedback(9), **fields)
    assert answer["stop_reason"] == "checks_passed"
    assert answer["scores"] == [5, 9]
    answer = refined("a, b", feedback(9), "One pear", feedback(9), **fields)
    assert answer["stop_reason"] == "checks_passed"
    assert answer["answer"] == "One pear"


def test_a_critic_is_named_in_feedback_by_or_as_ever() -> None:
    def critics() -> dict[str, ServedModel]:
        return {"strong": ServedModel(ScriptedEngine(feedback(3), model="strong"))}

    for name in ("feedback_by", "critic"):
        body = {"prompt": "Name fruits.", name: "strong", "max_iterations": 1}
        answer = post("/v1/refine", body, "A draft", "A refinement", critics=critics()).json()
        assert (answer["answer"], answer["scores"]) == ("A refinement", [3, None])


def test_off_refines_without_feedback() -> None:
    answer = refined("A draft", "A refinement", feedback_by="off", max_iterations=1)
    assert answer["answer"] == "A refinement"
    assert answer["usage"]["phases"].keys() == {"draft", "refinement"}
    assert answer["trace"]["iterations"][0]["feedback"]["text"] == ""


def test_off_with_checks_refines_until_they_hold_and_says_nothing() -> None:
    answer = refined("a, b", "c, d", PASSES, checks=[NO_COMMAS], feedback_by="off")
    assert (answer["answer"], answer["stop_reason"]) == (PASSES, "checks_passed")
    assert answer["scores"] == [1, 1, 10]
    given = [iteration["feedback"]["text"] for iteration in answer["trace"]["iterations"]]
    assert given == ["", ""]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"checks": [WORDS, {"kind": "word"}]}, "refine.checks[1]", "did you mean 'words'?"),
        ({"checks": [{"kind": "words"}]}, "refine.checks[0]", "got none of the bounds"),
        ({"checks": ["words"]}, "refine.checks[0]", "'words'"),
        ({"checks": "all"}, "refine.checks", "auto"),
        ({"checks": [WORDS] * 33}, "refine.checks", "32 are allowed at most"),
        ({"feedback_by": "checks"}, "refine.feedback_by", "there are none; give refine.checks"),
        ({"feedback_by": "Ana"}, "refine.feedback_by", "one of model, checks, off"),
        ({"feedback_by": "off", "feedback": "Bad."}, "refine.feedback", "leave one of them out"),
        ({"feedback_by": "off", "good_enough": 8}, "refine.good_enough", "needs scores"),
        ({"feedback_by": "off", "keep": "best"}, "refine.keep", "needs scores"),
    ],
)
def test_a_wrong_request_is_refused_by_name(
    fields: dict[str, Any], param: str, message: str
) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "refine": fields}
    response = post("/v1/chat/completions", body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_model_without_scores_has_them_from_checks() -> None:
    body = {"prompt": "Name fruits.", "checks": [NO_COMMAS], "keep": "best", "good_enough": 9}
    response = post("/v1/refine", body, "a, b", PASSES, srt_format=WITHOUT_SCORE)
    assert response.json()["scores"] == [1, 10]


def test_feedback_by_nobody_is_refused_where_feedback_is_asked_for() -> None:
    body = {"prompt": "Name fruits.", "response": "a, b", "feedback_by": "off"}
    error = post("/v1/feedback", body).json()["error"]
    assert error["param"] == "feedback_by"


def test_feedback_is_what_the_checks_find() -> None:
    body = {"prompt": "Name fruits.", "response": "a, b", "checks": [NO_COMMAS]}
    response = post("/v1/feedback", body)
    content = response.json()
    check_shape(content, FeedbackObject)
    assert content["score"] == 1
    assert content["weaknesses"] == '- no commas: found "a, b". Not met.'
    assert content["checks"] == [{"check": NO_COMMAS, "passed": False, "why": 'found "a, b"'}]
    assert content["usage"]["completion_tokens"] == 0


def chat(*script: Any, **fields: Any) -> Any:
    body = {"messages": [{"role": "user", "content": "Name fruits."}], **fields}
    return post("/v1/chat/completions", body, *script)


def test_a_chat_shows_the_findings_as_reasoning_whole_and_streamed() -> None:
    script = ("pears, figs", PASSES)
    refine = {"checks": [NO_COMMAS]}
    whole = chat(*script, refine=refine).json()
    check_shape(whole, ChatCompletion)
    message = whole["choices"][0]["message"]
    assert message["content"] == PASSES
    assert '- no commas: found "pears, figs". Not met.' in message["reasoning"]
    assert whole["refine"]["checks"][1][0]["passed"] is True

    lines = chat(*script, refine=refine, stream=True).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == PASSES
    reasoning = "".join(delta.get("reasoning", "") for delta in deltas)
    assert reasoning.startswith(message["reasoning"])  # then the refinement, while it is written
    assert chunks[-1]["refine"]["checks"] == whole["refine"]["checks"]


def test_the_reasoning_of_both_is_the_same_whole_and_streamed() -> None:
    script = ("pears, figs", feedback(4), PASSES)
    refine = {"checks": [NO_COMMAS], "feedback_by": "model"}
    message = chat(*script, refine=refine).json()["choices"][0]["message"]
    lines = chat(*script, refine=refine, stream=True).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    streamed = "".join(chunk["choices"][0]["delta"].get("reasoning", "") for chunk in chunks)
    assert streamed.startswith(message["reasoning"])


def test_a_repeated_request_is_the_last_message_of_the_user() -> None:
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Name a fruit."},
    ]
    body = {"messages": messages, "refine": {"checks": [{"kind": "repeats"}]}}
    answer = post("/v1/chat/completions", body, "A pear", "Name a fruit. A pear").json()
    assert answer["refine"]["stop_reason"] == "checks_passed"


def test_the_model_reads_the_checks_out_of_the_instruction() -> None:
    read = json.dumps({"checks": [NO_COMMAS, {"kind": "nonsense"}, WORDS]})
    answer = refined(read, "a, b", PASSES, checks="auto")
    assert (answer["answer"], answer["stop_reason"]) == (PASSES, "checks_passed")
    assert [finding["check"] for finding in answer["checks"][0]] == [NO_COMMAS, WORDS]
    assert answer["usage"]["phases"]["feedback"]["calls"] == 1


def test_where_it_reads_none_the_model_gives_the_feedback() -> None:
    answer = refined(
        '{"checks": []}', "A draft", feedback(4), "B", feedback(9), checks="auto", max_iterations=1
    )
    assert answer["checks"] == [[], []]
    assert answer["scores"] == [4, 9]


def test_a_default_of_no_refinement_does_not_keep_checks_from_being_verified() -> None:
    config = ServerConfig(max_iterations=0)
    body = {"prompt": "Name fruits.", "checks": [NO_COMMAS]}
    response = post("/v1/refine", body, "a, b", PASSES, config=config)
    assert response.json()["answer"] == PASSES
