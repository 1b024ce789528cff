"""Promise: the command line answers for itself, with no service running, at once and in every case."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from quell.warrant.v1 import key_set_pb2, seal_pb2

from house import QUELL, ROOT, free_ports
from promised_errors import promised
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports
from quell_cli.plain import plain
from quell_cli.problems import ANYTHING, OF_REASON, advice, exit_code, tell
from quell_runtime import key_sets, pki
from quell_runtime.client import Problem
from quell_runtime.errors import QuellError
from quell_runtime.sealing import open_seal

NOT_FOR_PEOPLE = {
    "CENTER_OUTDATED",
    "DEPLOYMENT_MISMATCH",
    "DEVICE_MISMATCH",
    "HEADER_MISSING",
    "PROTOCOL_UNSUPPORTED",
    "STREAM_IDLE",
    "STREAM_REPLACED",
    "STREAM_SLOW",
    "TARGET_AMBIGUOUS",
}
"""Only executors, agents and centres among themselves meet these."""
README = (ROOT / "protos" / "README.md").read_text(encoding="utf-8")
OF_THE_SHELL = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
"""What any RPC may answer."""
OF_OURS = {"CONFIG_INVALID", "FILE_TAKEN", "ID_AMBIGUOUS", "NOT_SET_UP"}


def test_every_reason_that_people_can_meet_has_its_advice() -> None:
    """And there is no advice for what nobody answers."""
    contracts = ("actioncenter/v1", "device/v1", "email/v1", "executor/v1")
    of_contracts = {reason for contract in contracts for _, _, reason in promised(contract)}
    assert OF_REASON.keys() == (of_contracts - NOT_FOR_PEOPLE) | OF_THE_SHELL | OF_OURS
    assert of_contracts >= NOT_FOR_PEOPLE


def test_the_shells_reasons_are_the_runtimes() -> None:
    """Those that no contract names are classes of the runtime, or its own words."""
    import quell_runtime.interceptors.shell  # noqa: F401, PLC0415 - it has some of them

    reasons = {QuellError.reason}
    classes = [QuellError]
    while classes:
        subclasses = [each for each in classes.pop().__subclasses__() if each.__module__.startswith("quell_runtime")]
        reasons |= {each.reason for each in subclasses}
        classes += subclasses
    assert reasons >= OF_THE_SHELL - {"PEER_AWAY"}


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=str)
def test_every_code_has_an_exit_code_and_advice(code: grpc.StatusCode) -> None:
    """Even if the reason is one that we do not know yet."""
    found = Problem(code, "something", "STRANGE")
    assert exit_code(found) in {2, 3, 4, 5}
    assert advice(found)
    assert advice(Problem(grpc.StatusCode.UNKNOWN, "something")) == ANYTHING


def test_facts_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """What the message says already is not said again."""
    found = Problem(grpc.StatusCode.FAILED_PRECONDITION, "actions/7 owns it", "NOT_THE_NEWEST", {"action": "actions/7"})
    tell(found, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "quell: actions/7 owns it (NOT_THE_NEWEST)",
        "  next: undo the action named above: it owns the effect now",
    ]
    tell(found, as_json=True)
    assert json.loads(capsys.readouterr().err)["error"]["metadata"] == {"action": "actions/7"}


def test_advice_about_a_refused_plan_is_about_its_reason() -> None:
    """Whoever meets a mail server that is away waits. Control: a reason that we do not know has the general advice."""
    refused = Problem(grpc.StatusCode.FAILED_PRECONDITION, "away", "PLAN_REFUSED", {"failure": "BACKEND_AWAY"})
    assert advice(refused) == OF_REASON["BACKEND_AWAY"]
    strange = Problem(grpc.StatusCode.FAILED_PRECONDITION, "odd", "PLAN_REFUSED", {"failure": "STRANGE"})
    assert advice(strange) == OF_REASON["PLAN_REFUSED"]


@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "\x07", "\u202e", "\x9b2J", "\u2028"])
def test_what_is_no_visible_character_is_written_out(text: str) -> None:
    """Whoever sent it; what can be seen stays as it is."""
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)
    assert plain("Über 漢字 ✓ …") == "Über 漢字 ✓ …"


def test_help_loads_nothing_that_is_slow() -> None:
    """What a command needs is imported when it runs."""
    run = "import sys; from quell_cli.__main__ import quell; quell(['--help'], standalone_mode=False)"
    code = f"{run}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    assert ran.stdout.startswith("Usage: ")
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {"grpc", "rich", "google.protobuf", "quell_runtime.client", "cryptography", "pydantic"}


def test_exit_codes_are_in_the_help() -> None:
    """Programs rely on them."""
    ran = subprocess.run([QUELL, "--help"], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    text = " ".join(ran.stdout.split())
    for code in ("0 done", "1 it came otherwise", "2 wrong use", "3 there is no such", "4 not in this", "5 a service"):
        assert code in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["quell", "act"], {"actions"}),
        (["quell", "actions", ""], {"list", "show", "watch", "preview", "approve", "reject", "cancel", "undo", "ask"}),
        (["quell", "actions", "approve", "--w"], {"--wait"}),
        (["quell", "--j"], {"--json"}),
    ],
)
def test_bash_completes_what_the_script_says(tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    """The printed script, run by a real bash."""
    words = " ".join(f"'{word}'" for word in typed)
    script = tmp_path / "complete.sh"
    script.write_text(
        f'eval "$({QUELL} completion bash)"\nCOMP_WORDS=({words})\nCOMP_CWORD={len(typed) - 1}\n'
        f'_quell_completion {QUELL}\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    environment = os.environ | {"PATH": f"{QUELL.parent}:{os.environ['PATH']}"}
    command: list[str | Path] = ["/bin/bash", script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)  # noqa: S603
    assert set(ran.stdout.split()) >= offered


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command over a folder."""
    command: list[str | Path] = [QUELL, "--data", folder, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603


def key_set(folder: Folder) -> key_set_pb2.KeySet:
    """Return the centre's keys, as the root key vouches for them."""
    sealed = seal_pb2.Sealed.FromString(folder.key_set.read_bytes())
    root = pki.load_seal_key(folder.seal_key("root")).public
    return key_set_pb2.KeySet.FromString(open_seal(sealed, key_sets.TYPE, lambda _: root))


def test_another_year_is_the_same_callers_and_keys(tmp_path: Path) -> None:
    """So that warrants under way stay good, and nobody has to be told anything."""
    folder = Folder(tmp_path)
    deployment.make(folder, Ports(free_ports()))
    before, keys = folder.certificate("device").read_bytes(), key_set(folder)
    assert run(tmp_path, "renew").returncode == 0
    old, new = map(x509.load_pem_x509_certificate, (before, folder.certificate("device").read_bytes()))
    assert old.public_key() != new.public_key()
    names = x509.SubjectAlternativeName
    assert old.extensions.get_extension_for_class(names).value == new.extensions.get_extension_for_class(names).value
    renewed = key_set(folder)
    assert renewed.version == keys.version + 1
    assert [key.public_key for key in renewed.keys] == [key.public_key for key in keys.keys]
    for was, now in zip(keys.keys, renewed.keys, strict=True):
        assert now.not_before_time == was.not_before_time
        assert now.not_after_time.ToMicroseconds() > was.not_after_time.ToMicroseconds()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("dave",), 0), (("siem", "--detector"), 0), (("a/b",), 2), (("a.b", "--detector"), 2), (("edr",), 2)],
)
def test_a_caller_gets_a_certificate(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """Under a name that can be one and is nobody else's."""
    deployment.make(Folder(tmp_path), Ports(free_ports()))
    kept = Folder(tmp_path).certificate("edr").read_bytes()
    ran = run(tmp_path, "certificate", *arguments)
    assert ran.returncode == code, ran.stderr
    assert Folder(tmp_path).certificate("edr").read_bytes() == kept
    if code == 0:
        uri = f"spiffe://local/{'detector' if len(arguments) > 1 else 'operator'}/{arguments[0]}"
        shown = x509.load_pem_x509_certificate(Folder(tmp_path).certificate(arguments[0]).read_bytes())
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]
        assert Folder(tmp_path).key(arguments[0]).stat().st_mode & 0o077 == 0


def test_without_a_deployment_there_is_no_certificate(tmp_path: Path) -> None:
    """And nothing is made."""
    for command in (("certificate", "dave"), ("renew",)):
        ran = run(tmp_path / "none", *command)
        assert (ran.returncode, "holds no deployment" in ran.stderr) == (2, True)
    assert not (tmp_path / "none").exists()
