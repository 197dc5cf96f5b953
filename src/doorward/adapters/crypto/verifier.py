"""A signature is good only if the named issuer's own key, made for exactly this algorithm, says so.

Whatever the crypto library raises is a bad signature; whatever a key source raises is no answer. Neither gets out as
anything else, and neither is ever an allow.
"""

from collections.abc import Mapping

from doorward.adapters.crypto.key_sets import KeySource, Report
from doorward.ports import VerifierError
from doorward.values.token import Signature, SignedToken


class Verifier:
    """The SignatureVerifier of all configured issuers, each with its own source of keys."""

    def __init__(self, sources: Mapping[str, KeySource], *, report: Report) -> None:
        """`sources` by issuer. `report` gets a line for each failure that is ours or a library's, not the peer's."""
        self._sources = dict(sources)
        self._report = report

    async def verify(self, token: SignedToken) -> Signature:
        source = self._sources.get(token.issuer)
        if source is None:
            return Signature.KEY_UNKNOWN
        try:
            key = await source.key(key_id=token.key_id, algorithm=token.algorithm)
        except VerifierError:
            raise
        except Exception as fault:
            self._report(f"the keys of {token.issuer} failed: {type(fault).__name__}")
            raise VerifierError(f"the keys of {token.issuer} failed") from fault
        if isinstance(key, Signature):
            return key
        try:
            good = key.verifies(token.signing_input, token.signature)
        except Exception as fault:  # noqa: BLE001 - a peer can make a library stumble only over its own signature
            self._report(f"verifying {token.algorithm} of {token.issuer} failed: {type(fault).__name__}")
            return Signature.BAD
        return Signature.GOOD if good is True else Signature.BAD
