"""What config.json says of a training beside its configuration."""

from typing import Any

import torch

from genbench import dashboard, environment
from genbench.data import count_sources
from genbench.metrics.extractors import load_extractor
from genbench.model import Model


def facts(model: Model, floors: dict[str, float]) -> dict[str, Any]:
    """All that identifies a run: its data, objective, size, machine, and rulers.

    Args:
        model: Of the training, before its first step.
        floors: The validation scores of real pictures against others.
    """
    config, data, device = model.config, model.data, model.device
    objective, direction = config.objective(len(data.splits["val"]))
    scored = config.eval_every or (config.test and model.family.judged_by_samples)
    extractor = load_extractor(device=str(device)) if scored else None
    return {
        "model": config.model,
        "key": config.key,
        "objective": f"val/{objective}",
        "direction": direction,
        "data_hash": data.content_hash,
        "images": {name: len(split) for name, split in data.splits.items()},
        "sources": {name: count_sources(data, name) for name in data.splits},
        "shape": list(data.shape),
        "classes": model.classes.counts,
        "parameters": model.state.parameters,
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "processes": environment.processes(),
        "extractor": extractor and extractor.name,
        "extractor_weights": extractor and extractor.weights,
        "dashboard": dashboard.of_training(
            config, min(config.eval_images, len(data.splits["val"])), floors
        ),
    }
