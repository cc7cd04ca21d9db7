"""Model card: what the model is for and not for, and how well it does; HTML and Markdown.

The Markdown, with the front matter that model hubs read, is the source of both.
"""

from typing import Any

import markdown_it
import markupsafe
import yaml

from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.components.report.pages import evaluation
from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import packaged_weights

TITLE = "Model card"
MARKDOWN_FILE = "MODEL_CARD.md"
_WEAKEST = 5  # slices


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns what the card says; `model` is None where there is none."""
    manifest = sources.manifest
    if manifest is None:
        return {"model": None}
    measured = evaluation.collect(sources)
    facts = {
        "model": {
            key: manifest[key]
            for key in ("profile", "parameters", "seed", "epochs", "commit", "hardware")
        },
        "teachers": [packaged_weights.shorten(of["name"]) for of in manifest["teachers"]],
        "warm_start": (start := manifest["warm_start"]) and packaged_weights.shorten(start["name"]),
        "learnt_from_other_data": [
            packaged_weights.shorten(of["name"])
            for of in packaged_weights.find_other_data(manifest)
        ],
        "data_md5": manifest["data_md5"],
        "kaggle_name": fer2013.KAGGLE_MD5.get(manifest["data_md5"]),
        "lineage": manifest["lineage"],
        "rows": {split: manifest["rows"][split] for split in fer2013.SPLITS},
        "contaminated": manifest["public_test_contaminated"],
        "verdict": sources.blessed,
        "version": sources.pushed_version,
        "private_test_reads": sources.run and sources.run.private_test_reads,
        "overall": measured["overall"],
    }
    if measured["overall"] is not None:
        facts |= {
            key: measured[key]
            for key in (
                "classes",
                "slices",
                "expected_calibration_error",
                "leak_free_rows",
                "leak_free_rows_in_public_test",
            )
        }
        facts["weakest_slices"] = _find_weakest(measured["slices"])
        facts["confusions"] = _find_confusions(measured["confusion"])
    return facts


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns no plots: the page is the Markdown's HTML."""
    return {}


def make_front_matter(facts: dict[str, Any]) -> str:
    """Returns the YAML that model hubs read (Hugging Face's model card metadata)."""
    front: dict[str, Any] = {
        "license": "apache-2.0",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "tensorflow-extended", "muwnet"],
    }
    dataset = "FER2013" if facts["kaggle_name"] else facts["lineage"]
    if facts["kaggle_name"]:
        front["datasets"] = ["fer2013"]
    if facts["overall"] is not None:
        front["metrics"] = ["accuracy", "f1"]
        metrics = [
            {"type": kind, "name": name, "value": round(facts["overall"][name]["value"], 4)}
            for kind, name in (
                ("accuracy", "accuracy"),
                ("f1", "macro F1"),
                ("accuracy", "accuracy by ten views"),
            )
        ]
        front["model-index"] = [
            {
                "name": f"muwnet-{facts['model']['profile']}",
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {
                            "type": dataset.lower(),
                            "name": dataset,
                            "split": fer2013.PRIVATE_TEST,
                        },
                        "metrics": metrics,
                    }
                ],
            }
        ]
    return yaml.safe_dump(front, sort_keys=False)


def to_html(markdown: str) -> markupsafe.Markup:
    """Returns Markdown as HTML; HTML within it is shown as text."""
    converter = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")
    html = converter.render(markdown)
    scroller = '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
    html = html.replace("<table>", f"{scroller}<table>").replace("</table>", "</table></div>")
    return markupsafe.Markup(html)  # noqa: S704 - what came from outside, the converter escaped


def escape(text: object) -> str:
    """Returns text that Markdown takes for itself, on one line."""
    line = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~" else c for c in line)


def _find_weakest(slices: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return sorted(slices or (), key=lambda of: of["accuracy"]["value"])[:_WEAKEST]


def _find_confusions(matrix: list[list[int]]) -> list[dict[str, Any]]:
    """Returns the five most frequent wrong answers, as shares of their label's rows."""
    found = [
        {
            "label": fer2013.EMOTIONS[label],
            "predicted": fer2013.EMOTIONS[predicted],
            "share": count / sum(counts),
        }
        for label, counts in enumerate(matrix)
        for predicted, count in enumerate(counts)
        if label != predicted and count
    ]
    return sorted(found, key=lambda of: -of["share"])[:5]
