//! Organizations and their people.

use latchkey::accounts;
use latchkey::actor::{Actor, Role, StaffRole};
use latchkey::audit;
use latchkey::error::Error;
use latchkey::{clock, credits, orgs};

use super::count;
use crate::support::TestDb;

fn fields(error: Error) -> Vec<String> {
    match error {
        Error::Invalid(fields) => fields.into_iter().map(|field| field.field.into_owned()).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn an_organization_begins_with_books_and_a_slug() {
    let test = TestDb::new();
    let (mut conn, actor, now) = (test.conn(), Actor::command_line(), clock::now());
    let org = orgs::create(&mut conn, &actor, now, " Acme Motion ", None, Some(500)).unwrap();
    assert_eq!((org.name.as_str(), org.slug.as_str()), ("Acme Motion", "acme-motion"));
    assert_eq!(credits::balance(&mut conn, org.id).unwrap().available, 500);
    assert_eq!(orgs::by_slug(&mut conn, "acme-motion").unwrap(), org);
    for (name, slug, grant, field) in [
        ("Acme Motion", None, None, "slug"),
        ("", Some("fine"), None, "name"),
        ("A\0b", Some("fine"), None, "name"),
        ("株式会社", None, None, "slug"),
        ("Fine", Some("No Slug"), None, "slug"),
        ("Fine", None, Some(-1), "credits"),
    ] {
        assert_eq!(fields(orgs::create(&mut conn, &actor, now, name, slug, grant).unwrap_err()), [field], "{name:?} {slug:?}");
    }
    assert_eq!(orgs::list(&mut conn).unwrap().len(), 1, "what was refused left nothing behind");
    assert_eq!(count(&mut conn, "credit_balances"), 1);
}

#[test]
fn operators_suspend_reinstate_and_limit_and_members_do_not() {
    let test = TestDb::new();
    let (mut conn, actor, now) = (test.conn(), Actor::command_line(), clock::now());
    let org = orgs::create(&mut conn, &actor, now, "Acme", None, None).unwrap();
    let user = accounts::create(&mut conn, &actor, now, "dana@example.com", None).unwrap();
    orgs::add_member(&mut conn, &actor, now, org.id, user.id, Role::Admin).unwrap();
    let admin = Actor::member(user.id, "Dana".into(), org.id, Role::Admin, "192.0.2.1".into(), "browser".into());
    assert!(matches!(orgs::suspend(&mut conn, &admin, now, org.id, "x"), Err(Error::Forbidden)));
    assert!(matches!(orgs::set_requests_per_minute(&mut conn, &admin, now, org.id, Some(9)), Err(Error::Forbidden)));
    assert!(matches!(accounts::invite(&mut conn, &admin, now, user.id), Err(Error::Forbidden)));

    assert_eq!(orgs::suspend(&mut conn, &actor, now, org.id, "unpaid").unwrap().suspended_at, Some(now));
    assert!(matches!(orgs::suspend(&mut conn, &actor, now, org.id, "unpaid"), Err(Error::Conflict(_))));
    assert_eq!(orgs::reinstate(&mut conn, &actor, now, org.id, "paid").unwrap().suspended_at, None);
    assert!(matches!(orgs::reinstate(&mut conn, &actor, now, org.id, "paid"), Err(Error::Conflict(_))));
    assert_eq!(orgs::set_requests_per_minute(&mut conn, &actor, now, org.id, Some(9)).unwrap().requests_per_minute, Some(9));
    assert_eq!(fields(orgs::set_requests_per_minute(&mut conn, &actor, now, org.id, Some(0)).unwrap_err()), ["requests_per_minute"]);
    let verified = audit::verify(&mut conn).unwrap();
    assert_eq!((verified.first_break, verified.entries), (None, 6));
}

#[test]
fn a_person_has_one_account_for_all_its_organizations() {
    let test = TestDb::new();
    let (mut conn, actor, now) = (test.conn(), Actor::command_line(), clock::now());
    let [one, two] = ["One", "Two"].map(|name| orgs::create(&mut conn, &actor, now, name, None, None).unwrap());
    let (dana, made) = accounts::ensure(&mut conn, &actor, now, "Dana@Example.com", Some("Dana")).unwrap();
    assert!(made);
    assert_eq!(accounts::ensure(&mut conn, &actor, now, "dana@example.com", None).unwrap(), (dana.clone(), false));
    assert_eq!(fields(accounts::create(&mut conn, &actor, now, "DANA@example.com", None).unwrap_err()), ["email"]);
    orgs::add_member(&mut conn, &actor, now, one.id, dana.id, Role::Admin).unwrap();
    orgs::add_member(&mut conn, &actor, now, two.id, dana.id, Role::Member).unwrap();
    assert!(matches!(orgs::add_member(&mut conn, &actor, now, two.id, dana.id, Role::Admin), Err(Error::Conflict(_))));
    let roles: Vec<_> = orgs::organizations_of(&mut conn, dana.id).unwrap().into_iter().map(|(org, role)| (org.slug, role)).collect();
    assert_eq!(roles, [("one".to_owned(), Role::Admin), ("two".to_owned(), Role::Member)]);
    assert_eq!(orgs::membership(&mut conn, dana.id, "two").unwrap().map(|(_, role)| role), Some(Role::Member));
    assert_eq!(orgs::membership(&mut conn, dana.id, "three").unwrap(), None);
    accounts::set_staff_role(&mut conn, &actor, now, dana.id, Some(StaffRole::Support)).unwrap();
    assert_eq!(count(&mut conn, "users WHERE staff_role = 'support'"), 1);
}
