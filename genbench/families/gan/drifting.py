"""Where samples should move, and what a discriminator would say, from features of a fixed network.

Both compare kernels of distances. Given labels, only pictures of one class are compared.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

SAME = 0.02  # of the reals' distance: nearer are two looks at one picture, but for rounding
FAR = 1e4  # of which any kernel is 0

Labels = tuple[Tensor, Tensor, Tensor]  # (B,), (N,), (M,) of x, reals and fakes


def density_logits(
    x: Tensor, reals: Tensor, fakes: Tensor, temperature: float, labels: Labels | None = None
) -> Tensor:
    """log p/q at x, p and q the kernel density estimates of reals and fakes without x itself.

    The kernel is exp(-|x - y| / temperature), whose constant p/q does not have. Were p and q the
    true densities, no discriminator would be better (Goodfellow et al. 2014, prop. 1).

    Args:
        x: (B, D).
        reals: (N, D).
        fakes: (M, D).
        temperature: In units of the distances.
        labels: p and q are those of x's class; 0 is said where no other picture is of it.

    Returns:
        (B,).
    """
    logits, known = torch.zeros_like(x[:, 0]), torch.ones_like(x[:, 0], dtype=torch.bool)
    for sign, pictures, classes in ((1, reals, 1), (-1, fakes, 2)):
        apart = torch.cdist(x, pictures)
        alike = torch.ones_like(apart, dtype=torch.bool)
        if labels:
            alike = labels[0][:, None] == labels[classes]
        others = alike & (apart >= SAME)
        kernels = torch.where(others, -apart, -FAR) / temperature
        logits = logits + sign * (torch.logsumexp(kernels, 1) - alike.sum(1).log())
        known = known & others.any(1)
    return torch.where(known, logits, 0)


def drifting_field(
    x: Tensor,
    reals: Tensor,
    fakes: Tensor,
    temperatures: Sequence[float],
    labels: Labels | None = None,
) -> Tensor:
    """Where samples x should move: to the reals near them, away from the other samples.

    Deng et al. 2026 (arXiv:2602.04770), algorithm 2: kernels exp(-|x - y| / temperature), brought
    to sum 1 over all pictures for each sample and over the samples for each picture, of which the
    geometric mean counts. Where reals and samples are alike the two forces cancel.

    Args:
        x: (B, D).
        reals: (N, D).
        fakes: (M, D), samples beside x, which repel each other too.
        temperatures: In units of the distances; the fields of all are added up.
        labels: Pictures of x's class alone draw and repel it.

    Returns:
        (B, D); the field of one temperature has the root mean square length 1 over x.
    """
    fakes = torch.cat([x, fakes])
    apart = torch.cat([torch.cdist(x, reals), torch.cdist(x, fakes)], 1)
    apart[:, len(reals) :].fill_diagonal_(FAR)  # nobody repels himself
    if labels:
        of_x, of_reals, of_fakes = labels
        apart = apart.masked_fill(of_x[:, None] != torch.cat([of_reals, of_x, of_fakes]), FAR)
    total = torch.zeros_like(x)
    for temperature in temperatures:
        logits = -apart / temperature
        weights = (torch.softmax(logits, 0) * torch.softmax(logits, 1)).sqrt()
        near, crowd = weights.split([len(reals), len(fakes)], 1)
        field = near @ reals * crowd.sum(1, keepdim=True)
        field -= crowd @ fakes * near.sum(1, keepdim=True)
        total += field / field.square().sum(1).mean().sqrt().clamp(min=1e-8)
    return total


def drifting_loss(
    x: Tensor,
    reals: Tensor,
    fakes: Tensor,
    temperatures: Sequence[float],
    labels: Labels | None = None,
) -> Tensor:
    """Squared distance of samples x (B, D) to where the field would move them, a scalar.

    No gradient goes through that place (Deng et al. 2026, eq. 6), and the field has a fixed length:
    the value says nothing, the gradient all. Arguments are those of `drifting_field`.
    """
    with torch.no_grad():
        goal = x + drifting_field(x, reals, fakes, temperatures, labels)
    return (x - goal).square().sum(1).mean()
