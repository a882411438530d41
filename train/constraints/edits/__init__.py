"""Mends a response by edits until its checks pass. What must be added is the model's own text."""

from redraft.train.constraints.edits.mending import ModelTexts, Needs, joint, mend, needs, title_of

__all__ = ["ModelTexts", "Needs", "joint", "mend", "needs", "title_of"]
