//! Roles that change and memberships that end, and the keys that hang on them.

use diesel::PgConnection;
use latchkey::accounts;
use latchkey::actor::{Actor, Role};
use latchkey::audit;
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::{OrgId, UserId};
use latchkey::keys::{self, Edit, NewKey, Status};
use latchkey::orgs;
use latchkey::profile::Profile;

use super::count;
use crate::support::TestDb;

fn person(conn: &mut PgConnection, organization: OrgId, email: &str, role: Role) -> UserId {
    let (actor, now) = (Actor::command_line(), clock::now());
    let user = accounts::create(conn, &actor, now, email, None).unwrap().id;
    orgs::add_member(conn, &actor, now, organization, user, role).unwrap();
    user
}

fn organization(conn: &mut PgConnection) -> OrgId {
    orgs::create(conn, &Actor::command_line(), clock::now(), "Acme", None, None).unwrap().id
}

fn key(conn: &mut PgConnection, profile: &Profile, organization: OrgId, maker: &Actor) -> keys::Key {
    let environment = profile.default_environment().to_owned();
    let new = NewKey { organization, name: "A key".into(), environment, permissions: Vec::new(), expires_at: None, form_token: None };
    keys::create(conn, maker, clock::now(), profile, new).unwrap().0
}

fn as_admin(user: UserId, organization: OrgId) -> Actor {
    Actor::member(user, "Dana".into(), organization, Role::Admin, "192.0.2.1".into(), "browser".into())
}

#[test]
fn an_organization_keeps_one_admin() {
    let test = TestDb::new();
    let (mut conn, actor, now) = (test.conn(), Actor::command_line(), clock::now());
    let org = organization(&mut conn);
    let (dana, tom) = (person(&mut conn, org, "dana@example.com", Role::Admin), person(&mut conn, org, "tom@example.com", Role::Member));
    assert!(matches!(orgs::set_role(&mut conn, &actor, now, org, dana, Role::Member), Err(Error::Conflict(_))), "the only one");
    assert!(matches!(orgs::remove_member(&mut conn, &actor, now, org, dana), Err(Error::Conflict(_))));
    assert!(matches!(orgs::set_role(&mut conn, &actor, now, org, tom, Role::Member), Err(Error::Conflict(_))), "that already");
    orgs::set_role(&mut conn, &actor, now, org, tom, Role::Admin).unwrap();
    orgs::remove_member(&mut conn, &actor, now, org, dana).unwrap();
    assert!(matches!(orgs::remove_member(&mut conn, &actor, now, org, dana), Err(Error::NotFound)), "no member any more");
    assert!(matches!(orgs::remove_member(&mut conn, &actor, now, org, tom), Err(Error::Conflict(_))));
    let stranger = as_admin(tom, organization_named(&mut conn, "Globex"));
    assert!(matches!(orgs::set_role(&mut conn, &stranger, now, org, tom, Role::Member), Err(Error::NotFound)));
    assert_eq!(audit::verify(&mut conn).unwrap().first_break, None);
    assert_eq!(count(&mut conn, "audit_entries WHERE action IN ('member.role_changed', 'member.removed')"), 2, "one for each change");
}

fn organization_named(conn: &mut PgConnection, name: &str) -> OrgId {
    orgs::create(conn, &Actor::command_line(), clock::now(), name, None, None).unwrap().id
}

#[test]
fn two_admins_cannot_end_each_other() {
    let test = TestDb::new();
    let mut conn = test.conn();
    for round in 0..10 {
        let org = organization_named(&mut conn, &format!("Round {round}"));
        let both = ["a", "b"].map(|name| person(&mut conn, org, &format!("{name}{round}@example.com"), Role::Admin));
        let (actor, now) = (Actor::command_line(), clock::now());
        std::thread::scope(|scope| {
            for user in both {
                let (mut conn, actor) = (test.conn(), &actor);
                scope.spawn(move || orgs::remove_member(&mut conn, actor, now, org, user));
            }
        });
        assert_eq!(count(&mut conn, &format!("memberships WHERE organization_id = '{}'", org.0)), 1, "one of them stays");
    }
}

#[test]
fn a_membership_ends_with_the_keys_that_inherit_from_it_and_no_others() {
    let test = TestDb::new();
    let (mut conn, actor, now) = (test.conn(), Actor::command_line(), clock::now());
    let org = organization(&mut conn);
    let (dana, tom) = (person(&mut conn, org, "dana@example.com", Role::Admin), person(&mut conn, org, "tom@example.com", Role::Admin));
    let (inheriting, outliving) = (Profile::load("documents").unwrap(), Profile::load("assessment").unwrap());
    let danas = key(&mut conn, &inheriting, org, &as_admin(dana, org));
    let toms = key(&mut conn, &inheriting, org, &as_admin(tom, org));
    let nobodys = key(&mut conn, &inheriting, org, &actor);
    let of_the_organization = key(&mut conn, &outliving, org, &as_admin(dana, org));
    assert_eq!((danas.inherits, danas.permissions.len(), nobodys.inherits), (true, 0, false));
    assert_eq!(nobodys.permissions, inheriting.permissions.list, "made at the command line it holds all there is");
    orgs::remove_member(&mut conn, &actor, now, org, dana).unwrap();
    let mut status = |key: &keys::Key| keys::find(&mut conn, org, key.id, clock::now()).unwrap().status;
    assert_eq!(status(&danas), Status::Revoked);
    assert_eq!([status(&toms), status(&nobodys), status(&of_the_organization)], [Status::Active; 3]);
    // Coming back brings no key back.
    orgs::add_member(&mut conn, &actor, now, org, dana, Role::Admin).unwrap();
    assert_eq!(keys::find(&mut conn, org, danas.id, clock::now()).unwrap().status, Status::Revoked);
    assert_eq!(count(&mut conn, "audit_entries WHERE action = 'key.revoked'"), 1);
}

#[test]
fn an_edit_where_permissions_are_chosen_ends_the_inheritance() {
    let test = TestDb::new();
    let mut conn = test.conn();
    let org = organization(&mut conn);
    let dana = as_admin(person(&mut conn, org, "dana@example.com", Role::Admin), org);
    let (inheriting, chosen) = (Profile::load("documents").unwrap(), Profile::load("messaging").unwrap());
    let key = key(&mut conn, &inheriting, org, &dana);
    let mut edited = |profile: &Profile, permissions: &[&str]| {
        let permissions = permissions.iter().map(|permission| permission.to_string()).collect();
        keys::edit(&mut conn, &dana, clock::now(), profile, org, key.id, Edit { name: "Import".into(), permissions, expires_at: None })
    };
    assert!(edited(&inheriting, &[]).unwrap().inherits);
    assert!(matches!(edited(&chosen, &[]), Err(Error::Invalid(_))), "nothing is chosen");
    let now_chosen = edited(&chosen, &["messages:send"]).unwrap();
    assert_eq!((now_chosen.inherits, now_chosen.permissions), (false, vec!["messages:send".to_owned()]));
    // Back again: what this profile does not have it can't hold, and its name can still be changed.
    assert_eq!(edited(&inheriting, &[]).unwrap().permissions, Vec::<String>::new());
}

#[test]
fn who_leaves_takes_its_own_keys_along_and_nobody_else() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let org = organization(&mut conn);
    let (dana, tom) = (person(&mut conn, org, "dana@example.com", Role::Admin), person(&mut conn, org, "tom@example.com", Role::Admin));
    let inheriting = Profile::load("documents").unwrap();
    let [danas, toms] = [dana, tom].map(|user| key(&mut conn, &inheriting, org, &as_admin(user, org)));
    orgs::set_role(&mut conn, &Actor::command_line(), now, org, tom, Role::Member).unwrap();
    let as_tom = Actor::member(tom, "Tom".into(), org, Role::Member, "192.0.2.1".into(), "browser".into());
    let unproved = orgs::remove_member(&mut conn, &as_tom, now, org, tom);
    assert!(matches!(unproved, Err(Error::ProofNeeded)), "{unproved:?}");
    let as_tom = as_tom.proved(now);
    assert!(matches!(orgs::remove_member(&mut conn, &as_tom, now, org, dana), Err(Error::Forbidden)));
    assert!(matches!(orgs::set_role(&mut conn, &as_tom, now, org, tom, Role::Admin), Err(Error::Forbidden)));
    assert!(matches!(orgs::add_member(&mut conn, &as_tom, now, org, dana, Role::Admin), Err(Error::Forbidden)));
    orgs::remove_member(&mut conn, &as_tom, now, org, tom).unwrap();
    let mut status = |key: &keys::Key| keys::find(&mut conn, org, key.id, clock::now()).unwrap().status;
    assert_eq!([status(&toms), status(&danas)], [Status::Revoked, Status::Active]);
    assert!(matches!(orgs::remove_member(&mut conn, &as_tom, now, org, tom), Err(Error::NotFound)), "gone");
}

#[test]
fn the_links_of_an_admin_end_with_what_made_them() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let org = organization(&mut conn);
    let admins = ["dana", "eve", "tom"].map(|name| person(&mut conn, org, &format!("{name}@example.com"), Role::Admin));
    let [dana, eve, tom] = admins;
    let by = |user| as_admin(user, org).proved(now);
    for (ended, how) in [(eve, "removed"), (tom, "a member")] {
        let (_, joining) = orgs::invite(&mut conn, &by(ended), now, org, "accomplice@example.com", Role::Admin).unwrap();
        let (_, password) = accounts::invite_member(&mut conn, &by(ended), now, org, dana).unwrap();
        orgs::open_invitation(&mut conn, now, joining.reveal()).unwrap();
        match how {
            "removed" => orgs::remove_member(&mut conn, &by(dana), now, org, ended).unwrap(),
            _ => orgs::set_role(&mut conn, &by(dana), now, org, ended, Role::Member).unwrap(),
        }
        assert!(matches!(orgs::open_invitation(&mut conn, now, joining.reveal()), Err(Error::NotFound)), "{how}");
        assert!(matches!(accounts::invitation(&mut conn, now, password.reveal()), Err(Error::NotFound)), "{how}");
    }
    let (_, kept) = orgs::invite(&mut conn, &by(dana), now, org, "sam@example.com", Role::Member).unwrap();
    orgs::remove_member(&mut conn, &by(dana), now, org, tom).unwrap();
    orgs::open_invitation(&mut conn, now, kept.reveal()).expect("of others they stay");
}
