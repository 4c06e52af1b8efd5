"""Sign-in at an OpenID provider: the authorization code flow with PKCE, state and nonce.

State lives in a signed cookie for the few minutes of the round trip; a role comes from the provider's groups.
"""

from __future__ import annotations

import os
import secrets
import ssl
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from starlette.concurrency import run_in_threadpool

from dashboard.access import base_url, cookie, set_cookie
from dashboard.database.tables import User
from dashboard.faults import FaultError
from dashboard.security.roles import ROLES, Role
from dashboard.security.secret import digest
from dashboard.services import Services
from dashboard.settings import Settings, SettingsError

MINUTES = 10
LEEWAY_S = 120
TIMEOUT_S = 10
# Signatures of the provider's own key only: `none` and shared secrets are no proof.
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
# Where a group that comes as an object carries its name.
GROUP_NAMES = ("name", "displayName", "value", "id")


class Provider:
    """One provider; its description is fetched when it is first needed."""

    def __init__(self, services: Services) -> None:
        """Make it. Raises SettingsError where an authority's file cannot be read."""
        self._using = services
        settings = services.settings
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client_id = settings.oidc_client_id
        self._secret_file = settings.oidc_client_secret_file
        self._claim = settings.oidc_roles_claim
        self._roles = settings.oidc_roles
        self._tls = _tls(settings)
        self._sealed = URLSafeTimedSerializer(services.secret.sign("oidc", "state"))
        self._description: dict[str, Any] | None = None

    async def redirect(self, request: Request, place: str) -> Response:
        """Send the browser to the provider; afterwards it goes on to `place`."""
        found = await self._describe()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        address = prepare_grant_uri(
            found["authorization_endpoint"],
            self._client_id,
            "code",
            redirect_uri=base_url(request, self._using) + "/sign-in/oidc/callback",
            scope="openid profile email",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        answer = RedirectResponse(address, status_code=303)
        held = self._sealed.dumps({"state": state, "nonce": nonce, "verifier": verifier, "place": place})
        set_cookie(answer, self._using, _cookie(self._using, state), str(held), MINUTES * 60)
        return answer

    async def arrive(self, request: Request) -> tuple[User, str, str]:
        """Return who came back, the page asked for first, and the ID token, shown again at sign-out. Raises FaultError."""
        given = request.query_params.get("state", "")
        try:
            held = self._sealed.loads(
                request.cookies.get(_cookie(self._using, given), ""), max_age=MINUTES * 60
            )
        except BadSignature:
            text = "the sign-in took too long or began elsewhere: start again at /sign-in"
            raise FaultError(403, text) from None
        if not secrets.compare_digest(given.encode(), held["state"].encode()):
            raise FaultError(403, "the provider's answer belongs to another sign-in: start again at /sign-in")
        if "error" in request.query_params:
            said = request.query_params.get("error_description", "")
            raise FaultError(
                403, f"the provider refused: {request.query_params['error'][:100]} {said[:200]}".rstrip()
            )
        try:
            tokens = await self._tokens(request, held["verifier"])
            claims = await self._claims(str(tokens["id_token"]), held["nonce"])
            groups = self._groups(claims) or self._groups(await self._userinfo(tokens, claims))
        except ExpiredTokenError:
            raise FaultError(
                403,
                f"the provider's token has expired (claim exp, {LEEWAY_S} s allowed): are both clocks right?",
            ) from None
        except (JoseError, httpx.HTTPError, ValueError, KeyError) as error:
            raise FaultError(403, f"the provider's answer cannot be trusted: {_reason(error)}") from None
        role = self._role(groups)
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])[:100]
        subject = f"{self._issuer}#{claims['sub']}"[:255]
        user = await run_in_threadpool(self._using.accounts.from_provider, subject, name, role)
        if not user.active:
            raise FaultError(403, f"the account {user.name} is closed")
        return user, str(held.get("place", "/runs")), str(tokens["id_token"])

    async def sign_out(self, request: Request, id_token: str) -> str | None:
        """Return the provider's address that ends its session too (RP-initiated logout); None where it has none."""
        try:
            end = (await self._describe()).get("end_session_endpoint")
        except FaultError:
            return None
        if not isinstance(end, str):
            return None
        sent = {
            "client_id": self._client_id,
            "post_logout_redirect_uri": base_url(request, self._using) + "/sign-in",
            **({"id_token_hint": id_token} if id_token else {}),
        }
        return f"{end}{'&' if '?' in end else '?'}{urlencode(sent)}"

    def _groups(self, claims: dict[str, Any]) -> list[str]:
        found: Any = claims.get(self._claim)
        if found is None:
            found = claims
            for part in self._claim.split("."):
                found = found.get(part) if isinstance(found, dict) else None
        listed = found if isinstance(found, list) else [found]
        names = [
            next((one[key] for key in GROUP_NAMES if one.get(key)), None) if isinstance(one, dict) else one
            for one in listed
        ]
        return [name for name in names if isinstance(name, str)]

    def _role(self, groups: list[str]) -> Role:
        mapped = [self._roles[group] for group in groups if group in self._roles]
        if mapped:
            return max(mapped, key=ROLES.index)
        if not groups:
            raise FaultError(
                403,
                f"the provider sends no groups: claim {self._claim} is neither in the ID token nor in userinfo",
            )
        raise FaultError(403, f"none of your groups at the provider gives access (claim {self._claim})")

    async def _tokens(self, request: Request, verifier: str) -> dict[str, Any]:
        secret = self._secret_file.read_text().strip() if self._secret_file else ""
        form = {
            "grant_type": "authorization_code",
            "code": request.query_params.get("code", ""),
            "redirect_uri": base_url(request, self._using) + "/sign-in/oidc/callback",
            "code_verifier": verifier,
        }
        # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
        pair = httpx.BasicAuth(quote(self._client_id, safe=""), quote(secret, safe=""))
        address = (await self._describe())["token_endpoint"]
        tokens: dict[str, Any] = await self._ask("POST", address, data=form, auth=pair)
        return tokens

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        found = await self._describe()
        keys = await self._ask("GET", found["jwks_uri"])
        decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": found["issuer"]},
            aud={"essential": True, "value": self._client_id},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(decoded.claims)
        return decoded.claims

    async def _userinfo(self, tokens: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        """Return what the provider says of the person apart from the ID token; nothing where it says none."""
        place, access = (await self._describe()).get("userinfo_endpoint"), tokens.get("access_token")
        if not place or not access:
            return {}
        said = await self._ask("GET", place, headers={"Authorization": f"Bearer {access}"})
        # OpenID Connect Core, 5.3.2: userinfo of another subject must not be used.
        if not isinstance(said, dict) or said.get("sub") != claims["sub"]:
            raise ValueError("userinfo is of another person (claim sub)")
        return said

    async def _describe(self) -> dict[str, Any]:
        if self._description is None:
            address = f"{self._issuer}/.well-known/openid-configuration"
            try:
                found = await self._ask("GET", address)
            except (httpx.HTTPError, ValueError) as error:
                raise FaultError(502, f"the OpenID provider does not answer: {_reason(error)}") from None
            if str(found.get("issuer", "")).rstrip("/") != self._issuer:
                raise FaultError(
                    502,
                    f"the OpenID provider calls itself {str(found.get('issuer'))[:200]} (issuer), not {self._issuer} "
                    "(oidc_issuer)",
                )
            self._description = dict(found)
        return self._description

    async def _ask(self, method: str, address: str, **options: Any) -> Any:
        """Return the JSON of one answer of the provider. Raises httpx.HTTPError or ValueError."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=self._tls) as client:
            return (await client.request(method, address, **options)).raise_for_status().json()


def _tls(settings: Settings) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    for path in (settings.oidc_ca_file, os.environ.get("SSL_CERT_FILE")):
        if path:
            try:
                context.load_verify_locations(cafile=path)
            except OSError as error:  # ssl.SSLError is one
                raise SettingsError(
                    f"oidc_ca_file {path}: cannot be read as PEM: {error.strerror or error}"
                ) from None
    return context


def _cookie(using: Services, state: str) -> str:
    """One cookie a sign-in: two tabs may each be at the provider."""
    return f"{cookie(using, 'oidc')}-{digest(state)[:8]}"


def _reason(error: Exception) -> str:
    """What went wrong, with the claim where it is one: joserfc's description names it."""
    said = str(getattr(error, "description", "") or error)
    return f"{type(error).__name__}: {said}"[:300]
