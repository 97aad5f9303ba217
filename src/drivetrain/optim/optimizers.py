"""Optimizers by name, each a short chain of steppers.

    optimizer("adam", lr=1e-3)(model.parameters())
    Learner(..., optimizer=optimizer("lamb"))

Each is equal to torch's where torch has it, with torch's defaults, and to its twin where not. To see
what one does, print it; to change one, swap a step of its chain.

These are for choice. Where speed is all, torch's fused kernels (`drivetrain.optim.adamw`, the Learner's
default) do in one pass what a chain does in several. Twin: drivetrain.reference.optimizers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import Tensor

from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import ConfigError
from drivetrain.optim import steppers as s
from drivetrain.optim.composed import Composed, Params, check_settings

Betas = tuple[float, float]

# --- chains ---------------------------------------------------------------------------------------

SGD = s.chain("sgd", s.l2_decay, s.step)
MOMENTUM = s.chain("momentum", s.l2_decay, s.momentum, s.step)
DAMPENED_MOMENTUM = s.chain("momentum", s.l2_decay, s.dampened_momentum, s.step)
AVERAGED_MOMENTUM = s.chain("averaged_momentum", s.l2_decay, s.averaged_momentum, s.step)
NESTEROV = s.chain("nesterov", s.l2_decay, s.nesterov, s.step)
LARS = s.chain("lars", s.l2_decay, s.trust_ratio, s.momentum, s.step)
RMSPROP = s.chain("rmsprop", s.l2_decay, s.rms, s.add_eps, s.step)
RMSPROP_MOMENTUM = s.chain("rmsprop", s.l2_decay, s.rms, s.add_eps, s.momentum, s.step)
CENTERED_RMSPROP = RMSPROP.swap("rms", s.centered_rms, name="centered_rmsprop")
ADAM = s.chain("adam", s.l2_decay, s.adam_direction, s.step)
ADAMW = s.chain("adamw", s.weight_decay, s.adam_direction, s.step)
# In RAdam the eps is added before the root is debiased, and is debiased with it.
RADAM = s.chain(
    "radam",
    *(s.l2_decay, s.average, s.average_square, s.add_eps, s.debias, s.rectify, s.step),
)
LAMB = s.chain("lamb", s.adam_direction, s.l2_decay, s.trust_ratio, s.step)
SCHEDULE_FREE_SGD = s.chain("schedule_free_sgd", s.l2_decay, s.schedule_free)
SCHEDULE_FREE_ADAMW = s.chain(
    "schedule_free_adamw",
    *(s.average_square, s.debias, s.add_eps, s.l2_decay, s.schedule_free_betas),
)
MUON_MATRICES = s.chain("matrices", s.weight_decay, s.averaged_nesterov, s.orthogonalize, s.step)

# --- plain and with momentum ----------------------------------------------------------------------


def sgd(params: Params, lr: float = 1e-3, *, weight_decay: float = 0.0) -> Composed:
    """w -= lr · gradient, and nothing else; torch.optim.SGD without momentum."""
    return Composed(params, SGD, lr=lr, weight_decay=weight_decay)


def momentum(
    params: Params,
    lr: float = 1e-3,
    *,
    momentum: float = 0.9,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
) -> Composed:
    """torch.optim.SGD with momentum: the gradients add up in a buffer, which forgets."""
    if dampening == 0:
        return Composed(params, MOMENTUM, lr=lr, momentum=momentum, weight_decay=weight_decay)
    return Composed(
        params,
        DAMPENED_MOMENTUM,
        lr=lr,
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
    )


def averaged_momentum(
    params: Params, lr: float = 1e-3, *, momentum: float = 0.9, weight_decay: float = 0.0
) -> Composed:
    """Momentum as a mean of the gradients, not their sum: steps as large as those of `sgd`."""
    return Composed(params, AVERAGED_MOMENTUM, lr=lr, momentum=momentum, weight_decay=weight_decay)


def nesterov(
    params: Params, lr: float = 1e-3, *, momentum: float = 0.9, weight_decay: float = 0.0
) -> Composed:
    """torch.optim.SGD with nesterov=True: momentum that looks a step ahead."""
    return Composed(params, NESTEROV, lr=lr, momentum=momentum, weight_decay=weight_decay)


def lars(
    params: Params,
    lr: float = 1e-3,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust_coefficient: float = 1e-3,
) -> Composed:
    """Momentum over gradients that are scaled to the size of their tensor, for very large batches.

    Differs from the paper: the norm is of the gradient with its penalty, not the sum of the two norms,
    and the rate is applied after the momentum. Paper: You et al. 2017, arXiv:1708.03888.
    """
    return Composed(
        params,
        LARS,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        trust_coefficient=trust_coefficient,
    )


# --- division by the size of the gradients --------------------------------------------------------


def rmsprop(
    params: Params,
    lr: float = 1e-2,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Composed:
    """torch.optim.RMSprop: gradients divided by their root mean square. Momentum 0 leaves it out."""
    settings = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
    if momentum == 0:
        return Composed(params, RMSPROP, **settings)
    return Composed(params, RMSPROP_MOMENTUM, momentum=momentum, **settings)


def centered_rmsprop(
    params: Params,
    lr: float = 1e-2,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Composed:
    """torch.optim.RMSprop with centered=True: gradients divided by their standard deviation."""
    return Composed(
        params, CENTERED_RMSPROP, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay
    )


def adam(
    params: Params,
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Composed:
    """torch.optim.Adam: momentum divided by root mean square, both debiased.

    The first step is `lr` long whatever the gradient. Decay is a penalty in the gradient; `adamw` is
    the form to decay with. Paper: Kingma & Ba 2014, arXiv:1412.6980.
    """
    return Composed(params, ADAM, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def adamw(
    params: Params,
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Composed:
    """torch.optim.AdamW with torch's defaults: Adam with the decay beside the step.

    Paper: Loshchilov & Hutter 2017, arXiv:1711.05101.
    """
    return Composed(params, ADAMW, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def fastai_adam(
    params: Params,
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.99),
    eps: float = 1e-5,
    weight_decay: float = 0.01,
) -> Composed:
    """`adamw` with fastai's defaults: what `drivetrain.optim.adamw` does in one fused kernel.

    They differ from torch's: beta2 is 0.99, not 0.999, and eps 1e-5, not 1e-8.
    """
    return Composed(params, ADAMW, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def radam(
    params: Params,
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Composed:
    """torch.optim.RAdam: Adam that warms itself up. Paper: Liu et al. 2019, arXiv:1908.03265."""
    return Composed(params, RADAM, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def lamb(
    params: Params,
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
) -> Composed:
    """Adam's direction scaled to the size of each tensor, for very large batches.

    The paper's φ is the identity here. Paper: You et al. 2019, arXiv:1904.00962, algorithm 2.
    """
    return Composed(params, LAMB, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


# --- averages of weights --------------------------------------------------------------------------


def lookahead(
    params: Params,
    lr: float = 1e-3,
    *,
    inner: str = "adamw",
    sync_period: int = 5,
    slow_step_size: float = 0.5,
    **options: Any,
) -> Composed:
    """Another optimizer, whose weights go back to slow ones every `sync_period` steps.

    Args:
        inner: name of the optimizer that steps; `options` are its own.
        sync_period: k of the paper.
        slow_step_size: α of the paper: which part of the way the slow weights go.

    Paper: Zhang et al. 2019, arXiv:1907.08610.
    Raises: ConfigError: the inner optimizer already averages its weights.
    """
    stepping = optimizer(inner, **options)(params, lr=lr)
    if inner == "lookahead" or (isinstance(stepping.chain, s.Chain) and stepping.chain.averages):
        raise ConfigError(
            f"`lookahead` over `{inner}` would average weights twice. Use one of the two, or another "
            "`inner`."
        )
    own = {"sync_period": sync_period, "slow_step_size": slow_step_size}
    groups = [own | group for group in stepping.param_groups]
    settings = {key: stepping.defaults[key] for key in stepping.chain.settings}
    chain = stepping.chain.then(s.lookahead, name=f"lookahead({stepping.chain.name})")
    return Composed(groups, chain, **settings, **own)


def schedule_free_sgd(
    params: Params,
    lr: float = 1.0,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    warmup_steps: int = 0,
) -> Composed:
    """SGD whose weights are averaged as it goes, in place of a schedule.

    Training weights (y of the paper) are in the parameters while it trains. The averaged ones (x) are
    to be evaluated and kept: call `optimizer.eval()` before that, and `optimizer.train()` before
    going on. Rates are higher than those of `sgd`. Paper: Defazio et al. 2024, arXiv:2405.15682.
    """
    return Composed(
        params,
        SCHEDULE_FREE_SGD,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        warmup_steps=warmup_steps,
    )


def schedule_free_adamw(
    params: Params,
    lr: float = 2.5e-3,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    warmup_steps: int = 0,
) -> Composed:
    """AdamW without its first moment, whose weights are averaged as it goes, in place of a schedule.

    `optimizer.eval()` and `optimizer.train()` as for `schedule_free_sgd`. beta1 is where between the
    steps and their average the gradients are taken. Differs from the paper's algorithm 1: v is debiased
    below the root, as in Adam and in the authors' later code, and not by a factor on the rate.
    """
    return Composed(
        params,
        SCHEDULE_FREE_ADAMW,
        lr=lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        warmup_steps=warmup_steps,
    )


# --- matrices -------------------------------------------------------------------------------------


def is_hidden_matrix(param: Tensor, group: Mapping[str, Any]) -> bool:
    """Whether Muon orthogonalises a parameter: two dimensions or more, unless its group says no."""
    return param.ndim >= 2 and bool(group.get("orthogonalize", True))


MUON = s.Split("muon", is_hidden_matrix, MUON_MATRICES, ADAMW)


def muon(
    params: Params,
    lr: float = 1e-3,
    *,
    momentum: float = 0.95,
    betas: Betas = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.1,
    ns_steps: int = 5,
    ns_dtype: str = "bfloat16",
    adjust_lr_fn: str = "match_rms_adamw",
) -> Composed:
    """Muon for the weight matrices inside the net, AdamW for all else, at one rate.

    Embeddings and the last layer are to be left to AdamW, says the source: put them into a group with
    `"orthogonalize": False`. For groups from `param_groups` the last layer group, the head, is marked
    so here when there are several. A matrix's step is that of torch.optim.Muon; `adjust_lr_fn` is not
    torch's default, "original", so that a rate that suits AdamW suits both.

    Sources: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025,
    arXiv:2502.16982, for the rate.
    """
    return Composed(
        _mark_head(params),
        MUON,
        lr=lr,
        momentum=momentum,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        ns_steps=ns_steps,
        ns_dtype=ns_dtype,
        adjust_lr_fn=adjust_lr_fn,
    )


def _mark_head(params: Params) -> list[Tensor | Mapping[str, Any]]:
    entries = list(params)
    # Group 0 alone is a model of one part; a group above 0 alone is a head whose body is frozen.
    head = max((e.get("layer_group", 0) for e in entries if isinstance(e, Mapping)), default=0)
    return [
        {"orthogonalize": False} | dict(entry)
        if head > 0 and isinstance(entry, Mapping) and entry.get("layer_group") == head
        else entry
        for entry in entries
    ]


# --- by name --------------------------------------------------------------------------------------

OPTIMIZERS: Mapping[str, Callable[..., Composed]] = MappingProxyType(
    {
        "adam": adam,
        "adamw": adamw,
        "averaged_momentum": averaged_momentum,
        "centered_rmsprop": centered_rmsprop,
        "fastai_adam": fastai_adam,
        "lamb": lamb,
        "lars": lars,
        "lookahead": lookahead,
        "momentum": momentum,
        "muon": muon,
        "nesterov": nesterov,
        "radam": radam,
        "rmsprop": rmsprop,
        "schedule_free_adamw": schedule_free_adamw,
        "schedule_free_sgd": schedule_free_sgd,
        "sgd": sgd,
    }
)
"""Name -> what makes one of parameters, with options by name; see `optimizer`."""


def optimizer(name: str, **options: Any) -> partial[Composed]:
    """The optimizer `name` with its options filled in; call it with parameters or groups of them.

    Name and options are all there is to store, so it can be written as JSON and made again. The options
    are checked here, before training.

    Raises: UnknownNameError: no such optimizer. ConfigError: an option is unknown or out of range.

    >>> import torch
    >>> print(optimizer("momentum", lr=0.1)([torch.nn.Parameter(torch.ones(3))]))
    momentum: l2_decay > momentum > step
      group 0: 1 tensors, 3 parameters, weight_decay=0.0, momentum=0.9, lr=0.1
    """
    function = lookup(OPTIMIZERS, name, what="optimizer")
    accepted = _options(function)
    if function is lookahead:
        inner = options.get("inner", "adamw")
        accepted = [*accepted, *_options(lookup(OPTIMIZERS, inner, what="inner optimizer"))]
    for key in options:
        if key not in accepted:
            raise ConfigError(
                f"Optimizer '{name}' has no option '{key}'.{did_you_mean(key, accepted)} "
                f"Options: {', '.join(dict.fromkeys(accepted))}."
            )
    check_settings(options, where=f"optimizer '{name}'")
    return partial(function, **options)


def _options(function: Callable[..., Any]) -> Iterable[str]:
    parameters = list(inspect.signature(function).parameters.values())[1:]  # all but `params`
    return [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
