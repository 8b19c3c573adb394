//! Who calls the API of the bench, and what for: organizations, keys, and the kinds of requests that history is drawn from.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::actor::Actor;
use latchkey::ids::OrgId;
use latchkey::keys::{self, Rotation};
use latchkey::profile::Profile;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::Failure;
use super::make::{Key, Make};

/// Kinds of an ordinary hour, of one with too many requests, and of one in which something is broken.
pub const KINDS: i32 = 8_192;
pub const REGIMES: i32 = 3;
/// Kinds of the keys that are hardly used.
pub const RARE: i32 = 64;
/// What the key of few hours does, and what is asked for at one and the same path: the last two.
pub const FEW: i32 = KINDS * REGIMES + RARE;
pub const ONE_PATH: &str = "an_2Xb7fQm1TzK0sVwYc9LdRh";

/// What is looked at.
#[derive(Serialize, Deserialize, Clone)]
pub struct World {
    pub slug: String,
    pub email: String,
    pub password: String,
    /// Text of a key that goes on calling.
    pub key: String,
    pub busiest: String,
    pub rare: String,
    pub few: String,
    /// Milliseconds since 1970.
    pub now: i64,
    pub rotated: i64,
    pub revoked: i64,
    /// Hours in which the key of few hours called.
    pub hours: Vec<i64>,
}

/// A caller: a key with its share of the requests.
struct Caller<'a> {
    organization: OrgId,
    key: &'a Key,
    environment: &'static str,
    share: f64,
    number: usize,
}

type Route = (&'static str, &'static str, &'static str, &'static str, f64, i16, f64, f64);

/// Method, path before the id, path after it, name, share, usual answer, usual duration in microseconds, its spread.
const ROUTES: [Route; 9] = [
    ("GET", "/analyses/an_", "", "GET /analyses/{id}", 0.44, 200, 3_200.0, 0.55),
    ("POST", "/analyses", "", "POST /analyses", 0.24, 202, 9_500.0, 0.7),
    ("GET", "/analyses/an_", "/results", "GET /analyses/{id}/results", 0.17, 200, 14_000.0, 0.9),
    ("GET", "/credits", "", "GET /credits", 0.05, 200, 2_100.0, 0.4),
    ("GET", "/events", "", "GET /events", 0.04, 200, 6_000.0, 0.6),
    ("GET", "/key", "", "GET /key", 0.03, 200, 1_400.0, 0.4),
    ("GET", "/usage", "", "GET /usage", 0.015, 200, 8_000.0, 0.6),
    ("GET", "/webhook", "", "GET /webhook", 0.01, 200, 1_900.0, 0.4),
    ("GET", "/v1/analysis", "", "", 0.005, 404, 600.0, 0.5),
];

/// What goes otherwise: status, outcome, share in an ordinary hour, while a caller has gone wild, and while something is broken.
const REFUSALS: [(i16, &str, [f64; 3]); 6] = [
    (404, "accepted", [0.014, 0.01, 0.014]),
    (422, "accepted", [0.012, 0.01, 0.012]),
    (402, "credits", [0.003, 0.002, 0.003]),
    (403, "inactive", [0.001, 0.001, 0.001]),
    (429, "rate_limited", [0.002, 0.22, 0.002]),
    (500, "accepted", [0.0006, 0.0006, 0.18]),
];

const AGENTS: [&str; 6] = [
    "python-httpx/0.28.1",
    "okhttp/4.12.0",
    "axios/1.7.9",
    "Go-http-client/2.0",
    "acme-motion-backend/3.4 (+https://acme.example)",
    "curl/8.5.0",
];

/// Puts the organizations, their people and keys, and the kinds into a migrated database.
pub fn make(conn: PgConnection, scratch: &mut PgConnection, profile: &Arc<Profile>, now: OffsetDateTime) -> Result<World, Failure> {
    let mut make = Make::new(conn, profile.clone()).org_named("acme-motion").requests_per_minute(i32::MAX).admin();
    for number in 0..20 {
        make = make.key_in(if number >= 16 { "test" } else { "live" });
    }
    let (org, admin, keys) = (make.here().clone(), make.an_admin().clone(), make.keys().to_vec());
    for slug in ["brook-health", "cedar-fit", "delta-labs"] {
        make = make.org_named(slug).key();
    }
    let neighbours: Vec<(OrgId, Key)> = make.orgs()[1..].iter().map(|org| org.id).zip(make.keys()[20..].to_vec()).collect();
    scratch.batch_execute(include_str!("world.sql"))?;
    scratch.batch_execute("UPDATE api_keys SET created_at = now() - '120 days'::interval; UPDATE api_key_secrets SET created_at = now() - '120 days'::interval")?;
    let (rotated, revoked) = (now - Duration::days(3), now - Duration::days(30));
    let (actor, week) = (Actor::command_line(), std::time::Duration::from_secs(7 * 86_400));
    let rotation = Rotation { grace: Some(week), expected_generation: 1, form_token: None };
    keys::rotate(scratch, &actor, rotated, profile, org.id, keys[3].id, rotation)?;
    keys::revoke(scratch, &actor, revoked, org.id, keys[4].id)?;
    let shares = [0.46, 0.19, 0.12, 0.06, 0.02, 0.015, 0.01, 0.005];
    let mut callers: Vec<Caller<'_>> = Vec::new();
    let mut add =
        |organization, key, environment, share| callers.push(Caller { organization, key, environment, share, number: callers.len() });
    keys.iter().zip(shares).for_each(|(key, share)| add(org.id, key, "live", share));
    keys[16..18].iter().zip([0.05, 0.02]).for_each(|(key, share)| add(org.id, key, "test", share));
    neighbours.iter().for_each(|(org, key)| add(*org, key, "live", 0.05 / 3.0));
    let mut random = StdRng::seed_from_u64(16);
    let mut kinds: Vec<Value> = Vec::new();
    for regime in 0..REGIMES as usize {
        for _ in 0..KINDS {
            let caller = pick(&mut random, &callers, |caller| caller.share);
            kinds.push(kind(&mut random, kinds.len(), regime, caller, &keys));
        }
    }
    // Keys that are hardly used: the rest, live and test.
    for place in 0..RARE as usize {
        let number = if place % 8 == 7 { 18 } else { 8 + place % 7 };
        let environment = if number == 18 { "test" } else { "live" };
        let caller = Caller { organization: org.id, key: &keys[number], environment, share: 0.0, number };
        kinds.push(kind(&mut random, kinds.len(), 0, &caller, &keys));
    }
    let few = Caller { organization: org.id, key: &keys[15], environment: "live", share: 0.0, number: 15 };
    let mut last = kind(&mut random, kinds.len(), 0, &few, &keys);
    (last["path"], last["id"], last["rest"], last["route"]) =
        (json!("/analyses/"), json!(ONE_PATH), json!(""), json!("GET /analyses/{id}"));
    (last["method"], last["status"], last["outcome"], last["credits"], last["detail"]) =
        (json!("GET"), json!(200), json!("accepted"), json!(0), json!(null));
    kinds.push(last);
    diesel::sql_query("INSERT INTO bench_kinds SELECT * FROM json_populate_recordset(NULL::bench_kinds, $1::json)")
        .bind::<sql::Text, _>(Value::from(kinds).to_string())
        .execute(scratch)?;
    let world = World {
        slug: org.slug,
        email: admin.email,
        password: admin.password,
        key: keys[0].text.clone(),
        busiest: keys[0].id.to_string(),
        rare: keys[8].id.to_string(),
        few: keys[15].id.to_string(),
        now: milliseconds(now),
        rotated: milliseconds(rotated),
        revoked: milliseconds(revoked),
        hours: [3, 19, 20, 44, 81].map(|days| milliseconds(latchkey::clock::hour(now) - Duration::days(days))).to_vec(),
    };
    Ok(world)
}

pub fn milliseconds(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1_000_000) as i64
}

fn pick<'a, T>(random: &mut StdRng, all: &'a [T], share: impl Fn(&T) -> f64) -> &'a T {
    let mut rest = random.random_range(0.0..all.iter().map(&share).sum::<f64>());
    all.iter()
        .find(|one| {
            rest -= share(one);
            rest < 0.0
        })
        .unwrap_or(&all[0])
}

fn kind(random: &mut StdRng, place: usize, regime: usize, caller: &Caller<'_>, keys: &[Key]) -> Value {
    let &(method, path, rest, route, _, usual, micros, sigma) = pick(random, &ROUTES, |route| route.4);
    let mut chance: f64 = random.random_range(0.0..1.0);
    let refusal = REFUSALS.iter().find(|(.., shares)| {
        chance -= shares[regime];
        chance < 0.0
    });
    let (status, outcome, micros) = refusal.map_or((usual, "accepted", micros), |(status, outcome, _)| (*status, *outcome, micros * 0.3));
    let detail = match status {
        429 => json!({"name": "default", "scope": "key", "limit": 60, "window_s": 60, "reset_s": random.random_range(1..60)}),
        402 => json!({"required": 1, "available": 0}),
        _ => json!(null),
    };
    json!({
        "place": place, "organization_id": caller.organization.0, "key_id": caller.key.id.0, "environment": caller.environment,
        "method": method, "path": path, "id": null, "rest": rest, "route": route, "status": status, "outcome": outcome,
        "credits": i32::from(status == 202 && caller.environment == "live"), "mu": f64::ln(micros), "sigma": sigma,
        "address": format!("203.0.113.{}", 1 + caller.number * 8 + random.random_range(0..8)),
        "user_agent": AGENTS[(caller.number + usize::from(random.random_bool(0.2))) % AGENTS.len()], "detail": detail,
        "rotated": caller.key.id == keys[3].id, "revoked": caller.key.id == keys[4].id,
    })
}
