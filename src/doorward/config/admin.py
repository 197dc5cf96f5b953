"""The admin listener's application, made of the parts that every worker has: any worker answers for the whole node."""

from typing import Final

from doorward import __version__
from doorward.adapters.admin import AdminApp, Api
from doorward.config.making import revocation_life
from doorward.config.parts import Parts
from doorward.service.administer import Administration
from doorward.service.administrators import Administrators
from doorward.service.operate import ANSWER_WITHIN
from doorward.service.overview import Survey
from doorward.service.present import Present

SPARE: Final = 2.0
"""Seconds of an exchange's time that are left for all else than waiting for the nodes."""


def make_admin(parts: Parts, *, node: str) -> AdminApp:
    """`node` is this node's name."""
    present = Present(parts.store.presence, parts.clock)
    survey = Survey(
        store=parts.store,
        present=present,
        withdrawals=parts.withdrawals,
        clock=parts.clock,
        node=node,
        counts=parts.numbers.counts,
        ready=parts.readiness.ready,
        ahead=parts.clock.ahead,
    )
    administration = Administration(
        watch=parts.watch,
        store=parts.store,
        withdrawals=parts.withdrawals,
        present=present,
        survey=survey,
        entropy=parts.entropy,
        counts_for=lambda: revocation_life(parts.watch.rules),
        within=lambda: min(ANSWER_WITHIN, max(1.0, parts.terms.config.admission_timeout - SPARE)),
    )
    api = Api(
        administration,
        Administrators(watch=parts.watch, store=parts.store, answers=parts.answers),
        version=__version__,
        wire_of=lambda scope: scope["state"]["wire"],
        handshake_of=lambda scope: scope["state"]["handshake"],
    )
    return AdminApp(metrics=parts.numbers.text, readiness=parts.readiness, fault=parts.events.fault, rest=api.answer)
