"""Promise: whoever operates Quell by its command line gets a table or JSON, an exit code, and what to do next."""

import json
import re
from pathlib import Path

import click
import pytest
from quell.remediation.v1 import remediation_pb2

from cli_house import ask, started, well
from house import ROOT, House
from quell_cli.commands.acting import Parts, _remediation
from quell_runtime.kinds import kinds

pytestmark = pytest.mark.timeout(480)


def test_deciding_waits_for_the_end_if_asked(house: House) -> None:
    """Approved as another person, in force, taken back; who asked can't approve."""
    action = ask(house, "wait.test", "--revert-after", "7d")
    own = house.quell("actions", "approve", action, "--yes", "-m", "mine")
    assert (own.returncode, "(APPROVAL_NOT_PERMITTED)" in own.stderr) == (4, True)
    approved = well(house, "actions", "approve", action, "--yes", "--wait", "-m", "seen", person="bob")
    assert re.search(r"^digest [0-9a-f]{64}\n1 item\(s\)\n  wait\.test\n", approved)
    assert approved.endswith(f"{action}  block_url: SUCCEEDED\n")
    assert re.search(rf"block_url +wait\.test +{action} .* IN_FORCE ", well(house, "effects"))
    blocked = house.quell("urls", "check", "https://wait.test/x")
    assert (blocked.returncode, blocked.stdout.startswith("BLOCKED by wait.test ")) == (1, True)
    again = house.quell("actions", "approve", action, "--yes", "-m", "again", person="bob")
    assert (again.returncode, "(ACTION_NOT_PENDING)" in again.stderr) == (4, True)
    assert "wait.test" in well(house, "actions", "preview", action, "--undo")
    assert well(house, "actions", "undo", action, "--wait", "-m", "back").endswith("undo block_url: SUCCEEDED\n")
    assert well(house, "urls", "check", "https://wait.test/x").startswith("ALLOWED: ")
    history = well(house, "actions", "show", action)
    assert re.search(r" bob +approved +seen", history)
    assert "undone_by: actions/" in history


def test_a_digest_binds_what_was_seen(house: House) -> None:
    """A wrong one approves nothing; the right one needs no question."""
    action = ask(house, "digest.test")
    preview = well(house, "actions", "preview", action, person="bob")
    digest = preview.split()[1]
    wrong = house.quell("actions", "approve", action, "--digest", "0" * 64, "-m", "x", person="bob")
    assert (wrong.returncode, "(ACTION_CHANGED)" in wrong.stderr) == (4, True)
    assert well(house, "actions", "approve", action, "--digest", digest, "-m", "x", person="bob")


def test_what_ends_otherwise_than_asked_is_exit_code_1(house: House) -> None:
    """Somebody waits, and it is rejected."""
    with started(house, "actions", "ask", '{"block_url": {"pattern": "no.test"}}', "-m", "x", "--wait") as waiting:
        action = ""
        while not action:
            found = well(house, "--json", "actions", "list").splitlines()
            action = next((json.loads(line)["name"] for line in found if "no.test" in line), "")
        well(house, "actions", "reject", action, "-m", "no", person="bob")
        output, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, output.split()[-1]) == (1, "REJECTED")
    canceled = ask(house, "cancel.test")
    assert well(house, "actions", "cancel", canceled, "--wait", "-m", "x").endswith("block_url: CANCELED\n")
    retried = house.quell("actions", "retry", canceled, "-m", "x")
    assert (retried.returncode, "(ACTION_NOT_RETRYABLE)" in retried.stderr) == (4, True)


def test_the_brakes(house: House) -> None:
    """One person freezes, two lift it."""
    assert well(house, "freeze", "request_sample", "-m", "drill").startswith("frozen: request_sample (epoch ")
    assert "bob; one more person is needed" in well(house, "unfreeze", "-m", "over", person="bob")
    assert well(house, "unfreeze", "-m", "over").startswith("not frozen ")
    assert re.search(r"urls +block_url +1:00:00 +500 +\d+ +0", well(house, "budgets"))


def test_a_policy_is_tried_before_it_is_put_in_force(house: House, tmp_path: Path) -> None:
    """What it would change is told; its mistakes are, by line; where people decide alone, every command warns."""
    file, good = tmp_path / "policy.yaml", well(house, "policy", "show")
    file.write_text(good)
    assert re.match(r"policy.yaml has no mistakes; \d+ pieces of evidence were decided anew\n$", check(house, file))
    file.write_text(good.replace("suspicious: approval}", "suspicious: none}"))
    assert "block_url: PENDING_APPROVAL -> no action: 1\n" in check(house, file)
    file.write_text(good.replace("remediation: block_url", "remediation: make_coffee"))
    wrong = house.quell("policy", "check", str(file))
    assert (wrong.returncode, "there is no kind make_coffee" in wrong.stderr) == (2, True)
    file.write_text(good.replace("single_operator: false", "single_operator: true"))
    assert "warning" not in house.quell("devices", "list").stderr
    assert "is in force" in well(house, "policy", "update", str(file), "-m", "nobody else is here", person="carol")
    for command in (("actions", "list"), ("devices", "list"), ("urls", "check", "https://nobody.test/")):
        assert house.quell(*command).stderr.count("warning: the policy says single_operator") == 1
    file.write_text(good)
    stale = house.quell("policy", "update", str(file), "-m", "x", "--replaces", "1", person="carol")
    assert (stale.returncode, "(POLICY_CHANGED)" in stale.stderr) == (4, True)
    well(house, "policy", "update", str(file), "-m", "bob is back", person="carol")


def check(house: House, file: Path) -> str:
    """Return what `policy check` says of a good document."""
    return well(house, "policy", "check", str(file))


def test_devices_come_in_by_a_token(house: House) -> None:
    """Which only who holds the right can make."""
    assert len(well(house, "devices", "enrol-token", "--tag", "lab", person="carol").strip()) > 100
    assert house.quell("devices", "enrol-token").returncode == 4
    assert re.search(r"stop_and_quarantine +yes", well(house, "devices", "show", ""))


def test_a_device_shows_what_is_in_force_on_it_and_what_the_policy_says(house: House) -> None:
    """By whom, and since when; tags change, and only who holds the right changes them."""
    assert house.quell("devices", "tag", "", "lab", "-m", "moved").returncode == 4
    well(house, "devices", "tag", "", "lab", "web", "-m", "moved", person="carol")
    assert '"name"' in well(house, "--json", "devices", "list", "--filter", "tag = web")
    shown = well(house, "devices", "show", "")
    assert "tags: lab, web" in shown
    assert re.search(r"^group: none; protected: no \(policies/\d+\)$", shown, re.MULTILINE)


def test_the_log_is_verified(house: House) -> None:
    """And read by filter."""
    assert re.match(r"all \d+ entries hold; newest hash [0-9a-f]{64}\n$", well(house, "audit", "verify"))
    assert "configuration" in well(house, "audit", "list", "--filter", "event = policy_updated")


def test_the_readme_tells_what_a_device_offers(house: House) -> None:
    """The table is what a running agent says of itself; signatures are what this one may lack."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| device \| .* \| (.*) \|$", readme, re.MULTILINE))
    kinds = json.loads(well(house, "--json", "devices", "show", "").splitlines()[0])["kinds"]
    offered = {each["name"] for each in kinds if "missing" not in each}
    assert offered | {"run_antivirus_scan"} == {name for name, today in rows.items() if today == "**served**"}


def test_every_kind_has_a_command_whose_options_are_the_contracts(house: House) -> None:
    """Asked for in short; what is asked is what stands in the contract."""
    assert {each.replace("_", "-") for each in kinds()} <= set(well(house, "act", "--help").split())
    scan = (
        "act",
        "run-antivirus-scan",
        "",
        "--paths",
        "/nowhere",
        "--paths",
        "/no where",
        "--cpu-percent",
        "5",
        "-m",
        "x",
    )
    found = json.loads(well(house, "--json", *scan))["remediation"]["run_antivirus_scan"]
    assert (found["paths"], found["cpu_percent"]) == ({"paths": ["/nowhere", "/no where"]}, 5)
    quarantine = ("act", "stop-and-quarantine", "", "--file", "/nowhere/x", "--keep-persistence", "-m", "x")
    asked = json.loads(well(house, "--json", *quarantine, "--revert-after", "2h"))
    assert asked["remediation"]["stop_and_quarantine"]["file"] == {"path": "/nowhere/x"}
    assert asked["remediation"]["stop_and_quarantine"]["keep_persistence"] is True
    assert (asked["state"], "revert_time" in asked) == ("ACTION_STATE_PENDING_APPROVAL", True)
    belongs = [*scan, "--findings-as-evidence"]
    refused = house.quell(*belongs)
    assert (refused.returncode, "(INVESTIGATION_REQUIRED)" in refused.stderr) == (2, True)
    asked = json.loads(well(house, "--json", *belongs, "--investigation", "case-1"))
    assert asked["origin"]["investigation"] == "investigations/edr.case-1"
    wrong = house.quell("act", "isolate-device", "", "--mode", "loud", "-m", "x")
    assert (wrong.returncode, "one of full, selective" in wrong.stderr) == (2, True)


def test_what_is_asked_for_by_hand_belongs_to_an_investigation_if_told(house: House) -> None:
    """By its id; one that nobody knows is told, and nothing is asked for. Control: left out, it belongs to none."""
    block = ("actions", "ask", json.dumps({"block_url": {"pattern": "*.belongs.test"}}), "-m", "x")
    assert not json.loads(well(house, "--json", *block))["origin"].get("investigation")
    asked = json.loads(well(house, "--json", *block, "--investigation", "case-1"))
    assert asked["origin"]["investigation"] == "investigations/edr.case-1"
    assert "(INVESTIGATION_UNKNOWN)" in house.quell(*block, "--investigation", "nothing").stderr


def test_messages_are_written_in_short_or_as_json() -> None:
    """A name again is more of it; a file is told by its path or its hash; a wrong part is named."""
    isolate = remediation_pb2.Remediation.DESCRIPTOR.fields_by_name["isolate_device"].message_type
    restrict = remediation_pb2.Remediation.DESCRIPTOR.fields_by_name["restrict_code_execution"].message_type
    assert isolate is not None
    assert restrict is not None
    excluded, allowed = (
        isolate.fields_by_name["exclusions"].message_type,
        restrict.fields_by_name["allowed"].message_type,
    )
    assert excluded is not None
    assert allowed is not None
    exclusion, file = Parts(excluded), Parts(allowed)
    read = exclusion.convert("remotes=192.0.2.7,remotes=2001:db8::/48,ports=443,user=backup", None, None)
    assert read == {"remotes": ["192.0.2.7", "2001:db8::/48"], "ports": ["443"], "user": "backup"}
    assert file.convert("/opt/tool", None, None) == {"path": "/opt/tool"}
    assert file.convert("ab" * 32, None, None) == {"sha256": "ab" * 32}
    assert file.convert(f'{{"sha1": "{"ab" * 20}"}}', None, None) == {"sha1": "ab" * 20}
    for wrong in ("port=443", "remotes", "{"):
        with pytest.raises(click.UsageError, match=r"none of remotes=|no JSON"):
            exclusion.convert(wrong, None, None)


def test_messages_are_told_one_by_one_or_as_a_campaign(house: House) -> None:
    """A mailbox by its address alone; never both ways at once, and one of them is needed."""
    delete = ("act", "soft-delete-messages", "-m", "x")
    named = "mailbox=dave@example.org,message_id=1@evil.example"
    asked = json.loads(well(house, "--json", *delete, "--message", named, "--message", f"sha256={'ab' * 32}"))
    assert asked["remediation"]["soft_delete_messages"]["messages"]["messages"]["messages"] == [
        {"mailbox": "mailboxes/dave@example.org", "message_id": "1@evil.example"},
        {"sha256": "ab" * 32},
    ]
    campaign = "sender_domain=evil.example,start_time=2026-11-24T00:00:00Z,mailboxes=dave@example.org"
    asked = json.loads(well(house, "--json", *delete, "--cluster", campaign))
    assert asked["remediation"]["soft_delete_messages"]["messages"]["cluster"] == {
        "sender_domain": "evil.example",
        "start_time": "2026-11-24T00:00:00Z",
        "mailboxes": ["mailboxes/dave@example.org"],
    }
    both = house.quell(*delete, "--message", named, "--cluster", campaign)
    assert (both.returncode, "not both" in both.stderr) == (2, True)
    neither = house.quell(*delete)
    assert (neither.returncode, "--cluster is needed" in neither.stderr) == (2, True)


def test_what_can_be_told_in_one_way_only_is_refused_by_the_options_names(house: House) -> None:
    """None and two of them, before anybody is asked. Control: one is taken."""
    take = ("act", "quarantine-attachment", "--cluster", "sender_domain=evil.example", "-m", "x")
    for ways in ((), ("--part", "2", "--file-name", "bill.pdf")):
        wrong = house.quell(*take, *ways)
        assert (wrong.returncode, "exactly one of --sha256, --file-name, --part" in wrong.stderr) == (2, True)
    well(house, *take, "--part", "2")


def test_mailboxes_are_told_by_their_address() -> None:
    """As everywhere else; the whole name does as well."""
    given = {"action": f"actions/{'a' * 36}", "mailboxes": ("dave@example.org", "mailboxes/erin@example.org")}
    asked = _remediation(kinds()["release_messages"], given).release_messages
    assert asked.mailboxes == ["mailboxes/dave@example.org", "mailboxes/erin@example.org"]
