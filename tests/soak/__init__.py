"""Faults by the hundred: `make soak` prints, by kind, how many were tried and what was lost.

A case is lost if anything that was on disk, or that was to be delivered, is not there after the
command that goes on; a traceback is one that the person at the terminal would see; a hang is a
process that has to be killed by the campaign. All three must be 0.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One fault and what it did; nothing if all is well."""

    kind: str
    lost: str = ""
    traceback: str = ""
    hang: str = ""

    @property
    def problem(self) -> str:
        """What went wrong, in a line; empty: nothing did."""
        named = {"lost": self.lost, "traceback": self.traceback, "hang": self.hang}
        return "; ".join(f"{name}: {text}" for name, text in named.items() if text)
