"""Whether a slow member of a pool takes a job: its pace beside those of the others."""

import pytest

from kaniwa.pool.pace import Paces


class Named:
    """As much of a member as its pace is kept for."""

    def __init__(self, simulated=False):
        self.simulated = simulated
        self.lost = None


class Hand:
    """A clock that goes on by hand."""

    now = 0.0

    def __call__(self):
        return self.now


def known(clock, **seconds):
    """Members and their paces; each has done one job in so many seconds."""
    members = {name: Named() for name in seconds}
    paces = Paces(list(members.values()), clock)
    for name, member in members.items():
        paces.begin(member)
        clock.now += seconds[name]
        paces.end(member)
    return paces, members


@pytest.mark.parametrize(("waiting", "pays"), [(1, False), (7, False), (8, True), (50, True)])
def test_a_slow_one_takes_a_job_that_it_ends_before_the_others_end_all(waiting, pays):
    paces, members = known(Hand(), fast=0.125, slow=1.0)
    assert paces.pays(members["slow"], waiting) == pays
    assert paces.pays(members["fast"], waiting)


def test_the_job_that_another_is_at_counts():
    clock = Hand()
    paces, members = known(clock, fast=1.0, slow=1.5)
    assert not paces.pays(members["slow"], 1)
    paces.begin(members["fast"])
    assert paces.pays(members["slow"], 1)       # else it ends 2 s from now
    clock.now += 0.75
    assert not paces.pays(members["slow"], 1)   # 1.25 s


def test_one_of_equal_members_takes_the_job():
    paces, members = known(Hand(), one=0.5, other=0.5)
    assert paces.pays(members["one"], 1) and paces.pays(members["other"], 1)


def test_what_is_not_known_is_tried():
    clock = Hand()
    paces, members = known(clock, fast=0.1)
    assert paces.pays(members["fast"], 1)
    simulated, fast, slow = Named(simulated=True), Named(), Named()
    paces = Paces([simulated, fast, slow], clock)
    assert all(paces.pays(member, 1) for member in (simulated, fast, slow))


def test_lost_members_do_no_jobs():
    paces, members = known(Hand(), fast=0.1, slow=1.0)
    members["fast"].lost = "unplugged"
    assert paces.pays(members["slow"], 1)
