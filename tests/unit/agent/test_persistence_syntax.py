"""A text starts the file no more, stays valid, and keeps every other line."""

import shutil
import subprocess

import pytest

from quell_agent.persistence.naming import Named
from quell_agent.persistence.syntax import APT, DESKTOP, LINE, PAM, RULE, SHELL, SUDO, UNIT, WORDS, Syntax, applied

EVIL = "/opt/.x/evil"
NAMED = Named([EVIL, "/opt/my tools/evil"])


@pytest.mark.parametrize(
    "text",
    [
        b"/opt/.x/evil",
        b'"/opt/.x/evil" -q',
        b"ExecStart=-/opt/.x/evil",
        b"ExecStart=@/opt/.x/evil",
        b"(/opt/.x/evil &) 2>/dev/null",
        b"PATH=/bin:/opt/.x/evil:/sbin",
        b"//opt/.x//evil",
        b"/opt/./.x/y/../evil",
        rb"/opt/\.x/evil",
        b"~/evil",
        b"$HOME/evil;",
        b"${HOME}/evil|sh",
        b"%h/evil",
        b"'/opt/my tools/evil'",
        rb"/opt/my\ tools/evil",
        b'command="/opt/.x/evil -x",no-pty ssh-ed25519 AAAA',
        b"[ -x /opt/.x/evil ]&&/opt/.x/evil&",
    ],
)
def test_a_file_is_named_however_it_is_written(text: bytes) -> None:
    """Quoted, marked, escaped, by another path or by the home folder."""
    named = Named([EVIL, "/opt/my tools/evil", "/home/u/evil"])
    assert named.spans(text, "/home/u")


@pytest.mark.parametrize(
    "text",
    [b"/opt/.x/evil-tools", b"/opt/.x/evil.so", b"/srv/opt/.x/evil", b"/opt/.x/evil/more", b"opt/.x/evil", b"~/evil"],
)
def test_another_file_is_not_named(text: bytes) -> None:
    """A longer name, a file below, a relative path, somebody else's home."""
    assert NAMED.spans(text, "/home/other") == []


CASES = {
    "cron": (LINE, b"A=\n* * * * * root /opt/.x/evil -q\n0 3 * * * root x\n", b"A=\n0 3 * * * root x\n"),
    "comment": (LINE, b"# /opt/.x/evil\n", b"# /opt/.x/evil\n"),
    "no line feed at the end": (LINE, b"a\n@reboot /opt/.x/evil", b"a\n"),
    "preload": (WORDS, b"/lib/a.so /opt/.x/evil\n", b"/lib/a.so \n"),
    "environment": (WORDS, b"A=1\nLD_PRELOAD=/opt/.x/evil\n", b"A=1\nLD_PRELOAD=\n"),
    "udev": (RULE, b'A=="b", \\\n  RUN+="/opt/.x/evil"\nC=="d"\n', b'C=="d"\n'),
    "unit": (
        UNIT,
        b"[Service]\nExecStartPre=/opt/.x/evil \\\n  -a\nExecStart=/bin/x\n",
        b"[Service]\nExecStart=/bin/x\n",
    ),
    "desktop": (
        DESKTOP,
        b"[Desktop Entry]\nExec=/opt/.x/evil\nIcon=/opt/.x/evil\n",
        b"[Desktop Entry]\nHidden=true\nIcon=/opt/.x/evil\n",
    ),
    "pam": (
        PAM,
        b"auth [success=1] pam_unix.so\nauth required pam_exec.so /opt/.x/evil\nauth requisite pam_deny.so\n",
        b"auth [success=1] pam_unix.so\nauth\toptional\tpam_deny.so\nauth requisite pam_deny.so\n",
    ),
    "sudo": (
        SUDO,
        b"Cmnd_Alias X = /opt/.x/evil, /bin/ls\nu ALL = X\n",
        b"Cmnd_Alias X = /bin/true, /bin/ls\nu ALL = X\n",
    ),
    "apt": (APT, b'// x\nDPkg::Post-Invoke {"/opt/.x/evil";};\n', b'// x\nDPkg::Post-Invoke {"/bin/true";};\n'),
    "shell": (
        SHELL,
        b"if [ -x /opt/.x/evil ]; then\n  /opt/.x/evil &\nfi\n",
        b"if [ -x /bin/true ]; then\n  /bin/true &\nfi\n",
    ),
    "shell reads": (SHELL, b". /opt/.x/evil\nbash -e /opt/.x/evil\n", b". /dev/null\nbash -e /dev/null\n"),
    "shell becomes": (SHELL, b"exec /opt/.x/evil\n", b"exec /dev/null\n"),
    "shell preloads": (SHELL, b'export LD_PRELOAD="/a.so:/opt/.x/evil"\n', b'export LD_PRELOAD="/a.so:"\n'),
}


@pytest.mark.parametrize("name", CASES)
def test_the_smallest_change_that_leaves_it_valid(name: str) -> None:
    """Exactly this changes, and then nothing is left to change."""
    syntax, text, expected = CASES[name]
    edits = syntax.edits(text, NAMED)
    assert applied(text, edits) == expected
    assert all(text[edit.offset :].startswith(edit.old) for edit in edits)
    assert syntax.edits(expected, NAMED) == ()


@pytest.mark.parametrize("syntax", [LINE, RULE, UNIT, WORDS, SHELL, SUDO, APT, PAM, DESKTOP])
def test_what_names_nothing_stays_as_it_is(syntax: Syntax) -> None:
    """Bytes that are no text, other line ends, an unfinished line."""
    for text in (b"", b"\xff\xfe\x00evil\r\n", b"evil \\\n", b"/opt/other\n"):
        assert syntax.edits(text, NAMED) == ()


@pytest.mark.skipif(shutil.which("dash") is None, reason="dash is not installed")
def test_a_shell_still_reads_what_is_left() -> None:
    """Control: with the lines taken out instead, the same script is none."""
    script = CASES["shell"][1] + b"case x in\n  x) /opt/.x/evil ;;\nesac\nfor i in 1; do\n/opt/.x/evil\ndone\n"
    left = applied(script, SHELL.edits(script, NAMED))
    assert subprocess.run(["dash", "-e"], input=left, capture_output=True, check=False).returncode == 0  # noqa: S607
    cut = applied(script, LINE.edits(script, NAMED))
    assert subprocess.run(["dash", "-n"], input=cut, capture_output=True, check=False).returncode != 0  # noqa: S607
