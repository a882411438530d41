"""An environment in which the libraries of the extras are missing, for tests of a bare install."""

from __future__ import annotations

from pathlib import Path

# A library of every extra, and those they bring along.
EXTRAS = (
    *("accelerate", "aiohttp", "datasets", "gguf", "huggingface_hub", "jinja2", "lm_eval"),
    *("locust", "matplotlib", "numpy", "safetensors"),
    *("peft", "psutil", "pyarrow", "requests", "sklearn", "tensorboard", "tokenizers", "torch"),
    *("tqdm", "transformers", "trl", "uvloop", "vllm", "yaml"),
)
_SITE = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def without_extras(folder: Path, root: Path) -> dict[str, str]:
    """What to run Python with, so that it finds ``redraft`` and no library of an extra."""
    (folder / "sitecustomize.py").write_text(_SITE)
    return {"PYTHONPATH": f"{folder}:{root}"}
