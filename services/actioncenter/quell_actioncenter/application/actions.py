"""The use cases of `ActionService`, in one place."""

from quell_actioncenter.application.asking import Asking
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.ending import Ending
from quell_actioncenter.application.plans import Plans
from quell_actioncenter.application.previews import Previews
from quell_actioncenter.application.voting import Voting


class Actions:
    """Ask for, preview, vote, call off, take back, try again, give up; reading is the API's, from the store."""

    def __init__(self, desk: Desk, plans: Plans, deployment: str) -> None:
        """Decide at this desk, and ask executors through these plans."""
        asking, voting, ending = Asking(desk), Voting(desk, deployment), Ending(desk)
        self.create = asking.create
        self.undo = asking.undo
        self.retry = asking.retry
        self.preview = Previews(desk, plans).preview
        self.approve = voting.approve
        self.reject = voting.reject
        self.decide_many = voting.decide_many
        self.cancel = ending.cancel
        self.write_off = ending.write_off
