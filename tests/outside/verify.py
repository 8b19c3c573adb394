"""Judges deliveries as a receiver would that uses the `standardwebhooks` of PyPI. Lines in and out as with verify.mjs."""

import base64
import datetime
import json
import sys

from standardwebhooks import webhooks


class Clock(datetime.datetime):
    """Says what it is set to, for a delivery of long ago."""

    seconds = None

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) if cls.seconds is None else cls.fromtimestamp(cls.seconds, tz)


webhooks.datetime = Clock

for line in sys.stdin:
    delivery = json.loads(line)
    Clock.seconds = delivery.get("now")
    try:
        webhooks.Webhook(delivery["secret"]).verify(base64.b64decode(delivery["body"]), delivery["headers"])
        print("accepted")
    except Exception as error:
        print(f"refused: {error}")
