"""Messages to people through Apprise, by the Airflow connection that ``[slipway] notify_conn`` names."""

from __future__ import annotations

import logging
from typing import Literal

log = logging.getLogger(__name__)

Tone = Literal["success", "failure"]


async def notify_soon(conn_id: str, title: str, body: str) -> None:
    """The same as a warning, from within the triggerer's event loop. What Airflow's hook raises is raised."""
    import apprise
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    await AppriseHook(conn_id).async_notify(body=body, title=title, notify_type=apprise.NotifyType.WARNING)


def notify(conn_id: str, title: str, body: str, tone: Tone) -> bool:
    """Send to every service of the connection; whether all took it. What went wrong stands in the log.

    Apprise itself answers False where a service fails; what is raised here is a connection that is missing or wrong.
    """
    import apprise
    from airflow.providers.apprise.hooks.apprise import AppriseHook
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    services = apprise.Apprise()
    try:
        hook = AppriseHook(conn_id)
        hook.set_config_from_conn(hook.get_connection(conn_id), services)
        sent = bool(services.notify(body=body, title=title, notify_type=apprise.NotifyType(tone)))
    except (AirflowException, AirflowRuntimeError, KeyError, TypeError, ValueError):
        log.exception("the notification %r could not be sent by connection %r", title, conn_id)
        return False
    if not sent:
        log.error("the notification %r was not taken by every service of connection %r", title, conn_id)
    return sent
