//! Every line of the dashboard's table, asked as a stranger, as another tenant and as a lesser role: what it declares is what is enforced.

use actix_web::http::Method;
use latchkey::web::routes::{Needs, ROUTES};

use crate::support::{Answer, App, Client, NewDelivery};

async fn ask(client: &Client, method: &Method, path: &str) -> Answer {
    let method = if *method == Method::POST { awc::http::Method::POST } else { awc::http::Method::GET };
    let post = method == awc::http::Method::POST;
    let request = client.request(method, path);
    if post { request.form(&[]).send().await } else { request.send().await }
}

#[actix_web::test]
async fn every_route_is_what_it_declares() {
    let app = App::start();
    let mut ours = app.make().org().admin().member().key().webhook("https://hooks.example.com/");
    let delivery = ours.delivery(NewDelivery::default());
    let theirs = app.make().org().admin();
    let (stranger, member) = (app.stranger(), app.browser(ours.a_member()).await);
    let other = app.browser(theirs.an_admin()).await;
    for route in ROUTES {
        let path = route.path.replace("{slug}", &ours.here().slug).replace("{key}", &ours.a_key().id.to_string());
        let path = path.replace("{delivery}", &delivery.to_string());
        let name = format!("{} {}", route.method, route.path);
        assert_eq!(matches!(route.needs, Needs::Member | Needs::Auditor | Needs::Admin), route.path.contains("{slug}"), "{name}");
        if route.needs == Needs::Anyone {
            continue;
        }
        let unknown = ask(&stranger, &route.method, &path).await;
        let expected = if route.method == Method::GET { 303 } else { 401 };
        assert_eq!(unknown.status, expected, "{name} by nobody");
        assert!(route.method != Method::GET || unknown.location().starts_with("/sign-in?next="), "{name}: {}", unknown.location());
        if route.needs == Needs::Person {
            continue;
        }
        assert!(!path.contains('{'), "{name}: the test does not know how to fill it in");
        assert_eq!(ask(&other, &route.method, &path).await.status, 404, "{name} by another tenant");
        let lesser = ask(&member, &route.method, &path).await.status;
        if route.needs == Needs::Staff {
            assert_eq!(lesser, 404, "{name} by a member");
        } else if matches!(route.needs, Needs::Admin | Needs::Auditor) {
            assert_eq!(lesser, 403, "{name} by a member");
        } else {
            assert!(lesser < 400, "{name} by a member: {lesser}");
        }
    }
}
