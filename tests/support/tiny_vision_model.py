"""A small Idefics3 with random weights: a real model that sees, made in a second.

A vision tower and a Llama, with the tokenizer of the tiny model and a few tokens more, for images.
Its chat template is written as those of such models are: content has to be a list of parts, or
nothing of it is rendered.

    python -m tests.support.tiny_vision_model DIR
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

from tests.support import tiny_model
from tests.support.tiny_model import END, PAD, SPECIAL, VOCABULARY, WINDOW, special_id

IMAGE = "<image>"
# Others that its processor takes for granted.
AROUND = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
TOKENS = VOCABULARY + 1 + len(AROUND)
SIDE, PATCH, SHUFFLED = 56, 14, 2  # pixels of an image, of a patch; patches of a token's side
PER_IMAGE = (SIDE // PATCH // SHUFFLED) ** 2  # tokens that hold what is seen
PLACEHOLDER = PER_IMAGE + 3  # and those around them

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}"
    "{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] }}"
    "{% endfor %}"
    "{{ '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build(directory: Path) -> Path:
    """Write the model into ``directory`` and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_processor(directory)
    _write_weights(directory)
    return directory


def png(colour: tuple[int, int, int], side: int = SIDE) -> str:
    """A picture of one colour, as a data URL."""
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _write_processor(directory: Path) -> None:
    """The tokenizer, the chat template, and what makes an image of the model's size."""
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor, PreTrainedTokenizerFast

    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=tiny_model.tokenizer(),
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[*SPECIAL, IMAGE, *AROUND],
        model_max_length=WINDOW,
    )
    assert len(tokenizer) == TOKENS
    side = {"longest_edge": SIDE}
    images: Any = Idefics3ImageProcessorPil(
        size=side, max_image_size=side, do_image_splitting=False
    )
    Idefics3Processor(
        images, tokenizer, image_seq_len=PER_IMAGE, chat_template=CHAT_TEMPLATE
    ).save_pretrained(directory)


def _write_weights(directory: Path) -> None:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    text = LlamaConfig(
        vocab_size=TOKENS,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        bos_token_id=None,
        eos_token_id=special_id(END),
        pad_token_id=special_id(PAD),
    )
    vision = Idefics3VisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
    )
    config = Idefics3Config(
        vision_config=vision,
        text_config=text,
        image_token_id=VOCABULARY,
        scale_factor=SHUFFLED,
        pad_token_id=special_id(PAD),
        dtype="bfloat16",
    )
    tiny_model.write_random(Idefics3ForConditionalGeneration, config, directory)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
