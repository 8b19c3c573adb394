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
