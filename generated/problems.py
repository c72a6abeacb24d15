"""docs/problems.md: the problems of the API, and the errors of exports."""

from shared.api import explanations, problems

_HEAD = """\
# Problems, and errors of exports

`make docs` generates this page from `problems.py` and `explanations.py` in `functions/shared/api/`.

## What the API answers

Every error answer is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). `type` identifies
the problem, `title` never changes for a type, and `detail` says what happened this time. The errors of API Gateway have
the same form. `refused` and `unexpected` stand for many gateway responses, so their body has no `status`. A `type` is
an identifier, not a URL: `{urn}` and the name below. Web pages of the `AllowedOrigin` may read all of them.

AWS does not document which gateway response it returns when Lambda throttles a function. The caller gets `busy` or
`unexpected`, both with `Retry-After`.
"""
_ERRORS = """\
## Why an export failed

The `error` of a FAILED export says what is wrong, and which `state` and `part` failed. Its `type` is one of the types
below, or the name of an AWS error.

| type | title | retry? | what to do |
|---|---|---|---|
"""
_WARNINGS = """
## What a file may lack

The `warning` of a SUCCEEDED export says what its file lacks. The file is complete nevertheless.

| type | title | what to do |
|---|---|---|
"""


def text() -> str:
    """The whole document."""
    rows = [
        f"| `{name}` | {each.title} | {'yes' if each.retryable else 'after a fix'} | {each.remedy} |"
        for name, each in explanations.EXPLANATIONS.items()
    ]
    warnings = [f"| `{name}` | {title} | {remedy} |" for name, (title, remedy) in explanations.WARNINGS.items()]
    sections = [_section(each) for each in problems.CATALOGUE]
    head = _HEAD.replace("{urn}", problems.URN) + "".join(sections)
    return head + "\n" + _ERRORS + "\n".join(rows) + "\n" + _WARNINGS + "\n".join(warnings) + "\n"


def _section(problem: problems.ProblemType) -> str:
    headers = "".join(f"`{name}: {value}`. " for name, value in problem.headers.items())
    return f"""
### {problem.name}

{problem.code} {problem.title}. {headers}

- **When:** {problem.when}
- **What to do:** {problem.remedy}
""".replace(". \n", ".\n")
