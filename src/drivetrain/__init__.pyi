from drivetrain import (
    clean as clean,
    collab as collab,
    eject as eject,
    errors as errors,
    interpret as interpret,
    levers as levers,
    losses as losses,
    metrics as metrics,
    models as models,
    optim as optim,
    pages as pages,
    samples as samples,
    sheets as sheets,
    show as show,
    tabular as tabular,
    testing as testing,
    text as text,
    vision as vision,
)
from drivetrain.data.loaders import (
    BatchLoader as BatchLoader,
    Loaders as Loaders,
    TensorData as TensorData,
)
from drivetrain.data.task import Task as Task
from drivetrain.errors import DrivetrainError as DrivetrainError
from drivetrain.train.callback import (
    Callback as Callback,
    CancelBatch as CancelBatch,
    CancelEpoch as CancelEpoch,
    CancelFit as CancelFit,
)
from drivetrain.train.learner import Learner as Learner
from drivetrain.train.predictions import Predictions as Predictions
from drivetrain.train.run import Run as Run

__version__: str
