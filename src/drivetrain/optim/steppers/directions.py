# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""Steppers that shape the direction: penalties, running means, division by a size, norms.

Letters: p a parameter, g its gradient, d the direction so far, t the number of the step (from 1),
λ `weight_decay`, μ `momentum`, β1 and β2 `betas`.

`update.grads` is g and `update.direction` is d; `l2_decay` at the head of a chain changes both, so that
the means of g and of g² see the penalty. Twin: drivetrain.reference.optimizers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from drivetrain.optim.steppers.base import Update, chain, count, stepper, zeros

BETAS = (0.9, 0.999)


@stepper(settings={"weight_decay": 0.0})
def l2_decay(update: Update) -> None:
    """d + λp: the gradient of the penalty λ/2 · |p|².

    At the head of a chain it is L2 regularisation, and what follows averages and rescales it too. After
    the division, as in LAMB, it stands beside the rescaled gradient.
    """
    decay = update.group["weight_decay"]
    if decay == 0:
        return
    at_head = update.direction is update.grads
    if update.is_own or update.roots is not None or update.divisors is not None:
        torch._foreach_add_(update.owned(), update.params, alpha=decay)
    else:
        update.take(
            list(torch._foreach_add(update.direction, update.params, alpha=decay)), own=True
        )
    if at_head:
        update.grads, update.is_own = update.direction, False


# --- momentum -------------------------------------------------------------------------------------


@stepper(state={"momentum_buffer": zeros}, settings={"momentum": 0.9})
def momentum(update: Update) -> None:
    """b = μb + d, the form of torch: gradients of one sign add up to 1/(1 - μ) of them."""
    buffers = update.state["momentum_buffer"]
    torch._foreach_mul_(buffers, update.group["momentum"])
    update.add_to(buffers)
    update.take(buffers, own=False)


@stepper(state={"momentum_buffer": zeros}, settings={"momentum": 0.9})
def averaged_momentum(update: Update) -> None:
    """b = μb + (1 - μ)d, the damped form: a mean of the gradients, as large as they are.

    It is `momentum` at a rate 1/(1 - μ) as high; the rate need not change when μ does.
    """
    buffers = update.state["momentum_buffer"]
    kept = update.group["momentum"]
    torch._foreach_lerp_(buffers, update.plain(), 1 - kept)
    update.take(buffers, own=False)
    update.direction_kept = kept


@stepper(
    state={"momentum_buffer": zeros, "step": count}, settings={"momentum": 0.9, "dampening": 0.0}
)
def dampened_momentum(update: Update) -> None:
    """b = μb + (1 - dampening)d, except that the first d enters whole, as torch does it."""
    buffers, direction = update.state["momentum_buffer"], update.plain()
    torch._foreach_mul_(buffers, update.group["momentum"])
    torch._foreach_add_(buffers, direction, alpha=1 - update.group["dampening"])
    for buffer, first, step in zip(buffers, direction, update.steps, strict=True):
        if step == 1:
            buffer.copy_(first)
    update.take(buffers, own=False)


@stepper(state={"momentum_buffer": zeros}, settings={"momentum": 0.9})
def nesterov(update: Update) -> None:
    """b = μb + d, then d + μb: the direction as it will be one step on.

    Paper: Sutskever et al. 2013 (ICML), sec. 2.1, in the form of torch.
    """
    buffers, direction = update.state["momentum_buffer"], update.plain()
    kept = update.group["momentum"]
    torch._foreach_mul_(buffers, kept)
    torch._foreach_add_(buffers, direction)
    update.take(list(torch._foreach_add(direction, buffers, alpha=kept)), own=True)


@stepper(state={"momentum_buffer": zeros}, settings={"momentum": 0.95})
def averaged_nesterov(update: Update) -> None:
    """b = μb + (1 - μ)d, then (1 - μ)d + μb: what Muon orthogonalises."""
    buffers, direction = update.state["momentum_buffer"], update.plain()
    kept = update.group["momentum"]
    torch._foreach_lerp_(buffers, direction, 1 - kept)
    update.take(list(torch._foreach_lerp(direction, buffers, kept)), own=True)


@stepper(state={"exp_avg": zeros}, settings={"betas": BETAS})
def average(update: Update) -> None:
    """m = β1·m + (1 - β1)d: Adam's first moment. `debias` undoes that it began at 0."""
    means = update.state["exp_avg"]
    kept = update.group["betas"][0]
    torch._foreach_lerp_(means, update.plain(), 1 - kept)
    update.take(means, own=False)
    update.direction_kept = kept


# --- division by the size of the gradients --------------------------------------------------------


@stepper(state={"exp_avg_sq": zeros}, settings={"betas": BETAS})
def average_square(update: Update) -> None:
    """v = β2·v + (1 - β2)g², and the root of v below the direction: Adam's second moment."""
    _divide_by_root_mean_square(update, update.state["exp_avg_sq"], update.group["betas"][1])


@stepper(state={"square_avg": zeros}, settings={"alpha": 0.99})
def rms(update: Update) -> None:
    """v = αv + (1 - α)g², and the root of v below the direction.

    Source: Tieleman & Hinton 2012, Coursera, lecture 6.5.
    """
    _divide_by_root_mean_square(update, update.state["square_avg"], update.group["alpha"])


@stepper(state={"square_avg": zeros, "grad_avg": zeros}, settings={"alpha": 0.99})
def centered_rms(update: Update) -> None:
    """As `rms` with the variance of the gradients, v - m², instead of their mean square.

    Paper: Graves 2013, arXiv:1308.0850, sec. 4.2.
    """
    squares, means = update.state["square_avg"], update.state["grad_avg"]
    kept = update.group["alpha"]
    torch._foreach_mul_(squares, kept)
    torch._foreach_addcmul_(squares, update.grads, update.grads, value=1 - kept)
    torch._foreach_lerp_(means, update.grads, 1 - kept)
    roots = list(torch._foreach_addcmul(squares, means, means, value=-1))
    # Where gradients hardly vary, rounding takes v - m² below 0, and its root would be NaN.
    torch._foreach_clamp_min_(roots, 0.0)
    torch._foreach_sqrt_(roots)
    update.roots = roots


def _divide_by_root_mean_square(update: Update, squares: list[Tensor], kept: float) -> None:
    torch._foreach_mul_(squares, kept)
    torch._foreach_addcmul_(squares, update.grads, update.grads, value=1 - kept)
    if update.roots is not None:
        update.owned()
    update.roots = list(torch._foreach_sqrt(squares))
    update.root_kept = kept


@stepper(settings={"eps": 1e-8})
def add_eps(update: Update) -> None:
    """eps added to the root, so that a gradient near 0 is not blown up to a full step."""
    if update.roots is not None:
        torch._foreach_add_(update.roots, update.group["eps"])


@stepper(state={"step": count})
def debias(update: Update) -> None:
    """Divide running means by 1 - β^t, since they began at 0 and are too small by that at first.

    It does so for the direction and for the roots, whichever of them is a running mean here. After
    `add_eps` (as in RAdam) the eps is divided too.
    """
    if update.direction_kept is not None:
        kept = update.direction_kept
        corrections = [1 - kept**step for step in update.steps]
        if update.divisors is not None:
            corrections = [a * b for a, b in zip(corrections, update.divisors, strict=True)]
        update.divisors = corrections
    if update.roots is not None and update.root_kept is not None:
        kept = update.root_kept
        torch._foreach_div_(update.roots, [(1 - kept**step) ** 0.5 for step in update.steps])
    update.direction_kept = update.root_kept = None


adam_direction = chain("adam_direction", average, average_square, debias, add_eps)
"""m̂ / (√v̂ + eps). Paper: Kingma & Ba 2014, arXiv:1412.6980, algorithm 1."""


@stepper(state={"step": count}, settings={"betas": BETAS})
def rectify(update: Update) -> None:
    """Divide by the root only once it can be trusted, and by a little more while it is young.

    The variance of 1/√v has no bound in the first steps; as long as the length ρ of its average is
    at most 5, the direction is not divided at all. Paper: Liu et al. 2019, arXiv:1908.03265, algorithm 2.
    """
    if update.roots is None:
        return
    beta2 = update.group["betas"][1]
    longest = 2 / (1 - beta2) - 1
    divisors = update.divisors or [1.0] * len(update.params)
    for i, step in enumerate(update.steps):
        length = longest - 2 * step * beta2**step / (1 - beta2**step)
        if length > 5:
            divisors[i] /= math.sqrt(
                ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length)
            )
        else:
            update.roots[i].fill_(1.0)
    update.divisors = divisors


# --- norms and matrices ---------------------------------------------------------------------------


@stepper(settings={"trust_coefficient": 1.0})
def trust_ratio(update: Update) -> None:
    """Scale each tensor's direction to the norm of the tensor, times `trust_coefficient`.

    A tensor then moves by a share of its own size, whatever its gradients are. Where either norm is 0 the
    direction stays as it is. Papers: You et al. 2017, arXiv:1708.03888 (LARS); You et al. 2019,
    arXiv:1904.00962 (LAMB).
    """
    direction = update.owned()
    coefficient = update.group["trust_coefficient"]
    sizes = torch.stack(list(torch._foreach_norm(update.params)))
    lengths = torch.stack(list(torch._foreach_norm(direction)))
    ratios = coefficient * sizes / lengths
    ratios = torch.where((sizes > 0) & (lengths > 0), ratios, torch.ones_like(ratios))
    torch._foreach_mul_(direction, list(ratios.unbind()))


NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@stepper(
    settings={
        "ns_coefficients": NS_COEFFICIENTS,
        "ns_steps": 5,
        "ns_eps": 1e-7,
        "ns_dtype": "bfloat16",
        "adjust_lr_fn": "original",
    }
)
def orthogonalize(update: Update) -> None:
    """Each matrix's direction with (nearly) all its singular values at 1: Muon.

    A tensor of more than two dimensions (a convolution's weight) is taken as the matrix (first, rest).
    `adjust_lr_fn` scales the step for the shape (A, B) as in torch: "original" by √max(1, A/B),
    "match_rms_adamw" by 0.2·√max(A, B), which makes the rates that suit AdamW suit Muon.
    `ns_dtype` is the dtype of the products; bfloat16 is enough, says the source, and quick on GPUs.
    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
    """
    group = update.group
    dtype: torch.dtype = getattr(torch, group["ns_dtype"])
    results, divisors = [], []
    for direction in update.plain():
        matrix = direction.flatten(1)
        result = newton_schulz(
            matrix.to(dtype),
            coefficients=group["ns_coefficients"],
            steps=group["ns_steps"],
            eps=group["ns_eps"],
        )
        results.append(result.view_as(direction))
        divisors.append(1 / _shape_factor(matrix.shape, group["adjust_lr_fn"]))
    update.take(results, own=True)
    update.divisors = divisors


def newton_schulz(
    matrix: Tensor,
    *,
    coefficients: tuple[float, float, float] = NS_COEFFICIENTS,
    steps: int = 5,
    eps: float = 1e-7,
) -> Tensor:
    """UVᵀ of a matrix USVᵀ, nearly, by products alone.

    Each step applies aσ + bσ³ + cσ⁵ to the singular values σ, after they were brought below 1. With the
    default coefficients they end in about 0.7 to 1.2: near 1 soon, rather than at 1 late.

    Args:
        matrix: (A, B) float.

    Returns: (A, B), same dtype.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix  # the products are then of the shorter side
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


def _shape_factor(shape: torch.Size, adjust: str) -> float:
    rows, columns = shape
    if not (rows and columns):
        return 1.0
    if adjust == "original":
        return math.sqrt(max(1, rows / columns))
    return 0.2 * math.sqrt(max(rows, columns))
