"""docs/problems.md: what an error of the API means, and an error of an export."""

from shared.api import explanations, problems

_HEAD = """\
# Problems, and errors of exports

Made by `make docs` of `functions/shared/api/problems.py` and `functions/shared/errors.py`.

## What the API answers

An answer that is an error is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): `type`
says which problem it is, `title` is the same every time, `detail` says what happened this time. API Gateway's own are
of this form too; `refused` and `unexpected`, which stand for many of its answers, have no `status` in the body. A
`type` is a name and no address: `{urn}` and the name below. Pages of the `AllowedOrigin` may read them all.

When Lambda throttles a function, AWS does not say which of its gateway responses that is: the caller gets `busy` or
`unexpected`, and either has its `Retry-After`.
"""
_ERRORS = """\
## Why an export failed

`error` of an export that is FAILED says what went wrong, in which `state` of the workflow and which `part`. Its `type`
is one of these, or AWS's own name of an error.

| type | title | retry? | what to do |
|---|---|---|---|
"""
_WARNINGS = """
## What a file may lack

`warning` of an export that is SUCCEEDED says what its file lacks. The file is complete all the same.

| type | title | what to do |
|---|---|---|
"""


def text() -> str:
    """The whole document."""
    rows = [
        f"| `{name}` | {each.title} | {'yes' if each.retryable else 'not as things are'} | {each.remedy} |"
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
