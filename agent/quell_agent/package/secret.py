"""What is never copied: files that are nothing but credentials. That they are there, and since when, is told."""

import fnmatch
import re

FILES = (
    *("/etc/shadow*", "/etc/gshadow*", "/etc/krb5.keytab", "/etc/ssl/private/*", "/etc/wireguard/*"),
    *("/etc/ssh/ssh_host_*_key", "/etc/NetworkManager/system-connections/*", "/var/lib/sss/secrets/*"),
    *("/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/*.key", "/var/lib/kubelet/pki/*", "/var/lib/etcd/*"),
    *("*/.ssh/id_*", "*/.ssh/*.pem", "*/.pgpass", "*/.netrc", "*/.my.cnf", "*/.git-credentials", "*/.kube/config"),
    *("*/.docker/config.json", "*/.aws/credentials", "*/.config/gcloud/*", "*/.azure/*", "*/.gnupg/private*"),
    *("*/.local/share/keyrings/*", "*/org.signal.Signal/config.json", "*.kdbx", "*/.password-store/*"),
    *(
        "*/Login Data*",
        "*/Cookies*",
        "*/Web Data*",
        "*/key[34].db",
        "*/logins.json",
        "*/cookies.sqlite*",
        "*/signons.*",
    ),
)
_SECRET = re.compile("|".join(fnmatch.translate(pattern) for pattern in FILES))

TOLD = frozenset(
    {
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "PWD",
            "OLDPWD",
            "TERM",
            "LANG",
            "TZ",
            "TMPDIR",
            "DISPLAY",
            "SHLVL",
        ),
        *("HISTFILE", "HISTSIZE", "HISTFILESIZE", "HISTCONTROL", "ENV", "BASH_ENV", "PROMPT_COMMAND", "IFS", "EDITOR"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PERL5LIB", "PERL5OPT", "PERLLIB", "RUBYOPT"),
        *("RUBYLIB", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "GCONV_PATH"),
        *("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_ORIGINAL_COMMAND", "SUDO_USER", "SUDO_UID", "SUDO_COMMAND"),
        *("XDG_SESSION_ID", "XDG_RUNTIME_DIR", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "MAINPID", "_"),
    }
)
"""Variables whose value is told, and every `LD_...`: they say what is loaded, by whom, and from where."""


def is_secret(path: str) -> bool:
    """Tell whether a file is one that holds credentials."""
    return _SECRET.match(path) is not None


def environment(raw: bytes) -> dict[str, str | int]:
    """Return each variable's value, or only its length where it may be a credential."""
    pairs = [each.partition(b"=") for each in raw.split(b"\0") if each]
    found = {name.decode("utf-8", "backslashreplace"): value for name, _, value in pairs}
    return {
        name: value.decode("utf-8", "backslashreplace") if name in TOLD or name.startswith("LD_") else len(value)
        for name, value in found.items()
    }
