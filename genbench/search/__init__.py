"""Optuna studies over a sweep file's space, and the final trainings of their winner."""
