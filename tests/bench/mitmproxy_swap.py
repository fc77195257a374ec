"""An add-on for mitmproxy: swaps one field of a JSON body, and stores nothing. Runs in mitmproxy's own environment."""

import json

TOKEN = "tok_01h455vb4pex5vsknk084sn02q"


class Swap:
    def request(self, flow):
        body = json.loads(flow.request.content)
        body["card"]["number"] = TOKEN
        flow.request.content = json.dumps(body).encode()


addons = [Swap()]
