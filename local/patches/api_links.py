"""A REST API's function gets the address that its caller used, percent-encoded.

AWS ("Input format of a Lambda function for proxy integration"; with a custom domain and a base path mapping):
`{X-Forwarded-Proto}://{requestContext.domainName}{requestContext.path}` is the called URL; if a query parameter
occurs several times, queryStringParameters has its last value.
Stock: there is no domainName and no X-Forwarded header, and the first value is used. requestContext.path lacks the
prefix under which the emulator serves the API (/_aws/execute-api/<id>), so links made from it do not work. Path and
path parameters are decoded; AWS passes them on as they were sent.
Here: the patch keeps the request's host and path, and puts them into the event with the gateway's own headers. It
encodes what must be encoded in a path; which other characters the caller had encoded is not known.
"""

from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

import ministack.app as gateway
from ministack.services import apigateway_v1, lambda_svc

_IN_PATHS = "/-._~!$&'()*+,;=:@"
"""What a path may have unencoded (RFC 3986, section 3.3)."""
_called: ContextVar[tuple[str, str]] = ContextVar("called_url", default=("", ""))


def apply() -> None:
    """Remembers the called address and completes the event with it."""
    handle, build = gateway._handle_execute_api_request, apigateway_v1._build_lambda_event_v1

    async def remember_and_handle(host: str, path: str, *rest: Any, **more: Any) -> Any:
        _called.set((host, path))
        return await handle(host, path, *rest, **more)

    def build_event(*arguments: Any, **options: Any) -> Any:
        event, (host, path) = build(*arguments, **options), _called.get()
        event.pop("version", None)  # only events of HTTP APIs have it
        several = event["multiValueQueryStringParameters"]
        event["queryStringParameters"] = several and {name: values[-1] for name, values in several.items()}
        event["requestContext"].update(
            domainName=host, domainPrefix=host.partition(".")[0], path=quote(path, _IN_PATHS)
        )
        event["path"], parameters = quote(event["path"], _IN_PATHS), event["pathParameters"]
        event["pathParameters"] = parameters and {name: quote(each, _IN_PATHS[1:]) for name, each in parameters.items()}
        address = event["requestContext"]["identity"]["sourceIp"]
        own = {"Host": host, "X-Forwarded-For": address, "X-Forwarded-Proto": "http"}
        own |= {"X-Forwarded-Port": host.partition(":")[2] or "80"}
        own |= {"X-Amzn-Trace-Id": lambda_svc._xray_trace_id_for_invocation({}) or ""}
        for name, value in own.items():
            event["headers"].pop(name.lower(), None)
            event["multiValueHeaders"].pop(name.lower(), None)
            event["headers"][name], event["multiValueHeaders"][name] = value, [value]
        return event

    gateway._handle_execute_api_request = remember_and_handle
    apigateway_v1._build_lambda_event_v1 = build_event
