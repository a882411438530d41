"""The operator's arguments for vLLM arrive in every form that vLLM documents, and win."""

from __future__ import annotations

import importlib
import json
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from redraft.server.build.engines import vllm_settings
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import start
from redraft.server.engine.vllm_engine.arguments import merged, with_config_file, words_of

COMPACT = '{"disable_any_whitespace": true}'


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("enable-lora", ["--enable-lora"]),
        ("--enable-lora", ["--enable-lora"]),
        ("no-enable-prefix-caching", ["--no-enable-prefix-caching"]),
        ("max-lora-rank=8", ["--max-lora-rank=8"]),
        ("max_lora_rank 8", ["--max_lora_rank", "8"]),
        ("--seed=-1", ["--seed=-1"]),
        ("-O3", ["-O3"]),
        ("-tp 2", ["-tp", "2"]),
        ("-sc.method ngram", ["-sc.method", "ngram"]),
        (f"structured-outputs-config={COMPACT}", [f"--structured-outputs-config={COMPACT}"]),
        (f"structured-outputs-config {COMPACT}", ["--structured-outputs-config", COMPACT]),
        ("served-model-name one 'two three'", ["--served-model-name", "one", "two three"]),
        ("chat-template={{ it's }}", ["--chat-template={{ it's }}"]),
        ("download-dir it's", ["--download-dir", "it's"]),
    ],
)
def test_an_argument_becomes_words_of_vllms_command_line(argument: str, words: list[str]) -> None:
    assert words_of(argument) == words


@pytest.mark.parametrize("argument", ["", "  ", "=8", "--", "--=8"])
def test_an_argument_without_a_name_is_refused(argument: str) -> None:
    with pytest.raises(EngineError, match="expected NAME=VALUE"):
        words_of(argument)


OPTIONS = {"--config-of-it": "it", "-c": "it", "--level": "level"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--level", "1", "--level=2"], ["--level", "1", "--level=2"]),
        (["--config-of-it", '{"a": 1}'], ["--config-of-it", '{"a": 1}']),
        (["--config-of-it", '{"a": 1}', '-c={"b": 2}'], ["--config-of-it", '{"a": 1, "b": 2}']),
        (
            ['-c={"a": {"x": 1, "y": [1]}}', "--flag", "-c", '{"a": {"x": 2, "y": [2]}}'],
            ["-c", '{"a": {"x": 2, "y": [2]}}', "--flag"],
        ),
        (["-c", '{"a": 1}', "-c", "null"], ["-c", '{"a": 1}', "-c", "null"]),
        (["-c", '{"a": 1}', "-c", '{"a": '], ["-c", '{"a": 1}', "-c", '{"a": ']),
        (["--several", '{"a": 1}', '{"b": 2}'], ["--several", '{"a": 1}', '{"b": 2}']),
        (["-c"], ["-c", ""]),
    ],
)
def test_json_objects_of_one_option_are_put_together(words: list[str], expected: list[str]) -> None:
    assert merged(words, OPTIONS) == expected


def test_a_config_file_comes_before_the_other_arguments() -> None:
    def read(file: str) -> list[str]:
        assert file == "my.yaml"
        return ["--seed", "1"]

    for words in ["--enable-lora", "--config", "my.yaml"], ["--enable-lora", "--config=my.yaml"]:
        assert with_config_file(words, read) == ("--seed", "1", "--enable-lora")


def test_a_config_file_that_cannot_be_read_is_told() -> None:
    def read(file: str) -> list[str]:
        raise FileNotFoundError(2, "No such file or directory", file)

    with pytest.raises(EngineError, match=r"the --config file 'none\.yaml': .*No such"):
        with_config_file(["--config", "none.yaml"], read)


def ours(*arguments: str) -> Any:
    """vLLM's namespace, as we come to it."""
    settings = vllm_settings(ServerConfig(engine_arg=arguments), Path("model"))
    return start._parse(settings)


def theirs(*words: str) -> Any:
    """vLLM's namespace, parsed with its own parser from the arguments alone."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    for module in start.PARSER_MODULES:
        with suppress(ModuleNotFoundError):
            make = importlib.import_module(module).make_arg_parser
            return make(FlexibleArgumentParser()).parse_args(list(words))
    raise AssertionError("vLLM has no command line")


OURS = {"backend": "xgrammar", "disable_any_whitespace": True}
FORMS: list[tuple[str, list[str], str]] = [
    (
        f"structured-outputs-config={COMPACT.replace('true', 'false')}",
        ["--structured-outputs-config", json.dumps({**OURS, "disable_any_whitespace": False})],
        "structured_outputs_config",
    ),
    (
        "structured_outputs_config.enable_in_reasoning=true",
        ["--structured-outputs-config", json.dumps({**OURS, "enable_in_reasoning": True})],
        "structured_outputs_config",
    ),
    (
        "structured-outputs-config.backend guidance",
        ["--structured-outputs-config", json.dumps({**OURS, "backend": "guidance"})],
        "structured_outputs_config",
    ),
    ("max-num-seqs 7", ["--max-num-seqs", "7"], "max_num_seqs"),
    ("max_num_seqs=7", ["--max-num-seqs", "7"], "max_num_seqs"),
    ("max-model-len 1k", ["--max-model-len", "1k"], "max_model_len"),
    ("no-enable-prefix-caching", ["--no-enable-prefix-caching"], "enable_prefix_caching"),
    ("no-enforce-eager", ["--no-enforce-eager"], "enforce_eager"),
    ("-O3", ["-O3"], "optimization_level"),
    ("-tp 2", ["-tp", "2"], "tensor_parallel_size"),
    ("-cc.mode 3", ["-cc.mode", "3"], "compilation_config"),
    (
        "-sc.method=ngram",
        ["--speculative-config", '{"method": "ngram"}'],
        "speculative_config",
    ),
    (
        'override-generation-config={"top_k": 3}',
        ["--override-generation-config", '{"top_k": 3}'],
        "override_generation_config",
    ),
    (
        "compilation-config.cudagraph_capture_sizes+ 1,2",
        ["--compilation-config.cudagraph_capture_sizes+", "1,2"],
        "compilation_config",
    ),
    (
        'limit-mm-per-prompt {"image": 2}',
        ["--limit-mm-per-prompt", '{"image": 2}'],
        "limit_mm_per_prompt",
    ),
    ("lora-modules a=/a b=/b", ["--lora-modules", "a=/a", "b=/b"], "lora_modules"),
    ("middleware some.Class", ["--middleware", "some.Class"], "middleware"),
]


@pytest.mark.vllm
@pytest.mark.parametrize(("argument", "words", "name"), FORMS)
def test_every_form_means_what_vllms_own_parser_makes_of_it(
    argument: str, words: list[str], name: str
) -> None:
    assert plain(getattr(ours(argument), name)) == plain(getattr(theirs(*words), name))


def plain(value: Any) -> Any:
    return (
        json.loads(json.dumps(asdict(value), default=str))
        if is_dataclass(value) and not isinstance(value, type)
        else value
    )


@pytest.mark.vllm
def test_the_operators_config_file_wins_over_our_defaults(tmp_path: Path) -> None:
    file = tmp_path / "vllm.yaml"
    file.write_text("max-num-seqs: 7\nstructured-outputs-config:\n  enable_in_reasoning: true\n")
    args = ours(f"config={file}", "seed=3")
    assert (args.max_num_seqs, args.seed) == (7, 3)
    outputs = args.structured_outputs_config
    assert outputs.enable_in_reasoning and outputs.disable_any_whitespace
    assert outputs.backend == "xgrammar"


@pytest.mark.vllm
def test_arguments_of_one_option_add_up() -> None:
    args = ours(
        'speculative-config={"method": "ngram"}', "-sc.num_speculative_tokens=4", "-sc.a.b=1"
    )
    expected = {"method": "ngram", "num_speculative_tokens": 4, "a": {"b": 1}}
    assert args.speculative_config == expected


@pytest.mark.vllm
def test_json_is_compact_unless_the_operator_says_otherwise() -> None:
    assert ours().structured_outputs_config.disable_any_whitespace is True
    loose = "structured-outputs-config.disable_any_whitespace=false"
    assert ours(loose).structured_outputs_config.disable_any_whitespace is False
