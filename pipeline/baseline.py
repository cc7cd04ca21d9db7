"""Which model a candidate is compared with: the latest blessed one other than itself."""

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver

MODEL_KEY, BLESSING_KEY, CANDIDATE_KEY = "model", "model_blessing", "candidate"


class LatestOtherBlessedModel(resolver.ResolverStrategy):
    """Resolves the model of the newest blessing that is not the candidate's own.

    TFX's LatestBlessedModelStrategy would give an unchanged candidate itself as its baseline: the
    Evaluator would miss its cache and the Pusher push a twin.
    """

    def resolve_artifacts(
        self, store, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the model and its blessing, or empty lists where there is none."""
        del store
        candidates = {artifact.id for artifact in input_dict[CANDIDATE_KEY]}
        models = {artifact.id: artifact for artifact in input_dict[MODEL_KEY]}
        blessings = sorted(input_dict[BLESSING_KEY], key=lambda blessing: blessing.id)
        for blessing in reversed(blessings):
            model_id = blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            )
            blessed = blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
            if blessed == constants.BLESSED_VALUE and model_id in models.keys() - candidates:
                return {
                    MODEL_KEY: [models[model_id]],
                    BLESSING_KEY: [blessing],
                    CANDIDATE_KEY: input_dict[CANDIDATE_KEY],
                }
        return {MODEL_KEY: [], BLESSING_KEY: [], CANDIDATE_KEY: input_dict[CANDIDATE_KEY]}
