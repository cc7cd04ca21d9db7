"""Writes the site: a page for each module of `pages`, self-contained, with links between them."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import types
from typing import Any

import jinja2

from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.components.report.pages import (
    comparison,
    data,
    evaluation,
    gates,
    history,
    model_card,
    overview,
    training,
)
from muwnet_fer.data import fer2013

PAGES: tuple[types.ModuleType, ...] = (
    overview,
    data,
    training,
    evaluation,
    gates,
    history,
    model_card,
    comparison,
)
JSON_FILE = "report.json"
TEMPLATES = pathlib.Path(__file__).with_name("templates")


def collect(sources: report_sources.Sources) -> dict[str, dict[str, Any]]:
    """Returns the facts of every page by its name, ready for JSON.

    Raises:
      ComparisonError: for two runs that were judged on other rows.
    """
    return {_name(page): page.collect(sources) for page in _choose_pages(sources)}


def write(sources: report_sources.Sources, folder: pathlib.Path) -> None:
    """Writes the pages into a folder in place of what it held, in one step, index.html the first.

    Raises:
      OSError: where it cannot be written; the earlier site stays.
    """
    facts = collect(sources)
    # Another report of this folder may be written just now: each has its own.
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _write_pages(sources, facts, unfinished)
        _replace(folder, unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_pages(
    sources: report_sources.Sources, facts: dict[str, dict[str, Any]], folder: pathlib.Path
) -> None:
    environment = _make_environment()
    pages = _choose_pages(sources)
    links = [(_file(page), page.TITLE) for page in pages]
    card = _render_card(environment, facts[_name(model_card)])
    if card is not None:
        front = model_card.make_front_matter(facts[_name(model_card)])
        text = f"---\n{front}---\n\n# {model_card.TITLE}\n\n{card}"
        (folder / model_card.MARKDOWN_FILE).write_text(text, encoding="utf-8")
    for page in pages:
        html = environment.get_template(f"{_name(page)}.html").render(
            facts[_name(page)],
            plots=page.draw(sources, facts[_name(page)]),
            title=page.TITLE,
            file=_file(page),
            links=links,
            card=None if card is None else model_card.to_html(card),
            markdown_file=model_card.MARKDOWN_FILE,
        )
        (folder / _file(page)).write_text(html, encoding="utf-8")
    (folder / JSON_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _choose_pages(sources: report_sources.Sources) -> list[types.ModuleType]:
    return [page for page in PAGES if page is not comparison or sources.compared is not None]


def _replace(folder: pathlib.Path, unfinished: pathlib.Path) -> None:
    # Of a killed process it is `prune` that takes this away.
    outdated = folder.with_name(f".{folder.name}.{os.getpid()}.outdated.unfinished")
    while True:
        shutil.rmtree(outdated, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(outdated)
        try:
            unfinished.rename(folder)
            break
        except OSError as error:  # another report came between
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with contextlib.suppress(OSError):
                    outdated.rename(folder)
                raise
    shutil.rmtree(outdated, ignore_errors=True)


def _render_card(environment: jinja2.Environment, facts: dict[str, Any]) -> str | None:
    """Returns the model card's Markdown without its front matter, None without a model."""
    if facts["model"] is None:
        return None
    return environment.get_template("model_card.md").render(facts)


def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),  # Markdown has its own: the filter md
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda count: None if count is None else f"{count:,}"
    environment.filters["share"] = lambda share: None if share is None else f"{share:.3f}"
    environment.filters["interval"] = lambda found: f"{found['low']:.3f} to {found['high']:.3f}"
    environment.filters["md"] = model_card.escape
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.globals["emotions"] = list(fer2013.EMOTIONS)
    return environment


def _name(page: types.ModuleType) -> str:
    return page.__name__.rpartition(".")[2]


def _file(page: types.ModuleType) -> str:
    return "index.html" if page is PAGES[0] else f"{_name(page)}.html"
