"""MuWNetConfig: it survives the trip through TFX's JSON, and refuses what it does not know."""

import dataclasses
import json

import pytest

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.pipeline import profiles

CONFIGS = {name: profile.muwnet for name, profile in profiles.PROFILES.items()}


def to_json_values(config: muwnet_config.MuWNetConfig) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(config)))


@pytest.mark.parametrize("name", CONFIGS)
def test_json_round_trip_gives_the_equal_config(name):
    assert muwnet_config.from_dict(to_json_values(CONFIGS[name])) == CONFIGS[name]


def test_asdict_gives_the_equal_config_without_json():
    values = dataclasses.asdict(muwnet_config.PAPER_2)
    assert muwnet_config.from_dict(values) == muwnet_config.PAPER_2


def test_from_dict_takes_values_over_instead_of_defaults():
    changed = dataclasses.replace(
        muwnet_config.SMOKE,
        stages=(muwnet_config.Stage("residual", 7, repeats=3, stride=1),),
        schedule="constant",
        phases=(muwnet_config.Phase(1, learning_rate=0.25), muwnet_config.Phase(2)),
        augmentation=muwnet_config.Augmentation(False, 0.5, 0.25, 90.0),
        weight_decay=0.125,
        label_smoothing=0.375,
        warmup_epochs=0.5,
        train_on_public_test=True,
        leave_out_constant_images=False,
        seed=99,
    )
    assert muwnet_config.from_dict(to_json_values(changed)) == changed


def test_epochs_sum_up_all_phases():
    phases = (muwnet_config.Phase(3), muwnet_config.Phase(4), muwnet_config.Phase(5))
    assert dataclasses.replace(muwnet_config.SMOKE, phases=phases).epochs == 12


@pytest.mark.parametrize("part", ["config", "stage", "phase", "augmentation"])
def test_unknown_field_is_refused(part):
    values = to_json_values(muwnet_config.CPU)
    holder = {
        "config": values,
        "stage": values["stages"][0],
        "phase": values["phases"][0],
        "augmentation": values["augmentation"],
    }[part]
    holder["momentun"] = 1
    with pytest.raises(TypeError, match="momentun"):
        muwnet_config.from_dict(values)


def test_configs_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        muwnet_config.CPU.seed = 2


# === The paper's figures ===


@pytest.mark.parametrize("config", [muwnet_config.PAPER_1, muwnet_config.PAPER_2])
def test_both_experiments_have_the_hyperparameters_of_the_paper(config):
    assert config.input_size == 150
    assert (config.optimizer, config.learning_rate) == ("adam", 1e-3)
    assert (config.batch_size, config.fully_connected, config.dropout) == (32, 512, 0.2)
    assert config.augmentation == muwnet_config.Augmentation(
        flip=True, shift=0.2, zoom=0.15, rotation=15.0
    )
    assert [phase.epochs for phase in config.phases] == [150, 50, 50]
    # What the paper does not mention stays off.
    assert (config.weight_decay, config.label_smoothing, config.warmup_epochs) == (0, 0, 0)


def test_first_experiment_lowers_the_rate_on_plateaus_of_unseen_public_test():
    config = muwnet_config.PAPER_1
    assert config.schedule == "plateau"
    assert [phase.learning_rate for phase in config.phases] == [None, None, None]
    assert not config.train_on_public_test


def test_second_experiment_lowers_the_rate_once_and_trains_on_public_test():
    config = muwnet_config.PAPER_2
    assert config.schedule == "constant"
    assert [phase.learning_rate for phase in config.phases] == [None, 1e-4, None]
    assert config.train_on_public_test
    assert config.stages == muwnet_config.PAPER_1.stages


def test_only_the_second_experiment_gives_up_public_test():
    assert [name for name, config in CONFIGS.items() if config.train_on_public_test] == ["paper-2"]


@pytest.mark.parametrize("field", ["optimizer", "schedule"])
def test_unknown_name_is_refused(field):
    with pytest.raises(ValueError, match=f"expected {field} of .*, got 'adamw'"):
        dataclasses.replace(muwnet_config.CPU, **{field: "adamw"})


def test_a_training_of_no_phases_is_refused():
    with pytest.raises(ValueError, match="expected phases, got none"):
        dataclasses.replace(muwnet_config.CPU, phases=())


def test_a_rate_of_a_phase_beside_a_cosine_is_refused():
    phases = (muwnet_config.Phase(1), muwnet_config.Phase(1, learning_rate=0.01))
    with pytest.raises(ValueError, match=r"expected phases without learning rates, got \[0.01\]"):
        dataclasses.replace(muwnet_config.CPU, phases=phases)


def test_contaminated_validation_is_called_so():
    assert muwnet_config.name_validation(contaminated=True) == "PublicTest (trained on)"
    assert muwnet_config.name_validation(contaminated=False) == "PublicTest"


def test_epochs_on_smaller_faces_cost_less():
    phases = (muwnet_config.Phase(2, input_size=24), muwnet_config.Phase(1))
    config = dataclasses.replace(muwnet_config.SMOKE, phases=phases)
    assert config.epoch_costs == [0.25, 0.25, 1.0]


def test_the_best_epoch_is_one_at_the_network_s_own_size():
    def first_judged(*sizes):
        phases = tuple(muwnet_config.Phase(3, input_size=size) for size in sizes)
        return dataclasses.replace(muwnet_config.SMOKE, phases=phases).first_judged_epoch

    assert first_judged(None, None) == 0
    assert first_judged(24, 32, None, None) == 6
    assert first_judged(None, 32, None) == 6
    with pytest.raises(ValueError, match="expected a last phase at the network's own size, got 32"):
        first_judged(None, 32)
