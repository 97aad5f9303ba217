"""The model of a script that predicts: its parts loaded, and asked."""

from __future__ import annotations

import textwrap
from collections.abc import Collection

from drivetrain.eject.parts import Written
from drivetrain.models.tabular import TabularNet
from drivetrain.tabular.estimators import (
    AverageEstimator,
    Estimator,
    LinearEstimator,
    NetEstimator,
    TreeEstimator,
    softmax,
)
from drivetrain.tabular.preprocess import Preprocess
from drivetrain.tabular.target import Target
from drivetrain.trees.ensemble import TreeEnsemble


def leaves_of(estimator: Estimator) -> list[Estimator]:
    """The models that an average is of, or the one."""
    if isinstance(estimator, AverageEstimator):
        return [leaf for member in estimator.members for leaf in leaves_of(member)]
    return [estimator]


def kinds_of(estimator: Estimator) -> set[str]:
    """Which kinds of models have to be asked: `trees`, `net`, `linear`."""
    return {leaf.kind for leaf in leaves_of(estimator)}


def model_written(
    estimator: Estimator, known: Preprocess, target: Target, *, has_spread: bool
) -> list[Written]:
    """The functions `load_model` and `ask`, and `spread_of` where intervals are as wide as voices differ.

    Args:
        estimator: of the bundle.
        known: what was learnt of the columns.
        target: that is predicted.
        has_spread: whether `spread_of` is asked for.
    """
    kinds = kinds_of(estimator)
    found = []
    if "trees" in kinds:
        found.append(Written(_LOAD_TREES, "model", {"TreeEnsemble": TreeEnsemble}))
    if "net" in kinds:
        found.append(Written(_LOAD_NET, "model", {"TabularNet": TabularNet}))
        both = [*(["codes"] if known.categories else [])]
        both += ["numbers"] if known.num_net_numbers else []
        batch = {name: f"{name}[start : start + NET_BATCH]" for name in both}
        text = _ASK_NET.format(
            unpacked=", ".join(both) + ("," if len(both) == 1 else ""),
            codes=batch.get("codes", "torch.zeros(0, 0, dtype=torch.int64)"),
            numbers=batch.get("numbers", "torch.zeros(0, 0)"),
            first=both[0],
            answers="scores.softmax(dim=1)" if target.kind == "class" else "scores",
        )
        found.append(Written(text, "model"))
    if "linear" in kinds:
        is_class = target.kind == "class"
        ending = "softmax(scores)" if is_class else "scores"
        if not is_class and target.num_outputs == 1:
            ending = "scores[:, 0]"
        text = _ASK_LINEAR.format(ending=ending)
        found.append(Written(text, "model", {"softmax": softmax} if is_class else {}))
    loads: dict[str, str] = {}
    _loads(estimator, "", 'DESCRIPTION["architecture"]["record"]', loads)
    listed = "\n".join(f"        {key!r}: {text}," for key, text in loads.items())
    found.append(Written(_LOAD_MODEL.format(parts=listed), "model"))
    lines = _inputs(kinds)
    lines.append(f"return {_asked(estimator, '')}")
    found.append(Written(_ASK.format(body=textwrap.indent("\n".join(lines), "    ")), "model"))
    if has_spread:
        found.append(Written(_spread(estimator), "model"))
    return found


def _loads(one: Estimator, prefix: str, record: str, into: dict[str, str]) -> None:
    """Expressions that load the parts of an estimator, by their names in the model."""
    name = prefix.rstrip(".") or "model"
    if isinstance(one, AverageEstimator):
        into[f"{prefix}weights"] = f'tensors["{prefix}weights"].tolist()'
        for place, member in enumerate(one.members):
            inner = f'{record}["members"][{place}]["record"]'
            _loads(member, f"{prefix}member{place}.", inner, into)
    elif isinstance(one, TreeEstimator):
        into[name] = f'load_trees(tensors, "{prefix}", {record})'
    elif isinstance(one, NetEstimator):
        into[name] = f'load_net(tensors, "{prefix}", {record}["net"])'
    else:
        into[name] = f'(tensors["{prefix}weights"], tensors["{prefix}bias"])'


def _asked(one: Estimator, prefix: str) -> str:
    """What an estimator answers, an expression."""
    name = prefix.rstrip(".") or "model"
    if isinstance(one, AverageEstimator):
        parts = [
            f'model["{prefix}weights"][{place}] * {_asked(member, f"{prefix}member{place}.")}'
            for place, member in enumerate(one.members)
        ]
        return f"({' + '.join(parts)})"
    if isinstance(one, TreeEstimator):
        return f'model["{name}"].predict(design)'
    if isinstance(one, NetEstimator):
        return f'ask_net(model["{name}"], inputs)'
    assert isinstance(one, LinearEstimator), "there are four kinds"
    return f'ask_linear(linear, *model["{name}"])'


def _inputs(kinds: Collection[str]) -> list[str]:
    """Statements that make what each kind of model sees."""
    made = {
        "trees": "design = design_of(columns)",
        "linear": "linear = linear_of(columns)",
        "net": "inputs = net_inputs_of(columns)",
    }
    return [line for kind, line in made.items() if kind in kinds]


def _spread(estimator: Estimator) -> str:
    if isinstance(estimator, TreeEstimator):
        return _SPREAD_OF_TREES
    assert isinstance(estimator, AverageEstimator), "others have one voice"
    asked = [_asked(m, f"member{place}.") for place, m in enumerate(estimator.members)]
    return _SPREAD_OF_AVERAGE.format(
        inputs=textwrap.indent("\n".join(_inputs(kinds_of(estimator))), "    "),
        asked=", ".join(asked),
    )


_LOAD_TREES = '''
def load_trees(tensors: dict[str, np.ndarray], prefix: str, record: dict[str, Any]) -> TreeEnsemble:
    """Trees from their arrays."""
    own = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
    return TreeEnsemble(**{one.name: (own | record)[one.name] for one in fields(TreeEnsemble)})
'''

_LOAD_NET = '''
def load_net(tensors: dict[str, np.ndarray], prefix: str, record: dict[str, Any]) -> TabularNet:
    """The net with its weights."""
    net = TabularNet(**record)
    net.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(values)
            for name, values in tensors.items()
            if name.startswith(prefix)
        }
    )
    return net.eval()
'''

_ASK_NET = '''
def ask_net(net: TabularNet, inputs: tuple[Tensor, ...]) -> np.ndarray:
    """What the net answers, float64."""
    {unpacked} = inputs
    with torch.inference_mode():
        parts = [
            net({codes}, {numbers}).to(torch.float64)
            for start in range(0, len({first}), NET_BATCH)
        ]
    scores = torch.cat(parts)
    return ({answers}).numpy()
'''

_ASK_LINEAR = '''
def ask_linear(linear: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """What the linear model answers."""
    scores = linear @ weights + bias
    return {ending}
'''

_LOAD_MODEL = '''
def load_model() -> dict[str, Any]:
    """The trained model."""
    tensors = load_file(HERE / "model.safetensors")
    return {{
{parts}
    }}
'''

_ASK = '''
def ask(columns: dict[str, Any], model: dict[str, Any]) -> np.ndarray:
    """What the model says of rows: numbers, or the probability of each class."""
{body}
'''

_SPREAD_OF_TREES = '''
def spread_of(columns: dict[str, Any], model: dict[str, Any]) -> np.ndarray:
    """How far the trees differ, (N,)."""
    return model["model"].spread(design_of(columns))[:, 0]
'''

_SPREAD_OF_AVERAGE = '''
def spread_of(columns: dict[str, Any], model: dict[str, Any]) -> np.ndarray:
    """How far the models differ that the average is of, (N,)."""
{inputs}
    answers, weights = np.stack([{asked}]), np.array(model["weights"])
    mean = np.tensordot(weights, answers, axes=1)
    return np.sqrt(np.tensordot(weights, (answers - mean) ** 2, axes=1))
'''
