//! Every line of the dashboard's table, asked by everybody there is: what it declares is what is answered, and nothing is done for
//! whom it is not.

use actix_web::http::Method;
use diesel::RunQueryDsl;
use diesel::sql_types::{Text, Uuid};
use latchkey::clock;
use latchkey::ids::{InvitationId, new_uuid};
use latchkey::web::routes::{Declared, Needs, ROUTES};

use crate::support::{Answer, App, Client, Mailbox, Make, NewDelivery, User, number};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    /// An admin, of another organization.
    OtherTenant,
    Member,
    Admin,
    /// Of the staff, without a visit.
    Support,
    Operator,
    /// Of the staff, with a visit.
    VisitingSupport,
    VisitingOperator,
}

const EVERYBODY: [Who; 8] =
    [Who::Nobody, Who::OtherTenant, Who::Member, Who::Admin, Who::Support, Who::Operator, Who::VisitingSupport, Who::VisitingOperator];

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    /// Whatever the route is for: a page, a file, what is wrong with an empty form.
    Served,
    /// To the sign-in with a page, 401 with a form.
    SignIn,
    /// To the form that asks staff why with a page, 403 with a form.
    Reason,
    Forbidden,
    NotFound,
}

fn declared(needs: Needs, who: Who) -> Answered {
    use Answered::{Forbidden, NotFound, Reason, Served, SignIn};
    let is_staff = !matches!(who, Who::Nobody | Who::OtherTenant | Who::Member | Who::Admin);
    match (needs, who) {
        (Needs::Anyone, _) => Served,
        (_, Who::Nobody) => SignIn,
        (Needs::Person, _) => Served,
        (Needs::Staff, _) if is_staff => Served,
        (Needs::Operator, Who::Operator | Who::VisitingOperator) => Served,
        (Needs::Operator, Who::Support | Who::VisitingSupport) => Forbidden,
        (Needs::Staff | Needs::Operator, _) => NotFound,
        (_, Who::OtherTenant) => NotFound,
        (_, Who::Admin) => Served,
        (_, Who::Support | Who::Operator) => Reason,
        (Needs::Member, _) => Served,
        (Needs::Auditor, Who::VisitingSupport | Who::VisitingOperator) => Served,
        (Needs::Auditor | Needs::Admin, _) => Forbidden,
    }
}

/// What it was, in the same words.
fn seen(route: &Declared, answer: &Answer) -> Answered {
    let is_page = route.method == Method::GET;
    match answer.status {
        303 if answer.location().starts_with("/sign-in?next=") && is_page => Answered::SignIn,
        401 if !is_page && route.path != "/sign-in" && route.path != "/sign-in/code" => Answered::SignIn,
        303 if answer.location().starts_with("/support/organizations/") && route.path.starts_with("/orgs/") => Answered::Reason,
        403 if answer.text().contains("why you look at this organization") => Answered::Reason,
        403 => Answered::Forbidden,
        404 => Answered::NotFound,
        500.. => panic!("{} {}: {}", route.method, route.path, answer.text()),
        _ => Answered::Served,
    }
}

struct People {
    admin: User,
    member: User,
    clients: Vec<(Who, Client)>,
    visitors: [User; 2],
}

impl People {
    async fn sign_in(app: &App) -> Self {
        let mut make = app.make().org().admin().member().org().admin();
        let [support, operator, visiting, operating] = ["support", "operator", "support", "operator"].map(|role| make.person(Some(role)));
        let (admin, member, other) = (make.person(None), make.person(None), make.an_admin().clone());
        let mut clients = vec![(Who::Nobody, app.stranger())];
        for (who, user) in [
            (Who::OtherTenant, &other),
            (Who::Member, &member),
            (Who::Admin, &admin),
            (Who::Support, &support),
            (Who::Operator, &operator),
            (Who::VisitingSupport, &visiting),
            (Who::VisitingOperator, &operating),
        ] {
            clients.push((who, app.browser(user).await));
        }
        Self { admin, member, clients, visitors: [visiting, operating] }
    }

    /// An organization that nothing has happened to, in which they are what they are.
    fn scene(&self, app: &App) -> Make {
        let mut scene = app.make().org().join_as(&self.admin, "admin").join_as(&self.member, "member").key();
        scene = scene.webhook("https://hooks.example.com/");
        for visitor in &self.visitors {
            let query = "INSERT INTO support_visits (organization_id, id, user_id, reason, opened_at, ends_at)
                         VALUES ($1, $2, $3, $4, now(), now() + interval '1 hour')";
            diesel::sql_query(query)
                .bind::<Uuid, _>(scene.here().id)
                .bind::<Uuid, _>(new_uuid(clock::now()))
                .bind::<Uuid, _>(visitor.id)
                .bind::<Text, _>("SUP-1")
                .execute(&mut app.database().conn())
                .unwrap();
        }
        scene
    }
}

/// The path with everything in it that a path of ours may name.
fn filled(route: &Declared, scene: &mut Make, someone: &User) -> String {
    let mut path = route.path.replace("{slug}", &scene.here().slug).replace("{key}", &scene.a_key().id.to_string());
    if path.contains("{delivery}") {
        path = path.replace("{delivery}", &scene.delivery(NewDelivery::default()).to_string());
    }
    path = path.replace("{user}", &someone.id.to_string());
    path = path.replace("{invitation}", &InvitationId::new(clock::now()).to_string());
    for (name, value) in [("{token}", "lki_nothing"), ("{session}", "00000000-0000-0000-0000-000000000000")] {
        path = path.replace(name, value);
    }
    assert!(!path.contains('{'), "{}: the test does not know how to fill it in", route.path);
    path
}

async fn ask(client: &Client, route: &Declared, path: &str) -> Answer {
    if route.method == Method::POST { client.post(path).form(&[]).send().await } else { client.get(path).send().await }
}

#[actix_web::test]
async fn every_route_is_what_it_declares_to_everybody() {
    // The page for lost passwords is there where mail is.
    let app = App::with_mail(&Mailbox::start());
    let people = People::sign_in(&app).await;
    let mut wrong = Vec::new();
    // What ends a session is asked by nobody in particular, and elsewhere.
    let ends = |route: &&&Declared| !["/sign-out", "/sign-out-everywhere"].contains(&route.path);
    for route in ROUTES.iter().collect::<Vec<_>>().iter().filter(ends) {
        let mut scene = people.scene(&app);
        let path = filled(route, &mut scene, &people.admin);
        for who in EVERYBODY {
            let (_, client) = people.clients.iter().find(|(one, _)| *one == who).unwrap();
            let expected = declared(route.needs, who);
            let entries = || number(&mut app.database().conn(), "SELECT count(*) FROM audit_entries");
            let before = entries();
            let answer = ask(client, route, &path).await;
            // What a made-up id names is found by nobody.
            let is_link = ["{token}", "{session}", "{invitation}"].iter().any(|name| route.path.contains(name));
            let found = match seen(route, &answer) {
                Answered::NotFound if is_link && expected == Answered::Served => Answered::Served,
                other => other,
            };
            if found != expected {
                wrong.push(format!("{} {} by {who:?}: declared {expected:?}, was {found:?} ({})", route.method, route.path, answer.status));
            }
            if expected != Answered::Served && entries() != before {
                wrong.push(format!("{} {} by {who:?}: refused, and done", route.method, route.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
