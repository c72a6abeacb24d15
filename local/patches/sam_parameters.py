"""The SAM transform gets the values of the stack's parameters.

AWS ("AWS::Serverless transform", "Using CloudFormation macros": `templateParameterValues`): a macro gets the values.
Stock: it does not get them, so SAM uses a parameter's default wherever it resolves one, as in an API's authorizer.
"""

from contextvars import ContextVar
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers
from samtranslator.translator import transform as sam

_values: ContextVar[dict[str, Any]] = ContextVar("parameter_values")


def apply() -> None:
    """Passes the values that MiniStack resolves to the transform."""
    expand, transform = engine._apply_transforms, sam.transform

    def expand_with_values(template: dict[str, Any], *parameters: Any) -> Any:
        _values.set(engine._transform_parameters(template, *(*parameters, None, None)[:2]))
        return expand(template, *parameters)

    for module in (engine, changesets, handlers):
        module._apply_transforms = expand_with_values
    sam.transform = lambda template, _, policies: transform(template, _values.get(), policies)
