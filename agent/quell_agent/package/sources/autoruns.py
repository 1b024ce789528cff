"""What starts by itself, and what rides along when something else starts: copies of the files that say so.

Links are told with where they lead: which units are enabled is nothing but links.
"""

from collections.abc import Iterator
from itertools import product

from quell_agent.package.item import Item
from quell_agent.package.machine import HOME, Machine

UNIT_FOLDERS = (
    *("/etc/systemd/system", "/etc/systemd/user", "/usr/lib/systemd/system", "/usr/lib/systemd/user"),
    *("/usr/local/lib/systemd/system", "/run/systemd/system", "/run/systemd/transient", "/run/systemd/generator*"),
    *("/etc/systemd/system.control", "/run/systemd/system.control", "/usr/share/systemd/user"),
    *(f"{HOME}/.config/systemd/user", f"{HOME}/.local/share/systemd/user", "/run/user/*/systemd/*"),
)
SYSTEMD = (
    *(f"{folder}/{name}" for folder, name in product(UNIT_FOLDERS, ("*.*", "*.*/*"))),
    *("/etc/systemd/*.conf", "/etc/systemd/*-generators/*", "/usr/local/lib/systemd/*-generators/*"),
    *("/run/systemd/*-generators/*", "/etc/environment.d/*", "/etc/systemd/*-environment-generators/*"),
    *("/etc/tmpfiles.d/*", "/etc/binfmt.d/*", "/var/lib/systemd/linger/*", f"{HOME}/.config/environment.d/*"),
)
CRON = (
    *("/etc/crontab", "/etc/anacrontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*"),
    *("/etc/cron.weekly/*", "/etc/cron.monthly/*", "/etc/cron.yearly/*", "/var/spool/cron/**", "/etc/cron.allow"),
    *("/etc/cron.deny", "/etc/at.allow", "/etc/at.deny", "/var/spool/at/**", "/etc/fcrontab", "/etc/incron.d/*"),
    *("/var/spool/anacron/*", "/var/spool/incron/*", "/etc/default/cron", "/etc/default/anacron"),
)
INIT = (
    *("/etc/inittab", "/etc/init/*", "/etc/init.d/*", "/etc/rc.local", "/etc/rc*.d/*", "/etc/rc.d/**"),
    *("/etc/xinetd.conf", "/etc/xinetd.d/*", "/etc/inetd.conf", "/etc/runit/**", "/etc/sv/*/run", "/etc/service/*"),
    *("/etc/local.d/*", "/etc/supervisor/**", "/etc/supervisord.conf", "/etc/monit/**", "/etc/initramfs-tools/**"),
    *("/usr/share/initramfs-tools/hooks/*", "/etc/dracut.conf.d/*", "/etc/grub.d/*", "/etc/kernel/*.d/*"),
)
SHELLS = (
    *("/etc/profile", "/etc/profile.d/*", "/etc/bash.bashrc", "/etc/bashrc", "/etc/bash.bash_logout"),
    *("/etc/bash_completion.d/*", "/etc/zsh/*", "/etc/zshenv", "/etc/zshrc", "/etc/csh.*", "/etc/fish/**"),
    *("/etc/ksh.kshrc", "/etc/environment", "/etc/default/locale", "/etc/skel/.*", "/etc/inputrc"),
    *(f"{HOME}/.bash{name}" for name in ("rc", "_profile", "_login", "_logout", "_aliases", "rc.d/*")),
    *(f"{HOME}/.{name}" for name in ("profile", "zshrc", "zshenv", "zprofile", "zlogin", "zlogout", "kshrc", "cshrc")),
    *(f"{HOME}/.{name}" for name in ("tcshrc", "login", "logout", "inputrc", "oh-my-zsh/custom/*", "config/fish/**")),
    *(f"{HOME}/.{name}" for name in ("xinitrc", "xsession", "xsessionrc", "xprofile", "Xsession", "gitconfig")),
    *(f"{HOME}/.{name}" for name in ("vimrc", "vim/plugin/*", "config/nvim/init.*", "emacs", "gdbinit", "screenrc")),
)
LOADER = ("/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*", "/etc/gconv/*", "/etc/ld.so.cache")
LOGIN = (
    *(f"{HOME}/.ssh/{name}" for name in ("authorized_keys*", "rc", "config", "environment")),
    *(f"{HOME}/.{name}" for name in ("rhosts", "shosts", "k5login", "k5users", "pam_environment", "forward")),
    *("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*", "/etc/ssh/ssh_config", "/etc/ssh/ssh_config.d/*"),
    *("/etc/ssh/sshrc", "/etc/ssh/authorized_keys/*", "/etc/ssh/*principals*", "/etc/ssh/*.pub", "/etc/hosts.equiv"),
    *("/etc/pam.conf", "/etc/pam.d/*", "/usr/lib/pam.d/*", "/etc/security/pam_env.conf", "/etc/security/namespace.*"),
    *("/etc/update-motd.d/*", "/etc/nsswitch.conf", "/etc/sssd/conf.d/*", "/etc/krb5.conf", "/etc/nslcd.conf"),
)
PYTHONS = (
    *("/usr/lib/python3*", "/usr/lib/python2*", "/usr/lib64/python*", "/usr/local/lib/python*", "/opt/*/lib/python*"),
    *(f"{HOME}/.local/lib/python*", f"{HOME}/.pyenv/versions/*/lib/python*", f"{HOME}/*/lib/python*"),
)
HOOKS_OF_PYTHON = ("*.pth", "sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py")
INTERPRETERS = (
    *(f"{top}/{hook}" for top, hook in product(PYTHONS, HOOKS_OF_PYTHON)),
    *(f"{top}/*-packages/{hook}" for top, hook in product(PYTHONS, HOOKS_OF_PYTHON)),
    *("/etc/python3*/*customize.py", "/etc/perl/**", "/usr/local/lib/site_perl/**", "/usr/local/share/perl/**"),
    *("/usr/share/perl5/sitecustomize.pl", "/usr/lib/*/perl*/sitecustomize.pl", "/etc/php/*/*/conf.d/*"),
    *("/etc/npmrc", f"{HOME}/.npmrc.js", f"{HOME}/.config/pip/pip.conf", "/etc/pip.conf", "/etc/gemrc"),
)
SESSIONS = (
    *("/etc/xdg/autostart/*", f"{HOME}/.config/autostart/*", f"{HOME}/.config/autostart-scripts/*"),
    *(f"{HOME}/.config/plasma-workspace/**", "/etc/X11/Xsession.d/*", "/etc/X11/xinit/**", "/etc/gdm3/**"),
    *("/etc/lightdm/**", "/usr/share/dbus-1/system-services/*", "/usr/share/dbus-1/services/*"),
    *("/etc/dbus-1/system.d/*", f"{HOME}/.local/share/dbus-1/services/*"),
)
EVENTS = (
    *("/etc/udev/rules.d/*", "/usr/lib/udev/rules.d/*", "/run/udev/rules.d/*", "/etc/network/if-*.d/*"),
    *("/etc/NetworkManager/dispatcher.d/**", "/usr/lib/NetworkManager/dispatcher.d/**", "/etc/networkd-dispatcher/**"),
    *("/etc/dhcp/*hooks.d/*", "/etc/ppp/ip-*.d/*", "/etc/acpi/**", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*"),
    *("/etc/dpkg/dpkg.cfg", "/etc/dpkg/dpkg.cfg.d/*", "/etc/yum/pluginconf.d/*", "/etc/dnf/plugins/*"),
    *("/etc/logrotate.conf", "/etc/logrotate.d/*", "/etc/rsyslog.conf", "/etc/rsyslog.d/*", "/etc/pm/**"),
    *("/usr/lib/systemd/system-sleep/*", "/usr/lib/systemd/system-shutdown/*", "/etc/openvpn/*.conf"),
    *("/etc/apache2/**", "/etc/nginx/**", f"{HOME}/.config/git/hooks/*", "/etc/aliases", f"{HOME}/.procmailrc"),
)


def items(machine: Machine) -> Iterator[Item]:
    """Yield them by what starts them."""
    yield from machine.copies((*LOADER, *CRON, *LOGIN, *SYSTEMD, *INIT, *SHELLS, *INTERPRETERS, *SESSIONS, *EVENTS))
