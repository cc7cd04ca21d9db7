"""MuWNetConfig: the network and its training as data, each value's reason beside it.

A profile (pipeline/profiles.py) names one; it travels to the Trainer as `dataclasses.asdict`, so
that ML Metadata records it and an edit trains again.
"""

import dataclasses
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class Stage:
    """A run of equal blocks at one resolution."""

    block: Literal["convolution", "separable", "residual"]
    filters: int
    repeats: int = 1
    stride: int = 2  # 2 halves the resolution on entry


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges of what is done to each training image at random."""

    flip: bool = True  # a mirrored face shows the same emotion
    shift: float = 0.2  # of the image's side, each axis
    zoom: float = 0.15  # scale in 1 +- zoom, each axis
    rotation: float = 15.0  # degrees, either way
    light: float = 0.0  # contrast in 1 +- light, brightness within +- light / 2 of white
    erasing: float = 0.0  # share of the images of which a rectangle is covered
    # Alpha of the Beta distribution by which two images are mixed; of no profile since run 8.
    mixup: float = 0.0


@dataclasses.dataclass(frozen=True)
class Phase:
    """Epochs trained in one go; `learning_rate` None goes on with the one reached."""

    epochs: int
    learning_rate: float | None = None
    # Side in pixels to which faces are scaled meanwhile, None for the network's own: smaller ones
    # buy epochs, since what a network does before its pooling fits any size.
    input_size: int | None = None


_KNOWN_NAMES = {"optimizer": ("adam", "sgd"), "schedule": ("constant", "plateau", "cosine")}


@dataclasses.dataclass(frozen=True)
class MuWNetConfig:
    """Architecture, augmentation, optimisation."""

    stages: tuple[Stage, ...]
    input_size: int  # side in pixels to which the 48x48 face is scaled, 48 to 150
    fully_connected: int  # units of the one fully connected layer
    dropout: float  # before the softmax
    batch_size: int
    optimizer: str  # adam, or sgd: with Nesterov momentum 0.9
    learning_rate: float  # the highest of the schedule
    schedule: str  # constant, plateau (reduced on PublicTest's) or cosine
    phases: tuple[Phase, ...]
    augmentation: Augmentation = Augmentation()
    weight_decay: float = 0.0  # decoupled: a step shrinks a kernel by learning rate times this
    label_smoothing: float = 0.0  # of no profile since run 3 (docs/accuracy.md)
    warmup_epochs: float = 0.0  # linear, before the cosine
    averaging: float = 0.0  # momentum of the weights' moving average, which is judged and exported
    precise_batch_norm: bool = False  # statistics of faces as they are, taken after the training
    distillation: float = 0.0  # share of teachers' probabilities in what is learnt
    train_on_public_test: bool = False  # makes the validation on PublicTest worthless
    # Images of one grey level show no face; FER2013 labels its twelve with five emotions. Left out
    # of the training alone: they stay in what the model is judged by.
    leave_out_constant_images: bool = True
    seed: int = 1

    def __post_init__(self):
        """Raises ValueError for unknown names, no phases, a last one of another size, and phases
        with a learning rate beside a cosine, which is one curve over all of them.
        """
        for field, known in _KNOWN_NAMES.items():
            if (value := getattr(self, field)) not in known:
                raise ValueError(f"expected {field} of {', '.join(known)}, got {value!r}")
        if not self.phases:
            raise ValueError("expected phases, got none")
        if (size := self.phases[-1].input_size) is not None:
            raise ValueError(f"expected a last phase at the network's own size, got {size}")
        rates = [phase.learning_rate for phase in self.phases if phase.learning_rate is not None]
        if rates and self.schedule == "cosine":
            raise ValueError(f"expected phases without learning rates, got {rates}")

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def first_judged_epoch(self) -> int:
        """The first epoch, from 0, of which the best is chosen: accuracies on smaller faces say
        little of the network at its own size.
        """
        small = [i for i, phase in enumerate(self.phases, 1) if phase.input_size]
        return sum(phase.epochs for phase in self.phases[: small[-1] if small else 0])

    @property
    def epoch_costs(self) -> list[float]:
        """The work of each epoch, as a share of one on faces of the network's own size."""
        return [
            ((phase.input_size or self.input_size) / self.input_size) ** 2
            for phase in self.phases
            for _ in range(phase.epochs)
        ]


def name_validation(contaminated: bool) -> str:
    """Returns what logs and plots call the split that is validated on.

    Args:
      contaminated: trained on too, by the network itself or by one that it learns from.
    """
    return "PublicTest (trained on)" if contaminated else "PublicTest"


def from_dict(values: dict[str, Any]) -> MuWNetConfig:
    """Returns the config of which `dataclasses.asdict` (through JSON or not) gave `values`."""
    return MuWNetConfig(
        **{
            **values,
            "stages": tuple(Stage(**stage) for stage in values["stages"]),
            "phases": tuple(Phase(**phase) for phase in values["phases"]),
            "augmentation": Augmentation(**values["augmentation"]),
        }
    )


# The paper's configuration: 150x150 input, FC 512, dropout 0.2, Adam 1e-3, batch 32. Its figure of
# the layers is lost; docs/muwnet.md says which of them its text gives. 3.1 M parameters, some 40
# minutes an epoch on two CPU cores.
_PAPER = MuWNetConfig(
    stages=(
        Stage("convolution", 32, repeats=2, stride=1),  # 150
        Stage("convolution", 64, repeats=2),  # 75
        Stage("convolution", 128, repeats=2),  # 38
        Stage("separable", 128, repeats=2),  # 19
        Stage("separable", 192, repeats=2, stride=1),
        Stage("separable", 256, repeats=2, stride=1),
        Stage("residual", 160),  # 10
        Stage("residual", 192),  # 5
        Stage("residual", 272),  # 3; the width that makes 3.1 M parameters
    ),
    input_size=150,
    fully_connected=512,
    dropout=0.2,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="plateau",
    phases=(Phase(150), Phase(50), Phase(50)),
)

# Experiment 1: train on Training, reduce the rate on PublicTest's plateaus. Paper: 70.58 %.
PAPER_1 = _PAPER

# Experiment 2: Training and PublicTest merged, the rate lowered once by hand. Paper: 70.72 %.
PAPER_2 = dataclasses.replace(
    _PAPER,
    schedule="constant",
    phases=(Phase(150), Phase(50, learning_rate=1e-4), Phase(50)),
    train_on_public_test=True,
)

# For two CPU cores at FER2013's native size: at most 2.5 hours (docs/accuracy.md). Without the
# paper's separable blocks: depthwise convolutions take several times their arithmetic's share.
CPU = MuWNetConfig(
    stages=(
        # Half the arithmetic of `cpu-long`: on two cores an epoch more is worth more than a filter.
        Stage("convolution", 32, stride=1),  # 48: few filters, full resolution is dear
        Stage("residual", 48),  # 24
        Stage("residual", 96, repeats=2),  # 12: deeper where faces show eyes and mouth as a whole
        Stage("residual", 192),  # 6
    ),
    input_size=48,  # scaling up adds arithmetic, not information
    fully_connected=192,  # as wide as what it reads
    dropout=0.4,
    batch_size=128,  # large enough to keep two cores busy
    optimizer="sgd",  # with the values below: the usual recipe of small residual networks
    learning_rate=0.1,
    schedule="cosine",
    # An epoch of smaller faces takes less than half the time, but many of them cost accuracy
    # (docs/accuracy.md, run 4): a few while the learning rate is high.
    phases=(Phase(8, input_size=32), Phase(34)),
    # Milder than the paper's, and no images mixed: so few epochs do not learn faces by heart.
    # FER2013's faces are registered, and the served ones cut out by a detector.
    augmentation=Augmentation(shift=0.08, zoom=0.12, rotation=12.0, light=0.2, erasing=0.25),
    weight_decay=5e-3,  # 5e-4 as a momentum SGD's L2 term: momentum 0.9 multiplies that by 10
    # None of label smoothing: with it no temperature made probabilities honest (docs/accuracy.md,
    # run 3), and its students learn less (Mueller et al. 2019, arXiv:1906.02629).
    warmup_epochs=2.0,  # 0.1 from the first step diverges at times
    averaging=0.998,  # over some two epochs
    precise_batch_norm=True,  # nearly a point on PublicTest (docs/accuracy.md, run 6)
    distillation=0.5,
)

# The same recipe for twice the arithmetic, taught by the weights before it (docs/accuracy.md).
CPU_LONG = dataclasses.replace(
    CPU,
    stages=(
        Stage("convolution", 32, stride=1),  # 48
        Stage("residual", 64),  # 24
        Stage("residual", 128, repeats=2),  # 12
        Stage("residual", 192, repeats=2),  # 6
    ),
)

# For a client's own processor: at most 75,000 parameters and a millisecond a face on one core.
LITE = dataclasses.replace(
    CPU,
    stages=(
        # Few operations, since each costs time of its own with a single face, and few filters where
        # the resolution is high. Separable ones would save parameters, but take more operations; so
        # do shortcuts, without which so few layers learn as well (docs/accuracy.md, run 10).
        Stage("convolution", 16, stride=1),  # 48
        Stage("convolution", 24, repeats=2),  # 24
        Stage("convolution", 40, repeats=2),  # 12
        Stage("convolution", 48, repeats=2),  # 6
    ),
    fully_connected=48,
    dropout=0.1,  # this and the milder augmentation: too few parameters to learn faces by heart
    phases=(Phase(70),),
    augmentation=Augmentation(shift=0.08, zoom=0.1, rotation=10.0, light=0.2, erasing=0.1),
    weight_decay=1e-3,
    distillation=0.7,
)

# Shows that the road is sound, on the drawn sample in about a minute: each kind of block once, as
# few filters and epochs as pass 85 % with a margin.
SMOKE = MuWNetConfig(
    stages=(
        Stage("convolution", 16, stride=1),
        Stage("residual", 24),
        Stage("residual", 48),
        Stage("separable", 96),
    ),
    input_size=48,
    fully_connected=64,
    dropout=0.2,
    batch_size=64,
    optimizer="adam",  # gets there in fewer epochs than momentum without a tuned rate
    learning_rate=3e-3,
    schedule="cosine",
    phases=(Phase(12),),
    augmentation=Augmentation(shift=0.08, zoom=0.1, rotation=10.0),
    warmup_epochs=1.0,
)
