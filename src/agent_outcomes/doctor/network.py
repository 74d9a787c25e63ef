# SPDX-License-Identifier: Apache-2.0
"""The layers between this machine and the receiver: each signal is followed until it fails or has been taken."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from agent_outcomes.doctor.findings import NETWORK_LAYERS, Layer, export_line, failed, ok, skipped, unset_line
from agent_outcomes.doctor.probe import request_of
from agent_outcomes.doctor.reach import (
    CONNECT_MAX_S,
    DNS_MAX_S,
    LANGUAGE_MAX_S,
    TLS_MAX_S,
    Language,
    connect,
    language_of,
    proxy_of,
    resolve,
    shake_hands,
)
from agent_outcomes.doctor.sending import send
from agent_outcomes.doctor.verdicts import clock_verdict, refused, rejected_verdict, unanswered
from agent_outcomes.otel_variables import GRPC, HTTP, OTLP_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.doctor.reach import Deadline, Proxy
    from agent_outcomes.doctor.sending import ProbeAnswer
    from agent_outcomes.otel_variables import OtlpSignal
    from agent_outcomes.otlp.endpoints import Target

_USUAL_PORTS: Final[Mapping[str, int]] = {GRPC: 4317, HTTP: 4318}
# By OpenSSL's numbers: hostname mismatch, address mismatch, expired.
_NAME_MISMATCHES: Final = frozenset({62, 64})
_EXPIRED: Final = 10
# What a gRPC client says where the other side speaks something else, or nothing.
_MAY_BE_UNANSWERED: Final = frozenset({None, "UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"})


@dataclass(slots=True)
class _Contact:
    """How far one signal has come."""

    target: Target
    failure: LayerFinding | None = None
    answer: ProbeAnswer | None = None


def check_network(
    targets: Sequence[Target], switched_off: Mapping[OtlpSignal, str], temporality: str, deadline: Deadline
) -> list[LayerFinding]:
    """Send one probe per signal and say of each layer what was seen. Never raises."""
    contacts = [_Contact(target) for target in targets]
    seen_ways: dict[tuple[str, int, bool], LayerFinding | None] = {}
    for number, contact in enumerate(contacts):
        target = contact.target
        way = (target.host, target.port, target.is_secure)
        if way not in seen_ways:
            seen_ways[way] = _check_way(target, deadline)
        contact.failure = seen_ways[way]
        if contact.failure is None:
            limit_s = deadline.left_s() / (len(contacts) - number)
            contact.answer = send(target, request_of(target.signal, temporality), limit_s)
    for contact in contacts:
        contact.failure = contact.failure or _judge(contact, contacts, deadline)
    return _rows(contacts, switched_off)


def _check_way(target: Target, deadline: Deadline) -> LayerFinding | None:
    """Name, port and TLS; what a proxy leads to only the proxy can know."""
    proxy = proxy_of(target)
    host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
    if not host:
        return None
    try:
        resolve(host, port, deadline.left_s(DNS_MAX_S))
    except OSError as error:
        return _unresolved(target, proxy, host, error)
    try:
        connect(host, port, deadline.left_s(CONNECT_MAX_S))
    except OSError as error:
        usual = _USUAL_PORTS[target.protocol]
        listens = not proxy and port != usual and _listens(host, usual, deadline.left_s(1.0))
        return _unconnected(target, proxy, f"{host}:{port}", error, usual_listens=listens)
    return None if proxy or not target.is_secure else _check_tls(target, deadline)


def _check_tls(target: Target, deadline: Deadline) -> LayerFinding | None:
    try:
        shake_hands(target, deadline.left_s(TLS_MAX_S))
    except ssl.SSLCertVerificationError as error:
        return _untrusted(target, error)
    except OSError as error:
        language = language_of(target.host, target.port, deadline.left_s(LANGUAGE_MAX_S))
        if language in {Language.HTTP1, Language.HTTP2}:
            return _tls_against_plain(target)
        return failed(
            Layer.TLS,
            f"no TLS connection with {target.host}:{target.port}: {_reason(error)}",
            why="Without it nothing can be sent.",
            fix=f"If the receiver speaks plain text, write http:// in {target.endpoint_variable}; "
            "otherwise its log says what it misses.",
            variable=target.endpoint_variable,
        )
    return None


def _judge(contact: _Contact, contacts: Sequence[_Contact], deadline: Deadline) -> LayerFinding | None:
    answer, target = contact.answer, contact.target
    if answer is None:
        return None
    if answer.is_accepted:
        return clock_verdict(target, answer) or rejected_verdict(target, answer)
    is_unanswered = answer.http_status is None and answer.grpc_code in _MAY_BE_UNANSWERED
    if is_unanswered and target.host and proxy_of(target) is None:
        language = language_of(target.host, target.port, deadline.left_s(LANGUAGE_MAX_S))
        is_other = language is not (Language.HTTP2 if target.protocol == GRPC else Language.HTTP1)
        if answer.grpc_code is None or (is_other and language is not Language.UNKNOWN and not target.is_secure):
            return unanswered(target, answer, language)
    elif answer.http_status is None and answer.grpc_code is None:
        return unanswered(target, answer, Language.UNKNOWN)
    same = [one for one in contacts if (one.target.host, one.target.port) == (target.host, target.port)]
    accepted = {one.target.signal for one in same if one.answer is not None and one.answer.is_accepted}
    return refused(target, answer, accepted, {one.target.signal for one in same})


def _rows(contacts: Sequence[_Contact], switched_off: Mapping[OtlpSignal, str]) -> list[LayerFinding]:
    """One line per layer; failures of several signals that ask for the same change are one."""
    if not contacts:
        because = "no signal is sent by OTLP" if switched_off else "because settings is broken"
        return [skipped(layer, because) for layer in NETWORK_LAYERS]
    off = "".join(f"; {signal}: not sent ({why})" for signal, why in switched_off.items())
    failures = _merged(contacts)
    first = min((NETWORK_LAYERS.index(failure.layer) for failure in failures), default=len(NETWORK_LAYERS))
    last = max(
        NETWORK_LAYERS.index(contact.failure.layer) if contact.failure else len(NETWORK_LAYERS) for contact in contacts
    )
    rows: list[LayerFinding] = []
    for index, layer in enumerate(NETWORK_LAYERS):
        here = [failure for failure in failures if failure.layer is layer]
        if here:
            rows += here
        elif index > last:
            rows.append(skipped(layer, f"because {NETWORK_LAYERS[first]} is broken"))
        else:
            rows.append(_passed(layer, contacts, off))
    return rows


def _merged(contacts: Sequence[_Contact]) -> list[LayerFinding]:
    groups: dict[tuple[Layer, str, str | None], list[tuple[str, LayerFinding]]] = {}
    for contact in contacts:
        failure = contact.failure
        if failure is not None:
            group = groups.setdefault((failure.layer, failure.variable, failure.value), [])
            group.append((contact.target.signal.value, failure))
    return [
        replace(group[0][1], seen=f"{', '.join(name for name, _ in group)}: {group[0][1].seen}")
        for group in groups.values()
    ]


def _passed(layer: Layer, contacts: Sequence[_Contact], off: str) -> LayerFinding:
    if layer is Layer.CLOCK:
        offsets = [c.answer.clock_offset_s for c in contacts if c.answer and c.answer.clock_offset_s is not None]
        if not offsets:
            return skipped(layer, "the answers carry no date, as is usual with gRPC")
        return ok(layer, f"within {max(1.0, *map(abs, offsets)):.0f} s of the receiver's")
    describe = _DESCRIPTIONS.get(layer)
    return ok(layer, describe(contacts) + (off if layer is Layer.PIPELINE else "") if describe else "")


def _places(contacts: Sequence[_Contact]) -> str:
    return ", ".join(dict.fromkeys(f"{c.target.host}:{c.target.port}" for c in contacts if c.target.host))


_DESCRIPTIONS: Final[Mapping[Layer, Callable[[Sequence[_Contact]], str]]] = {
    Layer.DNS: lambda contacts: ", ".join(dict.fromkeys(c.target.host for c in contacts if c.target.host)),
    Layer.CONNECT: _places,
    Layer.TLS: lambda contacts: "TLS" if all(c.target.is_secure for c in contacts) else "plain text",
    Layer.PROTOCOL: lambda contacts: ", ".join(dict.fromkeys(c.target.protocol for c in contacts)),
    Layer.AUTH: lambda contacts: (
        "headers sent: "
        + (", ".join(dict.fromkeys(name for c in contacts for name in sorted(c.target.headers))) or "none")
    ),
    Layer.PIPELINE: lambda contacts: (
        "taken: " + ", ".join(c.target.signal for c in contacts if c.answer is not None and c.answer.is_accepted)
    ),
}


def _unresolved(target: Target, proxy: Proxy | None, host: str, error: OSError) -> LayerFinding:
    reason = "no answer from the name server" if isinstance(error, TimeoutError) else "it does not resolve"
    if proxy:
        return _no_proxy(Layer.DNS, proxy, f"{host}: {reason}")
    line = export_line(target.endpoint_variable, f"http://localhost:{target.port or _USUAL_PORTS[target.protocol]}")
    return failed(
        Layer.DNS,
        f"{host}: {reason} ({target.said_endpoint})",
        why="The exporter cannot find the receiver. Names of containers resolve only within the containers' network.",
        fix=f"Write a name that this machine can resolve; for a receiver on this machine:\n{line}",
        variable=target.endpoint_variable,
    )


def _no_proxy(layer: Layer, proxy: Proxy, seen: str) -> LayerFinding:
    return failed(
        layer,
        f"{seen} (the proxy that {proxy.variable} names)",
        why="The exporter sends by way of that proxy.",
        fix=f"Give the proxy's right address, or go without it:\n{unset_line(proxy.variable)}",
        variable=proxy.variable,
        value="",
    )


def _listens(host: str, port: int, limit_s: float) -> bool:
    try:
        connect(host, port, limit_s)
    except OSError:
        return False
    return True


def _unconnected(
    target: Target, proxy: Proxy | None, place: str, error: OSError, *, usual_listens: bool
) -> LayerFinding:
    if isinstance(error, ConnectionRefusedError):
        seen, why = f"{place} refuses the connection", "Nothing listens on that port."
    elif isinstance(error, TimeoutError):
        seen, why = f"{place} does not answer", "The host is down, or a firewall throws the packets away."
    else:
        seen, why = f"{place} cannot be reached: {_reason(error)}", "There is no way to that address."
    if proxy:
        return _no_proxy(Layer.CONNECT, proxy, seen)
    variable, seen = target.endpoint_variable, f"{seen} ({target.said_endpoint})"
    usual = _USUAL_PORTS[target.protocol]
    value = _at_port(target, usual) if usual_listens else None
    advice = (
        f"Something listens on {usual}, the usual port for {target.protocol}"
        if usual_listens
        else f"Start the receiver, or give the port it listens on; for {target.protocol} that is usually {usual}"
    )
    line = export_line(variable, value or _at_port(target, "PORT"))
    return failed(Layer.CONNECT, seen, why=why, fix=f"{advice}:\n{line}", variable=variable, value=value)


def _at_port(target: Target, port: int | str) -> str:
    """The endpoint at another port."""
    parts = urlsplit(target.shown_endpoint if "://" in target.shown_endpoint else f"//{target.shown_endpoint}")
    host = f"[{target.host}]" if ":" in target.host else target.host
    return urlunsplit((parts.scheme or "http", f"{host}:{port}", parts.path, "", ""))


def _untrusted(target: Target, error: ssl.SSLCertVerificationError) -> LayerFinding:
    variable, value = f"{OTLP_PREFIX}CERTIFICATE", "/path/to/the/ca.pem"
    if error.verify_code in _NAME_MISMATCHES:
        variable = target.endpoint_variable
        fix = f"Write the name that the certificate is for in {variable}, or give the receiver one for {target.host}."
    elif error.verify_code == _EXPIRED:
        fix = "Give the receiver a new certificate. If it is not expired, set this machine's clock."
    elif target.ca_file.variable:
        variable = target.ca_file.variable
        fix = f"The file in {variable} is not the authority that signed it. Name the right one:\n"
        fix += export_line(variable, value)
    else:
        fix = f"If the certificate is your own, name the authority that signed it:\n{export_line(variable, value)}"
    return failed(
        Layer.TLS,
        f"the certificate of {target.host}:{target.port} is not trusted: {error.verify_message}",
        why="The exporter refuses to send to a receiver that it cannot trust.",
        fix=fix,
        variable=variable,
    )


def _tls_against_plain(target: Target) -> LayerFinding:
    shown = target.shown_endpoint
    value = f"http://{shown.partition('://')[2] or shown}"
    without = "" if "://" in shown else " Without http:// before it, gRPC takes TLS."
    return failed(
        Layer.TLS,
        f"{target.host}:{target.port} speaks plain text, but TLS is sent ({target.said_endpoint})",
        why=f"The receiver cannot read a TLS greeting.{without}",
        fix=f"Write http:// in the endpoint:\n{export_line(target.endpoint_variable, value)}",
        variable=target.endpoint_variable,
        value=value,
    )


def _reason(error: OSError) -> str:
    return str(error.strerror or error)[:200]
