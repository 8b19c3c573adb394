//! The page says what the document says.

use latchkey::openapi::Reference;

use super::profiles;
use crate::support::App;

/// As it stands in HTML.
fn escaped(text: &str) -> String {
    ["&", "<", ">", "\"", "'"]
        .iter()
        .zip(["&#38;", "&#60;", "&#62;", "&#34;", "&#39;"])
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[actix_web::test]
async fn the_page_says_every_route_and_the_body_of_every_refusal() {
    for (name, profile) in profiles() {
        let app = App::with(profile.clone());
        let answer = app.anon().get("/docs/api").send().await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{name}");
        let page = answer.text();
        let reference = Reference::of(&profile, &app.site.public_url);
        assert_eq!(reference.operations.len(), profile.routes.len());
        for operation in &reference.operations {
            assert!(page.contains(&format!("<section class=\"card\" id=\"{}\"", operation.id)), "{name}: {}", operation.id);
            assert!(page.matches(&format!("href=\"#{}\"", operation.id)).count() >= 2, "{name}: {}", operation.id);
            for text in [&operation.path, &operation.summary, &operation.curl] {
                assert!(page.contains(&escaped(text)), "{name}: {text}");
            }
            for parameter in operation.parameters.iter().chain(operation.body.iter().flat_map(|body| &body.members)) {
                assert!(page.contains(&format!("<code>{}</code>", parameter.name)), "{name}: {}", parameter.name);
            }
        }
        for case in reference.refusals.iter().chain(&reference.errors) {
            assert!(page.contains(&format!("<code class=\"body\">{}</code>", escaped(&case.example))), "{name}: {}", case.example);
        }
        for event in &reference.events {
            assert!(page.contains(&event.name), "{name}: {}", event.name);
        }
        for limit in &profile.limits {
            assert!(page.contains(&limit.name), "{name}: {}", limit.name);
        }
        let gzipped = app.anon().get("/docs/api").header("accept-encoding", "gzip").send().await;
        assert_eq!(gzipped.header("content-encoding"), "gzip");
        eprintln!("{name}: {} bytes gzipped", gzipped.body.len());
        assert!(gzipped.body.len() < 14_000, "{name}: {}", gzipped.body.len());
    }
}

#[actix_web::test]
async fn every_page_leads_to_it() {
    let app = App::start();
    let scene = app.make().org().admin();
    let page = app.browser(scene.an_admin()).await.get(&format!("/orgs/{}/api-keys", scene.here().slug)).send().await;
    assert_eq!(page.text().matches("href=\"/docs/api\"").count(), 2, "in the header, and in the menu of small screens");
}
