"""sslyze finds what Mozilla's intermediate profile asks for, and nothing weak that it knows (TRN-02, TRN-04)."""

import pytest

from tests.integration.tls_scan.scanners import Said, sslyze
from tests.integration.tls_scan.serving import under_tls

OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")


def accepted(said: Said, version: str) -> set[str]:
    return {one["cipher_suite"]["name"] for one in said.found[f"{version}_cipher_suites"]["accepted_cipher_suites"]}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
async def test_mozillas_intermediate_profile_is_kept(minimum):
    async with under_tls(minimum) as scanned:
        said = await sslyze(scanned)
        if minimum == "1.2":  # the modern profile knows no TLS 1.2: so the scan can fail
            assert (await sslyze(scanned, profile="modern")).code != 0
    assert said.code == 0, said.printed
    found = said.found
    for version in OLD if minimum == "1.2" else (*OLD, "tls_1_2"):
        assert accepted(said, version) == set()
    assert len(accepted(said, "tls_1_3")) == 3
    for suite in accepted(said, "tls_1_2"):
        assert suite.startswith("TLS_ECDHE_ECDSA_WITH_"), suite
        assert "GCM" in suite or "POLY1305" in suite, suite
    groups = {group["name"] for group in found["elliptic_curves"]["supported_curves"]}
    assert groups == {"secp256r1"}
    assert found["tls_1_3_early_data"]["supports_early_data"] is False
    assert found["session_resumption"]["tls_ticket_successful_resumptions_count"] == 0
    assert found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"] is False
    assert found["session_renegotiation"]["supports_secure_renegotiation"] is True
    assert found["heartbleed"]["is_vulnerable_to_heartbleed"] is False
    assert found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"] is False
    assert found["tls_compression"]["supports_compression"] is False
    assert found["tls_fallback_scsv"]["supports_fallback_scsv"] is True
    assert found["tls_extended_master_secret"]["supports_ems_extension"] is True
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
