"""Whether more notes still bring new kinds of failure. Pure: works on the groups of the notes, in their order.

Two measures. The first is the method of Guest, Namey and Chen (2020, "A simple method to assess and report thematic
saturation in qualitative research", PLoS ONE 15(5): e0232076): of the notes up to the base size, the number of
different groups; of each run of notes after it, the groups that no earlier note had; new information is the second
divided by the first, and saturation is reached with the first run at or under the threshold. Theirs are interviews,
with a base of four to six and runs of two or three; a note says much less, so ours are longer, and a run ends with
every note. The second is Good and Turing's
estimate of the chance that the next note is of a kind not seen yet: the share of notes that are the only ones of their
group (Good 1953, "The population frequencies of species and the estimation of population parameters", Biometrika 40).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

BASE, RUN, THRESHOLD = 40, 20, 0.05
LEAST = 100  # notes before which nobody should stop: a rule of thumb of practice, not a result


@dataclass(frozen=True, slots=True)
class Saturation:
    """``notes`` that have a group, and how many ``groups``. None is what there are too few notes to tell.

    ``recent`` are new groups in the last run; ``ratio`` is that by the groups of the base; ``reached`` is after how
    many notes the ratio was first at or under the threshold, ``since`` how many notes ago the last new group came;
    ``unseen`` is the chance that the next note brings a new group. ``by_run``: new groups in each run, from the first
    note on, the last one maybe shorter.
    """

    notes: int
    groups: int
    recent: int
    ratio: float | None
    reached: int | None
    since: int
    unseen: float | None
    by_run: tuple[int, ...]

    @property
    def enough(self) -> bool:
        """Whether classifying can begin: the last run brings next to nothing new, and there are enough notes."""
        return self.notes >= LEAST and self.ratio is not None and self.ratio <= THRESHOLD


def saturation(
    codes: Sequence[Hashable], *, base: int = BASE, run: int = RUN, threshold: float = THRESHOLD
) -> Saturation:
    """The saturation of notes, given by the group of each, in the order in which they were written."""
    seen: set[Hashable] = set()
    new = [code not in seen and not seen.add(code) for code in codes]  # type: ignore[func-returns-value]
    count, first = len(codes), sum(new[:base])
    ends = range(base + run, count + 1) if first else ()
    ratios = [(end, sum(new[end - run : end]) / first) for end in ends]
    last = max((place for place, is_new in enumerate(new, start=1) if is_new), default=0)
    alone = sum(times == 1 for times in Counter(codes).values())
    return Saturation(
        notes=count, groups=len(seen), recent=sum(new[-run:]), ratio=ratios[-1][1] if ratios else None,
        reached=next((end for end, ratio in ratios if ratio <= threshold), None), since=count - last,
        unseen=alone / count if count else None,
        by_run=tuple(sum(new[start : start + run]) for start in range(0, count, run)),
    )  # fmt: skip
