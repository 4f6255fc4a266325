"""torch-fidelity's networks, with weights from the network or from a file.

Of DINOv2 and CLIP torch-fidelity reads no plain file of weights: the first it has run from code
that torch.hub fetches, the second it takes as a program alone. Here both are read as tensors.
"""

import hashlib
import socket
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from genbench.metrics.dinov2 import DinoV2

DOWNLOAD_SECONDS = 20.0  # without an answer
DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/{0}/{0}_pretrain.pth"
LARGEST_PROGRAM = 2 * 2**30  # bytes of a file that is hashed
SIZES = {  # width, blocks, pixels of a patch, tokens of a picture
    "dinov2-vit-s-14": (384, 12, 14, 1370),
    "dinov2-vit-b-14": (768, 12, 14, 1370),
    "dinov2-vit-l-14": (1024, 24, 14, 1370),
    "dinov2-vit-g-14": (1536, 40, 14, 1370),
    "clip-vit-b-32": (768, 12, 32, 50),
    "clip-vit-b-16": (768, 12, 16, 197),
    "clip-vit-l-14": (1024, 24, 14, 257),
    "clip-vit-l-14-336px": (1024, 24, 14, 577),
}


class Theirs(nn.Module):
    """One of torch-fidelity's networks, its layers for FID and for IS."""

    def __init__(self, name: str, weights: str, state: dict[str, Tensor] | None = None):
        super().__init__()
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

        kind = FEATURE_EXTRACTORS_REGISTRY[name]
        layers = [kind.get_default_feature_layer_for_metric(metric) for metric in ("fid", "isc")]
        self.classes = layers[0] != layers[1]  # else the network has features only
        self.net = _make(name, list(dict.fromkeys(layers)), weights, state)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, H, W) `uint8` -> features (B, D), logits (B, K)."""
        outputs = self.net(images)
        return outputs[0], outputs[1] if self.classes else outputs[0][:, :0]


def load_theirs(name: str, weights: str, state: dict[str, Tensor] | None) -> Theirs:
    """A network by name, its weights from a file (its state dict beside it) or downloaded.

    The download waits for an answer for a bounded time.

    Raises:
        ValueError: The state dict is of a network of another size.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SECONDS)  # torch.hub sets no limit
    try:
        return Theirs(name, str(Path(weights).expanduser()) if weights else "", state)
    finally:
        socket.setdefaulttimeout(before)


def published_clip(name: str, file: Path) -> dict[str, Tensor] | None:
    """The weights in OpenAI's own file of a CLIP, which is told by its SHA-256; None: it is not.

    Raises:
        OSError: It cannot be read.
    """
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA

    if name not in MODEL_METADATA or file.stat().st_size > LARGEST_PROGRAM:
        return None
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != MODEL_METADATA[name]["hash"]:
            return None
    with warnings.catch_warnings():  # TorchScript goes out of use
        warnings.simplefilter("ignore")
        state: dict[str, Tensor] = torch.jit.load(file, map_location="cpu").state_dict()
    return state


def _make(name: str, layers: list[str], weights: str, state: dict[str, Tensor] | None) -> nn.Module:
    """A network of torch-fidelity's that gives some of its layers."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.feature_extractor_clip import build_model
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    from torch_fidelity.utils import create_feature_extractor

    dinov2 = name.startswith("dinov2-")
    if not dinov2 and not (state and name.startswith("clip-")):
        return create_feature_extractor(
            name, layers, cuda=False, verbose=False, feature_extractor_weights_path=weights or None
        )
    state = dict(state or _download_dinov2(name))
    _check_size(name, state)
    kind = FEATURE_EXTRACTORS_REGISTRY[name]
    net = kind.__new__(kind)  # its constructor would load weights in its own way
    FeatureExtractorBase.__init__(net, name, layers)
    net.feature_extractor_internal_dtype = torch.float32
    if dinov2:
        net.model = DinoV2(state)
    else:
        if "visual.proj" in state:  # the text's network is not needed, but for its width
            state.setdefault("text_projection", state["visual.proj"])
        net.model = build_model(state, torch.float32)
        net.resolution = net.model.visual.input_resolution
    made: nn.Module = net
    return made


def _download_dinov2(name: str) -> dict[str, Tensor]:
    """The published weights, once; as tensors, with no code beside them."""
    from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA

    url = DINOV2_URL.format(MODEL_METADATA[name])
    state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
        url, map_location="cpu", progress=False, weights_only=True
    )
    return state


def _check_size(name: str, state: Mapping[str, Tensor]) -> None:
    """Refuse weights of another size than a name says: scores are kept under the name."""
    if name not in SIZES:
        return
    dinov2 = name.startswith("dinov2-")
    patches = state["patch_embed.proj.weight" if dinov2 else "visual.conv1.weight"]
    tokens = state["pos_embed" if dinov2 else "visual.positional_embedding"].shape[-2]
    ending = ".attn.qkv.weight" if dinov2 else ".attn.in_proj_weight"
    blocks = sum(key.startswith(("blocks", "visual")) and key.endswith(ending) for key in state)
    found = (len(patches), blocks, patches.shape[-1], tokens)
    if found != SIZES[name]:
        said = "width {}, {} blocks, patches of {} px, {} tokens"
        raise ValueError(f"{said.format(*found)}, not {said.format(*SIZES[name])}")
