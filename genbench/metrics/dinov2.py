"""DINOv2's vision transformer (Oquab et al. 2024, arXiv:2304.07193), as its weights want it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6  # of its normalisations
HEAD = 64  # numbers a head of attention looks at
OFFSET = 0.1  # patches by which the published code stretches the positions' grid


class Attention(nn.Module):
    """Self-attention of several heads."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, T, D) -> (B, T, D)."""
        heads = self.qkv(x).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, T, D) -> (B, T, D)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Gated(nn.Module):
    """SwiGLU (Shazeer 2020), in the largest network."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.w12, self.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, T, D) -> (B, T, D)."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class Scale(nn.Module):
    """A factor for each number of a token."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, T, D) -> (B, T, D)."""
        return self.gamma * x


class Block(nn.Module):
    """Attention, then a perceptron; each normalised before, scaled behind and added."""

    def __init__(self, width: int, mlp: nn.Module):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=EPS) for _ in range(2))
        self.attn, self.mlp = Attention(width), mlp
        self.ls1, self.ls2 = Scale(width), Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, T, D) -> (B, T, D)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Patches(nn.Module):
    """A picture's patches as tokens."""

    def __init__(self, channels: int, width: int, side: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, side, side)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, D, S / side, S / side)."""
        return self.proj(images)


class DinoV2(nn.Module):
    """Normalised pictures (B, 3, S, S) -> the class token (B, D), sized as the weights are."""

    def __init__(self, state: dict[str, Tensor]):
        """A network with a state dict as Meta publishes it (`dinov2_vits14_pretrain.pth`).

        Raises:
            KeyError, RuntimeError: It is of something else.
        """
        super().__init__()
        width, channels, side, _ = state["patch_embed.proj.weight"].shape
        count = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
        gated = state.get("blocks.0.mlp.w3.weight")
        hidden = len(state["blocks.0.mlp.fc1.weight"]) if gated is None else gated.shape[1]
        mlp = Perceptron if gated is None else Gated
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros_like(state["pos_embed"]))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # of its training alone
        self.patch_embed = Patches(channels, width, side)
        self.blocks = nn.Sequential(*(Block(width, mlp(width, hidden)) for _ in range(count)))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.load_state_dict(state)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        patches = self.patch_embed(images)
        patches = (patches + self._positions(patches.shape[-1])).flatten(2).transpose(1, 2)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        return self.norm(self.blocks(torch.cat([first, patches], 1)))[:, 0]

    def _positions(self, side: int) -> Tensor:
        """The patches' positions (1, D, side, side), bicubically from those of its training."""
        known = round((self.pos_embed.shape[1] - 1) ** 0.5)
        grid = self.pos_embed[:, 1:].unflatten(1, (known, known)).permute(0, 3, 1, 2)
        if side == known:
            return grid
        scale = (side + OFFSET) / known
        return F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
