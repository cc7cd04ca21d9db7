"""Which data, schema, code and model led to a pushed version, and back; as text."""

import pathlib

import tabulate

from muwnet_fer.pipeline import output_folder, run_list, run_record, run_report


def describe(output: output_folder.OutputFolder, run_id: str) -> str:
    """Returns where a run's artifacts lie, which run made each, and what was pushed.

    Raises: see run_list.find.
    """
    run = run_list.find(run_list.read(output), run_id)
    records = run_report.read_records(output, run.run_id)
    found = run_report.make_sources(records, None, run, ())
    facts = [
        ("run", run.run_id),
        ("when", f"{run.started} to {run.ended or 'unknown'}"),
        ("data", run.data_name or "no Kaggle file"),
        ("MD5", run.data_md5),
        ("rows", ", ".join(f"{split} {count:,}" for split, count in run.row_counts.items())),
        ("code", f"commit {run.commit or 'unknown'}, source {run.source_fingerprint or 'unknown'}"),
    ]
    if manifest := found.manifest:
        start = manifest["warm_start"]
        facts += [
            ("trained by", f"commit {manifest['commit']}, source {manifest['source_fingerprint']}"),
            ("profile", f"{manifest['profile']}, seed {manifest['seed']}"),
            ("learnt from", ", ".join(of["name"] for of in manifest["teachers"]) or "no teacher"),
            ("began with", start["name"] if start else "random weights"),
        ]
    facts.append(("verdict", run.end))
    if run.failure:
        facts.append(("failure", run.failure))
    if run.version:
        path = output.serving_model / run.version
        facts.append(("version", _describe_path(str(path))))
    table = tabulate.tabulate(
        _list_artifacts(output, records), ("component", "artifact", "made by run", "path")
    )
    text = tabulate.tabulate(facts, tablefmt="plain", disable_numparse=True)
    return f"{text}\n\n{table}"


def _list_artifacts(
    output: output_folder.OutputFolder, records: run_report.Records
) -> list[tuple[str, str, str, str]]:
    """Returns component, key, maker and path of each artifact."""
    artifacts = [
        (name, key, artifact)
        for name, record in records.items()
        for key, of_key in record.outputs.items()
        for artifact in of_key
    ]
    with run_record.open_metadata(output) as handle:
        makers = run_record.find_makers(handle.store, [artifact.id for *_, artifact in artifacts])
    return [
        (name, key, makers.get(artifact.id, "unknown"), _describe_path(artifact.uri))
        for name, key, artifact in artifacts
    ]


def _describe_path(path: str) -> str:
    return path if pathlib.Path(path).exists() else f"{path} (deleted since)"
