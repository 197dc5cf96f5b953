"""What a reload may not change, and what of the old it must not forget."""

from collections.abc import Sequence

from doorward.config.config import Config, JwksUrl
from doorward.config.problem import Problem, Severity
from doorward.config.rules import rules_of
from doorward.core.auditing import MAX_DETAIL, clean, mask


def needs_restart(old: Config, new: Config) -> list[str]:
    """What a running process can't change: it would need other sockets, another store, other keys."""
    named = {
        "server.listen": (old.listen, new.listen),
        "admin.listen": (old.admin_listen, new.admin_listen),
        "server.workers": (old.workers, new.workers),
        "server.public_url": (old.public_url, new.public_url),
        "store.url": (old.store_url, new.store_url),
        "store.cluster_url": (old.cluster_url, new.cluster_url),
        "tokens.key_file": (old.key_file, new.key_file),
        "tokens.algorithm": (old.algorithm, new.algorithm),
        "audit.file": (old.audit_file, new.audit_file),
        "server.tls": (old.tls is None, new.tls is None),
    }
    if old.settings.server.public_url is None and new.settings.server.public_url is None:
        del named["server.public_url"]  # it follows listen, which is named already
    return [f"{name} needs a restart" for name, (before, after) in named.items() if before != after]


def told(problems: Sequence[Problem]) -> list[str]:
    """Why a file was not taken: its errors, each with its hint. A warning would have been no reason."""
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    return [f"{problem}{f' ({problem.hint})' if problem.hint else ''}" for problem in errors]


def in_short(reasons: Sequence[str]) -> str:
    """For the audit: the first, and how many more."""
    if not reasons:
        return ""
    more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return clean(mask(reasons[0]), MAX_DETAIL - len(more)) + more


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
