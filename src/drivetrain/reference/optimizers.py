"""Optimizers by hand, one weight tensor at a time. Twins of `drivetrain.optim.optimizers`.

Letters as in the papers: θ a weight tensor, g its gradient, d the direction it is moved against, t the
number of the step, α the learning rate `lr`, λ `weight_decay`, μ `momentum`, β1 and β2 `betas`.

Each class says only how one tensor moves; what it has to remember stands in `memory`, a dict a tensor.
AdamW has a page of its own: `drivetrain.reference.adam`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Optimizer:
    """What all share: go over the weights, count their steps, skip those without a gradient."""

    def __init__(self, params: Iterable[Tensor]) -> None:
        self.params = list(params)
        self.memory: list[dict[str, Any]] = [{} for _ in self.params]
        self.t = [0 for _ in self.params]

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight once."""
        for i, θ in enumerate(self.params):
            if θ.grad is not None:
                self.t[i] += 1
                self.move(θ, θ.grad, self.memory[i], self.t[i])

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for θ in self.params:
            θ.grad = None


class SGD(Optimizer):
    """Straight down: θ - αg. With a penalty λ/2 · |θ|², its gradient λθ is in g."""

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3, weight_decay: float = 0.0):
        super().__init__(params)
        self.lr, self.weight_decay = lr, weight_decay

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        θ -= self.lr * (g + self.weight_decay * θ)


class Momentum(Optimizer):
    """A ball that rolls: b = μb + g adds up what points one way, and θ moves by b.

    Args:
        dampening: share of each gradient that is left out, except of the first, as in torch.
        nesterov: move by where b will be one step on, g + μb.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(params)
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        μ = self.momentum
        g = g + self.weight_decay * θ
        b = g if t == 1 else μ * memory["b"] + (1 - self.dampening) * g
        memory["b"] = b
        θ -= self.lr * (g + μ * b if self.nesterov else b)


class AveragedMomentum(Optimizer):
    """The same ball, weighing 1 - μ of it: b = μb + (1 - μ)g is a mean of the gradients."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ):
        super().__init__(params)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        μ = self.momentum
        memory["b"] = μ * memory.get("b", 0.0) + (1 - μ) * (g + self.weight_decay * θ)
        θ -= self.lr * memory["b"]


class RMSProp(Optimizer):
    """Divide g by how large it usually is, so that steep and flat directions are walked alike.

    Source: Tieleman & Hinton 2012, Coursera, lecture 6.5; `centered`: Graves 2013, arXiv:1308.0850.

    Args:
        alpha: how much of the running mean of g² is kept at each step.
        momentum: rolls over what was divided; 0 for none.
        centered: divide by the standard deviation of g, not by its root mean square.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        centered: bool = False,
    ):
        super().__init__(params)
        self.lr, self.alpha, self.eps = lr, alpha, eps
        self.momentum, self.weight_decay, self.centered = momentum, weight_decay, centered

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        g = g + self.weight_decay * θ
        v = memory["v"] = self.alpha * memory.get("v", 0.0) + (1 - self.alpha) * g * g
        if self.centered:
            m = memory["m"] = self.alpha * memory.get("m", 0.0) + (1 - self.alpha) * g
            v = v - m * m
        d = g / (v.sqrt() + self.eps)
        if self.momentum:
            d = memory["b"] = self.momentum * memory.get("b", 0.0) + d
        θ -= self.lr * d


class Adam(Optimizer):
    """Momentum divided as by RMSProp, and both debiased, since their means began at 0.

    The penalty is in g, where the division takes most of it away again: AdamW puts that right.
    Paper: Kingma & Ba 2014, arXiv:1412.6980, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay

    def means(self, g: Tensor, memory: dict[str, Any], t: int) -> tuple[Tensor, Tensor]:
        """The debiased means m̂ of g and v̂ of g²."""
        β1, β2 = self.betas
        memory["m"] = β1 * memory.get("m", 0.0) + (1 - β1) * g
        memory["v"] = β2 * memory.get("v", 0.0) + (1 - β2) * g * g
        return memory["m"] / (1 - β1**t), memory["v"] / (1 - β2**t)

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        m_hat, v_hat = self.means(g + self.weight_decay * θ, memory, t)
        θ -= self.lr * m_hat / (v_hat.sqrt() + self.eps)


class RAdam(Adam):
    """Adam that does not divide until the mean of g² is long enough to be trusted.

    ρ is the length of that mean, counted as of a simple moving average, and r the factor that keeps
    the variance of the step level while ρ grows. The eps stands beside √v before it is debiased, as in
    torch. Paper: Liu et al. 2019, arXiv:1908.03265, algorithm 2.
    """

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        _, β2 = self.betas
        m_hat, _ = self.means(g + self.weight_decay * θ, memory, t)
        ρ_end = 2 / (1 - β2) - 1
        ρ = ρ_end - 2 * t * β2**t / (1 - β2**t)
        if ρ > 5:
            r = math.sqrt((ρ - 4) * (ρ - 2) * ρ_end / ((ρ_end - 4) * (ρ_end - 2) * ρ))
            root = (memory["v"].sqrt() + self.eps) / math.sqrt(1 - β2**t)
            θ -= self.lr * r * m_hat / root
        else:
            θ -= self.lr * m_hat


def trust(θ: Tensor, d: Tensor) -> float:
    """|θ| / |d|, or 1 where one of them is 0."""
    size, length = float(θ.norm()), float(d.norm())
    return size / length if size > 0 and length > 0 else 1.0


class LAMB(Adam):
    """Adam whose step, in each tensor, is a share α of the tensor's own norm.

    Paper: You et al. 2019, arXiv:1904.00962, algorithm 2, with φ the identity.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        m_hat, v_hat = self.means(g, memory, t)
        d = m_hat / (v_hat.sqrt() + self.eps) + self.weight_decay * θ
        θ -= self.lr * trust(θ, d) * d


class LARS(Optimizer):
    """Momentum of gradients that are scaled to a share η of their tensor's norm.

    Paper: You et al. 2017, arXiv:1708.03888; here with the norm of g + λθ, and α after the momentum.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
    ):
        super().__init__(params)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.trust_coefficient = trust_coefficient

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        d = g + self.weight_decay * θ
        if float(θ.norm()) > 0 and float(d.norm()) > 0:
            d = self.trust_coefficient * trust(θ, d) * d
        memory["b"] = self.momentum * memory.get("b", 0.0) + d
        θ -= self.lr * memory["b"]


class Lookahead:
    """Let another optimizer run k steps, go a part of the way it went, and start again from there.

    Paper: Zhang et al. 2019, arXiv:1907.08610, algorithm 1.

    Args:
        inner: the optimizer that runs: any of this page, or AdamW.
        sync_period: k, the number of steps between two looks.
        slow_step_size: which part of the way the slow weights φ go.
    """

    def __init__(self, inner: Any, sync_period: int = 5, slow_step_size: float = 0.5):
        self.inner, self.k, self.part = inner, sync_period, slow_step_size
        self.slow = [θ.detach().clone() for θ in inner.params]

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight once."""
        self.inner.step()
        for i, θ in enumerate(self.inner.params):
            if θ.grad is not None and self.inner.t[i] % self.k == 0:
                self.slow[i] = self.slow[i] + self.part * (θ - self.slow[i])
                θ.copy_(self.slow[i])


class ScheduleFree(Optimizer):
    """Average the weights as they go, in place of a schedule; plain gradients.

    Three sequences: z steps, x is the mean of all z (each weighed by its rate squared), and the
    gradient is taken at y between the two, which is what `params` hold. x is what to use in the end.
    Paper: Defazio et al. 2024, arXiv:2405.15682, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
    ):
        super().__init__(params)
        self.lr, self.β = lr, momentum
        self.weight_decay, self.warmup_steps = weight_decay, warmup_steps

    def direction(self, g: Tensor, memory: dict[str, Any], t: int) -> Tensor:
        """Which way z goes, but for the decay."""
        return g

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        if t == 1:
            memory |= {"z": θ.clone(), "x": θ.clone(), "sum": 0.0}
        y = θ.clone()
        α = self.lr * min(1.0, t / self.warmup_steps) if self.warmup_steps else self.lr
        d = self.direction(g, memory, t) + self.weight_decay * y
        memory["z"] = memory["z"] - α * d
        memory["sum"] += α**2
        c = α**2 / memory["sum"]
        memory["x"] = (1 - c) * memory["x"] + c * memory["z"]
        θ.copy_((1 - self.β) * memory["z"] + self.β * memory["x"])

    def averaged(self) -> list[Tensor]:
        """The weights to evaluate with: x."""
        return [m.get("x", θ.detach()) for θ, m in zip(self.params, self.memory, strict=True)]


class ScheduleFreeAdamW(ScheduleFree):
    """The same with gradients divided by √v̂, as in Adam, and β1 for β."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
    ):
        super().__init__(params, lr, betas[0], weight_decay, warmup_steps)
        self.β2, self.eps = betas[1], eps

    def direction(self, g: Tensor, memory: dict[str, Any], t: int) -> Tensor:
        """Which way z goes, but for the decay."""
        memory["v"] = self.β2 * memory.get("v", 0.0) + (1 - self.β2) * g * g
        return g / ((memory["v"] / (1 - self.β2**t)).sqrt() + self.eps)


class Muon(Optimizer):
    """Matrices only: the momentum's matrix UΣVᵀ becomes UVᵀ, so that all directions move alike.

    Written with the singular values themselves; the fast form gets the same by products alone.
    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the rate for the shape is
    that of Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        ns_steps: int = 5,
    ):
        super().__init__(params)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.ns_steps = ns_steps

    def move(self, θ: Tensor, g: Tensor, memory: dict[str, Any], t: int) -> None:
        """Move one weight tensor in place."""
        μ = self.momentum
        b = memory["b"] = μ * memory.get("b", 0.0) + (1 - μ) * g
        d = orthogonal((1 - μ) * g + μ * b, self.ns_steps)
        θ -= self.lr * self.weight_decay * θ
        θ -= self.lr * 0.2 * math.sqrt(max(θ.shape)) * d


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """U·f(Σ)·Vᵀ of a matrix UΣVᵀ, where f is `steps` times the quintic of Muon, from Σ / |Σ|."""
    U, σ, Vh = torch.linalg.svd(matrix, full_matrices=False)
    σ = σ / σ.norm().clamp(min=1e-7)
    for _ in range(steps):
        σ = 3.4445 * σ - 4.7750 * σ**3 + 2.0315 * σ**5
    return U @ torch.diag(σ) @ Vh
