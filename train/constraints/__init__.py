"""Plain instructions with constraints that a program verifies: what they are, and how they are
mended. Pure: no files, no engines.

    topics        what the instructions are about, and the tasks
    wordings/     the kinds of constraints: how each is said, its arguments, its check
    drawing       a kind drawn with arguments and wording; constraints that go together
    feedback      the checks' findings as feedback in the SRT format
    edits/        how a response that fails a check is edited until it passes
"""
