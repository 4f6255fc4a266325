"""A saved view and a report in W&B, with the charts that people want first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from genbench import UserError, environment
from genbench.console import first_line
from genbench.dashboard import Panel, Section, all_sections
from genbench.families import FAMILIES
from genbench.metrics import ScoreName
from genbench.record import Record, read_runs
from genbench.record.client import has_key, quiet
from genbench.sweep import find_sweep, read_sweep

COLUMNS = 3  # charts beside each other
OPEN = 4  # sections that are unfolded: losses, real and fake, distances, pictures
PINNED = ("model", "data", "seed")  # of the configuration, in the table of runs


def make(runs_dir: str, project: str, entity: str, name: str) -> dict[str, str]:
    """Make the view and the report; their addresses by what they are.

    The arguments are those of the command.

    Raises:
        UserError: There is no key, or the server refuses.
    """
    found = sections_of(read_runs(runs_dir) if Path(runs_dir).is_dir() else [])
    place = environment.wandb_place({"project": project, "entity": entity})
    with environment.of_wandb(), quiet():
        try:
            who = place.get("entity") or _entity()
            view = to_view(found, place["project"], who, name)
            page = to_report(found, place["project"], who, name)
            view.save()
            page.save()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"W&B: {first_line(error)}; no view was made") from error
    return {"View": str(view.url), "Report": str(page.url)}


def _entity() -> str:
    """The user's own entity."""
    import wandb

    if not has_key():
        raise UserError("W&B: no key; `wandb login` or WANDB_API_KEY sets one")
    entity = wandb.Api().default_entity
    if not entity:
        raise UserError("W&B: it does not say who you are; name --entity")
    return str(entity)


def sections_of(runs: Sequence[Record]) -> list[Section]:
    """The charts for the models of some runs; of none, for every family's defaults."""
    models = sorted({run.model for run in runs if run.model in FAMILIES}) or list(FAMILIES)
    numbers: dict[str, list[int]] = {}
    for model in models:
        scored = {
            ScoreName.parse(name).n
            for run in runs
            if run.model == model
            for name in run.about.get("dashboard", {}).get("better", {})
        }
        usual = FAMILIES[model].config()
        numbers[model] = sorted(scored - {0}) or [usual.eval_images] * bool(usual.eval_every)
    return all_sections(numbers, {model: _space(model) for model in models}, models)


def _space(model: str) -> list[str]:
    """The hyper-parameters that the family's own sweep varies; none where none comes with it."""
    path = find_sweep(model)
    return list(read_sweep(path, FAMILIES[model]).space) if path.is_file() else []


def to_view(found: list[Section], project: str, entity: str, name: str) -> ws.Workspace:
    """The saved view."""
    sections = [
        ws.Section(
            name=section.title,
            panels=[_panel(panel) for panel in section.panels],
            is_open=i < OPEN,
            layout_settings=ws.SectionLayoutSettings(columns=COLUMNS, rows=2),
        )
        for i, section in enumerate(found)
    ]
    settings = ws.WorkspaceSettings(x_axis="epoch", max_runs=20)
    columns = ["run:displayName", "run:jobType", *(f"config:{n}.value" for n in PINNED)]
    runs = ws.RunsetSettings(pinned_columns=columns)
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=sections,
        settings=settings,
        runset_settings=runs,
    )


def to_report(found: list[Section], project: str, entity: str, name: str) -> wr.Report:
    """The report: a heading and a grid of charts for each section, of all runs of the project."""
    blocks: list[Any] = []
    for section in found:
        panels = [_panel(panel) for panel in section.panels]
        for i, panel in enumerate(panels):
            panel.layout = wr.Layout(x=8 * (i % COLUMNS), y=6 * (i // COLUMNS), w=8, h=6)
        runs = wr.Runset(entity=entity, project=project, name="Runs")
        blocks += [wr.H2(section.title), wr.PanelGrid(runsets=[runs], panels=panels)]
    about = "Written by `genbench workspace`; its charts follow the runs of the project."
    return wr.Report(
        project=project,
        entity=entity,
        title=name,
        description=about,
        blocks=[wr.TableOfContents(), *blocks],
    )


def _panel(panel: Panel) -> Any:
    """A chart as wandb-workspaces has it."""
    metrics = list(panel.metrics)
    if panel.kind == "lines":
        x = "Step" if metrics[0].startswith("search/") else "epoch"
        return wr.LinePlot(title=panel.title, x=x, y=metrics, title_y=panel.unit or None)
    if panel.kind == "pictures":
        return wr.MediaBrowser(title=panel.title, media_keys=metrics, gallery_axis="step")
    if panel.kind == "bars":
        return wr.BarPlot(title=panel.title, metrics=metrics)
    if panel.kind == "table":
        return wr.WeavePanelSummaryTable(table_name=metrics[0])
    *fields, objective = metrics
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(name)) for name in fields]
    columns.append(wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(objective)))
    return wr.ParallelCoordinatesPlot(title=panel.title, columns=columns)
