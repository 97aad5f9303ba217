"""Maps of a run of a table: its rows as its net sees them, or the categories of a column."""

from __future__ import annotations

from drivetrain import store
from drivetrain.errors import ConfigError, RunError
from drivetrain.interpret.head_inputs import head_inputs
from drivetrain.interpret.map_items import PARTS, MapItems, joined
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.mapping import categories, mapped, net_of
from drivetrain.tabular.models import load
from drivetrain.tabular.reporting import predictions, shown
from drivetrain.tabular.streaming.first import Report
from drivetrain.train.run import Run, check_form, said_as_damage


def map_items(
    folder: store.StrPath,
    *,
    layer: str | None = None,
    column: str | None = None,
    items: str = "valid",
    report: Report | None = None,
) -> MapItems:
    """The rows of a part by what the net's last layer is given; or the embeddings of a column.

    Args:
        folder: of a run.
        layer: whose output is taken instead.
        column: a column of categories; each of them is a point, at its embedding.
        items: `valid`, `train` or `all` of the rows; of categories there are no others.
        report: is told how far reading the table is.

    Raises: as `vision.mapping.map_items`. ConfigError: the run's model is no net. UnknownNameError: no
        such column of categories.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"data": dict, "fingerprint": str}, path)
    model = load(folder)
    net = net_of(model)
    if net is None:
        raise ConfigError(
            f"{folder} is a model of the kind '{model.name}', which has no vectors of rows. Train a net: "
            "drivetrain train … --model net"
        )
    with said_as_damage(path):
        data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or train "
            "anew."
        )
    if column is not None:
        return categories(net, data, column)
    with head_inputs(net.net, layer) as caught:
        found = joined([predictions(model, data, part) for part in PARTS[items]])
    rows = []
    for part in PARTS[items]:
        frame, _ = data.part(part)
        rows += shown(frame, [""] * len(frame))
    trained = 0 if items == "valid" else len(data.rows["train"])
    return mapped(caught, found, rows, data.target.name, of=items, trained=trained)
