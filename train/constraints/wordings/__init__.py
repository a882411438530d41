"""Every kind of constraint, those that are trained on and those that never are."""

from redraft.train.constraints.wordings.content import CONTENT
from redraft.train.constraints.wordings.kind import ConstraintKind
from redraft.train.constraints.wordings.layout import LAYOUT
from redraft.train.constraints.wordings.length import LENGTH
from redraft.train.constraints.wordings.shape import SHAPE
from redraft.train.constraints.wordings.unseen import UNSEEN

TRAINED = (*LENGTH, *CONTENT, *SHAPE, *LAYOUT)
KINDS = {kind.name: kind for kind in (*TRAINED, *UNSEEN)}

__all__ = ["KINDS", "TRAINED", "UNSEEN", "ConstraintKind"]
