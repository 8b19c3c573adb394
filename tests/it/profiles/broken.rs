//! Profiles that can't be served, and the sentence that says why.

use latchkey::error::Error;
use latchkey::profile::{BUILT_IN, Profile};

/// A profile, what is changed in its text, and what is said of it.
const BROKEN: [(&str, &str, &str, &str); 43] = [
    (
        "analysis",
        "[refusals.revoked]",
        "[refusals.gone]",
        "refusals.revoked is missing: this outcome has no answer; give it a status and a body",
    ),
    ("jobs", "status = 402\n", "", "refusals.credits.status is missing: the HTTP status of this outcome"),
    ("analysis", "charge = \"on_start\"\nreport_within = \"15m\"", "", "verify.charge is missing: \"on_start\" or \"on_success\""),
    ("analysis", "rotation = true", "", "keys.rotation is missing: whether a key may be given a new text in place"),
    ("messaging", "prefix = \"lk\"", "prefix = \"lk_\"", "keys.prefix must be 1 to 20 of a-z and 0-9"),
    ("messaging", "prefix = \"lk\"", "prefix = \"lkw\"", "keys.prefix must not be the first word of Latchkey's own tokens"),
    ("analysis", "place = [\"API\"]", "place = []", "place must name at least the page's title"),
    ("jobs", "base_path = \"/v1\"", "base_path = \"/v1/\"", "api.base_path must start with / and not end with one"),
    ("jobs", "base_path = \"/v1\"", "base_path = \"/worker\"", "routes.POST /classify lies below /worker, which is Latchkey's own"),
    ("analysis", "name = \"test\"\nsandbox = true", "name = \"live\"", "keys.environments \"live\" stands there twice"),
    (
        "analysis",
        "name = \"live\"",
        "name = \"live\"\nsandbox = true",
        "keys.environments must start with the environment of real keys, not with a sandbox",
    ),
    ("analysis", "rotation = true", "rotation = false", "keys.grace offers a grace period where rotation = false"),
    (
        "analysis",
        "rotation = true",
        "rotation = false",
        "keys.rotation must be true where max_active = 1: there is no second key to switch over to",
    ),
    ("analysis", "# columns = ", "columns = ", "keys.columns belong to a table, but max_active = 1 shows a card"),
    ("documents", "columns = [\"name\", ", "columns = [", "keys.columns must have \"name\" among them"),
    (
        "assessment",
        "columns = [\"name\", ",
        "columns = [\"name\", \"permissions\", ",
        "keys.columns shows permissions where grant = \"none\"",
    ),
    (
        "documents",
        "columns = [\"name\", ",
        "columns = [\"name\", \"environment\", ",
        "keys.columns shows an environment, and there are none",
    ),
    (
        "analysis",
        "grant = \"none\"\nlist = []",
        "grant = \"chosen\"\nlist = [\"a\"]",
        "permissions.grant can't be \"chosen\" where max_active = 1: the one key's button asks for nothing",
    ),
    (
        "analysis",
        "grant = \"none\"\nlist = []",
        "grant = \"none\"\nlist = [\"a\"]",
        "permissions.list must have entries when grant is \"chosen\" or \"inherited\" and none when grant is \"none\"",
    ),
    ("jobs", "\"credits:read\"", "\"jobs:read\"", "permissions.list \"jobs:read\" stands there twice"),
    (
        "jobs",
        "permission = \"scan:create\"",
        "permission = \"scan:make\"",
        "routes.POST /scan needs a permission \"scan:make\" that is not in permissions.list",
    ),
    (
        "documents",
        "member = [\"documents:read\"",
        "member = [\"documents:peek\"",
        "permissions.roles.member names \"documents:peek\", which is not in permissions.list",
    ),
    ("documents", "member = [", "owner = [", "permissions.roles.member is missing: what such a person's keys may do"),
    ("documents", "member = [", "owner = [", "permissions.roles.owner is no role; there is admin and member"),
    (
        "documents",
        "list = [",
        "list = [\"members:write\", ",
        "permissions.list \"members:write\" would let a key that inherits reach members, which none may",
    ),
    ("assessment", "requests = 60", "requests = 0", "limits.default must let at least one request pass"),
    ("jobs", "limit = \"scan\"", "limit = \"scans\"", "routes.POST /scan names a limit \"scans\" that is not defined"),
    ("jobs", "limit = \"read\"\ncharge", "limit = \"reads\"\ncharge", "verify.limit names a limit \"reads\" that is not defined"),
    ("jobs", "id_prefix = \"job\"", "id_prefix = \"cls\"", "jobs must share one id_field and one id_prefix"),
    (
        "jobs",
        "path = \"/deep-scan\"\naction = \"jobs.create\"\njob = \"deep_scan\"",
        "path = \"/deep-scan\"\naction = \"jobs.create\"\njob = \"scan\"",
        "jobs.deep_scan has no route with action \"jobs.create\" that makes one",
    ),
    (
        "assessment",
        "path = \"/assessments/{id}\"",
        "path = \"/assessments\"",
        "routes.GET /assessments must have exactly one {id} when it reads a job and none otherwise",
    ),
    (
        "documents",
        "kind = \"reason\"",
        "sort = \"reason\"",
        "routes.GET /credits.names renames \"sort\"; there is kind, from, to, limit, cursor, entries, next_cursor",
    ),
    (
        "documents",
        "kind = \"reason\", from = \"start\", to = \"end\"",
        "kind = \"reason\", from = \"at\", to = \"at\"",
        "routes.GET /credits.names calls two things \"at\"",
    ),
    (
        "jobs",
        "\"credits_available\":{credits_available}",
        "\"credits_available\":{available}",
        "refusals.credits.body asks for {available}; there is {credits_required} {credits_available}",
    ),
    (
        "documents",
        "rotation = false",
        "rotation = true",
        "keys.rotation must be false where grant = \"inherited\": a key's text is its maker's alone",
    ),
    (
        "documents",
        "list = [",
        "list = [\"Key_create\", ",
        "permissions.list \"Key_create\" would let a key that inherits reach key, which none may",
    ),
    ("documents", "kind = \"reason\"", "kind = \"amount\"", "routes.GET /credits.names calls two things \"amount\""),
    (
        "analysis",
        "key_headers = []",
        "key_headers = [\"Content-Type\"]",
        "api.key_headers \"Content-Type\" is not the name of a header of its own",
    ),
    (
        "analysis",
        "key_headers = []",
        "key_headers = [\"x-forwarded-uri\"]",
        "api.key_headers \"x-forwarded-uri\" is not the name of a header of its own",
    ),
    (
        "analysis",
        "key_parameters = []",
        "key_parameters = [\"limit\"]",
        "api.key_parameters \"limit\" is a parameter of GET /credits/entries already",
    ),
    ("analysis", "key_parameters = []", "key_parameters = [\"\"]", "api.key_parameters \"\" is not 1 to 40 letters, digits, - and _"),
    (
        "analysis",
        "base_path = \"/\"",
        "base_path = \"/v1/..\"",
        "api.base_path must have nothing but letters, digits, / - _ . ~, and no . or .. between slashes",
    ),
    ("analysis", "name = \"analysis\"", "name = \" \"", "name can't be empty"),
];

fn said_of(text: &str) -> Vec<String> {
    match Profile::parse(text) {
        Ok(profile) => panic!("{} is served", profile.name),
        Err(Error::Invalid(fields)) => fields.into_iter().map(|field| format!("{} {}", field.field, field.message)).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_is_told_why_it_is_not_served() {
    for (name, from, to, sentence) in BROKEN {
        let (_, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        let said = said_of(&text.replacen(from, to, 1));
        assert!(said.iter().any(|said| said == sentence), "{sentence:?} is not among {said:#?}");
    }
}

#[test]
fn every_gap_is_named_at_once() {
    let said = said_of("name = \"empty\"\n[refusals.missing]\nstatus = 401\n");
    for gap in [
        "description is missing",
        "keys.prefix is missing",
        "permissions.grant",
        "verify.charge",
        "errors.body",
        "refusals.missing.body",
        "refusals.unknown",
        "refusals.credits",
    ] {
        assert!(said.iter().any(|said| said.starts_with(gap)), "{gap} is not among {said:#?}");
    }
}

#[test]
fn a_profile_without_a_first_call_is_not_served() {
    let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "documents").unwrap();
    let (before, rest) = text.split_once("[[routes]]").unwrap();
    let (_, after) = rest.split_once("[refusals.missing]").unwrap();
    let said = said_of(&format!("{before}[refusals.missing]{after}"));
    assert_eq!(said, ["routes must have one that a first call can use: a GET without {id}, such as key.read"]);
}

#[test]
fn what_is_no_toml_and_what_is_misspelt_is_told_with_its_place() {
    let (_, text) = BUILT_IN[0];
    let broken = said_of(&text.replacen("max_active = 1", "max_active = ", 1));
    assert!(broken.len() == 1 && broken[0].contains("line ") && broken[0].contains("max_active"), "{broken:?}");
    let misspelt = said_of(&text.replacen("revoke_label", "revok_label = \"Revoke\"\nrevoke_label", 1));
    assert!(misspelt[0].contains("unknown field `revok_label`") && misspelt[0].contains("line "), "{misspelt:?}");
    let other_type = said_of(&text.replacen("status = 401", "status = \"401\"", 1));
    assert!(other_type[0].contains("invalid type") && other_type[0].contains("line "), "{other_type:?}");
}
