"""OpenTelemetry: a span processor stores the calls that the official instrumentation of OpenAI traces."""

import logging

from openai import OpenAI
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from aicore_sqllog import SQLLogHandler, polars_from_db
from aicore_sqllog.integrations.opentelemetry import SQLLogSpanProcessor

DATABASE = "sqlite:///opentelemetry_app.db"


def main() -> None:
    """Make one traced call inside of an agent's span, and print the rows."""
    log = logging.getLogger("opentelemetry_app")
    log.setLevel("INFO")
    handler = SQLLogHandler(DATABASE)
    log.addHandler(handler)
    provider = TracerProvider()
    provider.add_span_processor(SQLLogSpanProcessor(log))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    with provider.get_tracer("app").start_as_current_span(
        "agent", attributes={"gen_ai.operation.name": "invoke_agent"}
    ):
        OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Where?"}])
    handler.flush()
    for row in polars_from_db(DATABASE, order_by="operation_id").iter_rows(named=True):
        print(row["operation_type"], row["status"], "inner" if row["parent_operation_id"] else "outer")


if __name__ == "__main__":
    main()
