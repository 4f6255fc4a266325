"""A network's exponential moving average."""

import torch
from torch import nn

WARMUP = 10  # steps; a young average forgets its random start


@torch.no_grad()
def update_ema(average: nn.Module, live: nn.Module, decay: float, updates: int) -> None:
    """average <- d average + (1 - d) live, d = min(decay, (1 + k) / (10 + k)) after k updates.

    Buffers, which are statistics or constants, are copied.
    """
    young = (1 + updates) / (WARMUP + updates)
    weight = 1 - min(decay, young)
    torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), weight)
    for mean, value in zip(average.buffers(), live.buffers(), strict=True):
        mean.copy_(value)
