"""Keeps webhooks on this machine, and notes which answers came: a line each of method, path as in the document, and status."""

import os

import schemathesis

ENDPOINT = os.environ["LATCHKEY_ENDPOINT"]
SEEN = os.environ["LATCHKEY_SEEN"]


@schemathesis.hook
def before_call(context, case, kwargs):
    # What is a URL goes to the endpoint of the test; what is none stays as it is, to be refused.
    url = case.body.get("url") if isinstance(case.body, dict) else None
    if isinstance(url, str) and url.startswith("http"):
        case.body["url"] = ENDPOINT


@schemathesis.hook
def after_call(context, case, response):
    with open(SEEN, "a") as seen:
        seen.write(f"{case.method} {case.path} {response.status_code}\n")
