"""A function that fails behind the API answers 502 and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Api


def test_stock_shows_the_exception_to_the_caller(stock_api: Api) -> None:
    assert "secret" in stock_api.get("/broken").text


@pytest.mark.parametrize("path", ["/broken", "/malformed"])
def test_a_failure_is_the_gateways_own_response(api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 502
    assert answer.json() == {"title": "Internal server error"}
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app"
