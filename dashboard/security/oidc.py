"""Sign-in at an OpenID provider: the authorization code flow with PKCE, state and nonce.

State lives in a signed cookie for the few minutes of the round trip; a role comes from the provider's groups.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.concurrency import run_in_threadpool

from dashboard.access import cookie
from dashboard.database.tables import User
from dashboard.faults import FaultError
from dashboard.security.roles import ROLES, Role
from dashboard.services import Services

MINUTES = 10
LEEWAY_S = 60
# Signatures of the provider's own key only: `none` and shared secrets are no proof.
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]


class Provider:
    """One provider; its description is fetched when it is first needed."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client_id = settings.oidc_client_id
        self._secret_file = settings.oidc_client_secret_file
        self._claim = settings.oidc_roles_claim
        self._roles = settings.oidc_roles
        self._sealed = URLSafeTimedSerializer(services.secret.sign("oidc", "state"))
        self._description: dict[str, Any] | None = None

    async def redirect(self, request: Request, using: Services) -> Response:
        """Send the browser to the provider."""
        found = await self._describe()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        address = prepare_grant_uri(
            found["authorization_endpoint"],
            self._client_id,
            "code",
            redirect_uri=self._return(request, using),
            scope="openid profile email",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        answer = RedirectResponse(address, status_code=303)
        answer.set_cookie(
            cookie(using, "oidc"),
            str(self._sealed.dumps({"state": state, "nonce": nonce, "verifier": verifier})),
            max_age=MINUTES * 60,
            path="/",
            secure=using.settings.secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def arrive(self, request: Request, using: Services) -> User:
        """Who came back. Raises FaultError."""
        try:
            held = self._sealed.loads(request.cookies.get(cookie(using, "oidc"), ""), max_age=MINUTES * 60)
        except BadSignature:
            raise FaultError(
                403, "the sign-in took too long or began elsewhere: start again at /sign-in"
            ) from None
        given = request.query_params.get("state", "")
        if not secrets.compare_digest(given.encode(), held["state"].encode()):
            raise FaultError(403, "the provider's answer belongs to another sign-in: start again at /sign-in")
        if "error" in request.query_params:
            raise FaultError(403, f"the provider refused: {request.query_params['error'][:100]}")
        found = await self._describe()
        try:
            token = await self._token(request, using, found, held["verifier"])
            claims = await self._claims(token, held["nonce"], found)
        except (JoseError, httpx.HTTPError, ValueError, KeyError) as error:
            raise FaultError(
                403, f"the provider's answer cannot be trusted: {type(error).__name__}"
            ) from None
        role = self._role(claims)
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])[:100]
        subject = f"{self._issuer}#{claims['sub']}"[:255]
        user = await run_in_threadpool(using.accounts.from_provider, subject, name, role)
        if not user.active:
            raise FaultError(403, f"the account {user.name} is closed")
        return user

    def _role(self, claims: dict[str, Any]) -> Role:
        groups = claims.get(self._claim) or []
        listed = [groups] if isinstance(groups, str) else groups
        mapped = [self._roles[group] for group in listed if group in self._roles]
        if not mapped:
            raise FaultError(403, f"none of your groups at the provider gives access (claim {self._claim})")
        return max(mapped, key=ROLES.index)

    async def _token(self, request: Request, using: Services, found: dict[str, Any], verifier: str) -> str:
        secret = self._secret_file.read_text().strip() if self._secret_file else ""
        form = {
            "grant_type": "authorization_code",
            "code": request.query_params.get("code", ""),
            "redirect_uri": self._return(request, using),
            "code_verifier": verifier,
        }
        # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
        pair = httpx.BasicAuth(quote(self._client_id, safe=""), quote(secret, safe=""))
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            answer = await client.post(found["token_endpoint"], data=form, auth=pair)
        return str(answer.raise_for_status().json()["id_token"])

    async def _claims(self, token: str, nonce: str, found: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            keys = (await client.get(found["jwks_uri"])).raise_for_status().json()
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

    async def _describe(self) -> dict[str, Any]:
        if self._description is None:
            address = f"{self._issuer}/.well-known/openid-configuration"
            try:
                async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
                    found = (await client.get(address)).raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                raise FaultError(
                    502, f"the OpenID provider does not answer: {type(error).__name__}"
                ) from None
            if str(found.get("issuer", "")).rstrip("/") != self._issuer:
                raise FaultError(502, "the OpenID provider calls itself otherwise than oidc_issuer does")
            self._description = dict(found)
        return self._description

    @staticmethod
    def _return(request: Request, using: Services) -> str:
        base = using.settings.public_url or str(request.base_url).rstrip("/")
        return f"{base}/sign-in/oidc/callback"
