"""W&B's distributions by its own formulas: Optuna's are held against them, the server draws."""

import math

# W&B's own way from a uniform u in [0, 1] to a value (its sweeps documentation).
FORMULAS = {
    "uniform": lambda u, a, b, q: a + u * (b - a),
    "int_uniform": lambda u, a, b, q: min(b, a + math.floor(u * (b - a + 1))),
    "q_uniform": lambda u, a, b, q: round((a + u * (b - a)) / q) * q,
    "log_uniform": lambda u, a, b, q: math.exp(a + u * (b - a)),
    "log_uniform_values": lambda u, a, b, q: math.exp(math.log(a) + u * math.log(b / a)),
    "inv_log_uniform": lambda u, a, b, q: 1 / math.exp(a + u * (b - a)),
    "inv_log_uniform_values": lambda u, a, b, q: 1 / math.exp(-math.log(b) + u * math.log(b / a)),
    "q_log_uniform": lambda u, a, b, q: round(math.exp(a + u * (b - a))),
    "q_log_uniform_values": lambda u, a, b, q: round(math.exp(math.log(a) + u * math.log(b / a))),
}


def draw(entry, rng):
    """A value of a sweep file's parameter, as W&B's random search draws it."""
    if "value" in entry:
        return entry["value"]
    if "values" in entry:
        return rng.choice(entry["values"])
    low, high = entry["min"], entry["max"]
    whole = isinstance(low, int) and isinstance(high, int)
    name = entry.get("distribution", "int_uniform" if whole else "uniform")
    return FORMULAS[name](rng.random(), low, high, entry.get("q"))
