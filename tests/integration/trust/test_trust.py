"""Keys, signatures and the trust store, on real components that a host then lets in or not."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airssys.osl import read_records
from airssys.wasm import DeploymentHeld, Host
from airssys.wasm.sections import custom_sections, with_section
from airssys.wasm.trust import (
    ComponentBlocked,
    DowngradeRefused,
    KeyUnusable,
    Level,
    NotTrusted,
    PublicKey,
    SignatureUnusable,
    SigningKey,
    TrustStore,
    TrustStoreUnusable,
    read_signatures,
    rotation,
    sign,
)
from airssys.wasm.trust.signature import SECTION, embed, encode

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
CALCULATOR = (COMPONENTS / "calculator.wasm").read_bytes()
LATER = (COMPONENTS / "calculator-1-1.wasm").read_bytes()
NAME = "acme/calculator"


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    (tmp_path / "state").mkdir()
    return TrustStore(tmp_path / "state")


def signed(component: bytes, key: SigningKey, version: str = "1.0.0", **said) -> bytes:
    return embed(component, sign(component, key, name=NAME, version=version, **said))


class TestKeys:
    def test_a_private_key_is_its_owners_alone(self, tmp_path: Path, key: SigningKey) -> None:
        key.save(tmp_path / "key")
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
        assert SigningKey.load(tmp_path / "key").public == key.public
        assert PublicKey.load(tmp_path / "key.pub") == key.public
        (tmp_path / "key").chmod(0o640)
        with pytest.raises(KeyUnusable, match=r"may be used by others \(mode 640\); chmod 600"):
            SigningKey.load(tmp_path / "key")

    def test_no_key_is_overwritten(self, tmp_path: Path, key: SigningKey) -> None:
        key.save(tmp_path / "key")
        with pytest.raises(FileExistsError):
            SigningKey.generate().save(tmp_path / "key")
        assert SigningKey.load(tmp_path / "key").public == key.public

    def test_a_passphrase_is_needed_where_one_was_given(
        self, tmp_path: Path, key: SigningKey
    ) -> None:
        key.save(tmp_path / "key", "secret")
        assert SigningKey.load(tmp_path / "key", "secret").public == key.public
        with pytest.raises(KeyUnusable, match="needs a passphrase"):
            SigningKey.load(tmp_path / "key")
        with pytest.raises(KeyUnusable, match="passphrase wrong"):
            SigningKey.load(tmp_path / "key", "guess")

    @pytest.mark.parametrize(
        "line", ["", "ssh-ed25519 AAAA", "airssys-ed25519 !!", "airssys-ed25519 AAAA"]
    )
    def test_what_is_no_public_key_is_named(self, line: str) -> None:
        with pytest.raises(KeyUnusable, match="public key"):
            PublicKey.parse(line)


class TestSignatures:
    def test_a_signed_component_is_the_same_component(self, key: SigningKey) -> None:
        component = signed(CALCULATOR, key)
        (section,) = custom_sections(component, SECTION)
        assert component[: section.start] + component[section.end :] == CALCULATOR
        # Signing again, by this key or another, does not change what is signed.
        other = SigningKey.generate()
        twice = signed(signed(component, other), key, version="1.0.1")
        assert {each.statement.key for each in read_signatures(twice)} == {
            key.public.id,
            other.public.id,
        }
        for each in read_signatures(twice):
            public = key.public if each.statement.key == key.public.id else other.public
            each.check(twice, public, now=dt.datetime.now(dt.UTC))

    @pytest.mark.parametrize("offset", [200, 20_000, -1])
    def test_a_changed_byte_ends_it(self, key: SigningKey, offset: int) -> None:
        signature = sign(CALCULATOR, key, name=NAME, version="1.0.0")
        changed = bytearray(CALCULATOR)
        changed[offset] ^= 1
        with pytest.raises(SignatureUnusable, match="over another component"):
            signature.check(bytes(changed), key.public, now=dt.datetime.now(dt.UTC))

    def test_another_name_or_version_than_was_signed_is_refused(
        self, key: SigningKey, store: TrustStore
    ) -> None:
        import msgspec

        store.trust(key.public, ("**",))
        signature = sign(CALCULATOR, key, name=NAME, version="1.0.0")
        for change in ({"name": "acme/other"}, {"version": "9.0.0"}, {"not_after": None}):
            forged = msgspec.structs.replace(
                signature, statement=msgspec.structs.replace(signature.statement, **change)
            )
            found = store.assess(embed(CALCULATOR, forged), forged.statement.name)
            if change == {"not_after": None}:
                assert found.level is Level.TRUSTED
            else:
                assert found.level is Level.UNKNOWN
                assert "not over its statement" in found.reasons[0]

    def test_a_manifest_is_signed_with_the_component(
        self, key: SigningKey, store: TrustStore
    ) -> None:
        store.trust(key.public, ("**",))
        component = signed(with_section(CALCULATOR, "airssys-manifest", b"a"), key)
        assert store.assess(component, NAME).level is Level.TRUSTED
        exchanged = component.replace(b"airssys-manifesta", b"airssys-manifestb")
        assert store.assess(exchanged, NAME).level is Level.UNKNOWN
        second = b"\0\x13\x10airssys-manifestb"
        found = store.assess(component + second + b"!", NAME)
        assert (found.level, "two manifests" in found.reasons[0]) == (Level.UNKNOWN, True)

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[[]]", b"[" * 5000, b'[{"statement": 1}]', b"x" * 70_000]
    )
    def test_damaged_signatures_are_one_error(self, content: bytes) -> None:
        with pytest.raises(SignatureUnusable):
            read_signatures(with_section(CALCULATOR, SECTION, content))

    def test_what_cannot_be_signed_is_named(self, key: SigningKey) -> None:
        with pytest.raises(SignatureUnusable, match="'one' is not a version"):
            sign(CALCULATOR, key, name=NAME, version="one")
        with pytest.raises(ValueError, match="segment 'X'"):
            sign(CALCULATOR, key, name="X", version="1.0.0")


class TestStore:
    def test_a_key_counts_for_its_names_alone(self, key: SigningKey, store: TrustStore) -> None:
        component = signed(CALCULATOR, key)
        assert store.assess(component, NAME).reasons == (
            f"key {key.public.id} is not in the trust store",
        )
        store.trust(key.public, ("other/**",))
        assert store.assess(component, NAME).reasons == (
            f"key {key.public.id} counts for other/**",
        )
        store.trust(key.public, ("acme/*",))
        found = store.assess(component, NAME)
        assert (found.level, found.version, found.key) == (
            Level.TRUSTED,
            "1.0.0",
            key.public.id,
        )
        assert store.assess(component, "acme/else").reasons == (f"it was signed as '{NAME}'",)

    def test_signatures_and_keys_end(self, key: SigningKey, store: TrustStore) -> None:
        now = dt.datetime.now(dt.UTC)
        hour = dt.timedelta(hours=1)
        component = signed(CALCULATOR, key, not_after=now + hour)
        store.trust(key.public, ("**",), not_after=now + 3 * hour)
        assert store.assess(component, NAME, now=now).level is Level.TRUSTED
        assert "ended at" in store.assess(component, NAME, now=now + 2 * hour).reasons[0]
        without_end = signed(CALCULATOR, key)
        assert store.assess(without_end, NAME, now=now + 2 * hour).level is Level.TRUSTED
        assert "ended to count" in store.assess(without_end, NAME, now=now + 4 * hour).reasons[0]

    def test_what_a_revoked_key_signed_is_blocked(self, key: SigningKey, store: TrustStore) -> None:
        store.trust(key.public, ("**",))
        component = signed(CALCULATOR, key)
        store.revoke(key.public.id, "stolen")
        assert store.assess(component, NAME).level is Level.BLOCKED
        with pytest.raises(TrustStoreUnusable, match="was revoked"):
            store.trust(key.public, ("**",))
        # Whoever signs it anew vouches for it.
        other = SigningKey.generate()
        store.trust(other.public, ("**",))
        assert store.assess(signed(component, other), NAME).level is Level.TRUSTED

    def test_a_blocked_component_stays_blocked_whoever_signs_it(
        self, key: SigningKey, store: TrustStore
    ) -> None:
        store.trust(key.public, ("**",))
        store.block(CALCULATOR, "leaks")
        found = store.assess(signed(CALCULATOR, key), NAME)
        assert (found.level, found.reasons) == (Level.BLOCKED, ("it was blocked: leaks",))
        assert store.assess(signed(LATER, key), NAME).level is Level.TRUSTED

    def test_an_old_key_vouches_for_a_new_one(self, key: SigningKey, store: TrustStore) -> None:
        new, thief = SigningKey.generate(), SigningKey.generate()
        now = dt.datetime.now(dt.UTC)
        store.trust(key.public, ("acme/*",))
        until = now + dt.timedelta(days=30)
        forged = rotation(thief, thief.public, overlap_until=until)
        with pytest.raises(TrustStoreUnusable, match="is not in the trust store"):
            store.rotate(forged)
        claimed = forged.replace(thief.public.id.encode(), key.public.id.encode())
        with pytest.raises(TrustStoreUnusable, match="did not sign"):
            store.rotate(claimed)
        assert store.rotate(rotation(key, new.public, overlap_until=until)) == new.public.id
        for each in (key, new):
            assert store.assess(signed(CALCULATOR, each), NAME).level is Level.TRUSTED
        later = until + dt.timedelta(days=1)
        assert store.assess(signed(CALCULATOR, key), NAME, now=later).level is Level.UNKNOWN
        assert store.assess(signed(CALCULATOR, new), NAME, now=later).level is Level.TRUSTED

    def test_a_damaged_store_lets_nothing_in(
        self, key: SigningKey, store: TrustStore, tmp_path: Path
    ) -> None:
        store.trust(key.public, ("**",))
        (tmp_path / "state" / "trust.json").write_text('{"schema": 2}')
        with pytest.raises(TrustStoreUnusable, match="is damaged"):
            store.assess(signed(CALCULATOR, key), NAME)

    @pytest.mark.parametrize("pattern", ["", "Acme/*", "acme/", "acme/x*", "/"])
    def test_a_wrong_pattern_is_named(
        self, key: SigningKey, store: TrustStore, pattern: str
    ) -> None:
        with pytest.raises(TrustStoreUnusable, match="is not a pattern"):
            store.trust(key.public, (pattern,))


class TestHost:
    def test_only_trusted_components_come_in(
        self, key: SigningKey, store: TrustStore, tmp_path: Path
    ) -> None:
        with Host.open_blocking(tmp_path / "state", admission="trusted") as host:
            with pytest.raises(NotTrusted, match="it is not signed; sign it"):
                host.deploy(CALCULATOR, name=NAME)
            component = signed(CALCULATOR, key)
            with pytest.raises(NotTrusted, match="not in the trust store"):
                host.deploy(component, name=NAME)
            assert host.deployments() == ()
            store.trust(key.public, ("acme/*",))
            calculator = host.deploy(component, name=NAME)
            assert calculator.call("add", 2, 3) == 5
            revision = calculator.revision
            assert (revision.version, revision.signer) == ("1.0.0", key.public.id)

    def test_a_lower_version_needs_a_word_or_a_rollback(
        self, key: SigningKey, store: TrustStore, tmp_path: Path
    ) -> None:
        store.trust(key.public, ("acme/*",))
        older, newer = signed(CALCULATOR, key, "1.9.0"), signed(LATER, key, "1.10.0")
        with Host.open_blocking(tmp_path / "state") as host:
            calculator = host.deploy(newer, name=NAME)
            with pytest.raises(
                DowngradeRefused, match=r"has had version 1\.10\.0, this is 1\.9\.0"
            ):
                calculator.deploy(older)
            assert calculator.call("version") == "1.1.0"
            calculator.deploy(older, allow_downgrade=True)
            assert calculator.call("version") == "1.0.0"
            calculator.deploy(newer)
            calculator.rollback(2)
            assert calculator.call("version") == "1.0.0"
            calculator.rollback(3)
            store.set_floor(NAME, "1.10.0")
            with pytest.raises(DowngradeRefused, match=r"may not go below version 1\.10\.0"):
                calculator.rollback(2)
            assert calculator.call("version") == "1.1.0"
            # Nor does a downgrade that is allowed: the next host would not take it up.
            with pytest.raises(DowngradeRefused, match=r"may not go below version 1\.10\.0"):
                calculator.deploy(older, allow_downgrade=True)
            assert calculator.call("version") == "1.1.0"
            # Removing the deployment does not forget what the name has had.
            calculator.remove()
            store.set_floor(NAME, "1.0.0")
            with pytest.raises(DowngradeRefused, match="has had version"):
                host.deploy(older, name=NAME)
        told = read_records(tmp_path / "state" / "audit", operation="component.admit")
        assert [(each.decision, each.rule) for each in told] == [
            ("allow", key.public.id),
            ("deny", "downgrade-refused"),
            ("allow", "allow-downgrade"),
            ("allow", key.public.id),
            ("deny", "downgrade-refused"),
            ("deny", "downgrade-refused"),
            ("deny", "downgrade-refused"),
        ]

    def test_a_revoked_key_is_asked_again_at_every_load(
        self, key: SigningKey, store: TrustStore, tmp_path: Path
    ) -> None:
        other = SigningKey.generate()
        for each in (key, other):
            store.trust(each.public, ("acme/*",))
        with Host.open_blocking(tmp_path / "state") as host:
            calculator = host.deploy(signed(CALCULATOR, key), name=NAME)
            calculator.deploy(signed(LATER, other, "1.1.0"))
            store.revoke(key.public.id, "stolen")
            with pytest.raises(ComponentBlocked, match="was revoked: stolen"):
                calculator.rollback()
            assert calculator.call("version") == "1.1.0"
        store.revoke(other.public.id, "stolen too")
        with Host.open_blocking(tmp_path / "state") as host:
            calculator = host.deployment(NAME)
            assert calculator.held is not None
            with pytest.raises(DeploymentHeld, match="stolen too"):
                calculator.call("add", 2, 3)
            third = SigningKey.generate()
            store.trust(third.public, ("acme/*",))
            calculator.deploy(signed(LATER, third, "1.1.0"))
            assert calculator.call("version") == "1.1.0"


def airssys(directory: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    process = subprocess.run(
        [Path(sys.executable).with_name("airssys"), *words],
        cwd=directory,
        env={**os.environ, "AIRSSYS_STATE": "state", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


def test_the_command_line_from_key_to_deployment(tmp_path: Path) -> None:
    (tmp_path / "calc.wasm").write_bytes(CALCULATOR)
    deploy = ("deploy", "calc.wasm", "--name", NAME)
    assert airssys(tmp_path, "keygen", "key")[0] == 0
    assert airssys(tmp_path, *deploy, AIRSSYS_ADMISSION="trusted")[0] == 1
    said = ("--key", "key", "--name", NAME, "--version", "1.0.0")
    assert airssys(tmp_path, "sign", "calc.wasm", *said)[0] == 0
    code, _, error = airssys(tmp_path, "verify", "calc.wasm")
    assert (code, "is not in the trust store" in error) == (1, True)
    assert airssys(tmp_path, "trust", "add", "key.pub", "--name", "acme/*")[0] == 0
    assert airssys(tmp_path, "verify", "calc.wasm")[0] == 0
    assert airssys(tmp_path, *deploy, AIRSSYS_ADMISSION="trusted")[0] == 0
    code, _, error = airssys(tmp_path, *deploy, AIRSSYS_ADMISSION="some")
    assert (code, "must be 'any' or 'trusted', got 'some'" in error) == (2, True)
    assert airssys(tmp_path, "trust", "block", "calc.wasm", "--why", "leaks")[0] == 0
    code, _, error = airssys(tmp_path, "call", NAME, "add(2, 3)")
    assert (code, "was blocked: leaks" in error) == (5, True)


def test_a_detached_signature_counts_beside_its_component(tmp_path: Path) -> None:
    (tmp_path / "calc.wasm").write_bytes(CALCULATOR)
    airssys(tmp_path, "keygen", "key")
    said = ("--key", "key", "--name", NAME, "--version", "1.0.0", "--detached")
    assert airssys(tmp_path, "sign", "calc.wasm", *said)[0] == 0
    assert (tmp_path / "calc.wasm").read_bytes() == CALCULATOR
    assert airssys(tmp_path, "verify", "calc.wasm", "--key", "key.pub")[0] == 0
    (tmp_path / "calc.wasm").write_bytes(LATER)
    code, _, error = airssys(tmp_path, "verify", "calc.wasm", "--key", "key.pub")
    assert (code, "over another component" in error) == (1, True)
    assert encode([]) == b"[]"
