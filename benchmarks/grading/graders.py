"""Who grades constrained prompts: the checks, and IFEval's own checkers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from redraft.benchmarks.grading.constrained import ConstrainedPrompt, Grader, by_checks
from redraft.benchmarks.grading.published_ifeval import PublishedIfeval

CHECKS, PUBLISHED = "checks", "published"


def graders_for(prompts: Sequence[ConstrainedPrompt]) -> dict[str, Grader]:
    """The checks, and IFEval's own checkers where they are installed and know the prompts."""
    if not all(prompt.arguments for prompt in prompts):
        return {CHECKS: by_checks}
    try:
        return {PUBLISHED: PublishedIfeval(), CHECKS: by_checks}
    except ImportError as error:
        print(
            f"IFEval's own checkers are not installed ({error}): what follows is judged by "
            "Redraft's checks alone; the bench extra has them",
            file=sys.stderr,
        )
        return {CHECKS: by_checks}
