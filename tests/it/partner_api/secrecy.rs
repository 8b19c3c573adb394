//! The full key is shown once and found nowhere after.

use std::fs::File;
use std::process::Stdio;

use diesel::sql_types::Text;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::{World, order};
use crate::support::{Client, Server};

#[actix_web::test]
async fn the_full_key_is_found_nowhere_after_the_banner() {
    let world = World::new(&[]);
    let log = std::env::temp_dir().join(format!("latchkey-test-{}.log", latchkey::secret::random_base62(12).unwrap()));
    let variables = [("LATCHKEY_LOG", "trace")];
    let mut server = Server::start_at(world.database.url(), &variables, Stdio::from(File::create(&log).unwrap())).await;
    let scene = world.make().org().credits(3).admin();
    let (org, admin) = (scene.here(), scene.an_admin());
    let browser = Client::browser(&server.origin());
    let form = [("email", admin.email.as_str()), ("password", admin.password.as_str())];
    assert_eq!(browser.post("/sign-in").form(&form).send().await.status, 303);
    let page = format!("/orgs/{}/api-keys", org.slug);
    let once = |n: u32| format!("019a0000-0000-7000-8000-{n:012}");

    let made = browser.post(&page).form(&[("name", ""), ("environment", "live"), ("once", &once(1))]).send().await;
    assert_eq!((made.status, made.header("cache-control")), (200, "no-store"));
    let first = shown_key(made.text());
    let repeated = browser.post(&page).form(&[("name", ""), ("environment", "live"), ("once", &once(1))]).send().await;
    assert!(!repeated.text().contains(&first) && !repeated.text().contains("id=\"new-key\""), "a repeated form makes and shows none");
    use_it(&server, &first).await;
    let id = attribute(made.text(), "data-key-id=\"");
    let path = format!("{page}/{id}/rotation");
    let confirm = browser.get(&path).send().await;
    let generation = field(confirm.text(), "generation").unwrap_or_else(|| "1".into());
    let rotated = browser.post(&path).form(&[("grace", "0"), ("generation", &generation), ("once", &once(2))]).send().await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let second = shown_key(rotated.text());
    use_it(&server, &second).await;
    // As those do who get it wrong.
    let partner = Client::bearer(&server.origin(), &second);
    for path in ["/nothing", "/analyses/an_x"] {
        assert_eq!(partner.get(path).send().await.status, 404);
    }
    assert_eq!(partner.post("/analyses").body("{").send().await.status, 415);
    let anon = Client::new(&server.origin());
    assert_eq!(anon.get("/key").header("authorization", &format!("Basic {second}")).send().await.status, 401);
    assert_eq!(anon.get(&format!("/key?api_key={second}")).send().await.status, 401);

    let mut places = vec![("the cookies".to_owned(), format!("{:?}", browser.cookies()))];
    for path in [&page, "/", &format!("/orgs/{}/usage", org.slug), &format!("/orgs/{}/credits", org.slug), &path] {
        let answer = browser.get(path).send().await;
        places.push((path.to_owned(), format!("{:?}\n{}", answer.headers, String::from_utf8_lossy(&answer.body))));
    }
    places.push(("the headers of the banner".into(), format!("{:?} {:?}", made.headers, rotated.headers)));
    places.push(("/metrics".into(), String::from_utf8_lossy(&anon.get("/metrics").send().await.body).into_owned()));
    assert!(server.terminate());
    places.extend(dump(&mut world.database.conn()));
    let logged = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let _ = std::fs::remove_file(&log);
    assert!(logged.lines().count() > 20 && logged.contains("/analyses"), "it was logged");
    places.push(("the log".into(), logged));
    for key in [&first, &second] {
        let prefix = &key[..12];
        assert!(places.iter().any(|(_, text)| text.contains(prefix)), "what people see of it is there");
        for secret in forms(key) {
            for (place, text) in &places {
                assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{place} has the key as {secret}");
            }
        }
    }
}

/// The key and its random part, as they are and as binary columns and Basic credentials would show them.
fn forms(key: &str) -> Vec<String> {
    use base64::Engine as _;
    let random = &key[8..38];
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    // What follows the visible four characters is secret by itself.
    let hidden = &key[12..];
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD;
    vec![key.into(), random.into(), hidden.into(), hidden[..20].into(), hex(hidden), base64.encode(key), base64.encode(random)]
}

async fn use_it(server: &Server, key: &str) {
    let partner = Client::bearer(&server.origin(), key);
    assert_eq!(order(&partner).header("idempotency-key", "a").send().await.status, 202);
    for path in ["/key", "/usage", "/credits", "/credits/entries"] {
        let answer = partner.get(path).send().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains(&key[12..]), "{path}");
    }
}

fn shown_key(page: &str) -> String {
    let banner = &page[page.find("id=\"new-key\"").unwrap_or_else(|| panic!("no banner: {page}"))..];
    let code = &banner[banner.find("<code").unwrap()..];
    let key = &code[code.find('>').unwrap() + 1..code.find("</code>").unwrap()];
    assert!(key.starts_with("lk_live_") && key.len() == 44, "{key}");
    key.to_owned()
}

fn attribute(page: &str, start: &str) -> String {
    let rest = &page[page.find(start).unwrap_or_else(|| panic!("no {start}: {page}")) + start.len()..];
    rest[..rest.find('"').unwrap()].to_owned()
}

/// The value of a hidden field.
fn field(page: &str, name: &str) -> Option<String> {
    let at = page.find(&format!("name=\"{name}\""))?;
    Some(attribute(&page[at..], "value=\""))
}

/// Every row of every table as text, as a dump would write it.
pub fn dump(conn: &mut PgConnection) -> Vec<(String, String)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let all = |conn: &mut PgConnection, query: &str| -> Vec<String> {
        sql_query(query).load::<Row>(conn).unwrap().into_iter().map(|row| row.text).collect()
    };
    let tables = all(conn, "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'");
    assert!(tables.len() > 15, "{tables:?}");
    let rows = |table: &String| (format!("table {table}"), all(conn, &format!("SELECT t::text AS text FROM {table} t")).join("\n"));
    tables.iter().map(rows).collect()
}
