"""The recorded exchanges of the shared traffic, and a local server that replays them."""

import csv
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.traffic import documents

RECORDING_HEADER = "x-recording"
"""A request names in this header which recording it wants for an answer."""

_OPENAI_PARTS = ("/chat/completions", "/v1/completions", "/responses", "/embeddings", "/v1/chat", "/prompts/")
_GOOGLE_CALLS = {
    ("gemini", "generate"): "gemini.generate",
    ("gemini", "stream_generate"): "gemini.generate",
    ("gemini", "embeddings"): "gemini.embeddings",
    ("gemini", "count_tokens"): "gemini.count_tokens",
    ("vertexai", "generate"): "vertexai.generate",
    ("vertexai", "stream_generate"): "vertexai.generate",
    ("vertexai", "embeddings"): "vertexai.embeddings",
    ("gemini", "interactions"): "gemini.interactions",
}
_WITHOUT_SDK = ("openrouter", "voyageai")
OTHER_CALLS = ("cohere.", "ollama.", "bedrock.", "gemini.interactions", *(f"{name}.rerank" for name in _WITHOUT_SDK))
"""The calls that others than the three large SDKs make."""


@dataclass(frozen=True)
class Recording:
    """One recorded exchange with a provider."""

    id: str
    provider: str
    call: str
    """The SDK, or its way to speak to a provider, and what is asked of it, dotted."""

    streamed: bool
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        """The answer, of one that is not streamed."""
        return json.loads(self.body)

    def chunks(self) -> list[Any]:
        """The chunks of a streamed answer, as a plain reader of server-sent events or of JSON lines sees them."""
        text = self.body.decode()
        if text.startswith("{"):
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        payloads = [line.strip()[5:].strip() for line in text.splitlines() if line.strip().startswith("data:")]
        return [json.loads(payload) for payload in payloads if payload not in ("", "[DONE]")]


def recordings(data: Path) -> Iterator[Recording]:
    """Yield every exchange with usage or with an error."""
    for folder in sorted(data.glob("http_*")):
        with (folder / "INDEX.tsv").open(encoding="utf-8", newline="") as lines:
            index = {row["id"]: row for row in csv.DictReader(lines, delimiter="\t")}
        for exchange in documents(folder / "exchanges.jsonl.gz"):
            row = index[exchange["id"]]
            call = _call(exchange)
            if row["has_usage"] == "1" or exchange["status"] >= 400:
                yield _recording(exchange, call, streamed=row["stream"] == "1" and exchange["status"] < 400)


def _recording(exchange: dict[str, Any], call: str, *, streamed: bool) -> Recording:
    body = exchange["response_body"]
    content_type = exchange["response_headers"].get("content-type")
    return Recording(
        id=exchange["id"],
        provider=exchange["provider"],
        call=call,
        streamed=streamed,
        status=exchange["status"],
        content_type=content_type or ("text/event-stream" if streamed else "application/json"),
        body=(body if isinstance(body, str) else json.dumps(body)).encode(),
    )


def _call(exchange: dict[str, Any]) -> str:
    """Return the SDK's method for the URL that was called."""
    path, provider, api = exchange["url"].partition("#")[0].rstrip("/"), exchange["provider"], exchange["api"]
    if provider == "bedrock" and api == "invoke":
        body = exchange["response_body"]
        body = json.loads(body) if isinstance(body, str) else body
        return "anthropic.messages" if body.get("type") == "message" else "bedrock.invoke"
    if provider == "cohere" and "/v1/chat" in path:
        return "cohere.chat_v1"
    if provider in ("anthropic", "cohere"):
        return f"{provider}.{api}"
    if provider in ("gemini", "vertexai"):
        return _GOOGLE_CALLS.get((provider, api), f"{provider}.{api}")
    if not any(part in path for part in _OPENAI_PARTS):
        return f"{provider}.{api}"
    return "openai.compact" if path.endswith("/compact") else f"openai.{_openai_method(path)}"


def _openai_method(path: str) -> str:
    for part, method in (
        ("/responses", "responses"),
        ("/embeddings", "embeddings"),
        ("/v1/completions", "completions"),
    ):
        if part in path:
            return method
    return "chat"


@contextmanager
def served(answers: dict[str, Recording]) -> Iterator[str]:
    """Serve *answers* on this machine only; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet: in two, the second waits for the first to be acknowledged

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            recording = answers[self.headers[RECORDING_HEADER]]
            self.send_response(recording.status)
            self.send_header("content-type", recording.content_type)
            self.send_header("content-length", str(len(recording.body)))
            self.end_headers()
            self.wfile.write(recording.body)

        do_POST = do_GET = _answer  # noqa: N815  # the names that the base class looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
