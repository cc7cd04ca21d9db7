"""LatestOtherBlessedModel on artifacts as ML Metadata holds them."""

from tfx.types import standard_artifacts

from muwnet_fer.pipeline import baseline


def make_model(identity: int) -> standard_artifacts.Model:
    model = standard_artifacts.Model()
    model.id = identity
    return model


def make_blessing(identity: int, model: int, blessed: bool) -> standard_artifacts.ModelBlessing:
    blessing = standard_artifacts.ModelBlessing()
    blessing.id = identity
    blessing.set_int_custom_property("current_model_id", model)
    blessing.set_int_custom_property("blessed", int(blessed))
    return blessing


def resolve(models, blessings, candidate) -> list[int]:
    resolved = baseline.LatestOtherBlessedModel().resolve_artifacts(
        None,
        {
            "model": [make_model(identity) for identity in models],
            "model_blessing": blessings,
            "candidate": [make_model(candidate)],
        },
    )
    assert [model.id for model in resolved["candidate"]] == [candidate]
    assert len(resolved["model_blessing"]) == len(resolved["model"])
    return [model.id for model in resolved["model"]]


def test_first_run_has_none():
    assert resolve([1], [], candidate=1) == []


def test_a_blessed_candidate_is_not_its_own_baseline():
    """The unchanged second run: the resolver must give what it gave before."""
    assert resolve([1], [make_blessing(2, 1, True)], candidate=1) == []
    blessings = [make_blessing(2, 1, True), make_blessing(4, 3, True)]
    assert resolve([1, 3], blessings, candidate=3) == [1]


def test_the_newest_blessing_wins_whatever_the_order():
    blessings = [make_blessing(4, 3, True), make_blessing(9, 1, True), make_blessing(6, 5, True)]
    assert resolve([5, 1, 3, 7], blessings, candidate=7) == [1]


def test_models_that_were_not_blessed_are_passed_over():
    blessings = [make_blessing(2, 1, True), make_blessing(4, 3, False)]
    assert resolve([1, 3, 5], blessings, candidate=5) == [1]
