"""The tools of the web, made from the settings."""

from functools import cache

from retrieval.worker.process import ReaderProcess
from tools import conf
from tools.base import Tool
from tools.builtin import web
from tools.web.fetching import Fetcher
from tools.web.pages import Pages
from tools.web.search import SearchService


@cache
def web_tools() -> tuple[Tool, ...]:
    """Return the tools of the web. They work in no workspace, so all workspaces share them."""
    settings, masker = conf.web(), conf.masker()
    # The worker's process starts with the first page.
    pages = Pages(Fetcher(settings.hosts, settings.limits), ReaderProcess())
    reader = web.Reader(pages=pages, hosts=settings.hosts, has_secret=lambda text: bool(masker.secrets(text)))
    service = SearchService(
        settings.provider or "searxng", settings.search_url, settings.search_key, settings.limits.max_seconds
    )
    return web.tools(
        reader,
        service,
        no_fetch="" if settings.fetch else "WEB_FETCH is false",
        no_search=service.missing if settings.provider else "WEB_SEARCH is not set",
    )
