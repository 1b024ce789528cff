"""The policy of simulations: the default one, with budgets that are soon used up, and times that are soon over."""

from quell_actioncenter.domain.policy_yaml import default_document

POLICY = (
    default_document()
    .replace("email: {malicious: approval", "email: {malicious: automatic")
    .replace("limit: 200", "limit: 2")
    .replace("limit: 500", "limit: 2")
    .replace("decision: {default: 7d}", "decision: {default: 3d}")
    .replace("target: {default: 7d}", "target: {default: 2d}")
)
