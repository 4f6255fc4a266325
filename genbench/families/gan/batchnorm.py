"""Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) of a batch that processes share.

torch's SyncBatchNorm is of GPUs alone, and has no second derivative, which penalties need.
"""

import torch
from torch import Tensor, nn

from genbench import parallel


class BatchNorm2d(nn.BatchNorm2d):
    """torch's, whose statistics are those of all processes' shares while training."""

    def forward(self, x: Tensor) -> Tensor:
        """x (b, C, H, W), this process's share -> the same shape."""
        if not (self.training and parallel.several()):
            return super().forward(x)
        values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        count = values.new_tensor([values[:, 0].numel()])
        sums = parallel.total(torch.cat([values.sum((0, 2, 3)), count]))
        n = sums[-1].detach()
        centred = values - (sums[:-1] / n)[:, None, None]
        var = parallel.total(centred.square().sum((0, 2, 3))) / n
        self._follow((sums[:-1] / n).detach(), var.detach() * n / (n - 1))
        normal = centred * (var + self.eps).rsqrt()[:, None, None]
        return (normal * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _follow(self, mean: Tensor, var: Tensor) -> None:
        """Move the running statistics towards those of a batch, (C,) each."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var, self.momentum)
