//! What is told of keys: last use, receipts, the cut-over meter.

use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::keys::{self, EndReason, NewKey, Quiet};
use time::{Duration, OffsetDateTime};

use super::{HOUR, World};

#[test]
fn the_list_tells_last_use_and_a_day_by_the_hour() {
    let mut world = World::new();
    world.now -= Duration::days(2);
    let (key, _) = world.create();
    world.now += Duration::days(2);
    let now = world.now;
    world.request(&key, 1, now - Duration::hours(25), "accepted", false);
    world.request(&key, 1, now - Duration::minutes(90), "accepted", false);
    world.request(&key, 1, now - Duration::minutes(2), "rate_limited", false);
    let view = keys::find(&mut world.conn, world.organization, key.id, now).expect("the key");
    let mut expected = vec![0; 24];
    for minutes in [90, 2] {
        expected[23 - (clock::hour(now) - clock::hour(now - Duration::minutes(minutes))).whole_hours() as usize] += 1;
    }
    assert_eq!((view.by_hour.clone(), view.requests_24h()), (expected, 2));
    let last = view.last_use.expect("a use");
    let to_the_millisecond = |at: OffsetDateTime| at.unix_timestamp_nanos() / 1_000_000;
    let call = last.call.expect("it is in the history");
    assert_eq!((call.at, call.path.as_str()), (now - Duration::minutes(2), "/analyses"));
    world.rotate(&key, None, 1).expect("rotated");
    world.request(&key, 1, now + Duration::SECOND, "revoked", true);
    let view = keys::find(&mut world.conn, world.organization, key.id, now + Duration::MINUTE).expect("the key");
    let last = view.last_use.map(|last| to_the_millisecond(last.at));
    assert_eq!(last, Some(to_the_millisecond(now - Duration::minutes(2))), "a refused old key is no use of the key");
}

#[test]
fn a_receipt_tells_what_passed_and_who_still_calls() {
    let mut world = World::new();
    world.now -= Duration::HOUR;
    let (key, _) = world.create();
    let at = |seconds| clock::now() - Duration::minutes(10) + Duration::seconds(seconds);
    let times: Vec<_> = (0..8).map(at).collect();
    world.request(&key, 1, times[0], "accepted", false);
    world.request(&key, 1, times[1], "accepted", false);
    world.now = times[2];
    let (rotated, _) = world.rotate(&key, None, 1).expect("rotated");
    world.request(&key, 1, times[3], "revoked", true);
    world.request(&rotated, 2, times[4], "accepted", false);
    world.request_from(&key, 1, times[5], "revoked", true, "198.51.100.7");
    world.now = times[6];
    keys::revoke(&mut world.conn, &Actor::command_line(), world.now, world.organization, key.id).expect("revoked");
    world.request(&rotated, 2, times[7], "revoked", true);
    let former = keys::former(&mut world.conn, world.organization, clock::now()).expect("former keys");
    let [second, first] = former.as_slice() else { panic!("{former:?}") };
    assert_eq!((second.reason, second.generation, first.reason, first.generation), (EndReason::Revoked, 2, EndReason::Rotated, 1));
    assert_eq!((&first.prefix, first.ended_at, first.ended_by.as_deref()), (&key.prefix, times[2], Some("Command line")));
    assert_eq!(first.receipt.last_accepted.as_ref().map(|call| call.at), Some(times[1]));
    assert_eq!(first.receipt.first_refused.as_ref().map(|call| call.at), Some(times[3]));
    assert_eq!(first.receipt.refused, 2);
    let latest = first.receipt.latest.as_ref().expect("a caller");
    assert_eq!((latest.at, latest.address.as_str(), latest.status), (times[5], "198.51.100.7", 403));
    assert_eq!(second.receipt.last_accepted.as_ref().map(|call| call.at), Some(times[4]));
    assert_eq!(second.receipt.refused, 1);
}

#[test]
fn an_expired_key_has_a_receipt_without_an_ender() {
    let mut world = World::new();
    let expiry = world.now + Duration::MINUTE;
    let new = NewKey { expires_at: Some(expiry), ..world.new_key() };
    world.try_create(new).expect("a key");
    assert!(keys::former(&mut world.conn, world.organization, expiry - Duration::SECOND).expect("former keys").is_empty());
    let former = keys::former(&mut world.conn, world.organization, expiry).expect("former keys");
    assert_eq!((former[0].reason, former[0].ended_at, former[0].ended_by.as_deref()), (EndReason::Expired, expiry, None));
    assert_eq!(former[0].receipt.refused, 0);
}

#[test]
fn the_meter_tells_who_still_uses_the_old_secret() {
    let mut world = World::new();
    let now = world.now;
    world.now = now - Duration::hours(3);
    let (key, _) = world.create();
    let rotated_at = world.now + Duration::MINUTE;
    world.now = rotated_at;
    assert!(keys::cut_over(&mut world.conn, world.organization, key.id, world.now).expect("a meter").is_none());
    let (rotated, _) = world.rotate(&key, Some(HOUR * 24), 1).expect("rotated");
    let meter =
        |world: &mut World, at| keys::cut_over(&mut world.conn, world.organization, key.id, at).expect("a meter").expect("in grace");
    assert_eq!(meter(&mut world, rotated_at + Duration::MINUTE).quiet, Quiet::Unused);
    assert_eq!(meter(&mut world, rotated_at + Duration::HOUR).quiet, Quiet::Since(rotated_at));
    for minutes in [1, 2, 25] {
        world.request(&key, 1, rotated_at + Duration::minutes(minutes), "accepted", true);
    }
    world.request_from(&key, 1, rotated_at + Duration::minutes(26), "accepted", true, "198.51.100.7");
    world.request(&rotated, 2, rotated_at + Duration::minutes(27), "accepted", false);
    let shown = meter(&mut world, rotated_at + Duration::minutes(30));
    assert_eq!((shown.new_requests, shown.old_requests, shown.quiet), (1, 4, Quiet::NotYet));
    assert_eq!((shown.by_bucket, shown.bucket), (vec![2, 0, 2, 0], Duration::minutes(10)));
    let users: Vec<_> = shown.old_users.iter().map(|user| (user.address.as_str(), user.requests)).collect();
    assert_eq!(users, [("203.0.113.24", 3), ("198.51.100.7", 1)]);
    let last = rotated_at + Duration::minutes(26);
    assert_eq!(meter(&mut world, last + Duration::HOUR).quiet, Quiet::Since(last));
    let overview = keys::overview(&mut world.conn, world.organization, now).expect("an overview");
    assert_eq!((overview.keys.len(), overview.cut_overs.len(), overview.former.len()), (1, 1, 0));
}
