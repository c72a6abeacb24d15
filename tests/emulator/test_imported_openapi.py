"""What an OpenAPI document says of preflights and gateway responses is what the API answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from conftest import Api


def test_stock_forgets_the_headers_of_a_preflight(stock_api: Api) -> None:
    assert "Access-Control-Allow-Origin" not in requests.options(f"{stock_api.url}/preflight", timeout=10).headers


def test_stock_forgets_the_documents_gateway_responses(stock_api: Api) -> None:
    assert stock_api.get("/nowhere").json() != {"title": "Nothing here"}


def test_a_preflight_answers_with_its_headers(api: Api) -> None:
    answer = requests.options(f"{api.url}/preflight", timeout=10)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://app")


def test_a_gateway_response_of_the_document_is_answered(api: Api) -> None:
    answer = api.get("/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"title": "Nothing here"})
    assert answer.headers["Content-Type"] == "application/problem+json"
