"""A tiny Qwen3 that thinks before it answers and calls a tool where it is given one.

It has learned a handful of chats by heart, in the form its family has: ``<think>`` and
``<tool_call>`` are tokens, and its template knows ``enable_thinking`` and ``tools``.

    thinker.build(directory)    seconds on one core
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.server.engine.base import Json, Message
from redraft.server.refine.requests import Requests

WINDOW = 2048
SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>")
NAMED = ("<think>", "</think>", "<tool_call>", "</tool_call>")  # tokens that text may show
TEMPLATE = (
    "{% if tools %}<|im_start|>system\ntools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] or '' }}"
    "{% for call in message['tool_calls'] or [] %}<tool_call>\n"
    "{% set f = call['function'] %}"
    "{{ '{\"name\": \"' + f['name'] + '\", \"arguments\": ' + (f['arguments'] | tojson) + '}' }}"
    "\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)

SUM = "What is 2 + 3?"
THOUGHT, DRAFT = "2 and then 3 more.", "It is 4."
FEEDBACK = "Weaknesses: 2 + 3 is not 4.\nSuggestions: Say 5.\nOverall Score: [[3]]"
REFINEMENT = "It is 5."
WEATHER, CITY = "How is the weather in Oslo?", "Oslo"
TOOL_THOUGHT, RAIN = "I need to look.", "It rains in Oslo."
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
# As vLLM shows it to the model, and to one that must call it.
SHOWN: Json = {"type": "function", "function": {"name": "weather", "description": None}}
SHOWN["function"]["parameters"] = TOOL["function"]["parameters"]
STRICT: Json = {"type": "function", "function": {**SHOWN["function"], "strict": True}}
CALLED = json.dumps({"name": "weather", "arguments": {"city": CITY}})


@dataclass(frozen=True)
class _Lesson:
    messages: tuple[Message, ...]
    reply: str
    tools: tuple[Json, ...] = ()
    think: bool = True


def _user(text: str) -> Message:
    return Message("user", text)


def asked_weather(answer: str = "rain") -> tuple[Message, ...]:
    """The chat after the tool was called."""
    call = {"id": "call_1", "type": "function", "function": json.loads(CALLED)}
    call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    calling = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "content": answer, "tool_call_id": "call_1"}
    return (_user(WEATHER), Message.from_json(calling), Message.from_json(result))


def _lessons() -> list[_Lesson]:
    requests = Requests()
    request = _user(requests.for_feedback(SUM, DRAFT))
    better = _user(requests.for_refinement(SUM, DRAFT, FEEDBACK))
    refining = (_user(SUM), Message("assistant", DRAFT), better)
    return [
        _Lesson((_user(SUM),), f"<think>\n{THOUGHT}\n</think>\n\n{DRAFT}"),
        _Lesson((_user(SUM),), DRAFT, think=False),
        _Lesson((request,), FEEDBACK, think=False),
        _Lesson(refining, REFINEMENT, think=False),
        _Lesson((_user(SUM),), f"<think>\n{THOUGHT}\n</think>\n\n{DRAFT}", (SHOWN,)),
        _Lesson(
            (_user(WEATHER),),
            f"<think>\n{TOOL_THOUGHT}\n</think>\n\n<tool_call>\n{CALLED}\n</tool_call>",
            (SHOWN,),
        ),
        _Lesson(
            (_user(WEATHER),),
            f"<think>\n{TOOL_THOUGHT}\n</think><tool_call>\n{CALLED}\n</tool_call>",
            (STRICT,),
        ),
        _Lesson(asked_weather(), f"<think>\n{TOOL_THOUGHT}\n</think>\n\n{RAIN}", (SHOWN,)),
    ]


def build(directory: Path) -> Path:
    """Write the model into ``directory`` and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(directory)
    _trained(tokenizer).save_pretrained(directory)
    return directory


def _tokenizer() -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [m.content for lesson in _lessons() for m in lesson.messages]
    tokenizer.train_from_iterator([*words, *(lesson.reply for lesson in _lessons())], trainer)
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in NAMED])
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        model_max_length=WINDOW,
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


def _example(tokenizer: Any, lesson: _Lesson) -> tuple[list[int], int]:
    """The tokens of a chat with its reply, and how many of them come before the reply."""
    records = [message.to_json() for message in lesson.messages]
    for record in records:
        for call in record.get("tool_calls", ()):
            arguments = json.loads(call["function"]["arguments"])
            call["function"] = {**call["function"], "arguments": arguments}
    prompt = tokenizer.apply_chat_template(
        records,
        tools=list(lesson.tools) or None,
        add_generation_prompt=True,
        tokenize=False,
        **({} if lesson.think else {"enable_thinking": False}),
    )
    before = tokenizer.encode(prompt, add_special_tokens=False)
    reply = tokenizer.encode(f"{lesson.reply}<|im_end|>", add_special_tokens=False)
    return before + reply, len(before)


def _trained(tokenizer: Any) -> Any:
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    end, pad = (tokenizer.convert_tokens_to_ids(name) for name in ("<|im_end|>", "<|pad|>"))
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    examples = [_example(tokenizer, lesson) for lesson in _lessons()]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = Qwen3ForCausalLM(config)
        _learn(model, examples, pad)
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    return model


def _learn(model: Any, examples: list[tuple[list[int], int]], pad: int) -> None:
    """By heart: until every token of every reply is nearly certain."""
    import torch

    longest = max(len(ids) for ids, _ in examples)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in examples])
    wanted = torch.full_like(ids, -100)
    for row, (whole, start) in enumerate(examples):
        wanted[row, start : len(whole)] = ids[row, start : len(whole)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(400):
        loss = model(input_ids=ids, labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if loss.item() < 0.002:
            return
    raise AssertionError(f"the thinker has not learned its lessons (loss {loss.item():.3f})")
