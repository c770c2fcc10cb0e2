"""All endpoints of the chat API."""

from ninja import Router

from chat.api.ag_ui.views import router as ag_ui
from chat.api.ai_sdk.views import router as ai_sdk
from chat.api.files.changes import router as changes
from chat.api.files.retrieval import router as retrieval
from chat.api.files.workspace import router as files
from chat.api.openai.embeddings import router as embeddings
from chat.api.openai.views import router as openai
from chat.api.responses.views import router as responses
from chat.api.sessions.transfers import router as transfers
from chat.api.sessions.views import router as sessions
from chat.api.views import router as chat

router = Router()
for part in (chat, sessions, transfers, changes, files, retrieval, openai, embeddings, responses, ai_sdk, ag_ui):
    router.add_router("", part)
