"""The Action Center's RPCs: each reads its request, calls one use case and writes its response."""
