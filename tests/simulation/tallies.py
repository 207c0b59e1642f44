"""What happened in shifts, counted."""

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.auditor.laws import Look


@dataclass
class Tally:
    """Counts over one or many shifts."""

    seeds: int = 0
    steps: int = 0
    messages: int = 0
    packs: int = 0
    crashes: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    waived: int = 0

    def note(self, look: Look) -> None:
        """Count a step."""
        self.steps += 1
        self.messages += len(look.said)
        self.acts.update(said.act for said in look.said)
        self.outcomes.update(said.error or said.outcome for said in look.said)
        self.findings.update(finding.code for finding in look.news.findings)
        self.waived += sum(bool(row.waivers) for row in (*look.news.permits, *look.news.cycles))
        for said in look.said:
            self.refusals.update(refusal["code"] for refusal in said.answer.get("refusals", []))

    def add(self, other: "Tally") -> None:
        """Add another's counts."""
        for name in ("seeds", "steps", "messages", "packs", "crashes", "waived"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("acts", "outcomes", "refusals", "findings"):
            getattr(self, name).update(getattr(other, name))
