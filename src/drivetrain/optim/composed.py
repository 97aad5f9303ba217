# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""An optimizer that is a chain of named steppers.

    optimizer = Composed(model.parameters(), chain("mine", l2_decay, momentum, step), lr=0.1)

It is a `torch.optim.Optimizer` like any other: groups with their own hyperparameters, which schedules may
change at every step; torch's schedulers, hooks and closures; what is remembered of a parameter is a
dict of tensors in `state`, so it can be stored by the parameter's name. Steppers of the library keep
torch's names for these, so the state of torch's optimizer of the same kind can be loaded.

What a stepper is: drivetrain.optim.steppers. The ones with names: drivetrain.optim.optimizers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, InputError
from drivetrain.optim.steppers.base import NUMBERS, Chain, Split, Update

Params = Iterable[Tensor | Mapping[str, Any]]

CACHED = 2**18
"""Elements that go through a long chain together on the CPU, unless one tensor alone has more.

The steps of a chain walk the same tensors again and again. A megabyte of each stays in the processor's
cache meanwhile; all of a model's parameters would come from memory each time: half as much again for the
Adam of a ResNet-18 (62 tensors, 11.7 M elements). benchmarks/optimizer.py measures it.
"""
LONG = 4
"""Steps from which on a chain is long. A shorter one walks a tensor about once, and gains nothing."""


@dataclass(slots=True)
class _Portion:
    """Parameters, with their gradients, that go through a chain together."""

    chain: Chain
    params: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    elements: int = 0
    limit: float = field(init=False)

    def __post_init__(self) -> None:
        self.limit = CACHED if len(self.chain.steppers) >= LONG else math.inf


class Composed(torch.optim.Optimizer):
    """The optimizer whose step is to run a chain over the parameters of each group.

    Parameters without a gradient are left alone, and what is counted of them waits. The parameters of a
    group may be on several devices and of several dtypes.

    Args:
        params: parameters, or torch groups of them.
        chain: steppers in their order (or a `Split`, two chains and the question of which is for what).
        settings: hyperparameters of groups that do not bring their own; the steppers have defaults.

    Raises: ConfigError: a setting that no stepper reads, or out of its range. InputError: complex or
        integer parameters.
    """

    def __init__(self, params: Params, chain: Chain | Split, **settings: Any) -> None:
        self.chain = chain
        defaults = chain.settings
        for key in settings:
            if key not in defaults:
                raise ConfigError(
                    f"No step of `{chain.name}` reads the setting '{key}'."
                    f"{did_you_mean(key, defaults)} Settings: {', '.join(sorted(defaults))}."
                )
        super().__init__(params, defaults | settings)  # pyright: ignore[reportArgumentType]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; those not given are the defaults.

        Args:
            param_group: `params`, and settings by name.

        Raises: ConfigError: a setting is out of its range. InputError: complex or integer parameters.
        """
        group = dict(param_group)
        params = group["params"]
        group["params"] = params = [params] if isinstance(params, Tensor) else list(params)
        label = f"group {len(self.param_groups)} of `{self.chain.name}`"
        for position, param in enumerate(params):
            if isinstance(param, Tensor) and not param.is_floating_point():
                raise InputError(
                    f"Parameter {position} in {label} is {param.dtype}, expected real floats. "
                    "A complex parameter can be kept as `torch.view_as_real(parameter)`."
                )
        check_settings(self.defaults | group, where=label)
        super().add_param_group(group)

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's overloads say the same
        self, closure: Callable[[], Any] | None = None
    ) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: called first, with gradients on; its answer is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for portion in self._portions(group):
                update = self._update(portion, group)
                for stepper in portion.chain.steppers:
                    stepper(update)
        return loss

    def _portions(self, group: Mapping[str, Any]) -> Iterator[_Portion]:
        """Parameters that can go through a chain together: of one chain, device and dtype."""
        open_ones: dict[tuple[str, torch.device, torch.dtype], _Portion] = {}
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            if grad.layout is not torch.strided:
                raise InputError(
                    f"A parameter of shape {tuple(param.shape)} has a sparse gradient, which "
                    f"`{self.chain.name}` cannot use. Make the embedding with sparse=False, or use "
                    "torch.optim.SparseAdam for it."
                )
            chain = self.chain.of(param, group)
            key = (chain.name, param.device, param.dtype)
            portion = open_ones.get(key)
            if portion is None:
                portion = open_ones[key] = _Portion(chain)
            elif portion.elements + param.numel() > portion.limit and param.is_cpu:
                yield portion
                portion = open_ones[key] = _Portion(chain)
            portion.params.append(param)
            portion.grads.append(grad)
            portion.elements += param.numel()
        yield from open_ones.values()

    def _update(self, portion: _Portion, group: Mapping[str, Any]) -> Update:
        chain, starts = portion.chain, portion.chain.state
        if not starts:
            return Update(portion.params, portion.grads, {}, group)
        remembered: list[dict[str, Tensor]] = []
        for param in portion.params:
            state = self.state[param]
            if not state:
                for name, start in starts.items():
                    state[name] = start(param)
            remembered.append(state)
        try:
            state = {name: [one[name] for one in remembered] for name in starts}
        except KeyError:
            for one in remembered:
                _check_state(chain, one)
            raise ConfigError(
                f"`{self.chain.name}` was asked for a step while the parameters hold the averaged "
                "weights, which are to evaluate with. Call `optimizer.train()` before going on."
            ) from None
        steps: list[float] = []
        if "step" in starts:
            # A tensor times `alpha`: a plain 1 would be made into a tensor for each of them.
            torch._foreach_add_(state["step"], torch.ones(()), alpha=1.0)
            steps = [number.item() for number in state["step"]]
        return Update(portion.params, portion.grads, state, group, steps)

    # --- weights to evaluate with -----------------------------------------------------------------

    def eval(self) -> None:
        """Put the weights to evaluate with into the parameters, where the chain averages some.

        For `schedule_free` these are x, and the training weights are kept in their place. For chains
        without averages nothing happens. The bits of both are kept, so evaluating in the middle
        changes nothing in what follows.
        """
        self._exchange(to_eval=True)

    def train(self) -> None:
        """Put the weights to train with back into the parameters. The counterpart of `eval`."""
        self._exchange(to_eval=False)

    @torch.no_grad()
    def _exchange(self, *, to_eval: bool) -> None:
        # The entry's name says which of the two it holds, so a stored state knows its mode.
        for group in self.param_groups:
            for param in group["params"]:
                name = self.chain.of(param, group).averages
                if name is None:
                    continue
                state = self.state.get(param, {})
                old, new = (name, _aside(name)) if to_eval else (_aside(name), name)
                if old in state:
                    other = state.pop(old)
                    state[new] = param.detach().clone(memory_format=torch.preserve_format)
                    param.copy_(other)

    # --- storing ----------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take over a copy of another's state and settings, to the bit, whatever the dtypes are.

        Args:
            state_dict: what `state_dict` gave.

        Raises: ConfigError: it was written by an optimizer of other steps; nothing is changed then.
        """
        ours = [param for group in self.param_groups for param in group["params"]]
        theirs = [(key, group) for group in state_dict["param_groups"] for key in group["params"]]
        # That there are as many groups and parameters, torch checks below.
        for param, (key, group) in zip(ours, theirs, strict=False):
            state = state_dict["state"].get(key)
            if state:
                _check_state(self.chain.of(param, group), state)
        super().load_state_dict(copy.deepcopy(dict(state_dict)))
        for param, (key, group) in zip(ours, theirs, strict=True):
            chain = self.chain.of(param, group)
            for name, value in state_dict["state"].get(key, {}).items():
                # Torch casts all but `step` to the dtype of the parameter, which would round a sum.
                if chain.state.get(name) in NUMBERS:
                    self.state[param][name] = value.clone()
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"chain": self.chain}

    def __repr__(self) -> str:
        lines = [f"{self.chain.name}: {self.chain}"]
        known = self.chain.settings
        for index, group in enumerate(self.param_groups):
            tensors = group["params"]
            settings = ", ".join(f"{key}={group[key]!r}" for key in known)
            label = f" {group['name']!r}" if "name" in group else ""
            lines.append(
                f"  group {index}{label}: {len(tensors)} tensors, "
                f"{sum(param.numel() for param in tensors):,} parameters, {settings}"
            )
        return "\n".join(lines)


def _check_state(chain: Chain, state: Mapping[str, Any]) -> None:
    """Refuse a parameter's state that is not of this chain; whether it is set to train or to eval."""
    used, aside = chain.averages, _aside(chain.averages or "")
    found = {used if used is not None and name == aside else name for name in state}
    if found != set(chain.state):
        raise ConfigError(
            f"`{chain.name}` remembers {_listed(chain.state)} of each parameter, but the state holds "
            f"{_listed(state)}. Load the state of an optimizer with the same steps."
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _aside(name: str) -> str:
    """The name of the entry that holds the training weights while those called `name` are in use."""
    return f"instead_of_{name}"


# --- ranges ---------------------------------------------------------------------------------------

FROM_ZERO = frozenset({"lr", "eps", "weight_decay", "ns_eps", "trust_coefficient", "warmup_steps"})
SHARES = frozenset({"alpha", "momentum"})
"""Below 1: with nothing forgotten a mean never follows."""
SHARES_TO_ONE = frozenset({"dampening", "slow_step_size"})
COUNTS = frozenset({"sync_period", "ns_steps"})
CHOICES = {
    "adjust_lr_fn": "'original' or 'match_rms_adamw'",
    "ns_dtype": "'bfloat16', 'float32' or 'float64'",
}


def check_settings(settings: Mapping[str, Any], *, where: str) -> None:
    """Refuse hyperparameters out of their range; all of them are told at once.

    Args:
        settings: by name; names that have no range here are passed over.
        where: begins the message.
    Raises: ConfigError: one is out of its range.
    """
    wrong: list[str] = []
    for key, value in settings.items():
        if key in FROM_ZERO and not (value >= 0 and math.isfinite(value)):
            wrong.append(f"`{key}` is {value}, expected a finite number from 0 up")
        elif key in SHARES and not 0 <= value < 1:
            wrong.append(f"`{key}` is {value}, expected from 0 to below 1")
        elif key in SHARES_TO_ONE and not 0 <= value <= 1:
            wrong.append(f"`{key}` is {value}, expected from 0 to 1")
        elif key == "betas" and [0 <= beta < 1 for beta in value] != [True, True]:
            wrong.append(f"`betas` is {value}, expected two numbers from 0 to below 1")
        elif key in COUNTS and not (isinstance(value, int) and value >= 1):
            wrong.append(f"`{key}` is {value}, expected a whole number from 1 up")
        elif key in CHOICES and repr(value) not in CHOICES[key]:
            wrong.append(f"`{key}` is {value!r}, expected {CHOICES[key]}")
    if wrong:
        raise ConfigError(f"In {where}: {'; '.join(wrong)}.")
