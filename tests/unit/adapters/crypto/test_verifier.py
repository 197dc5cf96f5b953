"""Whatever a library or a key source raises, a verifier says no, or that it does not know (FX-01, FX-02)."""

import asyncio
from collections.abc import Callable

import pytest

from doorward.adapters.crypto.algorithms import VerifyingKey
from doorward.adapters.crypto.verifier import Verifier
from doorward.ports import SignatureVerifier, VerifierError
from doorward.values.token import Signature, SignedToken

TOKEN = SignedToken("HS256", "k", None, "i", {}, b"input", b"s" * 32)
FAULTS = [
    ValueError("x"),
    KeyError("x"),
    OSError("x"),
    TimeoutError(),
    UnicodeError("x"),
    RecursionError(),
    MemoryError(),
]
FAULTS += [TypeError("x"), AttributeError("x"), AssertionError(), StopIteration(), ZeroDivisionError()]


class Source:
    """Gives what it was given, or raises it."""

    def __init__(self, outcome: VerifyingKey | Signature | BaseException) -> None:
        self.outcome = outcome

    async def key(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def key(check: Callable[[bytes, bytes], bool]) -> VerifyingKey:
    return VerifyingKey("k", "HS256", 32, check)


def raising(fault: BaseException) -> Callable[[bytes, bytes], bool]:
    def check(octets: bytes, signature: bytes) -> bool:
        raise fault

    return check


def verifier(outcome: VerifyingKey | Signature | BaseException, problems: list[str] | None = None) -> SignatureVerifier:
    report: list[str] = [] if problems is None else problems
    return Verifier({"i": Source(outcome)}, report=report.append)


async def test_what_a_key_says() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def note(octets: bytes, signature: bytes) -> bool:
        seen.append((octets, signature))
        return True

    assert await verifier(key(note)).verify(TOKEN) is Signature.GOOD
    assert seen == [(b"input", b"s" * 32)]
    assert await verifier(key(lambda octets, signature: False)).verify(TOKEN) is Signature.BAD


@pytest.mark.parametrize("answer", [1, "yes", object(), [True], None])
async def test_only_true_is_good(answer: object) -> None:
    assert await verifier(key(lambda octets, signature: answer)).verify(TOKEN) is Signature.BAD  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("length", [0, 31, 33, 64])
async def test_a_wrong_length_is_not_even_looked_at(length: int) -> None:
    short = SignedToken("HS256", "k", None, "i", {}, b"input", b"s" * length)
    assert await verifier(key(raising(AssertionError("looked")))).verify(short) is Signature.BAD


@pytest.mark.parametrize("answer", [Signature.KEY_UNKNOWN, Signature.KEY_UNFIT])
async def test_what_a_source_says(answer: Signature) -> None:
    assert await verifier(answer).verify(TOKEN) is answer


async def test_an_unknown_issuer_has_no_key() -> None:
    assert await Verifier({}, report=pytest.fail).verify(TOKEN) is Signature.KEY_UNKNOWN


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_a_library_that_raises_is_a_bad_signature(fault: Exception) -> None:
    problems: list[str] = []
    assert await verifier(key(raising(fault)), problems).verify(TOKEN) is Signature.BAD
    assert len(problems) == 1


@pytest.mark.parametrize("fault", [*(fault for fault in FAULTS if not isinstance(fault, StopIteration))], ids=repr)
async def test_a_source_that_raises_is_no_answer(fault: Exception) -> None:
    problems: list[str] = []
    with pytest.raises(VerifierError):
        await verifier(fault, problems).verify(TOKEN)
    assert len(problems) == 1


async def test_a_source_that_knows_that_it_does_not_know() -> None:
    with pytest.raises(VerifierError, match="away"):
        await verifier(VerifierError("away")).verify(TOKEN)


async def test_cancellation_goes_through() -> None:
    for outcome in (asyncio.CancelledError(), key(raising(asyncio.CancelledError()))):
        with pytest.raises(asyncio.CancelledError):
            await verifier(outcome).verify(TOKEN)
