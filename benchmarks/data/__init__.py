"""Data that is shipped with the measurements."""

from pathlib import Path

# Preferences on the two gamed baselines of AlpacaEval, reconstructed from published coefficients.
GAMED = Path(__file__).with_name("alpaca_gamed_reconstructed.csv.gz")
# Digests of AlpacaEval's instructions in its order, and the lengths of its reference's answers.
INSTRUCTIONS = Path(__file__).with_name("alpaca_instructions.csv.gz")
# What experiments/languages.py made.
LANGUAGES = Path(__file__).with_name("languages.jsonl")
# IFEval's prompts, as published.
IFEVAL = Path(__file__).with_name("ifeval.jsonl")
