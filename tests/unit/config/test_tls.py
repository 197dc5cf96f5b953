"""A certificate and its key belong together and are strong enough, or nothing starts (TRN-03)."""

from datetime import timedelta

import pytest

from doorward.config.config import TlsTerms
from doorward.config.tls import validity_faults
from tests.unit.config.certificates import NOW, write_pair
from tests.unit.config.making import ROUTE, errors, good, warnings

TEXT = (
    '[server]\nlisten = "0.0.0.0:443"\npublic_url = "https://rt.test"\n'
    'tls = { certificate_file = "cert.pem", key_file = "key.pem" }\n'
)


@pytest.mark.parametrize("kind", ["P-256", "Ed25519"])
def test_a_good_pair_starts_in_public(tmp_path, kind) -> None:
    write_pair(tmp_path, kind)
    config = good(tmp_path, TEXT + ROUTE)
    assert config.tls == TlsTerms(tmp_path / "cert.pem", tmp_path / "key.pem", "1.3")
    assert [problem.path for problem in config.warnings] == ["origins.allow"]


def test_tls_1_2_is_a_setting(tmp_path) -> None:
    write_pair(tmp_path)
    config = good(tmp_path, TEXT.replace(" }", ', minimum_version = "1.2" }'))
    assert config.tls is not None
    assert config.tls.minimum_version == "1.2"
    assert errors(tmp_path, TEXT.replace(" }", ', minimum_version = "1.1" }')) == [
        ("server.tls.minimum_version", 'must be "1.3" or "1.2"')
    ]


def test_a_key_of_another_certificate(tmp_path) -> None:
    write_pair(tmp_path / "other", "Ed25519")
    write_pair(tmp_path, "P-256")
    (tmp_path / "other" / "key.pem").replace(tmp_path / "key.pem")
    [(path, _)] = errors(tmp_path, TEXT)
    assert path == "server.tls.key_file"


def test_a_password_is_not_asked_for(tmp_path) -> None:
    write_pair(tmp_path, password=b"hunter2")
    assert errors(tmp_path, TEXT) == [
        ("server.tls.key_file", "is protected by a password, which nobody is there to type")
    ]


def test_short_rsa_keys(tmp_path) -> None:
    write_pair(tmp_path, "RSA-1024")
    assert errors(tmp_path, TEXT) == [("server.tls.certificate_file", "has an RSA key of 1024 bits")]
    write_pair(tmp_path, "RSA-2048")
    assert errors(tmp_path, TEXT) == []
    assert ("server.tls.certificate_file", "has an RSA key of 2048 bits") in warnings(tmp_path, TEXT)


def test_a_short_curve(tmp_path) -> None:
    write_pair(tmp_path, "P-192")
    assert errors(tmp_path, TEXT) == [("server.tls.certificate_file", "has a key on a curve of 192 bits")]


def test_files_that_are_not_what_they_should_be(tmp_path) -> None:
    certificate, key = write_pair(tmp_path)
    key.write_text("nonsense")
    assert errors(tmp_path, TEXT) == [("server.tls.key_file", "is not a private key in PEM that fits the certificate")]
    certificate.write_text("nonsense")
    assert errors(tmp_path, TEXT) == [("server.tls.certificate_file", "is not a certificate in PEM")]
    certificate.unlink()
    key.chmod(0o644)
    assert errors(tmp_path, TEXT) == [
        ("server.tls.certificate_file", "names a file that is not there"),
        ("server.tls.key_file", "names a file that others can read or change"),
    ]


def test_http_in_public_url_beside_tls_is_a_slip(tmp_path) -> None:
    write_pair(tmp_path)
    assert ("server.public_url", "says http, though we end TLS ourselves") in warnings(
        tmp_path, TEXT.replace("https", "http")
    )


def test_a_backends_client_certificate_is_looked_at_too(tmp_path) -> None:
    write_pair(tmp_path, "RSA-1024")
    text = ROUTE.replace("ws://", "wss://") + 'backend_tls = { certificate_file = "cert.pem", key_file = "key.pem" }\n'
    assert ("routes[0].backend_tls.certificate_file", "has an RSA key of 1024 bits") in errors(tmp_path, text)


@pytest.mark.parametrize(
    ("begins", "days", "text"),
    [
        (NOW - timedelta(days=90), 90, "has expired"),
        (NOW + timedelta(days=1), 90, "is not valid yet"),
        (NOW - timedelta(days=80), 90, "expires on 2026-12-02"),
        (NOW - timedelta(days=1), 90, None),
    ],
)
def test_validity(tmp_path, begins, days, text) -> None:
    certificate, _ = write_pair(tmp_path, begins=begins, days=days)
    found = [fault.text for fault in validity_faults(certificate, ("x",), now=NOW.timestamp())]
    assert found == ([text] if text else [])
