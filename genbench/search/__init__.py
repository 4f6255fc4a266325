"""Optuna studies over a sweep file's space, and the final trainings of their winner."""

import warnings

import optuna

# Said to developers, not to the person at the terminal: the traceback of a trial that fails, which
# its record names, and that heartbeats and retries are experimental.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
