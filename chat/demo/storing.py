"""The rows of a planned week, in one transaction. Executions, keys and users get their entries in the audit chain.

NotFresh              the database has records already
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model

from access.keys import issuing
from access.keys.issuing import CreatedKey
from access.models import ApiKey
from chat.demo.bookings import book
from chat.demo.plan import PlannedSpeech, Week
from chat.demo.session_rows import store_session
from chat.models import Session
from speech.models import SpeechRequest
from spending.models import Use
from storage import statement_batch
from tools.models import ToolExecution


class NotFresh(Exception):
    """The database has records, so nothing is written into it."""


def is_fresh() -> bool:
    """Return whether no record exists that the week would stand beside."""
    kinds: Sequence[type[Model]] = (Session, ToolExecution, ApiKey, SpeechRequest, Use)
    return not any(kind._default_manager.exists() for kind in kinds)


def store(week: Week) -> int:
    """Write the whole week, or nothing, and return the number of sessions. Raises `NotFresh` and `DatabaseError`."""
    with transaction.atomic(), statement_batch.collected():
        if not is_fresh():
            raise NotFresh("The database has records already, so it is left as it is. Use a new one for the week.")
        keys = _Keys(week).by_name
        for session in week.sessions:
            store_session(session, keys[session.key])
        for call in week.speech:
            _store_speech(call, keys[call.key])
    return len(week.sessions)


class _Keys:
    """The users and the keys of a week."""

    def __init__(self, week: Week) -> None:
        users = get_user_model().objects
        self._users: dict[str, Any] = {}
        for person in week.people:
            user, is_new = users.get_or_create(username=person.name, defaults={"is_staff": True})
            if is_new:
                # The person does not exist, so no password opens the account.
                user.set_unusable_password()
                user.save()
                user.groups.add(*Group.objects.filter(name=person.group))
            self._users[person.name] = user
        used = {session.key: session.updated for session in week.sessions}
        self.by_name = {key.name: self._key(key, week.began, used.get(key.name)).row for key in week.keys}

    def _key(self, key: Any, began: datetime, used: datetime | None) -> CreatedKey:
        spec = issuing.validated(
            began,
            name=key.name,
            words=key.scopes,
            rate=key.rate,
            max_runs=key.max_runs,
            budgets=key.budgets,
            user_id=self._users[key.user].pk if key.user else None,
        )
        # The secret is dropped here, so no one can use such a key.
        created = issuing.issue(spec, began, by="ana")
        ApiKey.objects.filter(pk=created.row.pk).update(last_used=used)
        return created


def _store_speech(planned: PlannedSpeech, key: ApiKey) -> None:
    """Write a call of speech."""
    text = planned.text.encode()
    kinds = SpeechRequest.Operation
    SpeechRequest.objects.create(
        id=planned.id,
        owner=key.owner,
        operation=kinds.SYNTHESIS if planned.is_synthesis else kinds.TRANSCRIPTION,
        status=SpeechRequest.Status.FAILED if planned.error else SpeechRequest.Status.SUCCEEDED,
        provider="openai",
        model="tts-1" if planned.is_synthesis else "gpt-transcribe",
        voice="alloy" if planned.is_synthesis else "",
        format="wav",
        language="" if planned.is_synthesis else "en",
        audio=planned.audio,
        audio_bytes=len(planned.audio),
        audio_sha256=hashlib.sha256(planned.audio).hexdigest(),
        text_sha256=hashlib.sha256(text).hexdigest(),
        characters=len(planned.text),
        cost_usd=None if planned.error else Decimal(str(planned.cost_usd)),
        error=planned.error,
        code="invalid_audio" if planned.error else "",
        created=planned.created,
        ended=planned.created + timedelta(milliseconds=planned.milliseconds),
        duration_ms=planned.milliseconds,
    )
    model = "tts-1" if planned.is_synthesis else "gpt-transcribe"
    cost = 0 if planned.error else planned.cost_usd
    book(key, planned.created, cost, provider="openai", model=model, failed=bool(planned.error))
