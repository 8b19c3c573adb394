//! The page "Members".

use diesel::{RunQueryDsl, sql_query};
use latchkey::ids::UserId;
use latchkey::orgs;

use super::{audited_in, count};
use crate::support::{Answer, App, Client, Mailbox, Make};

fn path(make: &Make, rest: &str) -> String {
    format!("/orgs/{}/members{rest}", make.here().slug)
}

/// The page as a reader finds it after a redirect.
async fn after(browser: &Client, answer: Answer) -> Answer {
    assert_eq!(answer.status, 303, "{}", answer.text());
    browser.get(answer.location()).send().await
}

/// The link that a page shows, as a path.
fn shown_link(answer: &Answer) -> String {
    let page = answer.text();
    let at = page.find("id=\"link-text\">").unwrap_or_else(|| panic!("no link, {}: {page}", answer.status)) + "id=\"link-text\">".len();
    let url = page[at..].split('<').next().unwrap();
    url[url.find("/invitations/").unwrap()..].to_owned()
}

fn row(answer: &Answer, user: UserId) -> &str {
    let page = answer.text();
    let at = page.find(&format!("data-user-id=\"{user}\"")).unwrap_or_else(|| panic!("no row of {user}: {page}"));
    page[at..].split("</tr>").next().unwrap()
}

/// All proofs of a password are long ago.
fn age_proofs(app: &App) {
    sql_query("UPDATE sessions SET proved_at = proved_at - interval '2 hours'").execute(&mut app.database().conn()).unwrap();
}

#[actix_web::test]
async fn everybody_sees_the_list_and_admins_the_buttons() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (dana, tom) = (make.an_admin().clone(), make.a_member().clone());
    let (admin, member) = (app.browser(&dana).await, app.browser(&tom).await);
    let page = admin.get(&path(&make, "")).send().await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.text().contains("<h1>Members</h1>") && page.text().contains("aria-current=\"true\">Members</a>"), "{}", page.text());
    assert!(row(&page, tom.id).contains("Make admin") && row(&page, tom.id).contains("Lost password link"));
    assert!(row(&page, dana.id).contains("Leave") && !row(&page, dana.id).contains("Lost password link"));
    assert!(row(&page, dana.id).contains("just now"), "seen in its session: {}", row(&page, dana.id));
    let looked = member.get(&path(&make, "")).send().await;
    assert!(looked.text().contains("You can look, not change.") && row(&looked, dana.id).contains(&dana.email));
    assert!(!looked.text().contains(">Invite</button>") && !row(&looked, dana.id).contains("<form"), "{}", looked.text());
    assert!(row(&looked, tom.id).contains("Leave") && !row(&looked, tom.id).contains("Make admin"));
    // htmx gets the inside of the dialog, and everybody else a page of its own.
    let question = path(&make, &format!("/{}/removal", tom.id));
    let part = admin.get(&question).htmx().header("hx-request-type", "partial").send().await;
    assert!(part.text().starts_with("<form id=\"confirm\"") && part.text().contains("<h2 id=\"dialog-title\">Remove"), "{}", part.text());
    let whole = admin.get(&question).send().await;
    assert!(whole.text().contains("<h1 id=\"dialog-title\">Remove") && whole.text().contains("<html"));
}

#[actix_web::test]
async fn an_invitation_is_shown_once_listed_and_withdrawn() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let invite = path(&make, "/invitations");
    let made = browser.post(&invite).form(&[("email", "Tom@Example.com"), ("role", "member")]).send().await;
    assert_eq!((made.status, made.header("cache-control"), made.header("location")), (200, "no-store", ""));
    assert!(made.text().contains("Latchkey sends no mail here"), "{}", made.text());
    let link = shown_link(&made);
    let token = link.rsplit('/').next().unwrap();
    let list = browser.get(&path(&make, "")).send().await;
    assert!(list.text().contains("tom@example.com") && !list.text().contains(token), "listed, without the link");
    assert!(browser.cookies().values().all(|value| !value.contains(token)));
    assert_eq!(app.stranger().get(&link).send().await.status, 200);
    // Inviting again replaces it; so does htmx, which takes the main part of the page.
    let again = browser.post(&invite).htmx().form(&[("email", "tom@example.com"), ("role", "admin")]).send().await;
    assert_eq!((again.status, app.stranger().get(&link).send().await.status), (200, 404));
    let link = shown_link(&again);
    let id = again.text().split("data-invitation-id=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(again.text().matches("data-invitation-id").count(), 1);
    let withdrawn = browser.post(&format!("{invite}/{id}/withdrawal")).send().await;
    assert!(after(&browser, withdrawn).await.text().contains("The invitation of tom@example.com is withdrawn."));
    assert_eq!(app.stranger().get(&link).send().await.status, 404);
    assert_eq!(browser.post(&format!("{invite}/{id}/withdrawal")).send().await.status, 404);
}

#[actix_web::test]
async fn what_is_wrong_with_an_invitation_is_told_and_the_input_kept() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let browser = app.browser(make.an_admin()).await;
    let invite = path(&make, "/invitations");
    let member = make.a_member().email.clone();
    for (email, role, words) in [
        ("no address", "admin", "This is no e-mail address."),
        (member.as_str(), "admin", "belongs to it already, as a member."),
        ("tom@example.com", "owner", "Choose Member or Admin."),
    ] {
        let answer = browser.post(&invite).form(&[("email", email), ("role", role)]).send().await;
        assert_eq!(answer.status, 422, "{email}");
        assert!(answer.text().contains(words) && answer.text().contains(&format!("value=\"{email}\"")), "{email}: {}", answer.text());
        assert!(answer.text().contains("aria-invalid=\"true\"") && !answer.text().contains("link-text"));
    }
    assert_eq!(count(&mut app.database().conn(), "membership_invitations"), 0);
}

#[actix_web::test]
async fn mail_carries_the_same_link_and_the_page_says_whether_it_went() {
    let mailbox = Mailbox::start();
    let app = App::with_mail(&mailbox);
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let invite = path(&make, "/invitations");
    let made = browser.post(&invite).form(&[("email", "tom@example.com"), ("role", "member")]).send().await;
    assert!(made.text().contains("It was sent to tom@example.com by mail, too."), "{}", made.text());
    let letter = mailbox.next();
    assert_eq!((letter.to.as_str(), letter.link()), ("tom@example.com", shown_link(&made)));
    assert!(letter.text.contains(&make.here().name) && letter.text.contains(&make.an_admin().name), "{}", letter.text);
    mailbox.refuse();
    let failed = browser.post(&invite).form(&[("email", "eve@example.com"), ("role", "member")]).send().await;
    assert_eq!(failed.status, 200);
    assert!(failed.text().contains("No mail was sent. The mail server did not take it"), "{}", failed.text());
    assert_eq!(app.stranger().get(&shown_link(&failed)).send().await.status, 200, "the link works all the same");
}

#[actix_web::test]
async fn roles_change_and_the_last_admin_stays() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (dana, tom) = (make.an_admin().clone(), make.a_member().clone());
    let (admin, member) = (app.browser(&dana).await, app.browser(&tom).await);
    let of = |user: UserId, noun: &str| path(&make, &format!("/{user}/{noun}"));
    for (noun, form) in [("role", &[("role", "member")][..]), ("removal", &[])] {
        let refused = admin.post(&of(dana.id, noun)).form(form).send().await;
        assert_eq!(refused.status, 409);
        assert!(refused.text().contains("An organization keeps one admin."), "{}", refused.text());
    }
    let made = admin.post(&of(tom.id, "role")).form(&[("role", "admin")]).send().await;
    assert!(after(&admin, made).await.text().contains(&format!("{} is an admin now.", tom.email)));
    assert!(member.get(&format!("/orgs/{}/api-keys", make.here().slug)).send().await.text().contains("Generate API Key"));
    assert_eq!(admin.post(&of(tom.id, "role")).form(&[("role", "admin")]).send().await.status, 409, "that already");
    assert_eq!(admin.post(&of(tom.id, "role")).form(&[("role", "owner")]).send().await.status, 422);
    // The new admin removes the old one, whose next request finds nothing here.
    let removed = member.post(&of(dana.id, "removal")).send().await;
    assert!(after(&member, removed).await.text().contains(&format!("{} is removed.", dana.email)));
    assert_eq!(admin.get(&path(&make, "")).send().await.status, 404);
    let actions = audited_in(&mut app.database().conn(), make.here().id.0);
    assert_eq!(actions[actions.len() - 2..], ["member.role_changed", "member.removed"]);
}

#[actix_web::test]
async fn a_member_leaves_and_ends_nobody_else() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (dana, tom) = (make.an_admin().clone(), make.a_member().clone());
    let browser = app.browser(&tom).await;
    let of = |user: UserId, noun: &str| path(&make, &format!("/{user}/{noun}"));
    for noun in ["role", "removal", "password-link"] {
        assert_eq!(browser.get(&of(dana.id, noun)).send().await.status, 403, "{noun}");
        assert_eq!(browser.post(&of(dana.id, noun)).form(&[("role", "member")]).send().await.status, 403, "{noun}");
    }
    assert_eq!(browser.post(&of(tom.id, "role")).form(&[("role", "admin")]).send().await.status, 403, "nor makes itself an admin");
    assert!(browser.get(&of(tom.id, "removal")).send().await.text().contains("You get back in only by a new invitation."));
    let left = browser.post(&of(tom.id, "removal")).send().await;
    assert!(after(&browser, left).await.text().contains("You left"));
    assert_eq!(browser.get(&path(&make, "")).send().await.status, 404);
    assert_eq!(count(&mut app.database().conn(), "memberships"), 1);
}

#[actix_web::test]
async fn ids_of_another_tenant_are_not_found() {
    let app = App::start();
    let mut make = app.make().org().admin().member().org().admin();
    let (theirs, nobody) = (make.a_member().clone(), make.person(None));
    let browser = app.browser(make.an_admin()).await;
    let strangers = [theirs.id.to_string(), nobody.id.to_string(), "usr_nothing".into(), "0".into()];
    for user in &strangers {
        for noun in ["role", "removal", "password-link"] {
            let path = path(&make, &format!("/{user}/{noun}"));
            assert_eq!(browser.get(&path).send().await.status, 404, "{path}");
            assert_eq!(browser.post(&path).form(&[("role", "member")]).send().await.status, 404, "{path}");
        }
        assert_eq!(browser.get(&path(&make, &format!("?after={user}"))).send().await.status, 404);
    }
    let machine = latchkey::actor::Actor::command_line();
    let (org, now) = (make.orgs()[0].id, latchkey::clock::now());
    let role = latchkey::actor::Role::Member;
    let (invitation, _) = orgs::invite(&mut app.database().conn(), &machine, now, org, "tom@example.com", role).unwrap();
    assert_eq!(browser.post(&path(&make, &format!("/invitations/{}/withdrawal", invitation.id))).send().await.status, 404);
    assert_eq!(count(&mut app.database().conn(), "membership_invitations"), 1);
    assert_eq!(count(&mut app.database().conn(), "memberships"), 3);
}

#[actix_web::test]
async fn after_an_hour_the_password_is_asked_for() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (dana, tom) = (make.an_admin().clone(), make.a_member().clone());
    let browser = app.browser(&dana).await;
    age_proofs(&app);
    let forms: [(String, Vec<(&str, &str)>); 5] = [
        (path(&make, "/invitations"), vec![("email", "eve@example.com"), ("role", "member")]),
        (path(&make, "/two-factor"), vec![("required", "true")]),
        (path(&make, &format!("/{}/role", tom.id)), vec![("role", "admin")]),
        (path(&make, &format!("/{}/password-link", tom.id)), vec![]),
        (path(&make, &format!("/{}/removal", tom.id)), vec![]),
    ];
    for (path, form) in &forms {
        for password in [None, Some("wrong")] {
            let mut form = form.clone();
            form.extend(password.map(|password| ("password", password)));
            let answer = browser.post(path).form(&form).send().await;
            assert_eq!(answer.status, 422, "{path}");
            assert!(answer.text().contains("id=\"proof\"") && answer.text().contains("proof-error"), "{path}: {}", answer.text());
        }
    }
    let mut conn = app.database().conn();
    assert_eq!(count(&mut conn, "membership_invitations") + count(&mut conn, "invitations"), 0);
    assert_eq!(count(&mut conn, "memberships WHERE role = 'member'"), 1);
    let proved = browser.post(&forms[4].0).form(&[("password", &dana.password)]).send().await;
    assert_eq!(proved.status, 303);
    assert_eq!(count(&mut conn, "memberships"), 1);
}

#[actix_web::test]
async fn a_password_link_is_shown_once_or_refused_with_who_can() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (dana, tom) = (make.an_admin().clone(), make.a_member().clone());
    let browser = app.browser(&dana).await;
    let link = path(&make, &format!("/{}/password-link", tom.id));
    let made = browser.post(&link).send().await;
    assert_eq!((made.status, made.header("cache-control")), (200, "no-store"));
    assert!(made.text().contains(&format!("Password link for {}", tom.email)));
    let set = app.stranger().post(&shown_link(&made)).form(&[("password", "a whole new password")]).send().await;
    assert_eq!(set.status, 303);
    let elsewhere = app.make().org().join_as(&tom, "member");
    let refused = browser.post(&link).send().await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("latchkey user invite") && !refused.text().contains(&elsewhere.here().name), "{}", refused.text());
}

#[actix_web::test]
async fn only_who_has_a_second_factor_requires_it() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (dana, tom) = (make.an_admin().clone(), make.a_member().clone());
    let (browser, member) = (app.browser(&dana).await, app.browser(&tom).await);
    let switch = path(&make, "/two-factor");
    assert!(browser.get(&switch).send().await.text().contains("2 people have not set it up"));
    let refused = browser.post(&switch).form(&[("required", "true")]).send().await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("Set up two-factor sign-in for yourself first"), "{}", refused.text());
    let seed = format!(
        "INSERT INTO totp_seeds (user_id, sealed, created_at, confirmed_at, last_step, session_id)
             VALUES ('{}', '\\x00', now(), now(), 0, gen_random_uuid())",
        dana.id.0
    );
    sql_query(seed).execute(&mut app.database().conn()).unwrap();
    assert!(browser.get(&switch).send().await.text().contains("One person has not set it up"));
    let on = browser.post(&switch).form(&[("required", "true")]).send().await;
    let page = after(&browser, on).await;
    assert!(page.text().contains("Two-factor sign-in is required.") && row(&page, dana.id).contains("On"), "{}", page.text());
    let kept_out = member.get(&path(&make, "")).send().await;
    assert!(kept_out.status == 403 || kept_out.status == 303, "{}", kept_out.status);
    assert_eq!(browser.post(&switch).form(&[("required", "true")]).send().await.status, 409, "so already");
    let off = browser.post(&switch).form(&[("required", "false")]).send().await;
    assert_eq!(off.status, 303);
    assert_eq!(member.get(&path(&make, "")).send().await.status, 200);
    let actions = audited_in(&mut app.database().conn(), make.here().id.0);
    assert_eq!(actions[actions.len() - 2..], ["organization.two_factor_set", "organization.two_factor_set"]);
}

#[actix_web::test]
async fn a_long_list_comes_in_light_pages() {
    let app = App::start();
    let mut make = app.make().org().admin();
    for _ in 0..60 {
        make = make.member();
    }
    let browser = app.browser(make.an_admin()).await;
    let first = browser.get(&path(&make, "")).send().await;
    assert_eq!(first.text().matches("data-user-id").count(), 50);
    let next = first.text().split("members?after=").nth(1).unwrap().split('"').next().unwrap();
    let second = browser.get(&path(&make, &format!("?after={next}"))).send().await;
    assert_eq!(second.text().matches("data-user-id").count(), 11);
    assert!(!second.text().contains("members?after="));
    let gzipped = browser.get(&path(&make, "")).header("accept-encoding", "gzip").send().await;
    assert!(gzipped.body.len() <= 14_000, "{} bytes", gzipped.body.len());
}
