"""What the demo prints: where everything is, and commands to paste. Nothing here is decided."""

from collections.abc import Sequence

from doorward.demo.accounts import Account
from doorward.demo.folder import Folder
from doorward.demo.terms import Terms


def guide(terms: Terms, folder: Folder, accounts: Sequence[Account], *, program: str) -> str:
    """`program` is how `doorward` is called from here."""
    config = folder.config
    curl = f"curl -K {folder.handshake}"
    lines = [
        "",
        "The demo is up. Open the page in two windows, sign in as alice and as bob, and chat:",
        "",
        f"    {terms.page_url}/",
        "",
        *(f"    {account.name:<6}  {account.password:<22}  {', '.join(account.roles)}" for account in accounts),
        "",
        f"A token lives {terms.token_seconds} s, and the page renews it as you chat. Try, in another terminal here:",
        "",
        "    # bob's connections close within the second, on every node; alice chats on",
        f"    {program} revoke --subject bob -c {config}",
        "    # who was let in, who was not, and why",
        f"    {program} audit tail -c {config}",
        f"    {program} connections list -c {config}",
        "",
        "    # a handshake with a token that somebody else signed: 403",
        f"    {curl} -H @{folder.forged}",
        "    # with nothing shown: 401",
        f"    {curl}",
        "    # from a page of somebody else's: 403",
        f"    {curl} -H 'Origin: https://evil.example'",
        "",
        f"    gateway and page  {terms.page_url}      metrics  {terms.admin_url}/metrics",
        f"    token issuer      {terms.issuer_url}      chat     {terms.backend_url}",
        f"    files             {folder.path}/, of which doorward.toml is worth reading",
        "",
    ]
    if not terms.is_loopback:
        lines += [
            f"The certificate is signed by itself: a browser asks once here and once at {terms.issuer_url}/jwks.json.",
            "",
        ]
    return "\n".join([*lines, "Ctrl-C stops it all."])
