//! Signatures: Standard Webhooks 1.0.0 for everybody, and headers of the profile's own for those who had others before.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::hmac;
use time::OffsetDateTime;

use crate::ids::EventId;
use crate::profile::{SignatureHeader, Values};
use crate::secret::SigningSecret;

/// The value of `webhook-signature`: one `v1,…` a secret, with a space between (Standard Webhooks 1.0.0). `id` is the
/// `webhook-id`, `timestamp` the seconds of the `webhook-timestamp`.
pub fn signature(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let one = |secret: &SigningSecret| format!("v1,{}", BASE64.encode(hmac_sha256(secret, &signed)));
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// All headers that tell an endpoint what came, when, and from whom: names and values.
///
/// The profile's own headers are signed with the newest secret alone: their form has no place for a second one.
pub fn headers(own: &[SignatureHeader], secrets: &[SigningSecret], id: EventId, at: OffsetDateTime, body: &str) -> Vec<(String, String)> {
    let (id, timestamp) = (id.to_string(), at.unix_timestamp());
    let mut headers = vec![
        ("webhook-id".to_owned(), id.clone()),
        ("webhook-timestamp".to_owned(), timestamp.to_string()),
        ("webhook-signature".to_owned(), signature(secrets, &id, timestamp, body)),
    ];
    for header in secrets.first().map_or(&[][..], |_| own) {
        let words = Values::default().plain("id", &id).number("timestamp", timestamp);
        let tag = hmac_sha256(&secrets[0], &header.signed.render(&words.clone().plain("body", body)));
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let value = header.value.render(&words.plain("hex", &hex).plain("base64", &BASE64.encode(tag)));
        headers.push((header.name.to_ascii_lowercase(), value));
    }
    headers
}

fn hmac_sha256(secret: &SigningSecret, text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.bytes()), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{BUILT_IN, Profile};

    fn secret(base64: &str) -> SigningSecret {
        SigningSecret::from_bytes(BASE64.decode(base64).unwrap())
    }

    #[test]
    fn the_standards_vector() {
        let old = secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let sign = |secrets: &[SigningSecret]| signature(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(std::slice::from_ref(&old)), expected);
        // While a secret is replaced, both sign, the newest first.
        let new = secret("C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let both = sign(&[new.clone(), old]);
        assert_eq!(both, format!("{} {expected}", sign(&[new])));
    }

    #[test]
    fn headers_of_the_profiles_own() {
        let own = "[[webhooks.signature_headers]]\nname = \"X-Signature\"\nsigned = \"{timestamp}.{body}\"\nvalue = \"t={timestamp},v1={hex}\"\n\n[errors]";
        let profile = Profile::parse(&BUILT_IN[0].1.replacen("\n[errors]", &format!("\n{own}"), 1)).unwrap();
        let at = OffsetDateTime::from_unix_timestamp(1_614_265_330).unwrap();
        let id = EventId::new(at);
        // RFC 4231, test case 2, shows what HMAC-SHA256 gives; here it is only fed other text.
        let key = SigningSecret::from_bytes(b"Jefe".to_vec());
        let told = headers(&profile.webhooks.signature_headers, &[key.clone(), secret("AAAA")], id, at, "say \"no\"\n{id}");
        let tag = hmac_sha256(&key, "1614265330.say \"no\"\n{id}");
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(told[3], ("x-signature".to_owned(), format!("t=1614265330,v1={hex}")));
        assert_eq!(told[0].1, id.to_string());
        let hex = |text: &str| hmac_sha256(&key, text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
