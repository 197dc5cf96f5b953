"""Config -> the concrete parts behind the ports. With assemble.py, the only place that names concrete classes."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, assert_never

from doorward.adapters.crypto.assertion import Assertions, assertion_key, secret_assertions
from doorward.adapters.crypto.jwks import PublishedKeys, keys_from_file
from doorward.adapters.crypto.key_sets import KeySource
from doorward.adapters.crypto.keys import Keyring
from doorward.adapters.crypto.master import MasterSecret, load_key_file
from doorward.adapters.crypto.outbound import Outbound
from doorward.adapters.crypto.shared_secrets import SharedSecret as SecretKeys
from doorward.adapters.crypto.verifier import Verifier
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.sqlite import SqliteStore
from doorward.adapters.system import SystemClock, SystemEntropy
from doorward.config.config import BackendTerms, Config, JwksFile, JwksUrl, SharedSecret
from doorward.config.rules import rules_of
from doorward.ports import Clock, Entropy, Store, StoreError
from doorward.service.asking import Answers
from doorward.service.noting import unfailing
from doorward.service.timekeeping import set_by
from doorward.service.withdrawals import Withdrawals
from doorward.values.rules import Rules

Report = Callable[[str], None]

YEARS: Final = 10 * 365 * 86400.0


def make_store(
    config: Config,
    *,
    clock: Clock,
    entropy: Entropy,
    master: MasterSecret,
    process: str,
    shared: bool,
    follows: bool,
    told: Told,
) -> Store:
    """`process` names this process among those that share the store; `shared`: rates and slots are rows in it.
    `follows`: it serves connections, and is no command. Raises StoreError."""
    if not config.cluster_url:
        return _durable_store(config, clock=clock, process=process, shared=shared, follows=follows, told=told)
    from doorward.config.cluster import make_cluster_store  # noqa: PLC0415 - an extra brings its libraries

    return make_cluster_store(
        _durable_store(config, clock=clock, process=process, shared=False, follows=follows, told=told),
        config.cluster_url,
        process=process,
        master=master,
        clock=clock,
        entropy=entropy,
        told=told,
        follows=follows,
        name="PostgreSQL" if config.store_is_postgres else "SQLite",
    )


def _durable_store(config: Config, *, clock: Clock, process: str, shared: bool, follows: bool, told: Told) -> Store:
    if config.store_is_postgres:
        from doorward.adapters.stores.postgres.connecting import COMMANDS, HANDSHAKES  # noqa: PLC0415 - with the store
        from doorward.adapters.stores.postgres.store import PostgresStore  # noqa: PLC0415 - an extra brings its library

        patience = HANDSHAKES if follows else COMMANDS
        return PostgresStore(
            config.store_url, clock=clock, process=process, patience=patience, note=told.note, fault=told.fault
        )
    if config.store_path is None:
        return MemoryStore()
    return SqliteStore(config.store_path, clock=clock, process=process, shared=shared, note=told.note, fault=told.fault)


def make_keyring(config: Config, *, store: Store, master: MasterSecret, clock: Clock, entropy: Entropy) -> Keyring:
    return Keyring(store=store.keys, master=master, clock=clock, entropy=entropy, algorithm=config.algorithm)


def make_sources(
    config: Config, rules: Rules, *, keyring: Keyring, clock: Clock, report: Report
) -> dict[str, KeySource]:
    """Where each issuer's keys come from, our own among them. Raises KeysError for a file or secret that won't do."""
    outbound = Outbound(allow=config.outbound_allow)
    sources: dict[str, KeySource] = {config.public_url: keyring}
    for issuer, source in config.key_sources.items():
        algorithms = rules.issuers[issuer].algorithms
        match source:
            case JwksUrl(url):
                sources[issuer] = PublishedKeys(
                    url=url, algorithms=algorithms, outbound=outbound, clock=clock, report=report
                )
            case JwksFile(path):
                sources[issuer] = keys_from_file(path, algorithms=algorithms, report=report)
            case SharedSecret(secret):
                sources[issuer] = SecretKeys(secret.expose().encode(), algorithms=algorithms)
            case _:
                assert_never(source)
    return sources


def make_assertions(config: Config, *, master: MasterSecret, entropy: Entropy) -> dict[str, Assertions]:
    """By route name; a route whose backend gets none is left out."""
    derived: dict[str, Assertions] = {}
    made: dict[str, Assertions] = {}
    for name, backend in config.backends.items():
        assertions = _assertions(backend, config, derived, master, entropy)
        if assertions is not None:
            made[name] = assertions
    return made


def _assertions(
    backend: BackendTerms, config: Config, derived: dict[str, Assertions], master: MasterSecret, entropy: Entropy
) -> Assertions | None:
    algorithm = backend.assertion_algorithm
    if algorithm == "none":
        return None
    if backend.assertion_secret is not None:
        secret = backend.assertion_secret.expose().encode()
        return secret_assertions(secret, public_url=config.public_url, entropy=entropy)
    if algorithm not in derived:
        key = assertion_key(master, algorithm=algorithm)
        derived[algorithm] = Assertions(key=key, public_url=config.public_url, entropy=entropy)
    return derived[algorithm]


def published_keys(keyring: Keyring, assertions: Mapping[str, Assertions]) -> dict[str, list[dict[str, str]]]:
    """What /.well-known/jwks.json answers: token keys and the derived assertion keys, public members only."""
    keys = {one.key.key_id: one.key for one in assertions.values() if one.key.public}
    return keyring.jwks(*keys.values())


def revocation_life(rules: Rules) -> float:
    """Seconds after which nothing that a revocation could refuse is valid any more (REV-05).

    A token without `iat` may have been issued at any time, and is shown only in the last `max_life` before its `exp`:
    no nearer bound than years holds for it.
    """
    return max(YEARS, *(issuer.max_life + issuer.leeway for issuer in rules.issuers.values()))


@dataclass(frozen=True, slots=True)
class Opened:
    """A configuration's store and keys, opened for one command."""

    config: Config
    rules: Rules
    store: Store
    clock: Clock
    entropy: Entropy
    keyring: Keyring
    answers: Answers
    withdrawals: Withdrawals


@asynccontextmanager
async def opened(config: Config, *, report: Report, keys: bool = True) -> AsyncIterator[Opened]:
    """Open what a command needs, and close it. Raises StoreError, KeyFileError, KeysError.

    Without `keys` it is content with one of a cluster's two stores: what it does reaches the nodes by that.
    """
    clock, entropy, report = SystemClock(), SystemEntropy(), unfailing(report)
    rules = rules_of(config)
    master = load_key_file(config.key_file)
    store = make_store(
        config,
        clock=clock,
        entropy=entropy,
        master=master,
        process=f"command:{entropy.bytes(6).hex()}",
        shared=config.counts_are_shared,
        follows=False,
        told=Told(
            note=report,
            refused=lambda why, count: None,
            made_durable=lambda revocation: None,
            fault=lambda where, error: report(f"fault in {where}: {type(error).__name__}"),
        ),
    )
    await store.open()
    try:
        keyring = make_keyring(config, store=store, master=master, clock=clock, entropy=entropy)
        try:
            await set_by(store, clock)
            await keyring.open()
        except StoreError:
            if keys or not config.cluster_url:
                raise
        sources = make_sources(config, rules, keyring=keyring, clock=clock, report=report)
        withdrawals = Withdrawals(store.revocations, store.bans, clock)
        answers = Answers(
            store=store,
            verifier=Verifier(sources, report=report),
            withdrawals=withdrawals,
            clock=clock,
            observe=lambda operation, seconds: None,
        )
        yield Opened(config, rules, store, clock, entropy, keyring, answers, withdrawals)
    finally:
        await _closed(store, config)


async def _closed(store: Store, config: Config) -> None:
    """A store that has gone away meanwhile can't be closed in order; what the command did is done."""
    try:
        await store.close()
    except StoreError:
        if not config.cluster_url:
            raise
