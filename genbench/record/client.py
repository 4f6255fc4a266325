"""W&B's client as it is used here: silent, bounded, and begun anew where it has died."""

import contextlib
import logging.handlers
import os
import sys
from collections.abc import Iterator
from typing import Any

import wandb
from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

DIED = (ConnectionError, HandleAbandonedError, MailboxClosedError)  # what a dead wandb-core raises


def listen() -> logging.handlers.BufferingHandler:
    """Collect what W&B would print, were it not silent."""
    said = logging.handlers.BufferingHandler(10_000)
    logger = logging.Logger("wandb", logging.WARNING)
    logger.addHandler(said)
    wandb.setup()  # which sets no logger
    wandb.termsetup(settings_of_ours({}), logger)
    return said


def settings_of_ours(more: dict[str, Any]) -> wandb.Settings:
    """W&B's settings for any run of ours, and more."""
    return wandb.Settings(
        silent=True,
        console="off",
        finish_timeout_raises=True,
        x_transaction_log_flush_interval=1.0,
        **more,
    )


def has_key() -> bool:
    """Whether W&B has credentials, without asking for any and without a server."""
    return bool(wandb.login(prompt=False, verify=False))


def restart() -> None:
    """Forget wandb-core, which has died; the next run starts another."""
    with contextlib.suppress(Exception):
        wandb.teardown()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let lines of W&B's, and of its programs, go nowhere, and ours to stderr as before."""
    before = os.dup(2), sys.stderr
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(before[0], "w", buffering=1, errors="replace", closefd=False)
    try:
        yield
    finally:
        os.dup2(before[0], 2)
        sys.stderr = before[1]
