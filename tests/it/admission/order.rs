//! The order of refusals: suspended, revoked, expired, inactive, permission, rate limit, credits; equal input, equal answer.

use diesel::sql_types::Uuid;
use diesel::{PgConnection, RunQueryDsl, sql_query};
use latchkey::credits;
use latchkey::ids::{KeyId, OrgId};
use serde_json::json;

use crate::support::{App, Client, Key};

const CHANGES: &[(&str, &str)] = &[
    ("max_active = 1", "max_active = 0"),
    ("grant = \"none\"\nlist = []", "grant = \"chosen\"\nlist = [\"analyses:create\"]"),
    ("action = \"jobs.create\"", "action = \"jobs.create\"\npermission = \"analyses:create\""),
    ("requests = 60", "requests = 1"),
];

/// What can be wrong, in the order in which it is looked at, with status and a word of the answer.
const WRONG: [(&str, u16, &str); 7] = [
    ("suspended", 403, "organization_suspended"),
    ("revoked", 403, "Invalid API Key"),
    ("expired", 403, "key_expired"),
    ("inactive", 403, "key_inactive"),
    ("permission", 403, "insufficient_permissions"),
    ("rate_limited", 429, "rate_limited"),
    ("credits", 402, "insufficient_credits"),
];

#[actix_web::test]
async fn the_first_that_is_wrong_is_told_whatever_else_is() {
    let app = App::with_changes(CHANGES);
    for combination in 0..1u32 << WRONG.len() {
        let is_wrong = |name: &str| WRONG.iter().position(|wrong| wrong.0 == name).is_some_and(|place| (combination >> place) & 1 == 1);
        let mut scene = app.make().org().key();
        if !is_wrong("credits") {
            scene = scene.credits(1);
        }
        let (org, key) = (scene.here().id, scene.a_key().clone());
        let (partner, conn) = (app.partner(&key), &mut app.database().conn());
        if is_wrong("rate_limited") {
            assert_eq!(partner.get("/key").send().await.status, 200);
        }
        WRONG.iter().filter(|wrong| is_wrong(wrong.0)).for_each(|wrong| make_wrong(conn, org, &key, wrong.0));
        let balance = credits::balance(conn, org).unwrap();
        let answer = order(&partner).send().await;
        let first = WRONG.iter().find(|wrong| is_wrong(wrong.0));
        let named: Vec<&str> = WRONG.iter().map(|wrong| wrong.0).filter(|name| is_wrong(name)).collect();
        let Some((name, status, word)) = first else {
            assert_eq!(answer.status, 202, "{}", answer.text());
            continue;
        };
        assert_eq!(answer.status, *status, "{named:?}: {}", answer.text());
        assert!(answer.text().contains(word), "{named:?}: {}", answer.text());
        assert_eq!(credits::balance(conn, org).unwrap(), balance, "credits are touched last");
        // What does not come as far as the limit does not count for it either.
        let counted = matches!(*name, "rate_limited" | "credits");
        assert_eq!(!answer.header("ratelimit").is_empty(), counted, "{named:?}");
        assert_eq!(windows(conn, key.id), i64::from(is_wrong("rate_limited")) + i64::from(counted), "{named:?}");
        // Not even who is refused for a reason that comes later learns whether the body was good.
        if *name != "credits" {
            let broken = partner.post("/analyses").header("content-type", "application/json").body("{").send().await;
            assert_eq!(broken.status, *status);
        }
    }
}

#[actix_web::test]
async fn a_key_that_cannot_be_known_comes_first() {
    let app = App::start();
    let unknown = crate::support::key_text(&app.site.profile, "live");
    for (client, status, body) in [
        (app.anon(), 401, r#"{"detail":"API Key is missing"}"#),
        (Client::bearer(&app.origin(), &unknown), 403, r#"{"detail":"Invalid API Key"}"#),
    ] {
        let answer = client.post("/analyses").header("content-type", "text/plain").body("{").send().await;
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.header("ratelimit"), "");
    }
}

fn order(client: &Client) -> crate::support::Request {
    client.post("/analyses").json(&json!({"input": {}}))
}

/// Makes this wrong with a key, in the words of the profile.
pub fn make_wrong(conn: &mut PgConnection, org: OrgId, key: &Key, what: &str) {
    let statement = match what {
        "suspended" => "UPDATE organizations SET suspended_at = now(), suspended_reason = 'x' WHERE id = $1 AND $2 IS NOT NULL",
        "revoked" => "UPDATE api_keys SET revoked_at = now(), revoked_by = 'x' WHERE organization_id = $1 AND id = $2",
        "expired" => "UPDATE api_keys SET expires_at = now() WHERE organization_id = $1 AND id = $2",
        "inactive" => "UPDATE api_keys SET deactivated_at = now() WHERE organization_id = $1 AND id = $2",
        "permission" => "UPDATE api_keys SET permissions = '{}' WHERE organization_id = $1 AND id = $2",
        _ => return,
    };
    sql_query(statement).bind::<Uuid, _>(org).bind::<Uuid, _>(key.id).execute(conn).unwrap();
}

/// Requests that the key's window has counted.
fn windows(conn: &mut PgConnection, key: KeyId) -> i64 {
    crate::support::number(conn, &format!("SELECT coalesce(sum(used), 0) FROM rate_windows WHERE scope_id = '{}'", key.0))
}

#[actix_web::test]
async fn a_window_of_a_minute_never_has_more_than_a_minute_left() {
    let app = App::start();
    let scene = app.make().org().key();
    let conn = &mut app.database().conn();
    // As another instance leaves it whose statement started a moment later and wrote first.
    sql_query("INSERT INTO rate_windows (scope_id, limit_number, ends_at, used) VALUES ($1, 1, now() + interval '62 s', 1)")
        .bind::<Uuid, _>(scene.a_key().id)
        .execute(conn)
        .unwrap();
    let answer = app.partner(scene.a_key()).get("/key").send().await;
    assert_eq!((answer.status, answer.header("x-ratelimit-reset")), (200, "60"));
}
