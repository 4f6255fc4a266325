"""What a fixed network sees in pictures: EfficientNet-Lite1 of ImageNet, which ships as a package.

It is another network than the one by which samples are scored (EfficientNet-Lite0), so that no
generator is trained on its own ruler; both learned from the same photographs.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate
from torch.nn.grad import conv2d_input

from genbench.efficientnet import fold, load_lite

ENLARGED = 2  # times, but to no more than
SHARP = 128  # pixels along a side: the network was made for larger pictures than GANs are
LEVELS = (3, 6, 14, 20)  # the last blocks of 1/4, 1/8, 1/16 and 1/32 of the side, after the pixels
GRID = 4  # cells along a side, of which each level gives the means
STEADY = 1e-4  # added to variances


class Eyes(nn.Module):
    """EfficientNet-Lite1 (Tan & Le 2019, arXiv:1905.11946) without its head, and without gradients.

    In bfloat16 it is twice as fast on a CPU that has it; what is seen is float32.
    """

    def __init__(self, bf16: bool) -> None:
        super().__init__()
        net = load_lite(1)
        fold(net)
        self.stem = nn.Sequential(net._conv_stem, nn.ReLU6())
        self.blocks = net._blocks
        self.dtype = torch.bfloat16 if bf16 else torch.get_default_dtype()
        for block in self.blocks:
            if block._depthwise_conv.stride[0] > 1:
                block._depthwise_conv = Strided(block._depthwise_conv)
        self.to(self.dtype).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 1 or 3, H, W) in [-1, 1] -> what is seen, 3 vectors (B, n) a level.

        Of the pixels' and each level's channels the means and the standard deviations over the
        picture, and the means of 4 x 4 cells.
        """
        x = images.expand(-1, 3, -1, -1)
        seen = _summary(x)  # the network hardly sees how bright a picture is
        side = max(x.shape[-1], min(ENLARGED * x.shape[-1], SHARP))
        x = interpolate(x, side, mode="bilinear", align_corners=False)
        x = self.stem(x.to(self.dtype).contiguous(memory_format=torch.channels_last))
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in LEVELS:
                seen += _summary(x)
        return seen


class Strided(nn.Module):
    """A strided depthwise convolution, whose gradient is computed in float32.

    In bfloat16 that is 30 times as slow, on a CPU.
    """

    def __init__(self, layer: Any):
        """Of a convolution that has a module before it, `static_padding`."""
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> (B, C, H / 2, W / 2)."""
        layer = self.layer
        x = layer.static_padding(x)
        return Depthwise.apply(x, layer.weight, layer.bias, layer.stride, layer.padding)


class Depthwise(torch.autograd.Function):
    """A depthwise convolution with fixed weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: list[int], padding: list[int]
    ) -> Tensor:
        """x (B, C, H, W) -> (B, C, h, w)."""
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.padding = x.shape, stride, padding
        return conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The gradient of x, of the gradient's type."""
        (weight,) = ctx.saved_tensors
        found = conv2d_input(
            ctx.shape, weight.float(), gradient.float(), ctx.stride, ctx.padding, groups=len(weight)
        )
        return found.to(gradient.dtype), None, None, None, None


def _summary(x: Tensor) -> list[Tensor]:
    x = x.float()
    deviations = (x.var((2, 3), unbiased=False) + STEADY).sqrt()
    return [x.mean((2, 3)), deviations, adaptive_avg_pool2d(x, GRID).flatten(1)]


@cache
def load_eyes(device: str, bf16: bool) -> Eyes:
    """The network, kept for the next call; its weights are no part of any model."""
    with torch.inference_mode(False):  # an evaluation may be the first to ask, and a training next
        return Eyes(bf16).to(device)
