"""Random ids and codes: base64url without padding, of bytes that a CSPRNG made (ASVS 11.5.1)."""

from binascii import b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")


def new_id(random: bytes) -> str:
    """A connection id, jti or session id of 16 bytes, or a ticket's code of 32.

    None begins with "-", which a command would take for an option: two of 64 first letters are one, 0.03 bits less.
    """
    id = b2a_base64(random, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")
    return f"_{id[1:]}" if id.startswith("-") else id
