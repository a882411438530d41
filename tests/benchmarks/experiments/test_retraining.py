"""Experiments whose every arm is a training: the ablation of feedback and the data curves.

Trainings are processes. Here they are played: the commands are read by those who would read them,
and models answer as well as they were "trained".
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

import psutil

from redraft.benchmarks import report
from redraft.benchmarks.experiments import ablation, data_curve
from redraft.benchmarks.experiments.arm_figures import failures, weigh
from redraft.benchmarks.experiments.arms import (
    TOOLS,
    Arm,
    ArmSettings,
    MeasuredArm,
    RetrainingOptions,
    Tools,
    measured,
)
from redraft.benchmarks.load.programs import ProgramFailed, run_to_end
from redraft.benchmarks.workbench.evaluate import EvaluateOptions, evaluate
from redraft.child_process import python_module
from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.server.jsonl import FileError
from redraft.server.options import ConfigError
from redraft.server.refine import manifest
from redraft.server.refine.srt_format import COMPONENTS
from redraft.train import recipe as recipes
from redraft.train.data.records import Lesson
from redraft.train.workbench import critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import answer, sample

pytestmark = pytest.mark.slow  # many small servers and loops: seconds in all

WRONG = "I do not know."
RECIPE = """
name: test
output: OUT
seed: 1
steps:
  base_tasks: {stage: tasks, output: "${output}/tasks.jsonl", count: 5}
  filter: {data: "${output}/collected.jsonl", output: "${output}/lessons"}
  stage1:
    stage: sft
    model: ${output}/base
    lessons: ["${output}/lessons/kept.jsonl"]
    output: ${output}/stage1
    trainer: {max_steps: 2, per_device_train_batch_size: 4, logging_steps: 1}
  stage2:
    stage: dpo
    model: ${output}/stage1
    pairs: ${output}/pairs.jsonl
    output: ${output}/stage2
  merge: {model: "${output}/stage2", output: "${output}/model", dtype: float32}
"""


class Played:
    """Plays trainings and models: what one learnt is the share of its answers that are right."""

    def __init__(self, stops: str = "max_iterations") -> None:
        self.trainings: list[str] = []
        self.evaluations: list[EvaluateOptions] = []
        self._stops = stops

    @property
    def tools(self) -> Tools:
        return Tools(self._run, self._evaluate)

    def _run(self, command: Sequence[str], log: Path) -> None:
        start = python_module("redraft.train", "run")
        assert list(command[: len(start)]) == start
        recipe, *rest = command[len(start) :]
        self.trainings.append(" ".join(rest))
        self._train(recipe, rest)

    def _train(self, recipe: str, rest: list[str]) -> None:
        changes = [value for flag, value in itertools.pairwise(rest) if flag == "--set"]
        output = Path(rest[rest.index("--output") + 1])
        result = recipes.load(recipe, changes, str(output))
        if "--until" in rest:
            names = recipes.selected(result, [], rest[rest.index("--until") + 1])
            assert names[-1] == "filter"
            start(output / "base")
            (output / "lessons").mkdir()
            lessons(output / "lessons" / "kept.jsonl")
            return
        end = rest.index("--set") if "--set" in rest else len(rest)
        for step in result.steps:
            if step.name not in rest[rest.index("--only") + 1 : end]:
                continue
            options = step.values()
            before = json.loads((Path(options["model"]) / "learnt.json").read_text())
            if step.stage in ("sft", "dpo"):
                parts = options.get("components", COMPONENTS)
                learnt = 0.1 + 0.2 * len(parts) + 0.001 * options["limit"]
                message = {"steps": options["limit"] // 2, "num_tokens": 100 * options["limit"]}
                jsonl.write_json(Path(options["output"]) / "training.json", message)
            jsonl.write_json(
                Path(options["output"]) / "learnt.json",
                {"share": learnt, "parts": list(parts)} if step.stage in ("sft", "dpo") else before,
            )

    def _evaluate(self, options: EvaluateOptions) -> int:
        assert options.model
        self.evaluations.append(options)
        learnt = json.loads((options.model / "learnt.json").read_text())
        rows = []
        for family in options.families:
            tasks = sample("test", family, options.per_family, options.seed)
            for number, task in enumerate(tasks):
                right = number < learnt["share"] * len(tasks)
                last = answer(task) if right else WRONG
                feedback = {"text": critic.feedback(task, WRONG), "score": 1}
                if "score" not in learnt["parts"]:
                    feedback["score"] = None
                rows.append(
                    {
                        "instruction": task.instruction,
                        "responses": [*[WRONG] * options.iterations, last],
                        "feedback": [feedback] * options.iterations,
                        "stop_reason": self._stops,
                        "malformed": 0,
                        "tokens": {"draft": 5, "feedback": 40},
                    }
                )
        return jsonl.write(options.output, rows)


def start(folder: Path) -> Path:
    """Weights to start from, as far as the experiments look at them."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    jsonl.write_json(folder / "learnt.json", {"share": 0.0, "parts": list(COMPONENTS)})
    return folder


def lessons(path: Path, count: int = 64) -> Path:
    path.write_text("{}\n" * count)
    return path


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("OUT", str(tmp_path / "made")))
    base, kept = start(tmp_path / "base"), lessons(tmp_path / "kept.jsonl")
    common = ["--recipe", str(recipe), "--per-family", "10", "--arms", str(tmp_path / "arms")]
    return [*common, "--out", str(tmp_path / "out"), "--base", str(base), "--lessons", str(kept)]


def published(tmp_path: Path, name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    return result


def test_every_part_of_the_feedback_is_left_out_once(tmp_path: Path, arguments: list[str]) -> None:
    played = Played()
    assert ablation.main(arguments, played.tools) == 0
    arms = {arm["name"]: arm for arm in published(tmp_path, "ablation")["figures"]["arms"]}
    assert {name: arm["components"] for name, arm in arms.items()} == {
        "all feedback": ["weaknesses", "suggestions", "score"],
        "without score": ["weaknesses", "suggestions"],
        "without suggestions": ["weaknesses", "score"],
        "without weaknesses": ["suggestions", "score"],
        "no feedback": [],
        "base model": [],
    }
    assert {arm["lessons"] for arm in arms.values()} == {64, 0}
    assert arms["all feedback"]["steps"] == 32
    # Ten instructions a family; what each arm "learnt" decides how many it gets right.
    of = 10 * len(FAMILIES)
    assert arms["all feedback"]["right"]["refined_1"]["count"] == 0.8 * of
    assert arms["without score"]["right"]["refined_1"]["count"] == 0.6 * of
    assert arms["without score"]["gain"]["difference"]["estimate"] == pytest.approx(-20)
    assert arms["without score"]["gain"]["p_value"] < 0.001


def test_an_adapter_may_learn_to_draft_as_well(tmp_path: Path, arguments: list[str]) -> None:
    recipe = Path(arguments[1])
    recipe.write_text(recipe.read_text() + "  adapter: {model: a, base: a, output: a}\n")
    played = Played()
    asked = [*arguments, "--without", "--ready", "adapter"]
    with pytest.raises(ConfigError, match="--own-drafts needs --ready adapter"):
        ablation.main([*arguments, "--own-drafts"], played.tools)
    ablation.main([*asked, "--own-drafts"], played.tools)
    left, learnt, _ = played.trainings
    assert "steps.adapter.drafts=false" in left and "mask_draft" not in left
    assert "steps.adapter.drafts=true" in learnt and "steps.stage1.mask_draft=false" in learnt
    arms = published(tmp_path, "ablation")["figures"]["arms"]
    assert [arm["name"] for arm in arms][:2] == ["all feedback", "all feedback, and to draft"]
    assert len(played.evaluations) == 4


def test_what_gives_no_feedback_is_served_as_it_is_and_asked_for_direct_answers(
    tmp_path: Path, arguments: list[str]
) -> None:
    played = Played()
    ablation.main([*arguments, "--without"], played.tools)
    arms = {arm["name"]: arm for arm in published(tmp_path, "ablation")["figures"]["arms"]}
    direct = arms["no feedback"]
    assert direct["right"]["refined_1"] is None and direct["verdict"] is None
    assert direct["right"]["draft"]["count"] == 2 * len(FAMILIES)  # 0.1 + 0.064, of ten each
    (trained,) = (c for c in played.trainings if "components=[]" in c)
    assert "merge" not in trained
    assert [options.iterations for options in played.evaluations] == [1, 0, 0]


def test_what_has_no_score_has_no_verdict(tmp_path: Path, arguments: list[str]) -> None:
    ablation.main([*arguments, "--without", "score"], Played().tools)
    arms = {arm["name"]: arm for arm in published(tmp_path, "ablation")["figures"]["arms"]}
    assert arms["without score"]["verdict"] is None
    verdict = arms["all feedback"]["verdict"]
    assert set(verdict) == {"count", "of", "low", "high"}
    assert verdict["count"] == verdict["of"] == 10 * len(FAMILIES)


def test_less_and_less_data_with_as_many_instructions(tmp_path: Path, arguments: list[str]) -> None:
    assert data_curve.main([*arguments, "--limit", "48"], Played().tools) == 0
    result = published(tmp_path, "data-curve-stage1")
    arms = result["figures"]["arms"]
    assert [arm["lessons"] for arm in arms] == [0, 3, 6, 12, 24, 48]
    assert [arm["steps"] for arm in arms] == [0, 1, 3, 6, 12, 24]
    assert arms[0]["name"] == "base model" and arms[0]["right"]["refined_1"] is None
    assert result["plots"] == ["data-curve-stage1.svg"]
    assert "<svg" in (tmp_path / "out" / "data-curve-stage1.svg").read_text()


def test_stage_two_starts_from_a_model_that_can_refine(
    tmp_path: Path, arguments: list[str]
) -> None:
    pairs = lessons(tmp_path / "pairs.jsonl", 20)
    from_stage1 = ["--stage", "2", "--stage1", str(start(tmp_path / "stage1"))]
    played = Played()
    asked = [*arguments, *from_stage1, "--pairs", str(pairs), "--sizes", "5", "20"]
    assert data_curve.main(asked, played.tools) == 0
    arms = published(tmp_path, "data-curve-stage2")["figures"]["arms"]
    assert [arm["name"] for arm in arms] == ["stage 1", "5 pairs", "20 pairs"]
    assert [arm["pairs"] for arm in arms] == [0, 5, 20]
    assert arms[0]["right"]["refined_1"] is not None
    merged, *trained = played.trainings
    assert "--only merge" in merged
    assert all("--only stage2 merge" in command for command in trained)


def test_what_is_done_is_not_done_again_and_shared(tmp_path: Path, arguments: list[str]) -> None:
    first, second, third = Played(), Played(), Played()
    ablation.main(arguments, first.tools)
    before = published(tmp_path, "ablation")
    ablation.main(arguments, second.tools)
    assert len(first.evaluations) == 6
    assert second.evaluations == []
    after = published(tmp_path, "ablation")
    assert (after["figures"], after["tables"]) == (before["figures"], before["tables"])
    data_curve.main([*arguments, "--sizes", "32", "64"], third.tools)
    assert len(third.evaluations) == 1  # base and 64 lessons are there


def test_other_lessons_or_options_are_another_arm(tmp_path: Path, arguments: list[str]) -> None:
    first, other = Played(), Played()
    data_curve.main([*arguments, "--sizes", "64"], first.tools)
    data_curve.main([*arguments, "--sizes", "64", "--set", "trainer.max_steps=5"], other.tools)
    (message,) = other.trainings
    assert "steps.stage1.trainer.max_steps=5" in message
    assert len(other.evaluations) == 1  # the base is the same
    lessons(tmp_path / "kept.jsonl", 65)
    changed = Played()
    data_curve.main([*arguments, "--sizes", "64"], changed.tools)
    assert len(changed.evaluations) == 1


def test_a_smaller_experiment_has_lessons_and_instructions_of_some_families(
    tmp_path: Path, arguments: list[str]
) -> None:
    kept = tmp_path / "kept.jsonl"
    names = ["sort", "total", "keep", "sort"]
    kept.write_text("".join(json.dumps({"meta": {"family": name}}) + "\n" for name in names))
    asked = [*arguments, "--families", "sort", "keep", "--sizes", "3"]
    assert data_curve.main(asked, Played().tools) == 0
    first, last = published(tmp_path, "data-curve-stage1")["figures"]["arms"]
    assert (
        last["lessons"] == 3 and last["right"]["draft"]["of"] == first["right"]["draft"]["of"] == 20
    )
    with pytest.raises(FileError, match="holds no lessons with a family of story"):
        data_curve.main([*arguments, "--families", "story"], Played().tools)
    with pytest.raises(ConfigError, match="no family 'sorts'; families: total, "):
        evaluate(EvaluateOptions(output=tmp_path / "never.jsonl", families=("sorts",)))


def test_without_weights_the_recipe_makes_them_first(tmp_path: Path, arguments: list[str]) -> None:
    played = Played()
    without = arguments[: arguments.index("--base")]
    made = tmp_path / "made"
    assert data_curve.main([*without, "--made", str(made), "--sizes", "8"], played.tools) == 0
    assert played.trainings[0].endswith("--until filter")
    trained = [c for c in played.trainings if "--only stage1" in c]
    assert f'steps.stage1.model="{made / "base"}"' in trained[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--limit", "65"], "--limit 65: .* has 64 lessons"),
        (["--sizes", "65"], "--sizes 65: there are 64 lessons"),
        (["--stage", "2"], "--stage 2 needs --stage1 MODEL and --pairs FILE"),
    ],
)
def test_what_cannot_be_done_is_said_first(
    arguments: list[str], more: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        data_curve.main([*arguments, *more], Played().tools)


def test_loops_that_failed_are_counted_and_not_scored(tmp_path: Path, arguments: list[str]) -> None:
    assert ablation.main([*arguments, "--without"], Played("engine_failure").tools) == 1
    result = published(tmp_path, "ablation")
    count = 10 * len(FAMILIES)
    assert result["failures"] == {
        f"{name}: engine_failure": count for name in ("all feedback", "no feedback", "base model")
    }
    assert result["figures"]["arms"][0]["right"]["draft"]["of"] == 0


def row(number: int, *right: bool, stop: str = "max_iterations") -> dict[str, Any]:
    message = {"instruction": str(number), "right": right, "verdict": right[0], "stop_reason": stop}
    return {**message, "family": "sums", "malformed": 0, "tokens": 9}


def test_arms_are_paired_by_instruction() -> None:
    everything, some = Arm("all", 8), Arm("some", 8, ("score",))
    result = [
        MeasuredArm(everything, 4, (row(1, False, True), row(2, True, True), row(3, True, False))),
        MeasuredArm(some, 4, (row(3, True, True), row(2, False, False, stop="deadline"))),
    ]
    first, second = weigh(result, "all", seed=1)
    assert (first.flipped.wrong_to_right, first.flipped.right_to_wrong) == (1, 1)
    assert (second.gain.wins, second.gain.losses, second.gain.difference.n) == (1, 0, 1)
    assert failures(result) == {"some: deadline": 1}


def test_several_trainings_of_an_arm_are_one_answer_to_each_instruction(
    tmp_path: Path, arguments: list[str]
) -> None:
    played = Played()
    assert data_curve.main([*arguments, "--sizes", "64", "--trainings", "3"], played.tools) == 0
    seeds = [f"steps.stage1.seed={seed}" for seed in (1, 2, 3)]
    assert [[seed in command for seed in seeds] for command in played.trainings] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    assert len(played.evaluations) == 4  # the base is not trained
    base, trained = published(tmp_path, "data-curve-stage1")["figures"]["arms"]
    assert trained["right"]["draft"]["of"] == base["right"]["draft"]["of"] == 10 * len(FAMILIES)
    assert trained["wrong_to_right"] == 3 * trained["right"]["refined_1"]["count"]


def test_trainings_that_disagree_are_averaged_by_instruction() -> None:
    arm = MeasuredArm(
        Arm("all", 8),
        4,
        (row(1, False, True), row(2, False, False), row(1, False, False), row(2, True, True)),
    )
    base = MeasuredArm(Arm("base", 0), 0, (row(1, False, False), row(2, False, True)))
    first, second = weigh([arm, base], "base", seed=1)
    assert (first.answer.estimate, first.answer.n) == (0.5, 2)
    assert (first.draft.estimate, second.answer.estimate) == (0.25, 0.5)
    assert (first.gain.wins, first.gain.losses) == (1, 1)


def test_the_report_has_them(tmp_path: Path, arguments: list[str]) -> None:
    ablation.main([*arguments, "--without"], Played().tools)
    data_curve.main([*arguments, "--sizes", "64"], Played().tools)
    page = tmp_path / "report.html"
    assert report.main([str(tmp_path / "out"), "--out", str(page)]) == 0
    text = page.read_text()
    assert "Feedback ablation" in text and "Stage 1: data curve" in text


def test_a_training_that_fails_is_reported_with_the_end_of_its_log(
    tmp_path: Path, arguments: list[str]
) -> None:
    def fails(command: Sequence[str], log: Path) -> None:
        run_to_end([sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"], log)

    with pytest.raises(ProgramFailed, match=r"status 3; .*log\.txt ends:\nout of luck"):
        ablation.main(arguments, Tools(fails, evaluate))


STOPPED = """
import sys
from pathlib import Path
from redraft.benchmarks.commands.table import interrupted_by_sigterm
from redraft.benchmarks.load.programs import run_to_end
child = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); "
child += "open(sys.argv[1], 'w').write(str(p.pid) + chr(10)); p.wait()"
with interrupted_by_sigterm():
    print("started", flush=True)
    run_to_end([sys.executable, "-c", child, sys.argv[1]], Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_what_is_stopped_takes_its_stages_along(tmp_path: Path) -> None:
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", STOPPED, str(fifo), str(tmp_path / "log.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as outer:
        with fifo.open() as message:  # waits for the stage to say what it has started
            grandchild = psutil.Process(int(message.readline()))
        outer.send_signal(signal.SIGTERM)
        assert outer.wait(300) != 0
    _, alive = psutil.wait_procs([grandchild], timeout=180)
    assert not alive


def small_base(folder: Path) -> Path:
    from redraft.train.stages import base_model

    small = base_model.BaseModelOptions(str(folder), hidden_size=128, num_layers=2, num_heads=2)
    base_model.build(replace(small, intermediate_size=64))
    return folder


def write_lessons(path: Path) -> None:
    jsonl.write(
        path,
        (
            Lesson(
                (Message("user", task.instruction),),
                WRONG,
                critic.feedback(task, WRONG),
                critic.refinement(task, WRONG),
                1,
                10,
            ).to_json()
            for task in sample("train", None, 10, seed=1)
        ),
    )


@pytest.mark.train
@pytest.mark.vllm
@pytest.mark.slow
def test_an_adapter_is_asked_prompts_with_constraints_on_its_base(tmp_path: Path) -> None:
    base = small_base(tmp_path / "base")
    recipe = tmp_path / "recipe.yaml"
    adapted = RECIPE.partition("  merge:")[0].replace("OUT", str(tmp_path / "made"))
    recipe.write_text(
        adapted.replace("    trainer:", "    mask_draft: true\n    lora: {r: 4}\n    trainer:", 1)
        + '  adapter: {model: "${output}/stage1", base: base, output: "${output}/model"}\n'
    )
    data = tmp_path / "constraints.jsonl"
    checks = [{"kind": "words", "at_least": 1}]
    jsonl.write(data, ({"prompt": f"Say {n}.", "meta": {"checks": checks}} for n in range(3)))
    kept, arms = tmp_path / "kept.jsonl", tmp_path / "arms"
    write_lessons(kept)
    options = RetrainingOptions(
        recipe=str(recipe),
        ready="adapter",
        arms=arms,
        data=data,
        sample=2,
        max_tokens=8,
        trainings=2,
    )
    settings = ArmSettings(options, TOOLS, "stage1", base, kept)
    result = measured(Arm("all", 10), settings)
    assert result.steps == 2
    assert len({row["instruction"] for row in result.rows}) == 2
    assert len(result.rows) == 4
    # The base drafts for all of them.
    assert len({(row["instruction"], row["right"][0]) for row in result.rows}) == 2
    written = [json.loads((model / "redraft.json").read_text()) for model in arms.glob("*/model")]
    assert [each["adapters"]["draft"] for each in written] == [None, None]


@pytest.mark.train
@pytest.mark.vllm
@pytest.mark.slow
def test_an_arm_is_really_trained_served_and_measured(tmp_path: Path) -> None:
    """The hardest one: what it is taught has no score, and the server must know."""
    base = small_base(tmp_path / "base")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("OUT", str(tmp_path / "made")))
    kept = tmp_path / "kept.jsonl"
    write_lessons(kept)
    arms = tmp_path / "arms"
    options = RetrainingOptions(recipe=str(recipe), arms=arms, per_family=1)
    settings = ArmSettings(options, TOOLS, "stage1", base, kept)
    arm = Arm("without score", 10, ("weaknesses", "suggestions"))
    result = measured(arm, settings)
    assert result.steps == 2
    assert sorted(row["family"] for row in result.rows) == sorted(FAMILIES)
    assert all(row["verdict"] is None for row in result.rows)
    (model,) = arms.glob("*/model")
    served = manifest.read(model)
    assert served is not None
    assert served.srt_format.components == ("weaknesses", "suggestions")
