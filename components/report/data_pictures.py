"""What the faces look like: a sheet for each emotion, augmented faces, odd rows."""

import keras
import markupsafe
import numpy as np

from muwnet_fer.components.report import duplicates, pictures
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import model as muwnet_model

_SHEET, _COLUMNS = 48, 12
_AUGMENTED, _AUGMENTED_COLUMNS = 4, 10
_CONFLICTS, _CONSTANT = 12, 24
_SEED = 1


def show_all(sources: report_sources.Sources) -> dict[str, markupsafe.Markup]:
    """Returns the pictures by name: `sheet_<emotion>`, `augmented`, `conflicting`, `constant`.

    What there is nothing to show of is left out.
    """
    train = sources.splits[fer2013.TRAIN]
    shown, generator = {}, np.random.default_rng(_SEED)
    some = []
    for label, emotion in enumerate(fer2013.EMOTIONS):
        indices = np.flatnonzero(train.labels == label)
        if not len(indices):
            continue
        drawn = np.sort(generator.choice(indices, min(_SHEET, len(indices)), replace=False))
        faces = [train.decode(index) for index in drawn]
        some.append(faces[0])
        shown[f"sheet_{emotion}"] = pictures.show_sheet(
            faces, _COLUMNS, f"{len(faces)} faces of train that are labelled {emotion}"
        )
    if sources.manifest is not None and some:
        config = muwnet_config.from_dict(sources.manifest["muwnet"])
        shown["augmented"] = _show_augmented(some[:_AUGMENTED], config)
    found = sources.duplicates
    if found.conflicting:
        groups = found.conflicting[:_CONFLICTS]
        shown["conflicting"] = _show_rows(sources, [face for group in groups for face in group])
    if found.constant:
        shown["constant"] = _show_rows(sources, found.constant[:_CONSTANT])
    return shown


def _show_augmented(
    faces: list[np.ndarray], config: muwnet_config.MuWNetConfig
) -> markupsafe.Markup:
    """Shows a line for each face: as it is, then as the training changes it."""
    image = keras.Input((fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE), dtype="uint8")
    augmentation = keras.Model(image, muwnet_model.augment(image, config))
    cells = []
    for face in faces:
        copies = np.repeat(face[np.newaxis], _AUGMENTED_COLUMNS - 1, axis=0)
        changed = np.asarray(augmentation(copies, training=True))[..., 0]
        cells += [face, *np.round(255 * changed.clip(0, 1)).astype(np.uint8)]
    return pictures.show_sheet(
        cells,
        _AUGMENTED_COLUMNS,
        f"{len(faces)} lines: a face of train, then {_AUGMENTED_COLUMNS - 1} times the same face "
        "as augmented in training",
    )


def _show_rows(sources: report_sources.Sources, found: list[duplicates.Face]) -> markupsafe.Markup:
    faces, captions = [], []
    for face in found:
        examples = sources.splits[face.split]
        faces.append(examples.decode(face.index))
        emotion = fer2013.EMOTIONS[examples.labels[face.index]]
        captions.append(f"row {examples.rows[face.index]}\n{emotion}\n{face.split}")
    return pictures.show(faces, captions, "A face")
