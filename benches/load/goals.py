"""How good is good enough: what Edgeway must reach, and what it should."""

from dataclasses import dataclass

from contest import ratio
from peers import MARK


@dataclass(frozen=True)
class Goal:
    """Edgeway's figure at a work, as a ratio to another one of the same rounds, or as it is."""

    work: str
    must: float
    stretch: float
    beside: str = MARK
    """Whose figure it is divided by."""
    at: str = ""
    """At which work; empty: at the same."""
    figure: str = "cpu_us"
    unit: str = ""
    """Of a figure that is divided by nothing."""

    @property
    def says(self):
        """What is compared."""
        if self.unit:
            return f"{self.work}, {self.unit}"
        return f"{self.work} : {' '.join([self.beside, *([self.at] if self.at else [])])}"


GOALS = [
    Goal("plain", 1.25, 1.1),
    # Must only: whoever is at 1.25 of HAProxy is there.
    Goal("plain", 0.5, 0.5, beside="envoy"),
    Goal("plain", 0.45, 0.45, beside="traefik"),
    Goal("hs256", 1.0, 0.9),
    Goal("rs256", 0.5, 0.42),
    Goal("es256", 0.3, 0.23),
    Goal("tokens", 1.15, 1.05, beside="edgeway", at="hs256"),
    Goal("new-connections", 1.2, 1.0),
    Goal("body-64k", 1.2, 1.0),
    Goal("post-16k", 1.2, 1.0),
    Goal("tls", 1.2, 1.0),
    Goal("h2", 1.2, 1.0),
    Goal("limit-exact", 2.0, 1.6, beside="edgeway", at="limit-local"),
    Goal("idle", 26.0, 16.0, figure="idle_kib", unit="KiB each"),
]
"""That 10,000 routes cost what 10 do is counted in instructions (`make bench-instructions`): by the clock 2 % are noise."""


def judged(rows):
    """Each goal whose work was run for both sides: what was measured, and how that is to be called."""
    known = {(row["work"], row["gateway"]): row for row in rows}
    for goal in GOALS:
        ours = known.get((goal.work, "edgeway"))
        theirs = known.get((goal.at or goal.work, goal.beside))
        if not ours or not (goal.unit or theirs):
            continue
        measured = ours[goal.figure] if goal.unit else ratio(ours["rounds"], theirs["rounds"], goal.figure)
        if measured is None:
            continue
        yield {
            "goal": goal.says,
            "work": goal.work,
            "measured": measured,
            "must": goal.must,
            "stretch": goal.stretch,
            "verdict": verdict(goal, measured),
        }


def verdict(goal, measured):
    """In a word or two."""
    if measured > goal.must:
        return "MISSED"
    return "stretch met" if measured <= goal.stretch else "must met"
