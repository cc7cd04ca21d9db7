"""The Report artifact: a site."""

from tfx.types import artifact


class Report(artifact.Artifact):
    """`site/index.html` and its pages, and `site/report.json`, the same facts for programs."""

    TYPE_NAME = "Report"


SITE = "site"
