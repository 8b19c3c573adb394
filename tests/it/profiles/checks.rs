//! What a profile's author is told before it is served.

use latchkey::error::Error;
use latchkey::profile::{BUILT_IN, Profile};
use latchkey::web::routes::ROUTES;

/// The default profile with each pair's first text replaced by its second: the fields that are wrong with it.
fn wrong(changes: &[(&str, &str)]) -> Vec<String> {
    let mut text = BUILT_IN[0].1.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the profile has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    match Profile::parse(&text) {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.field.into_owned()).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_text_in_a_body_stands_inside_quotes() {
    let body = BUILT_IN[0].1.lines().skip_while(|line| *line != "[errors]").find(|line| line.starts_with("body")).unwrap();
    assert!(wrong(&[(body, r#"body = '{"error":"{message}","code":"{code}"}'"#)]).is_empty());
    assert_eq!(wrong(&[(body, r#"body = '{"error":{message}}'"#)]), ["errors.body"]);
    assert_eq!(wrong(&[(body, r#"body = '{"error":"x","code":{code}}'"#)]), ["errors.body"]);
}

#[test]
fn a_number_stands_as_it_is() {
    let limited =
        BUILT_IN[0].1.lines().skip_while(|line| *line != "[refusals.rate_limited]").find(|line| line.starts_with("body")).unwrap();
    assert!(wrong(&[(limited, r#"body = '{"after":{retry_after}}'"#)]).is_empty());
    assert!(wrong(&[(limited, r#"body = '{"after":"{retry_after} s"}'"#)]).is_empty());
}

#[test]
fn the_dashboards_addresses_are_taken() {
    for route in ROUTES.iter().filter(|route| route.path != "/") {
        let first = format!("/{}", route.path.split('/').nth(1).unwrap());
        let path = format!("path = \"{first}\"");
        assert_eq!(wrong(&[("path = \"/credits\"", &path)]), [format!("routes.GET {first}")], "{first}");
    }
}

#[test]
fn a_header_is_named_once_in_any_case() {
    let api = "key_headers = []";
    assert!(wrong(&[(api, "key_headers = [\"X-API-Key\", \"X-Other\"]")]).is_empty());
    assert_eq!(wrong(&[(api, "key_headers = [\"X-API-Key\", \"x-api-key\"]")]), ["api.key_headers"]);
}

#[test]
fn a_signature_header_signs_the_body_and_carries_the_signature() {
    let header = |name: &str, signed: &str, value: &str| {
        let text = format!("[[webhooks.signature_headers]]\nname = \"{name}\"\nsigned = \"{signed}\"\nvalue = \"{value}\"\n");
        wrong(&[("[refusals.missing]", &format!("{text}\n[refusals.missing]"))])
    };
    assert!(header("X-Signature", "{timestamp}.{body}", "t={timestamp},v1={hex}").is_empty());
    assert!(header("X-Signature", "{body}", "{base64}").is_empty());
    for name in ["Content-Length", "host", "webhook-signature", "Webhook-Extra", "two words", "", "x:y"] {
        assert_eq!(header(name, "{body}", "{hex}"), [format!("webhooks.signature_headers.{name}.name")]);
    }
    for signed in ["{timestamp}", "{body}{secret}", "{body}{hex}", ""] {
        assert_eq!(header("x", signed, "{hex}"), ["webhooks.signature_headers.x.signed"], "{signed}");
    }
    for value in ["{timestamp}", "{hex}{body}", "{hex}\\r\\nx: y", "{hex}ä", "sha256="] {
        assert_eq!(header("x", "{body}", value), ["webhooks.signature_headers.x.value"], "{value}");
    }
    let twice = "[[webhooks.signature_headers]]\nname = \"X-Sig\"\nsigned = \"{body}\"\nvalue = \"{hex}\"\n";
    let both = format!("{twice}{}\n[refusals.missing]", twice.replace("X-Sig", "x-sig"));
    assert_eq!(wrong(&[("[refusals.missing]", &both)]), ["webhooks.signature_headers"]);
}

#[test]
fn what_a_route_does_says_its_method() {
    let route = |method: &str, path: &str| format!("method = \"{method}\"\npath = \"{path}\"");
    let put = route("PUT", "/webhook");
    assert!(wrong(&[(&put, &route("POST", "/webhooks"))]).is_empty(), "some contracts make it by POST");
    for (from, to, path) in [
        (put.clone(), route("DELETE", "/x"), "DELETE /x"),
        (route("GET", "/webhook"), route("POST", "/webhook"), "POST /webhook"),
        (route("DELETE", "/webhook"), route("POST", "/x"), "POST /x"),
        (route("POST", "/webhook/test"), route("GET", "/webhook/test"), "GET /webhook/test"),
        (route("GET", "/events"), route("POST", "/events"), "POST /events"),
    ] {
        assert_eq!(wrong(&[(&from, &to)]), [format!("routes.{path}")]);
    }
    assert_eq!(wrong(&[("path = \"/events\"", "path = \"/events/{id}\"")]), ["routes.GET /events/{id}"]);
}
