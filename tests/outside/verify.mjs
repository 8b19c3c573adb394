// Judges deliveries as a receiver would that uses the `standardwebhooks` of npm: `node verify.mjs DIRECTORY`, the directory being
// where that is installed. One JSON object a line in, one line out: `accepted`, or why not.
//
//   {"secret": "whsec_…", "headers": {"webhook-id": "…", …}, "body": "base64", "now": 1614265330}
//
// `now`, in seconds, stands in for the clock: for a delivery of long ago.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const { Webhook } = createRequire(resolve(process.argv[2], "package.json"))("standardwebhooks");
const clock = Date.now;

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body, now } = JSON.parse(line);
  Date.now = now === undefined ? clock : () => now * 1000;
  try {
    new Webhook(secret).verify(Buffer.from(body, "base64"), headers);
    console.log("accepted");
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }
}
