"""Our own HTTP endpoints are entered by the same first steps as a socket: host, transport, address, origin."""

from doorward.core.admission import address_fault
from doorward.core.handshakes import duplicate_fault, host_fault
from doorward.core.origins import judge_origin
from doorward.core.peering import peer_of
from doorward.core.proving import Steps
from doorward.values.audit import Trail
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire
from doorward.values.rules import Rules, WithoutOrigin


def attend(handshake: Handshake, wire: Wire, rules: Rules, *, writes: bool, trail: Trail) -> Steps[Peer | Deny]:
    """Let a request to one of our endpoints in, or not. `writes`: it changes state, so a browser must show whence."""
    trail.path, trail.user_agent = handshake.path, handshake.one("user-agent") or ""
    trail.origin = handshake.one("origin") or ""
    fault = duplicate_fault(handshake) or host_fault(handshake, rules)
    if fault is not None:
        return fault
    peer = peer_of(wire, handshake, rules)
    if isinstance(peer, Deny):
        return peer
    trail.peer = peer
    fault = yield from address_fault(peer, rules, pending=False)
    if fault is None and writes:
        fault = whence_fault(handshake, rules)
    return peer if fault is None else fault


def whence_fault(handshake: Handshake, rules: Rules) -> Deny | None:
    """ORG-09: a listed Origin (or our own), or Sec-Fetch-Site same-origin, where a browser sends either.

    What sends neither is no browser, and no victim's browser can be made to send neither.
    """
    origin = handshake.one("origin")
    if origin is not None:
        return judge_origin(origin, rules.origins | ({rules.own_origin} - {""}), WithoutOrigin.REFUSE)
    sites = handshake.all("sec-fetch-site")
    if sites and sites != ("same-origin",):
        return Deny(Reason.ORIGIN_MISSING, Step.ORIGIN)
    return None
