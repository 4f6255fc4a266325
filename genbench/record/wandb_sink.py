"""W&B's record of a run, beside ours: whatever goes wrong with it, the run goes on."""

from pathlib import Path
from typing import Any

from genbench import UserError, environment
from genbench.console import first_line, say, say_once

INIT_SECONDS = 20.0  # longest wait for a server at the start
FINISH_SECONDS = 10.0  # and for the upload at the end; `wandb sync` sends what is left
MODES = ("auto", "online", "offline", "disabled")
_failed: set[str] = set()  # modes that failed in this process


class WandbSink:
    """W&B's run in a run folder; nothing where W&B is disabled or cannot be had."""

    def __init__(self, choice: str, folder: Path, **about: Any):
        """Start W&B's run.

        The user's choice or WANDB_MODE wins; else a configured key means online, and offline after
        a failure; else offline. Never a prompt, and what failed once is not tried again in this
        process.

        Args:
            choice: auto or a mode.
            folder: Of the run.
            about: What `wandb.init` is told of it.

        Raises:
            UserError: WANDB_MODE is no mode.
        """
        self.run: Any = None
        mode = environment.wandb_mode() if choice == "auto" else choice
        if mode not in MODES:
            raise UserError(f"WANDB_MODE={mode}: choose one of {', '.join(MODES)}")
        if mode == "disabled":
            return
        with environment.wandb_start(folder / "wandb"):
            import wandb

            online = mode in ("auto", "online") and "online" not in _failed and _has_key(wandb)
            for attempt in ("online", "offline") if online else ("offline",):
                if attempt in _failed:
                    continue
                try:
                    self.run = _start(wandb, attempt, dir=str(folder), **about)
                    return
                except Exception as error:  # whatever is wrong with W&B, the run goes on
                    _failed.add(attempt)
                    instead = "offline instead, `wandb sync` uploads later"
                    instead = instead if attempt == "online" else "going on without its record"
                    say(f"W&B: {first_line(error)}; {instead}")

    def scalars(self, values: dict[str, Any], step: int) -> None:
        """Log numbers by name."""
        self._log(lambda wandb: values, step)

    def picture(self, name: str, image: Any, step: int, epoch: int) -> None:
        """Log a picture, `uint8`."""
        self._log(lambda wandb: {"epoch": epoch, name: wandb.Image(image)}, step)

    def table(self, name: str, columns: list[str], rows: list[list[Any]], step: int) -> None:
        """Log a table."""
        self._log(lambda wandb: {name: wandb.Table(columns, rows)}, step)

    def _log(self, make: Any, step: int | None) -> None:
        """Log what `make(wandb)` gives; a failure ends W&B's record, never the run."""
        if not self.run:
            return
        import wandb

        try:
            self.run.log(make(wandb), step=step)
        except Exception as error:
            say(f"W&B: {first_line(error)}; this run goes on without it")
            self.run = None

    def close(self, summary: dict[str, Any]) -> None:
        """Finish W&B's record within a bounded time; its failures cost the run nothing.

        Args:
            summary: `status`, `scores` of the best epoch, and whatever else is known at the end.
        """
        if not self.run:
            return
        try:
            self.run.log({}, commit=True)  # else the last row would come after the summary
            scores = summary.get("scores", {})  # they replace the last epoch's
            self.run.summary.update({k: v for k, v in summary.items() if k != "scores"} | scores)
            self.run.finish(exit_code=1 if summary["status"] == "failed" else 0)
        except Exception as error:  # the run's own record is complete by now
            say(f"W&B: {first_line(error)}; `wandb sync` uploads what is left")


def _start(wandb: Any, mode: str, **about: Any) -> Any:
    run = wandb.init(
        mode=mode,
        project=environment.wandb_project(),
        reinit="create_new",
        **about,
        settings=wandb.Settings(
            silent=True,
            console="off",
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            x_transaction_log_flush_interval=1.0,
        ),
    )
    for prefix in ("val", "test", "samples"):
        run.define_metric(f"{prefix}/*", step_metric="epoch")
    if run.url:
        say(f"W&B: {run.url}")
    return run


def _has_key(wandb: Any) -> bool:
    """Whether W&B has credentials, without asking for any and without a server."""
    try:
        has_key = bool(wandb.login(prompt=False, verify=False))
    except Exception as error:  # a malformed key or URL
        say_once(f"W&B: {first_line(error)}")
        return False
    if not has_key:
        say_once("W&B: no key, so offline; `wandb login` sets one, `wandb sync` uploads later")
    return has_key


def log_evaluation(
    folder: Path, about: dict[str, Any], scores: dict[str, float], choice: str = "auto"
) -> None:
    """Give a finished run's later scores to W&B, as a run of their own in its group.

    Args:
        folder: The finished run's.
        about: Its config.json.
        scores: By `split/name`.
        choice: As for `WandbSink`.
    """
    sink = WandbSink(
        choice,
        folder,
        name=f"{folder.name}-evaluation",
        job_type="evaluation",
        group=about["config"].get("group") or None,
        config={**about["config"], "run": about["id"], "model": about["model"]},
    )
    sink._log(lambda wandb: scores, None)
    sink.close({"status": "finished"})
