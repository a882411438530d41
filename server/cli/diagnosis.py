"""What the doctor found: one line of its page, and what to do where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """``remedy`` says what to do: where ``wrong``, so that the model can be served; else so that
    it is served better."""

    topic: str
    text: str
    remedy: str = ""
    wrong: bool = False

    @classmethod
    def of_error(cls, topic: str, error: Exception) -> Diagnosis:
        """Our errors say first what is wrong, and after a semicolon what to do."""
        text, _, remedy = str(error).partition("; ")
        return cls(topic, text, remedy or text, wrong=True)


def page(title: str, findings: list[Diagnosis]) -> str:
    width = max((len(finding.topic) for finding in findings), default=0)
    lines = [title]
    for finding in findings:
        mark = "WRONG" if finding.wrong else "note" if finding.remedy else ""
        lines.append(f"  {finding.topic:<{width}}  {mark and f'{mark}: '}{finding.text}")
        if finding.remedy and finding.remedy != finding.text:
            lines.append(f"  {'':<{width}}  do: {finding.remedy}")
    return "\n".join(lines)
