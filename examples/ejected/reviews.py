"""Train an LSTM to tell texts apart: bad, good.

Written by Drivetrain: the steps of the run, and its weights to the last bit (on the same kind of
machine, with the same versions).

    python reviews.py --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pyarrow import csv
from safetensors.torch import save_file
from torch import Tensor, nn

# --- Settings -------------------------------------------------------------------------------------

SEED = 42  # the same seed gives the same bits
CLASSES = ("bad", "good")  # in the order of the scores
TEXT = "review"  # the column of the texts
LABEL = "label"  # the column of what is told of a text
VOCAB_SIZE = 60000  # words at most
MIN_FREQ = 3  # how often a word is met in training texts to have an id
VALID = 0.2  # the same share of every class validates
BATCH_SIZE = 32  # as asked
NEIGHBOURHOOD = 50  # batches' worth of texts that are sorted together
EMBEDDING_DIM = 32  # numbers a word
HIDDEN_DIM = 32  # numbers between two recurrent layers
NUM_LAYERS = 2  # recurrent layers
INPUT_DROPOUT = 0.05  # share of the vectors' features, the same at each time
HIDDEN_DROPOUT = 0.05  # share of the features between layers, the same at each time
HEAD_DROPOUT = 0.2  # share of values that are dropped in training, of the pooled features
HEAD_HIDDEN_DROPOUT = 0.1  # share of values that are dropped in training, in the head
NUM_BATCHES = 20  # of training, an epoch
EPOCHS = 3  # passes over the training items
LR = 0.003  # peak learning rate
WEIGHT_DECAY = 0.01  # how much weights are pulled towards zero at each step; not norms and biases
PCT_START = 0.25  # share of the steps in which the rate rises
DIV = 25.0  # the first rate is the peak divided by this
DIV_FINAL = 1e5  # the last rate is the peak divided by this
MOMS = (0.95, 0.85, 0.95)  # momentum at the start, at the peak of the rate and at the end
NUM_THREADS = 1  # torch threads; another number may round otherwise


# --- Randomness: every draw is a function of the seed and of what it is for -----------------------

WORD = 0xFFFFFFFFFFFFFFFF


def derive(purpose: str, *ids: int | str) -> int:
    """A 63-bit number that depends on all its arguments and on nothing else."""
    text = "\x1f".join((str(SEED), purpose, *map(str, ids)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def mixed(z: int) -> int:
    """A 63-bit number of which every bit depends on every bit of `z`."""
    z &= WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return (z ^ (z >> 31)) >> 1


def set_generators(step: int) -> None:
    """Set torch's global generators (CPU, and CUDA where in use) to the state of a step."""
    torch.default_generator.manual_seed(mixed(derive("step") + step * 0x9E3779B97F4A7C15))


def permutation(n: int, *, epoch: int, purpose: str = "shuffle") -> Tensor:
    """The order of `n` items in an epoch: (n,) int64, each index once."""
    generator = torch.Generator().manual_seed(derive(purpose, epoch))
    return torch.randperm(n, generator=generator)


# --- Tokens: what of a text has an id -------------------------------------------------------------

UNK, PAD, BOS, EOS = "xxunk", "xxpad", "xxbos", "xxeos"
FLD, REP, WREP, UP, MAJ = "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj"
# words without their English endings; the endings; a sign once or more
PIECES = re.compile(
    "[0-9]+(?:[.,:][0-"
    "9]+)+|\\w+?(?=n't\\b)|n't\\b|'(?:s|m|d|re|ve|ll)\\b|\\w+|([^\\w\\s])\\1{2,}|[^\\w\\s]"
)
# Their ids, the same in every vocabulary.
UNK_ID, PAD_ID, BOS_ID, EOS_ID = range(4)
# First in every vocabulary of words, in this order; the ids are 0 to 8.
SPECIAL_WORDS = UNK, PAD, BOS, EOS, FLD, REP, WREP, UP, MAJ


def words_of(text: str) -> list[str]:
    """The words of a plain text: signs apart, capitals marked and written small."""
    found = [BOS]
    for match in PIECES.finditer(text):
        piece = match.group()
        small = piece.lower()
        if match.group(1):
            found += [REP, str(len(piece)), piece[0]]
            continue
        if len(piece) > 1 and piece != small:
            if piece == piece.upper():
                found.append(UP)
            elif piece[1:] == small[1:]:
                found.append(MAJ)
        found.append(small)
    return found


def learn(texts: Sequence[str]) -> Sequence[str]:
    """The vocabulary: marks, then the words that are met most often, of equal ones the first first."""
    counts = Counter(word for text in texts for word in words_of(text))
    common = sorted(counts, key=lambda word: -counts[word])
    met = [word for word in common if counts[word] >= MIN_FREQ and word not in SPECIAL_WORDS]
    return [*SPECIAL_WORDS, *met][:VOCAB_SIZE]


def encode(texts: Sequence[str], words: Sequence[str]) -> TokenArray:
    """The ids of each text; of words that the vocabulary does not hold, that of xxunk."""
    index = {word: number for number, word in enumerate(words)}
    ids = [[index.get(word, UNK_ID) for word in words_of(text)] for text in texts]
    lengths = np.array([len(one) for one in ids])
    return TokenArray(np.concatenate(ids).astype(np.int32), offsets_of(lengths))


# --- Data -----------------------------------------------------------------------------------------


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(D + 1,) int64: where documents of these lengths start and end, one after another."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


@dataclass(frozen=True, eq=False)
class TokenArray:
    """Documents as token ids in one flat array."""

    ids: np.ndarray  # (N,) uint16 or int32; may be mapped from a file, and is then read-only
    offsets: np.ndarray  # (D + 1,) int64: document d is `ids[offsets[d]:offsets[d + 1]]`

    def lengths(self) -> np.ndarray:
        """(D,) int64, ids of each document."""
        return np.diff(self.offsets)

    def take(self, documents: np.ndarray | Sequence[int]) -> TokenArray:
        """These documents, in this order, copied; one may be asked for twice."""
        chosen = np.asarray(documents, dtype=np.int64)
        starts = self.offsets[chosen]
        lengths = self.offsets[chosen + 1] - starts
        offsets = offsets_of(lengths)
        # Place i of the answer lies as far behind its document's start as it does there.
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return TokenArray(np.asarray(self.ids[places]), offsets)


def choose_of_each_class(labels: Sequence[str]) -> list[int]:
    """The items that validate: a share of every class, at least one where it has two or more."""
    members_of = {}
    for i, label in enumerate(labels):
        members_of.setdefault(label, []).append(i)
    chosen = []
    for name, members in sorted(members_of.items()):
        if len(members) < 2:
            continue
        count = min(max(round(VALID * len(members)), 1), len(members) - 1)
        order = permutation(len(members), epoch=0, purpose=f"split {name}")
        chosen += [members[i] for i in order[:count].tolist()]
    return sorted(chosen)


def padded(tokens: TokenArray) -> tuple[Tensor, Tensor]:
    """All documents as one rectangle: (B, T) int64 padded at the end, and lengths (B,) int64."""
    lengths = tokens.lengths()
    width = int(lengths.max(initial=1))
    found = np.full((len(lengths), width), 1, dtype=np.int64)
    found[np.arange(width) < lengths[:, None]] = tokens.ids  # row by row, as the documents stand
    return torch.from_numpy(found), torch.from_numpy(lengths)


def read(path: Path) -> tuple[list[str], list[str]]:
    """Texts and what is told of them, in the order of the table."""
    types = dict.fromkeys([TEXT, LABEL], pa.string())
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(include_columns=list(types), column_types=types),
    )
    rows = table.to_pylist()
    texts = [row[TEXT] for row in rows]
    return texts, [row[LABEL] for row in rows]


class Part(NamedTuple):
    """The texts that train, or those that validate."""

    tokens: TokenArray
    targets: Tensor  # (N,) int64: which of CLASSES each is of


def load(path: Path) -> tuple[Part, Part, Sequence[str]]:
    """Read and split the texts, and learn the vocabulary from those that train."""
    texts, labels = read(path)
    valid = choose_of_each_class(labels)
    train = sorted(set(range(len(texts))) - set(valid))
    words = learn([texts[i] for i in train])

    def part(rows: list[int]) -> Part:
        tokens = encode([texts[i] for i in rows], words)
        targets = torch.tensor([CLASSES.index(labels[i]) for i in rows])
        return Part(tokens, targets)

    return part(train), part(valid), words


def batch(part: Part, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Texts side by side, padded at the end (B, T), their lengths (B,), and targets."""
    tokens, lengths = padded(part.tokens.take(rows.numpy()))
    return tokens, lengths, part.targets[rows]


def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Texts of about one length together, so that little is padded; drawn anew each epoch."""
    lengths = part.tokens.lengths()
    order = permutation(len(lengths), epoch=epoch).numpy()
    near = np.arange(len(order)) // (BATCH_SIZE * NEIGHBOURHOOD)
    order = torch.from_numpy(order[np.lexsort((-lengths[order], near))])
    chunks = list(order.split(BATCH_SIZE))
    mixed = permutation(len(chunks) - 1, epoch=epoch, purpose="batches")
    chunks = [chunks[place] for place in mixed.tolist()] + chunks[-1:]  # not full: stays last
    # the longest comes first, so that memory that does not suffice is noticed at once
    longest = max(range(len(chunks) - 1), key=lambda k: lengths[chunks[k].numpy()].max())
    chunks.insert(0, chunks.pop(longest))
    for rows in chunks:
        yield batch(part, rows)


def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The longest texts first."""
    order = torch.from_numpy(np.argsort(-part.tokens.lengths(), kind="stable"))
    for rows in order.split(2 * BATCH_SIZE):
        yield batch(part, rows)


# --- Model ----------------------------------------------------------------------------------------


def dropping_mask(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """0 where something is dropped and 1 / (1 - p) elsewhere; of the dtype and device of a tensor."""
    kept = torch.rand(tuple(shape)).ge_(p)  # float32: half would round p
    return kept.div_(1 - p).to(like.dtype)


class VariationalDropout(nn.Module):
    """Drops features of a sequence: what is dropped at one time is dropped at all times."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * dropping_mask((x.shape[0], 1, x.shape[2]), self.p, x)


class WeightDrop(nn.Module):
    """A recurrent layer some of whose weights are dropped, the same ones at every time step."""

    def __init__(self, module: nn.RNNBase) -> None:
        super().__init__()
        self.module = module
        self.p = 0.0

    def forward(
        self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        return self.module(x, state)


class RecurrentEncoder(nn.Module):
    """Tokens to one vector at each position, made of all tokens up to there."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.num_features = EMBEDDING_DIM
        self.embedding = nn.Embedding(vocab_size, EMBEDDING_DIM)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.input_dropout = VariationalDropout(INPUT_DROPOUT)
        self.hidden_dropout = VariationalDropout(HIDDEN_DROPOUT)
        self.layers = nn.ModuleList()
        width = EMBEDDING_DIM
        for number in range(1, NUM_LAYERS + 1):
            out = HIDDEN_DIM if number < NUM_LAYERS else EMBEDDING_DIM
            layer = nn.LSTM(width, out, batch_first=True)
            self.layers.append(WeightDrop(layer))
            width = out

    def read_on(self, tokens: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Read tokens from a state on: features (B, T, E) and the state after them."""
        x = self.embedding(tokens)
        x = self.input_dropout(x)  # (B, T, E)
        after = []
        for number, layer in enumerate(self.layers):
            if number:
                x = self.hidden_dropout(x)
            x, new = layer(x)
            after += new
        return x, after


class DocumentHead(nn.Module):
    """Pooled features to scores: batchnorm, dropout, dense; ReLU and again, for each hidden width."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        layers = []
        width = num_features
        share = HEAD_DROPOUT
        for out in (50, 2):
            if layers:
                layers.append(nn.ReLU())
            # the next batchnorm shifts, and the last layer prefers no class at the start
            layers += [nn.BatchNorm1d(width), nn.Dropout(share), nn.Linear(width, out, bias=False)]
            width = out
            share = HEAD_HIDDEN_DROPOUT
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class DocumentClassifier(nn.Module):
    """Documents to scores: the encoder reads them whole, and the head sees a summary."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.features(tokens, lengths))

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the head sees: features at the last token, largest, mean. (B, 3E)"""
        lengths = lengths.clamp(min=1)
        encoder = self.encoder
        outputs, _ = encoder.read_on(tokens, [])  # (B, T, E)
        places = torch.arange(outputs.shape[1])
        is_padding = (places >= lengths.unsqueeze(1)).unsqueeze(2)  # (B, T, 1)
        last = outputs[torch.arange(len(outputs)), lengths - 1]
        largest = outputs.masked_fill(is_padding, -torch.inf).amax(dim=1)
        mean = outputs.masked_fill(is_padding, 0).sum(dim=1) / lengths.unsqueeze(1)
        return torch.cat([last, largest, mean], dim=1)


def make_model(words: Sequence[str]) -> DocumentClassifier:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive("init", "document"))
    encoder = RecurrentEncoder(len(words))
    head = DocumentHead(3 * encoder.num_features)
    return DocumentClassifier(encoder, head)


# --- Optimizer and schedule -----------------------------------------------------------------------


def half_cosine(progress: float, start: float, end: float) -> float:
    # Two weights that sum to 1, because this form gives `start` and `end` themselves at the ends;
    # start + weight * (end - start) would miss them by a rounding.
    weight = (1 - math.cos(math.pi * progress)) / 2
    return start * (1 - weight) + end * weight


def two_cosines(progress: float, pct_start: float, start: float, middle: float, end: float):
    if progress < pct_start:
        return half_cosine(progress / pct_start, start, middle)
    return half_cosine((progress - pct_start) / (1 - pct_start), middle, end)


def one_cycle(progress: float) -> float:
    """The 1cycle policy for the learning rate, as a factor on the highest rate."""
    return two_cosines(progress, PCT_START, 1 / DIV, 1.0, 1 / DIV_FINAL)


def one_cycle_momentum(progress: float) -> float:
    """The 1cycle policy for momentum: low while the rate is high, and the other way round."""
    return two_cosines(progress, PCT_START, *MOMS)


def split_by_decay(layers) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What is trained of some layers: weights that are decayed; norms and biases, which are not."""
    decayed, kept = [], []
    for layer in layers:
        for module in layer.modules():
            for name, param in module.named_parameters(recurse=False):
                is_kept = "bias" in name or isinstance(module, nn.BatchNorm1d)
                (kept if is_kept else decayed).append(param)
    return decayed, kept


# --- Training -------------------------------------------------------------------------------------


def weighted_mean(values: Sequence[Tensor], counts: Sequence[int]) -> float:
    """Mean of per-batch means, in float64: each batch weighs as many terms as its mean is over."""
    stacked = torch.stack([value.detach() for value in values]).to(torch.float64)
    weights = torch.tensor(counts, dtype=torch.float64)
    return float((stacked * weights).sum() / weights.sum())


def evaluate(model: nn.Module, valid: Part) -> dict[str, float]:
    """Mean loss and metrics over the validation items."""
    model.eval()
    losses, counts = [], []
    num_right = 0
    with torch.inference_mode():
        for tokens, lengths, targets in valid_batches(valid):
            preds = model(tokens, lengths)
            losses.append(F.cross_entropy(preds, targets))
            counts.append(len(targets))
            num_right += int((preds.argmax(dim=1) == targets).sum())
    return {
        "valid_loss": weighted_mean(losses, counts),
        "accuracy": num_right / sum(counts),
        "error_rate": (sum(counts) - num_right) / sum(counts),
    }


def fit(model: nn.Module, train: Part, valid: Part) -> None:
    """Train under the 1cycle policy (`fit_one_cycle`)."""
    decayed, kept = split_by_decay([model])
    groups = [
        {"params": decayed, "lr": LR, "weight_decay": WEIGHT_DECAY},
        {"params": kept, "lr": LR, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=0.001, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=True
    )
    step = 0
    for epoch in range(EPOCHS):
        model.train()
        losses, counts = [], []
        for tokens, lengths, targets in train_batches(train, epoch):
            set_generators(step)  # what dropout draws from
            progress = step / (EPOCHS * NUM_BATCHES)
            for group in optimizer.param_groups:
                group["lr"] = LR * one_cycle(progress)
                group["betas"] = one_cycle_momentum(progress), *group["betas"][1:]
            preds = model(tokens, lengths)
            loss = F.cross_entropy(preds, targets)
            losses.append(loss.detach())
            counts.append(len(targets))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        row = {"epoch": epoch, "train_loss": weighted_mean(losses, counts)} | evaluate(model, valid)
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


# --- The run --------------------------------------------------------------------------------------


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors in sorted name order: name, dtype, shape, little-endian bytes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """Load, train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the table, a CSV file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained weights")
    arguments = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    train, valid, words = load(arguments.data)
    model = make_model(words)
    fit(model, train, valid)
    row = evaluate(model, valid)
    metrics = {"loss": row.pop("valid_loss"), **row}
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(weights, arguments.out / "model.safetensors")
    print(json.dumps({"weights_sha256": weights_sha256(weights), "metrics": metrics}))


if __name__ == "__main__":
    main()
