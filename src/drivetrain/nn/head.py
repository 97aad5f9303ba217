"""The part of a picture model that is new for each problem: from feature maps to class scores.

This is the head that fastai made the field's usual one for fine-tuning: two poolings, and one
hidden layer between two batch norms and two dropouts. The hidden layer needs no bias, since the
norms have shifts of their own; the last layer has none either, and prefers no class at the start.
"""

from __future__ import annotations

from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.nn.init import kaiming_init_
from drivetrain.nn.pooling import ConcatPool2d


class PictureHead(nn.Module):
    """Feature maps to one score a class.

    Shapes: (B, F, H, W) -> (B, num_classes), unnormalised scores (logits). In training B must
    be 2 or more: a batch norm cannot take the variance of one item.

    Args:
        num_features: F, channels of the body's feature maps.
        num_classes: scores a picture gets.
        hidden: width of the hidden layer.
        dropout: share of the hidden layer's values dropped in training, in [0, 1); before the
            hidden layer half of it is dropped.

    Raises: ConfigError: a number is out of range.
    """

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 512, dropout: float = 0.5
    ) -> None:
        super().__init__()
        for name, value in (
            ("num_features", num_features),
            ("num_classes", num_classes),
            ("hidden", hidden),
        ):
            if value < 1:
                raise ConfigError(f"`PictureHead` got {name} {value}, expected 1 or more.")
        if not 0 <= dropout < 1:
            raise ConfigError(f"`PictureHead` got dropout {dropout}, expected 0 to below 1.")
        self.pool = ConcatPool2d()
        self.norm = nn.BatchNorm1d(2 * num_features)
        self.dropout = nn.Dropout(dropout / 2)
        self.hidden = nn.Linear(2 * num_features, hidden, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.hidden_norm = nn.BatchNorm1d(hidden)
        self.hidden_dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(hidden, num_classes, bias=False)
        kaiming_init_(self)

    def forward(self, features: Tensor) -> Tensor:
        """Scores, not probabilities: the loss has the softmax.

        Args:
            features: (B, C, H, W), the body's maps.
        """
        x = self.pool(features)  # (B, 2F)
        x = self.dropout(self.norm(x))
        x = self.hidden_norm(self.act(self.hidden(x)))  # (B, hidden)
        return self.scores(self.hidden_dropout(x))  # (B, num_classes)
