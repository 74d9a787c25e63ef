# SPDX-License-Identifier: Apache-2.0
"""From a request to a visitor who may do what they ask for, and from what goes wrong to a page that says what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse

from agent_outcomes.gateway.access.admission import NotAdmitted
from agent_outcomes.gateway.access.blocking import OverloadedError
from agent_outcomes.gateway.access.credentials import is_asked_over_https
from agent_outcomes.gateway.page.forms import FormError, read_form
from agent_outcomes.gateway.page.refusals import UNAVAILABLE, PageRefusal, page_refusal_of
from agent_outcomes.gateway.page.rendering import PAGE_HEADERS, address
from agent_outcomes.gateway.page.visits import VISIT_S, is_cookie
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.keys import Right
from agent_outcomes.ledger.location import LedgerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from agent_outcomes.gateway.access.callers import Caller
    from agent_outcomes.gateway.access.context import GatewayContext
    from agent_outcomes.gateway.page.rendering import Renderer
    from agent_outcomes.gateway.page.visits import Visits

    Endpoint = Callable[[Request], Awaitable[Response]]

COOKIE: Final = "agent_outcomes_visit"
_NS: Final = 1_000_000_000
_RETRY_AFTER_S: Final = 2
_NEXT_LENGTH_MAX: Final = 2048


class Visitor(NamedTuple):
    """Who looks: what they may do, and what their forms must carry. `needs_key`: they have logged in."""

    caller: Caller
    form_token: str
    needs_key: bool

    @property
    def may_report(self) -> bool:
        """Whether they may state outcomes and add costs."""
        return self.caller.may(Right.REPORT)

    @property
    def may_correct(self) -> bool:
        """Whether they may put another outcome in the place of one that stands."""
        return self.caller.may(Right.CORRECT)

    @property
    def may_read(self) -> bool:
        """Whether they may see runs and totals."""
        return self.caller.may(Right.READ)


class Visit(NamedTuple):
    """A request of a visitor, with the fields of the form that it sends, if any."""

    request: Request
    visitor: Visitor
    fields: Mapping[str, str]


class Door:
    """Lets requests in; all views and actions stand behind it."""

    def __init__(self, context: GatewayContext, renderer: Renderer, visits: Visits) -> None:
        self.context = context
        self.visits = visits
        self._renderer = renderer

    def view(self, answer: Callable[[Visit], Awaitable[Response]]) -> Endpoint:
        """The endpoint of a page that is looked at, by whoever has the right to read."""

        async def endpoint(request: Request) -> Response:
            if _comes_from_elsewhere(request):
                return self.page("arrival.html", None, here=_path_of(request))
            return await self._guarded(request, lambda: self._viewed(request, answer))

        return endpoint

    def action(self, right: Right, answer: Callable[[Visit], Awaitable[Response]]) -> Endpoint:
        """The endpoint of a form, for whoever has that right and sends a form that they got here."""

        async def endpoint(request: Request) -> Response:
            return await self._guarded(request, lambda: self._acted(request, right, answer))

        return endpoint

    def open(self, answer: Callable[[Request, str], Awaitable[Response]]) -> Endpoint:
        """An endpoint for whoever has not logged in yet; it is given their cookie."""

        async def endpoint(request: Request) -> Response:
            cookie = self.cookie_of(request) or self.visits.new_cookie()
            response = await self._guarded(request, lambda: answer(request, cookie))
            if COOKIE not in response.headers.get("set-cookie", ""):
                self.give_cookie(request, response, cookie)
            return response

        return endpoint

    def page(self, template: str, visitor: Visitor | None, status: int = 200, **values: Any) -> Response:
        """The page that a template gives."""
        return self._renderer.page(template, status, visitor=visitor, **values)

    def elsewhere(self, where: str) -> Response:
        """Go on there, with a request that only looks."""
        return RedirectResponse(where, 303, headers={**PAGE_HEADERS, "Cache-Control": "no-store"})

    def cookie_of(self, request: Request) -> str | None:
        """The cookie of ours that a browser sends."""
        cookie = request.cookies.get(COOKIE, "")
        return cookie if is_cookie(cookie) else None

    def give_cookie(self, request: Request, response: Response, cookie: str) -> None:
        """Let the browser keep that cookie, and let no script and no other site use it."""
        secure = request.url.scheme == "https" or is_asked_over_https(request.headers)
        response.set_cookie(COOKIE, cookie, max_age=VISIT_S, secure=secure, httponly=True, samesite="strict")

    async def read_form(self, request: Request, cookie: str | None) -> Mapping[str, str]:
        """The fields of a form that was got here. Raises `FormError` and `PageRefusal`."""
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise PageRefusal(403, "Not from here", "Another site has sent this form. Send it from this page.")
        fields = await read_form(request.headers.get("content-type", ""), request.stream())
        if cookie is None or not self.visits.is_form_token(fields.get("form_token", ""), cookie):
            text = (
                "It is from before the gateway was started, or from another log-in. Load the page again, then send it."
            )
            raise PageRefusal(403, "This form is too old", text)
        return fields

    async def _viewed(self, request: Request, answer: Callable[[Visit], Awaitable[Response]]) -> Response:
        cookie = self.cookie_of(request)
        kept = cookie or self.visits.new_cookie()
        visitor = await self._visitor(request, kept)
        if visitor is None:
            return self.elsewhere(address("/login", next=_path_of(request)))
        if not visitor.may_read:
            raise PageRefusal(
                403, "Not with this key", "This key may not read. Log in with one that has the right read."
            )
        response = await answer(Visit(request, visitor, {}))
        if cookie is None:
            self.give_cookie(request, response, kept)
        return response

    async def _acted(self, request: Request, right: Right, answer: Callable[[Visit], Awaitable[Response]]) -> Response:
        cookie = self.cookie_of(request)
        visitor = await self._visitor(request, cookie or "")
        if visitor is None:
            return self.elsewhere("/login")
        fields = await self.read_form(request, cookie)
        if not visitor.caller.may(right):
            text = f"This key may not {right.value}. Log in with one that has the right {right.value}."
            raise PageRefusal(403, "Not with this key", text)
        return await answer(Visit(request, visitor, fields))

    async def _visitor(self, request: Request, cookie: str) -> Visitor | None:
        """Who asks; `None` if they have to log in. Raises `NotAdmitted`."""
        token = self.visits.form_token(cookie)
        secret = self.visits.secret_of(cookie, self.context.now_ns() / _NS)
        if secret is not None:
            caller = await self.context.admission.caller_of_secret(secret)
            if caller is not None:
                return Visitor(caller, token, needs_key=True)
            self.visits.end(cookie)
        peer = None if request.client is None else request.client.host
        try:
            caller = await self.context.admission.caller_of(request.headers, peer)
        except NotAdmitted:
            if await self.context.admission.has_keys():
                return None
            raise
        return Visitor(caller, token, needs_key=False)

    async def _guarded(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        try:
            return await answer()
        except NotAdmitted as error:
            refusal = PageRefusal(error.status, "Not served", error.message)
        except FormError as error:
            refusal = PageRefusal(error.status, "This form was not taken", error.text)
        except OverloadedError:
            refusal = PageRefusal(
                UNAVAILABLE, "Too much at once", "The gateway is busy. Load the page again in a moment."
            )
        except ReportRefused as error:
            refusal = page_refusal_of(error)
        except LedgerError as error:
            refusal = PageRefusal(UNAVAILABLE, "The ledger cannot be read", str(error))
        except PageRefusal as error:
            refusal = error
        response = self.page("refused.html", None, refusal.status, refusal=refusal, here=_path_of(request))
        if refusal.status == UNAVAILABLE:
            response.headers["Retry-After"] = str(_RETRY_AFTER_S)
        return response


def safe_next(text: str) -> str:
    """A page of ours to go on to; the first one for whatever is none."""
    if len(text) > _NEXT_LENGTH_MAX or not text.startswith("/") or text[1:2] in {"/", "\\"} or not text.isprintable():
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc or parts.path.startswith(("/log", "/static")) else text


def _path_of(request: Request) -> str:
    """The address as it was asked for, in which an id may have a question mark that begins no query."""
    path = request.scope.get("raw_path", b"").decode("ascii", "replace") or quote(request.url.path)
    return f"{path}?{request.url.query}" if request.url.query else path


def _comes_from_elsewhere(request: Request) -> bool:
    """Whether a link on another site led here: then the browser keeps its cookie of ours back."""
    headers = request.headers
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") == "navigate"
