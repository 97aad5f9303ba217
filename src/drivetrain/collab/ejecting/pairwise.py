"""What events bring to the script of a model trained on pairs of items (BPR).

An epoch's batches are the events, each with an item that its user had nothing to do with. The library
has a loader for them that begins at any batch; a script draws for the whole epoch and takes it apart.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from drivetrain.collab.data import gather
from drivetrain.collab.ejecting import lists
from drivetrain.collab.ejecting.data import RowWriter, codes
from drivetrain.collab.ejecting.ratings import FORM, MODELS, RatingWriter
from drivetrain.collab.factors import Factors
from drivetrain.collab.implicit.bpr import PairwiseScore, bpr_parts
from drivetrain.collab.implicit.unseen import Unseen, sorted_pairs
from drivetrain.collab.lists import ranked, values_of
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.errors import EjectError
from drivetrain.models.factorization import DotProduct
from drivetrain.randomness import derive, permutation


class EventWriter(RowWriter):
    """Rows of events, and what each user had nothing to do with."""

    said_of_seed = "of the split, and of whose lists are looked at"

    def part(self) -> Written:
        """The class of the rows that train, or of those that validate."""
        return Written(_PART, "data", {"Unseen": Unseen})

    def ending(self, uses: dict[str, Any]) -> list[str]:
        """Statements of `load` that make the two parts."""
        uses |= {"codes": codes, "Unseen": Unseen, "sorted_pairs": sorted_pairs}
        return [
            "users, items = codes(users, parts == TRAIN), codes(items, parts == TRAIN)",
            "num_users, num_items = users.max() + 1, items.max() + 1  # code 0 counts, too",
            "",
            "def part(which: int) -> Part:",
            "    is_of_it = parts == which",
            "    is_seen = is_of_it | (parts == TRAIN)  # what trains is never drawn",
            "    unseen = Unseen(users[is_seen], items[is_seen], num_users, num_items)",
            "    in_order = sorted_pairs(users[is_of_it], items[is_of_it], num_items)",
            "    events = np.stack(np.divmod(in_order, num_items), axis=1).astype(np.int32)",
            "    has_other = (events[:, 0] > 0) & (unseen.counts[events[:, 0]] > 0)",
            "    pairs = np.stack([users[is_of_it], items[is_of_it]], axis=1)",
            "    return Part(pairs, torch.from_numpy(events[has_other]), unseen)",
            "",
            "return part(TRAIN), part(VALID)",
        ]


class PairwiseWriter(RatingWriter):
    """Writes what a script has of events and of the model `bpr`.

    Raises: EjectError: the events came from memory, or something of the run has no plain form.
    """

    what = "events"
    row_writer = EventWriter
    form = dataclasses.replace(FORM, head="triples, targets", call="triples", listed="[triples]")
    valid_batches = "valid_batches(valid)"
    note = (
        "For each event, a user and an item, another item is drawn that the user had nothing to do "
        "with. The loss is -log(sigmoid(d)), d the difference of the user's scores of the two: the "
        "cross-entropy of the question whether the first is preferred, whose answer is yes."
    )
    short_loss = (
        "drivetrain.losses.binary:binary_cross_entropy_with_logits",
        "def binary_cross_entropy_with_logits(logits, targets):\n"
        "    return F.binary_cross_entropy_with_logits(logits, targets)\n",
    )

    def _loaded(self) -> str:
        if self.level != "loop":
            return super()._loaded()
        return "data, parts = load(arguments.data)\nmodel, loaders = parts.model, parts.loaders"

    # --- batches ----------------------------------------------------------------------------------

    def _batches(self) -> None:
        rows = self.rows
        rows.setting(
            "BATCH_SIZE", self.application.settings["batch_size"], rows.reason("batch_size")
        )
        uses: dict[str, Any] = {"derive": derive, "permutation": permutation}
        rows.written.append(Written(_COMPARED, "data", uses))
        kept, _ = self.kept(uses, "len(part.events)")
        drawn = "draw_others(part, epoch)" + ("[kept]" if kept else "")
        text = _BATCHES.format(kept=kept, drawn=drawn)
        rows.written.append(Written(text, "data", uses))
        self.lifter.add_import(Import("collections.abc", "Iterator"))

    def _our_loaders(self) -> None:
        rows = self.rows
        rows.setting(
            "BATCH_SIZE", self.application.settings["batch_size"], rows.reason("batch_size")
        )
        rows.setting("NUM_FACTORS", self.model["num_factors"], rows.reason("num_factors"))
        if self.fraction < 1:
            raise EjectError(
                "A run of events that trained on a share of them, to end in time, is ejected whole. Use "
                "--level all."
            )
        text = _OUR_LOADERS.format(options=self.gather_options(), seed=rows.seed)
        uses = {
            "gather": gather,
            "bpr_parts": bpr_parts,
            "CollabData": "drivetrain.collab.data:CollabData",
            "BprParts": "drivetrain.collab.implicit.bpr:BprParts",
            "Loaders": "drivetrain.data.loaders:Loaders",
        }
        rows.written.append(Written(text, "data", uses))
        self.lifter.add_import(Import("pathlib", "Path"))

    # --- the model --------------------------------------------------------------------------------

    def _model(self) -> None:
        self.write_class(DotProduct, has_range=False)
        name = f"{MODELS}:{DotProduct.__name__}"
        counts = "        self.user_counts = "
        assert counts in self.instead[name], counts
        said = "        # these are of models of ratings, and stay at zero here"
        self.instead[name] = self.instead[name].replace(counts, f"{said}\n{counts}")
        self._make_model()

    def _our_model(self) -> None:
        if self.level != "loop":
            self._make_model()

    def _make_model(self) -> None:
        rows = self.rows
        rows.setting("NUM_FACTORS", self.model["num_factors"], rows.reason("num_factors"))
        uses = {"derive": derive, "PairwiseScore": PairwiseScore}
        rows.written.append(Written(_MAKE_MODEL, "model", uses))
        self.lifter.add_import(Import("torch"))

    def _result(self, measured: str) -> str:
        """The loss, and what lists are worth."""
        known = lists.known_of(self.data, has_bias=True)
        if known is None:
            return measured
        also = "measure(model, train, valid)"
        if self.level == "loop":
            uses = {
                one.__name__: one for one in (PairwiseScore, Factors, ranked, values_of)
            }  # fmt: skip
            self.rows.written.append(Written(_OUR_MEASURE, "lists", uses))
            also = "measure(model, data)"
        else:
            self.lifter.known |= known
            call = lists.call("users, items, bias[:, 0], train.pairs, valid.pairs", self.rows)
            uses = {"measure_lists": lists.measure_lists}
            self.rows.written.append(Written(_MEASURE.format(call=call), "lists", uses))
        return measured.replace("**row}", f"**row, **{also}}}")

    def _title(self) -> str:
        columns = self.data.columns
        return (
            f"Train a matrix factorisation on pairs of items: what a {columns.user} came to shall score "
            "above what not"
        )


_PART = '''
class Part(NamedTuple):
    """The events that train, or those that validate."""

    pairs: np.ndarray  # (N, 2) int32: the codes of user and item; 0 is one that does not train
    events: Tensor  # (M, 2) int32: those that have another item to be compared with, in order
    unseen: Unseen  # what each user had nothing to do with
'''

_COMPARED = '''
def draw_others(part: Part, epoch: int) -> Tensor:
    """(M, 3) int32: each event, and an item that its user had nothing to do with."""
    others = part.unseen.draw(part.events[:, 0].numpy(), seed=derive(SEED, "negatives", epoch))
    return torch.cat([part.events, torch.from_numpy(others)[:, None]], dim=1)
'''

_BATCHES = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Triples and ones (yes, the first item is preferred); each epoch other items in another order."""
{kept}    triples = {drawn}
    for rows in permutation(len(triples), seed=SEED, epoch=epoch).split(BATCH_SIZE):
        yield triples[rows], torch.ones(len(rows))


def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """The same of the validation: always the same items, in order."""
    for triples in draw_others(part, 0).split(BATCH_SIZE):
        yield triples, torch.ones(len(triples))
'''

_MAKE_MODEL = '''
def make_model(train: Part) -> PairwiseScore:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "bpr"))
    num_users, num_items = (train.pairs.max(axis=0) + 1).tolist()  # the highest code trains
    return PairwiseScore(num_users, num_items, NUM_FACTORS)
'''

_MEASURE = '''
def measure(model: PairwiseScore, train: Part, valid: Part) -> dict[str, float]:
    """What lists of the model are worth."""
    state = model.scores.state_dict()
    tables = (state[f"{{name}}.weight"] for name in ("user_factors", "item_factors", "item_bias"))
    users, items, bias = (table.numpy() for table in tables)
    return {call}
'''

_OUR_LOADERS = '''
def load(path: Path) -> tuple[CollabData, BprParts]:
    """The events, split and as codes; model and batches of triples."""
    data = gather(path{options}, seed={seed})
    train, valid = data.pairs("train"), data.pairs("valid")
    options = {{"num_factors": NUM_FACTORS, "batch_size": BATCH_SIZE, "seed": SEED}}
    return data, bpr_parts(train, valid, **options)
'''

_OUR_MEASURE = '''
def measure(model: PairwiseScore, data: CollabData) -> dict[str, float]:
    """What lists of the model are worth."""
    return values_of(ranked(Factors.of(model.scores).scores, data))
'''
