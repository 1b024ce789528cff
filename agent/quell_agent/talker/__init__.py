"""The process that talks to the gateway. It has no rights, and no key that an executor trusts."""
