"""Searches and contests as they were written down."""

from pathlib import Path

from genbench.record.reading import read_object
from genbench.record.shapes import Contest, Study


def read_study(path: Path) -> tuple[Study | None, list[str]]:
    """A study file, and what is wrong with it; None unless all of it is whole."""
    study, problems = read_object(path, Study)
    if study and not problems and (why := _contradiction(study)):
        problems = [f"{path}: {why}"]
    return (None if problems else study), problems


def read_contest(path: Path) -> tuple[Contest | None, list[str]]:
    """A contest's file, and what is wrong with it; None unless all of it is whole."""
    contest, problems = read_object(path, Contest)
    return (None if problems else contest), problems


def _contradiction(study: Study) -> str:
    """What in a study does not fit together; empty if all does."""
    objectives, done = len(study["objectives"]), []
    if not objectives or objectives != len(study["directions"]):
        return "has not a direction for each objective"
    for trial in study["trials"]:
        if unknown := sorted(trial["params"].keys() - study["space"].keys()):
            return f"{unknown[0]} of trial {trial['number']} is not in its space"
        if trial["state"] == "COMPLETE":
            done.append(trial["number"])
            if len(trial["values"] or ()) != objectives:
                return f"trial {trial['number']} has not a value for each objective"
    if study["best"] is not None and study["best"] not in done:
        return f"its best trial, {study['best']}, was not completed"
    return ""
