"""A session as one readable HTML file. Texts of models and tools are shown as text: no markup, script or address of
theirs has an effect, and nothing is loaded from elsewhere.
"""

import base64
from html import escape
from typing import Final

from django.template.loader import render_to_string

from chat.history.transfer.records import MessageRecord, SessionRecord
from console.html.markdown import rendered

FOOT: Final = "</main>\n</body>\n</html>\n"
UNTITLED: Final = "Conversation"


def head(session: SessionRecord) -> str:
    """Return the beginning of the page."""
    return render_to_string("chat/exported_session.html", {"title": session.title or UNTITLED})


def article(message: MessageRecord) -> str:
    """Return a message."""
    when = f" · {message.created:%Y-%m-%d %H:%M} UTC" if message.created else ""
    who = message.tool if message.role == "tool" else message.role
    by = f" · {message.provider}, {message.model}" if message.model else ""
    failed = " · failed" if message.is_error else ""
    parts = [f'<article class="{message.role}">\n<header>{escape(who + failed + by + when)}</header>\n']
    # The output of a tool is not Markdown.
    body = f"<pre>{escape(message.content)}</pre>\n" if message.role == "tool" else rendered(message.content)
    parts.append(body if message.content else "")
    for picture in message.pictures:
        data = base64.b64encode(picture.data).decode()
        parts.append(f'<p><img alt="Picture" src="data:{escape(picture.media_type)};base64,{data}"></p>\n')
    parts += [f"<pre>{escape(f'{call.name} {call.arguments}')}</pre>\n" for call in message.tool_calls]
    return "".join([*parts, "</article>\n"])
