"""Checks of the user pool, of its users' tenants, and of the mail to users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3

from exports_admin import stack
from exports_admin.health.deployment import Finding
from shared.api.identity import TENANT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exports_admin.health.deployment import Deployment

_PAGES = 20  # of 60 users
_NAMED = 5


def _pool(deployment: Deployment) -> dict[str, Any] | None:
    pool = deployment.outputs["UserPoolId"]
    answer = deployment.ask("cognito-idp", "describe_user_pool", ("ResourceNotFoundException",), UserPoolId=pool)
    return answer and answer["UserPool"]  # type: ignore[no-any-return]


def pool(deployment: Deployment) -> Iterator[Finding]:
    """Whether the issuer can be read, or the user pool exists and only administrators create users in our own."""
    if issuer := deployment.outputs.get("Issuer"):
        yield from _issuer(issuer)
        return
    pool_id = deployment.outputs["UserPoolId"]
    described = _pool(deployment)
    if described is None:
        remedy = "Deploy with UserPoolId and UserPoolClientId of another pool: docs/howto/disaster.md#the-user-pool"
        yield Finding("problem", f"The user pool {pool_id} does not exist: nobody can sign in", remedy)
        return
    is_own, admin = deployment.of_kind("AWS::Cognito::UserPool"), described.get("AdminCreateUserConfig", {})
    if is_own and not admin.get("AllowAdminCreateUserOnly"):
        remedy = "Set AdminCreateUserConfig of the pool as template.yaml has it."
        yield Finding("warning", "Anybody may sign up in the user pool", remedy)


def _issuer(issuer: str) -> Iterator[Finding]:
    """Whether the discovery document can be read and names the issuer, as Authorize requires."""
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    remedy = "Set OidcIssuer exactly as the tokens name it in iss: docs/howto/sign-in.md"
    try:
        named = urllib3.request("GET", address, timeout=5, retries=False).json()["issuer"]
    except (urllib3.exceptions.HTTPError, ValueError, LookupError, TypeError) as error:
        yield Finding("problem", f"{address} cannot be read ({type(error).__name__}): nobody can sign in", remedy)
    else:
        if named != issuer:
            yield Finding("problem", f"{address} names the issuer {named}: every token is refused", remedy)


def clients(deployment: Deployment) -> Iterator[Finding]:
    """Whether no client of the pool lets users write the claim that names their tenant."""
    if "Issuer" in deployment.outputs:
        return
    pool_id, claim = deployment.outputs["UserPoolId"], deployment.parameters["TenantClaim"]
    ours = deployment.outputs["UserPoolClientId"]
    listed = deployment.pages("cognito-idp", "list_user_pool_clients", "UserPoolClients", UserPoolId=pool_id)
    ids = [each["ClientId"] for each in listed]
    for client_id in ids:
        described = deployment.ask("cognito-idp", "describe_user_pool_client", UserPoolId=pool_id, ClientId=client_id)[
            "UserPoolClient"
        ]
        name, writes = described.get("ClientName", client_id), described.get("WriteAttributes", [])
        if claim in writes:
            remedy = (
                f"Remove {claim} from the client's WriteAttributes. Then compare the users' tenants with your list."
            )
            yield Finding("problem", f"Users of the client {name} can change their own tenant ({claim})", remedy)
        elif not writes:  # Cognito returns no list for a client with the default
            what = f"The client {name} has no list of WriteAttributes, so Cognito decides what users may write"
            yield Finding("warning", what, f"Set WriteAttributes of the client to a list without {claim}.")
        reads = described.get("ReadAttributes", [])
        if client_id == ours and claim.startswith("custom:") and reads and claim not in reads:
            what = f"Tokens of the client {name} do not hold {claim}, so the API refuses every call"
            yield Finding("problem", what, f"Add {claim} to the client's ReadAttributes.")
    if ours not in ids:
        remedy = "Deploy with UserPoolClientId of an existing client, or update the stack: make deploy"
        yield Finding("problem", f"The client {ours} does not exist: nobody can sign in", remedy)


def tenants(deployment: Deployment) -> Iterator[Finding]:
    """Whether every enabled user has a tenant that the API accepts. Reads the first 1,200 users."""
    if "Issuer" in deployment.outputs:
        return
    claim, pool_id = deployment.parameters["TenantClaim"], deployment.outputs["UserPoolId"]
    described = _pool(deployment)
    if described is None or "PreTokenGeneration" in str(described.get("LambdaConfig", {})):
        return  # a trigger may add the claim to a token (PreTokenGeneration, PreTokenGenerationConfig)
    without = []
    for each in deployment.pages("cognito-idp", "list_users", "Users", _PAGES, UserPoolId=pool_id):
        tenant = stack.attribute(each, claim)
        if each.get("Enabled", True) and not TENANT.fullmatch(tenant or ""):
            email = stack.attribute(each, "email") or each["Username"]
            without.append(f"{email} ({tenant!r})" if tenant else email)
    if without:
        more = f" and {len(without) - _NAMED:,} more" if len(without) > _NAMED else ""
        many = "1 user has" if len(without) == 1 else f"{len(without):,} users have"
        what = f"{many} no valid tenant, so the API refuses them: {', '.join(without[:_NAMED])}{more}"
        command = f"bin/exports-admin user EMAIL --tenant TENANT --change --stack {deployment.name}"
        yield Finding("warning", what, command)


def sender(deployment: Deployment) -> Iterator[Finding]:
    """Whether SES has verified the sender, or its domain."""
    if not (address := deployment.parameters.get("SenderEmail")):
        return
    for identity in (address, address.rpartition("@")[2]):
        answer = deployment.ask("sesv2", "get_email_identity", ("NotFoundException",), EmailIdentity=identity)
        if answer is None:
            continue
        if not answer.get("VerifiedForSendingStatus"):
            remedy = "Confirm the mail of AWS, or add the DNS records that the SES console shows."
            yield Finding("problem", f"SES has not verified {identity}: no mail is sent", remedy)
        if configuration := answer.get("ConfigurationSetName"):
            what = f"{identity} has the default configuration set {configuration}, which NotifyOwner may not use"
            yield Finding("warning", what, "Remove it, or allow it: docs/howto/send-mail.md#before-you-deploy")
        return
    command = f"aws sesv2 create-email-identity --email-identity {address}"
    yield Finding("problem", f"SES knows neither {address} nor its domain: no mail is sent", command)


def sending(deployment: Deployment) -> Iterator[Finding]:
    """Whether SES sends mail of this account to everybody, and protects the account's reputation."""
    if not deployment.parameters.get("SenderEmail"):
        return
    account = deployment.ask("sesv2", "get_account")
    if not account.get("SendingEnabled", True) or account.get("EnforcementStatus") == "SHUTDOWN":
        remedy = "Read the reason in the SES console (Reputation metrics), and answer AWS there."
        yield Finding("problem", "SES has paused the sending of this account", remedy)
    if not account.get("ProductionAccessEnabled"):
        what = "SES is in its sandbox: it sends only to verified addresses"
        yield Finding("warning", what, "Request production access: docs/howto/send-mail.md#before-you-deploy")
    missing = {"BOUNCE", "COMPLAINT"} - set(account.get("SuppressionAttributes", {}).get("SuppressedReasons", []))
    if missing:
        what = f"SES keeps sending to addresses after a {' or a '.join(sorted(missing)).lower()}"
        command = "aws sesv2 put-account-suppression-attributes --suppressed-reasons BOUNCE COMPLAINT"
        yield Finding("warning", what, command)
    quota = account.get("SendQuota", {})
    if 0 < quota.get("Max24HourSend", -1) <= quota.get("SentLast24Hours", 0):  # -1: no limit
        remedy = "Ask for a higher sending quota in the SES console."
        yield Finding("problem", f"The account has sent its {quota['Max24HourSend']:,.0f} mails of the day", remedy)
