"""Errors of every provider: bodies, SDKs' exceptions, any exception. No SDK, no network."""

from types import SimpleNamespace
from typing import Any

import pytest

from aicore_sqllog.responses.sdk_exceptions import read_exception
from tests.support.shapes import RESPONSE, Hostile, read

GONE = {"code": 404, "message": "Gone", "status": "NOT_FOUND"}
ERRORS = [
    pytest.param(
        {"error": {"message": "No key", "type": "invalid_request_error", "code": "invalid_api_key", "param": None}},
        ("invalid_request_error", "No key"),
        id="openai",
    ),
    pytest.param({"error": {"code": 401, "message": "No key"}}, ("401", "No key"), id="openrouter"),
    pytest.param({"error": {"code": "DeploymentNotFound", "message": "No"}}, ("DeploymentNotFound", "No"), id="azure"),
    pytest.param(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}, "request_id": "req_1"},
        ("overloaded_error", "Busy"),
        id="anthropic",
    ),
    pytest.param({"error": GONE}, ("NOT_FOUND", "Gone"), id="gemini"),
    pytest.param([{"error": GONE}], ("NOT_FOUND", "Gone"), id="gemini, streamed"),
    pytest.param({"error": "model not found"}, (None, "model not found"), id="ollama"),
    pytest.param({"detail": "Too long"}, (None, "Too long"), id="voyage"),
    pytest.param({**RESPONSE, "status": "failed", "error": GONE}, ("NOT_FOUND", "Gone"), id="responses"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), ERRORS)
def test_an_errors_body_is_read(body: Any, expected: tuple[str | None, str]) -> None:
    fields = read(body)

    assert (fields.get("error_type"), fields["error_message"], fields["status"]) == (*expected, "error")
    assert fields["extras"]["error"], "the whole error is kept"


class SdkError(Exception):
    """As the SDKs raise them: the body beside the text."""

    def __init__(self, **held: Any) -> None:
        super().__init__("Error code: 400 - {...}")
        self.__dict__.update(held)


@pytest.mark.parametrize(
    "held",
    [
        pytest.param({"body": {"message": "No", "type": "t", "code": None}, "status_code": 400}, id="openai"),
        pytest.param(
            {"body": {"type": "error", "error": {"type": "t", "message": "No"}}, "status_code": 400}, id="anthropic"
        ),
        pytest.param(
            {"details": {"error": {"code": 400, "message": "No", "status": "t"}}, "code": 400}, id="google-genai"
        ),
        pytest.param({"response": {"Error": {"Code": "t", "Message": "No"}}, "status_code": 400}, id="boto3"),
        pytest.param(
            {"response": SimpleNamespace(_content=b'{"error": {"message": "No", "type": "t"}}'), "status_code": 400},
            id="an HTTP client's",
        ),
    ],
)
def test_an_exception_tells_what_the_provider_said(held: dict[str, Any]) -> None:
    fields: dict[str, Any] = read_exception(SdkError(**held))

    assert (fields["error_type"], fields["error_message"], fields["status"]) == ("t", "No", "error")
    assert fields["extras"]["status_code"] == 400


@pytest.mark.parametrize(
    ("exception", "error_type", "text"),
    [
        (ValueError("no"), "ValueError", "no"),
        (
            SdkError(body="<html>", response=SimpleNamespace(_content=b"<html>")),
            f"{__name__}.SdkError",
            "Error code: 400 - {...}",
        ),
        (SdkError(body=None, response=Hostile()), f"{__name__}.SdkError", "Error code: 400 - {...}"),
        (KeyboardInterrupt(), "KeyboardInterrupt", None),
    ],
)
def test_an_exception_without_a_body_tells_its_class_and_text(
    exception: BaseException, error_type: str, text: str | None
) -> None:
    fields = read_exception(exception)

    assert (fields["error_type"], fields.get("error_message"), fields["status"]) == (error_type, text, "error")


def test_an_exception_tells_who_was_asked() -> None:
    request = SimpleNamespace(url=SimpleNamespace(host="my.openai.azure.com"))

    assert read_exception(SdkError(request=request))["provider"] == "azure.ai.openai"
