"""An API imported from an OpenAPI document has everything that the document defines.

AWS ("OpenAPI extensions for API Gateway": x-amazon-apigateway-integration, x-amazon-apigateway-gateway-responses): the
import includes an integration's request templates and responses, a method's responses, and the API's gateway responses.
SAM writes the CORS preflight and every gateway response that way.
Stock: imports only the type, method and address of an integration, and no gateway responses.
Here: the patch adds the rest with MiniStack's own calls.
"""

from typing import Any

from ministack.services import apigateway_v1


def apply() -> None:
    """Completes the import of an operation and of a document."""
    import_operation, import_api = apigateway_v1._import_operation, apigateway_v1._import_rest_api

    def import_whole_operation(api: str, resource: str, method: str, operation: dict[str, Any], *more: Any) -> None:
        import_operation(api, resource, method, operation, *more)
        for status, response in (operation.get("responses") or {}).items():
            parameters = {f"method.response.header.{name}": False for name in response.get("headers") or {}}
            apigateway_v1._put_method_response(api, resource, method, str(status), {"responseParameters": parameters})
        integration = operation.get("x-amazon-apigateway-integration") or {}
        made = apigateway_v1._resources[api][resource]["resourceMethods"][method].get("methodIntegration") or {}
        made.update({"requestTemplates": integration["requestTemplates"]} if "requestTemplates" in integration else {})
        for pattern, response in (integration.get("responses") or {}).items():
            selecting = response | {"selectionPattern": "" if pattern == "default" else pattern}
            status = str(response["statusCode"])
            apigateway_v1._put_integration_response(api, resource, method, status, selecting)

    def import_whole_api(document: dict[str, Any], *more: Any) -> str:
        api: str = import_api(document, *more)
        for kind, response in (document.get("x-amazon-apigateway-gateway-responses") or {}).items():
            apigateway_v1._put_gateway_response(api, kind, response)
        return api

    apigateway_v1._import_operation, apigateway_v1._import_rest_api = import_whole_operation, import_whole_api
