"""Modules that have shapes and no numbers: what a description stands for, before memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


@contextmanager
def shapes_only() -> Iterator[None]:
    """Tensors and modules made in this block are on torch's device `meta`: they have no numbers.

        >>> with shapes_only():
        ...     layer = nn.Embedding(10**9, 10**6)
        >>> tuple(layer.weight.shape)
        (1000000000, 1000000)

    A normal distribution is not drawn from either: torch 2 does that on `meta` by the Python code of its
    compiler (`torch._dynamo`), and to import that takes longer than to open a small model.
    """
    with torch.device("meta"), _Undrawn():
        yield


_NORMAL = (torch.Tensor.normal_, nn.init.normal_)


class _Undrawn(TorchFunctionMode):
    """Leaves a tensor as it is where a normal distribution would be drawn into it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _NORMAL:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)
