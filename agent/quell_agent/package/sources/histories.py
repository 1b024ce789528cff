"""What people typed: histories of shells and of other programs that ask."""

from collections.abc import Iterator

from quell_agent.package.item import Item
from quell_agent.package.machine import HOME, Machine

NAMES = (
    *(".bash_history", ".zsh_history", ".histfile", ".zhistory", ".sh_history", ".ash_history", ".ksh_history"),
    *(".history", ".tcsh_history", ".local/share/fish/fish_history", ".local/share/nushell/history.*"),
    *(".python_history", ".node_repl_history", ".irb_history", ".Rhistory", ".lua_history", ".php_history"),
    *(".mysql_history", ".mariadb_history", ".psql_history", ".sqlite_history", ".dbshell", ".rediscli_history"),
    *(".mongosh/mongosh_repl_history", ".lesshst", ".viminfo", ".local/state/nvim/shada/*", ".nano_history"),
    *(".local/share/nano/search_history", ".wget-hsts", ".gdb_history", ".ssh/known_hosts", ".ssh/known_hosts2"),
    *(".config/powershell/*history*", ".local/share/powershell/PSReadLine/*", ".screenrc", ".tmux.conf"),
)


def items(machine: Machine) -> Iterator[Item]:
    """Yield each user's histories."""
    yield from machine.copies([f"{HOME}/{name}" for name in NAMES])
