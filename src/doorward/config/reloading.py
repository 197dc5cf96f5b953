"""What a reload may not change, and what of the old it must not forget."""

from doorward.config.config import Config, JwksUrl
from doorward.config.rules import rules_of


def needs_restart(old: Config, new: Config) -> list[str]:
    """What a running process can't change: it would need other sockets, another store, other keys."""
    named = {
        "server.listen": (old.listen, new.listen),
        "admin.listen": (old.admin_listen, new.admin_listen),
        "server.workers": (old.workers, new.workers),
        "server.public_url": (old.public_url, new.public_url),
        "store.url": (old.store_url, new.store_url),
        "tokens.key_file": (old.key_file, new.key_file),
        "tokens.algorithm": (old.algorithm, new.algorithm),
        "audit.file": (old.audit_file, new.audit_file),
        "server.tls": (old.tls is None, new.tls is None),
    }
    return [f"{name} needs a restart" for name, (before, after) in named.items() if before != after]


def issuers_as_before(old: Config, new: Config) -> frozenset[str]:
    """Whose keys come from the same URL by the same terms: what was fetched there is still good, and the issuer may be
    away just now."""
    if old.outbound_allow != new.outbound_allow:
        return frozenset()
    before, after = rules_of(old).issuers, rules_of(new).issuers
    return frozenset(
        issuer
        for issuer, source in new.key_sources.items()
        if isinstance(source, JwksUrl)
        and isinstance(known := old.key_sources.get(issuer), JwksUrl)
        and (known, before[issuer].algorithms) == (source, after[issuer].algorithms)
    )
