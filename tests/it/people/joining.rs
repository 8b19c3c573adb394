//! Links into an organization: who may make them, whom they let in, and how often.

use std::sync::Barrier;

use diesel::PgConnection;
use latchkey::accounts::{self, HashedPassword, Password, Way};
use latchkey::actor::{Actor, Role};
use latchkey::error::Error;
use latchkey::ids::OrgId;
use latchkey::orgs::{self, Organization};
use latchkey::{audit, clock};
use time::{Duration, OffsetDateTime};

use super::{audited, audited_in, count};
use crate::support::TestDb;

fn organization(conn: &mut PgConnection, name: &str) -> Organization {
    orgs::create(conn, &Actor::command_line(), clock::now(), name, None, None).unwrap()
}

/// A member who has just proved the password.
fn acting(conn: &mut PgConnection, organization: OrgId, email: &str, role: Role, now: OffsetDateTime) -> Actor {
    let user = accounts::create(conn, &Actor::command_line(), now, email, None).unwrap().id;
    orgs::add_member(conn, &Actor::command_line(), now, organization, user, role).unwrap();
    Actor::member(user, email.into(), organization, role, "192.0.2.1".into(), "browser".into()).proved(now)
}

fn password() -> HashedPassword {
    Password::new("correct horse battery".into()).unwrap().hash().unwrap()
}

#[test]
fn a_link_makes_an_account_and_a_member_once() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let org = organization(&mut conn, "Acme");
    let dana = acting(&mut conn, org.id, "dana@example.com", Role::Admin, now);
    let (invitation, link) = orgs::invite(&mut conn, &dana, now, org.id, " Tom@Example.com", Role::Member).unwrap();
    assert_eq!((invitation.email.as_str(), invitation.expires_at), ("tom@example.com", now + Duration::days(7)));
    assert!(link.reveal().starts_with("lkm_"));
    assert_eq!(count(&mut conn, &format!("membership_invitations i WHERE i::text LIKE '%{}%'", link.reveal())), 0, "its digest alone");
    let opened = orgs::open_invitation(&mut conn, now, link.reveal()).unwrap();
    assert_eq!((opened.organization.slug.as_str(), opened.invitation.created_by.as_str()), ("acme", "dana@example.com"));
    let (tom, joined) = accounts::join(&mut conn, now, link.reveal(), &password(), "192.0.2.7", "toms browser").unwrap();
    assert_eq!((tom.email.as_str(), joined.id), ("tom@example.com", org.id));
    assert_eq!(orgs::member(&mut conn, org.id, tom.id).unwrap().role, Role::Member);
    let again = accounts::join(&mut conn, now, link.reveal(), &password(), "192.0.2.7", "toms browser");
    assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    assert!(orgs::invitations(&mut conn, org.id).unwrap().is_empty());
    assert_eq!(audited_in(&mut conn, org.id.0), ["organization.created", "member.added", "member.invited", "member.joined"]);
    assert_eq!(audited(&mut conn), ["account.created", "account.created", "account.password_set"]);
    assert_eq!(audit::verify(&mut conn).unwrap().first_break, None);
}

#[test]
fn who_may_invite_whom() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let [ours, theirs] = ["Ours", "Theirs"].map(|name| organization(&mut conn, name).id);
    let dana = acting(&mut conn, ours, "dana@example.com", Role::Admin, now);
    let tom = acting(&mut conn, ours, "tom@example.com", Role::Member, now);
    let mut invite = |actor: &Actor, organization, email: &str| orgs::invite(&mut conn, actor, now, organization, email, Role::Admin);
    assert!(matches!(invite(&tom, ours, "eve@example.com"), Err(Error::Forbidden)));
    assert!(matches!(invite(&dana, theirs, "eve@example.com"), Err(Error::NotFound)));
    let stale = dana.clone().proved(now - Duration::HOUR);
    assert!(matches!(invite(&stale, ours, "eve@example.com"), Err(Error::ProofNeeded)));
    for wrong in ["", "eve", "TOM@example.com"] {
        assert!(matches!(invite(&dana, ours, wrong), Err(Error::Invalid(fields)) if fields[0].field == "email"), "{wrong:?}");
    }
    let (invitation, _) = invite(&dana, ours, "eve@example.com").unwrap();
    assert!(matches!(orgs::withdraw(&mut conn, &tom, now, ours, invitation.id), Err(Error::Forbidden)));
    assert!(matches!(orgs::withdraw(&mut conn, &Actor::command_line(), now, theirs, invitation.id), Err(Error::NotFound)));
    for n in 1..100 {
        orgs::invite(&mut conn, &dana, now, ours, &format!("eve{n}@example.com"), Role::Member).unwrap();
    }
    let one_more = orgs::invite(&mut conn, &dana, now, ours, "one.more@example.com", Role::Member);
    assert!(matches!(one_more, Err(Error::Conflict(_))), "{one_more:?}");
}

#[test]
fn a_link_that_is_late_replaced_or_withdrawn_opens_nothing() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let org = organization(&mut conn, "Acme").id;
    let dana = acting(&mut conn, org, "dana@example.com", Role::Admin, now);
    let (first, old) = orgs::invite(&mut conn, &dana, now, org, "tom@example.com", Role::Admin).unwrap();
    let (second, link) = orgs::invite(&mut conn, &dana, now, org, "tom@example.com", Role::Member).unwrap();
    let listed = orgs::invitations(&mut conn, org).unwrap();
    assert_eq!(listed, std::slice::from_ref(&second), "one for an address");
    let opens = |conn: &mut PgConnection, token: &str, at| match orgs::open_invitation(conn, at, token) {
        Ok(opened) => Some(opened.invitation.role),
        Err(Error::NotFound) => {
            assert!(matches!(accounts::join(conn, at, token, &password(), "192.0.2.7", "browser"), Err(Error::NotFound)));
            None
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(opens(&mut conn, old.reveal(), now), None, "replaced");
    let end = now + Duration::days(7);
    assert_eq!(opens(&mut conn, link.reveal(), end - Duration::SECOND), Some(Role::Member));
    assert_eq!(opens(&mut conn, link.reveal(), end), None, "late");
    assert!(matches!(orgs::withdraw(&mut conn, &dana, now, org, first.id), Err(Error::NotFound)), "an old page withdraws no new link");
    orgs::withdraw(&mut conn, &dana, now, org, second.id).unwrap();
    assert_eq!(opens(&mut conn, link.reveal(), now), None, "withdrawn");
    let expected = ["organization.created", "member.added", "member.invited", "member.invited", "member.invitation_withdrawn"];
    assert_eq!(audited_in(&mut conn, org.0), expected);
    orgs::invite(&mut conn, &dana, now, org, "tom@example.com", Role::Member).unwrap();
    assert_eq!(orgs::forget_old_invitations(&mut conn, end).unwrap(), 0, "it stays listed for a while");
    assert_eq!(orgs::forget_old_invitations(&mut conn, end + Duration::days(7)).unwrap(), 1);
}

#[test]
fn of_ten_that_race_for_a_link_one_gets_it() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let org = organization(&mut conn, "Acme").id;
    let dana = acting(&mut conn, org, "dana@example.com", Role::Admin, now);
    let (_, link) = orgs::invite(&mut conn, &dana, now, org, "tom@example.com", Role::Member).unwrap();
    let (start, hashed) = (Barrier::new(11), password());
    let (won, again) = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = test.conn();
                    start.wait();
                    accounts::join(&mut conn, clock::now(), link.reveal(), &hashed, "192.0.2.7", "racer")
                })
            })
            .collect();
        // In the midst of it the admin invites again: whoever is quicker, nothing is stuck and nothing is left over.
        start.wait();
        let again = orgs::invite(&mut conn, &dana, clock::now(), org, "tom@example.com", Role::Member);
        (racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>(), again)
    });
    let joined = won.iter().filter(|result| result.is_ok()).count();
    assert!(won.iter().all(|result| matches!(result, Ok(_) | Err(Error::NotFound))), "{won:?}");
    assert_eq!(joined, usize::from(again.is_err()), "either it was used or it was replaced");
    assert!(matches!(again, Ok(_) | Err(Error::Invalid(_))), "{again:?}");
    assert_eq!(count(&mut conn, "users WHERE email = 'tom@example.com'"), joined as i64);
    assert_eq!(count(&mut conn, "membership_invitations"), i64::from(again.is_ok()));
    assert_eq!(audit::verify(&mut conn).unwrap().first_break, None);
}

/// Whoever made a link may hold it: it must not open what it did not make.
#[test]
fn a_link_gives_no_password_to_an_account_that_leads_elsewhere() {
    let test = TestDb::new();
    let (mut conn, now, machine) = (test.conn(), clock::now(), Actor::command_line());
    let [ours, theirs] = ["Ours", "Theirs"].map(|name| organization(&mut conn, name).id);
    let dana = acting(&mut conn, ours, "dana@example.com", Role::Admin, now);
    // Made for another organization, its password not chosen yet; staff; and one that has a password.
    acting(&mut conn, theirs, "waiting@example.com", Role::Admin, now);
    let staff = accounts::create(&mut conn, &machine, now, "staff@example.com", None).unwrap().id;
    accounts::set_staff_role(&mut conn, &machine, now, staff, Some(latchkey::actor::StaffRole::Operator)).unwrap();
    let settled = accounts::create(&mut conn, &machine, now, "settled@example.com", None).unwrap().id;
    accounts::set_password(&mut conn, &machine, now, settled, &password()).unwrap();
    for (email, way) in [("waiting", Way::OtherLink), ("staff", Way::OtherLink), ("settled", Way::SignIn)] {
        let email = format!("{email}@example.com");
        let (_, link) = orgs::invite(&mut conn, &dana, now, ours, &email, Role::Member).unwrap();
        assert_eq!(accounts::way_in(&mut conn, &email).unwrap(), way);
        let taken = accounts::join(&mut conn, now, link.reveal(), &password(), "192.0.2.7", "browser");
        assert!(matches!(taken, Err(Error::Conflict(_))), "{email}: {taken:?}");
        assert!(orgs::open_invitation(&mut conn, now, link.reveal()).is_ok(), "the link is not used up by that");
    }
    assert_eq!(count(&mut conn, "users WHERE password_hash IS NOT NULL"), 1);
    assert_eq!(count(&mut conn, "memberships"), 2);
    // An account without a password that leads nowhere is as good as none.
    accounts::create(&mut conn, &machine, now, "idle@example.com", None).unwrap();
    let (_, link) = orgs::invite(&mut conn, &dana, now, ours, "idle@example.com", Role::Member).unwrap();
    assert_eq!(accounts::way_in(&mut conn, "idle@example.com").unwrap(), Way::ChoosePassword);
    assert!(accounts::join(&mut conn, now, link.reveal(), &password(), "192.0.2.7", "browser").is_ok());
}

#[test]
fn who_is_signed_in_joins_with_its_own_link_alone() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let [ours, theirs] = ["Ours", "Theirs"].map(|name| organization(&mut conn, name).id);
    let dana = acting(&mut conn, ours, "dana@example.com", Role::Admin, now);
    let eve = acting(&mut conn, theirs, "eve@example.com", Role::Admin, now).user_id();
    let as_eve = Actor::person(eve, "Eve".into(), "192.0.2.7".into(), "browser".into());
    let (_, toms) = orgs::invite(&mut conn, &dana, now, ours, "tom@example.com", Role::Admin).unwrap();
    let (_, eves) = orgs::invite(&mut conn, &dana, now, ours, "eve@example.com", Role::Member).unwrap();
    assert!(matches!(accounts::join_as(&mut conn, &as_eve, now, toms.reveal()), Err(Error::NotFound)));
    assert!(orgs::open_invitation(&mut conn, now, toms.reveal()).is_ok(), "the link is still Tom's");
    assert_eq!(accounts::join_as(&mut conn, &as_eve, now, eves.reveal()).unwrap().id, ours);
    assert!(matches!(accounts::join_as(&mut conn, &as_eve, now, eves.reveal()), Err(Error::NotFound)));
    let roles: Vec<_> = orgs::organizations_of(&mut conn, eve.unwrap()).unwrap().into_iter().map(|(_, role)| role).collect();
    assert_eq!(roles, [Role::Member, Role::Admin]);
}
