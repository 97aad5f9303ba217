"""AdamW by hand. Twin of `drivetrain.optim.defaults.adamw`.

Papers: Kingma & Ba 2014, arXiv:1412.6980, algorithm 1 (Adam); Loshchilov & Hutter 2017,
arXiv:1711.05101, algorithm 2 (the decay stands beside the step and not in the gradient).

Letters as in the papers: θ a weight, g its gradient, m and v the running means of g and of g², t the
number of the step; α is `lr`, λ is `weight_decay`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class AdamW:
    """The optimizer over `params`, one setting for all of them.

    Args:
        params: tensors whose `.grad` is filled before each step; one without is left alone.
        lr: how far a weight moves when its gradient keeps its sign.
        betas: how much of the running mean of g, and of g², is kept at each step.
        eps: added to the root, so that a tiny gradient is not blown up to a full step.
        weight_decay: every step takes lr * weight_decay of the weight itself away.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-5,
        weight_decay: float = 0.01,
    ) -> None:
        self.params = list(params)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.m = [torch.zeros_like(θ) for θ in self.params]
        self.v = [torch.zeros_like(θ) for θ in self.params]
        self.t = [0 for _ in self.params]

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight once."""
        β1, β2 = self.betas
        for i, θ in enumerate(self.params):
            if θ.grad is None:
                continue
            g = θ.grad
            self.t[i] += 1
            self.m[i] = β1 * self.m[i] + (1 - β1) * g  # which way it has been going
            self.v[i] = β2 * self.v[i] + (1 - β2) * g * g  # how large the gradients have been
            # Both started at 0, so the first means are too small by a known factor: undo it.
            m_hat = self.m[i] / (1 - β1 ** self.t[i])
            v_hat = self.v[i] / (1 - β2 ** self.t[i])
            θ -= self.lr * self.weight_decay * θ
            θ -= self.lr * m_hat / (v_hat.sqrt() + self.eps)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for θ in self.params:
            θ.grad = None
