"""The parsers of the tools' settings. Each raises `ValueError` with the valid values."""

from tools.committing.identity import email_template as email_template
from tools.committing.identity import name_template as name_template
from tools.forges.allowed import remotes as remotes
from tools.forges.allowed import tokens as tokens
from tools.mcp_client.servers import ENTRY_VARIABLES as ENTRY_VARIABLES
from tools.web.search import search_provider as search_provider
from tools.web.urls import allowed_hosts as allowed_hosts
