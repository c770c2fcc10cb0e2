"""The bodies of HTTP errors."""

import json

from web.errors import ApiError
from web.schemas import ErrorOut


def test_error_has_its_sentence_where_clients_of_other_apis_look_for_it() -> None:
    body = json.loads(ApiError(409, "busy", "It is in use. Wait.", detail=[{"run_id": "1"}]).body())
    assert body["error"] == body["message"] == "It is in use. Wait."
    assert ErrorOut(**body).model_dump() == body
