"""A failed function behind a REST API gives a 502 without details.

AWS ("Output format of a Lambda function for proxy integration"): an unhandled error, a timeout or an answer without a
statusCode gives 502 `{"message": "Internal server error"}`, or the API's DEFAULT_5XX gateway response if it has one.
Stock: shows the exception's message to the caller, treats an answer without statusCode as a 200, and ignores gateway
responses.
Here: the code that interprets the function's answer raises, and the integration turns that into a gateway error.
"""

from typing import Any

from ministack.services import apigateway_v1


class NoProxyResponseError(Exception):
    """The function's answer is not one that API Gateway can return."""


def apply() -> None:
    """Interprets answers strictly, and answers errors like the gateway."""
    interpret, invoke = apigateway_v1._lambda_proxy_response, apigateway_v1._invoke_lambda_proxy_v1
    render = apigateway_v1._gateway_error_response

    def interpret_strictly(result: dict[str, Any]) -> Any:
        answer, error = interpret(result)
        body = result.get("body")
        if error or not (isinstance(body, dict) and str(body.get("statusCode", "")).isdigit()):
            raise NoProxyResponseError
        return answer, None

    async def invoke_or_fail(*arguments: Any, **options: Any) -> Any:
        try:
            return await invoke(*arguments, **options)
        except NoProxyResponseError:
            return apigateway_v1._gw_error("DEFAULT_5XX", "Internal server error")

    def render_as_502(error: Any, request: dict[str, Any]) -> Any:
        status, headers, body = render(error, request)
        return (502 if (error.response_type, status) == ("DEFAULT_5XX", 500) else status), headers, body

    apigateway_v1._lambda_proxy_response = interpret_strictly
    apigateway_v1._invoke_lambda_proxy_v1 = invoke_or_fail
    apigateway_v1._gateway_error_response = render_as_502
