//! The lines of nginx that README shows, run by a real nginx between a customer and an API.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App as Web, HttpRequest, HttpResponse, HttpServer, web};
use diesel::{RunQueryDsl, sql_query};
use serde_json::{Value, json};

use super::{PERMISSIONS, row};
use crate::partner_api::{INVALID_KEY, NO_CREDITS, World, balance};
use crate::support::{Answer, Client, free_port, root};

/// Inside a `server`: who may passes.
const SHORT: &str = include_str!("nginx-short.conf");
/// The same with the profile's own answers.
const LINES: &str = include_str!("nginx.conf");

/// An nginx of the test's own: its files, its port, whoever runs it. Ended when dropped.
struct Nginx {
    process: Child,
    port: u16,
    dir: PathBuf,
}

impl Nginx {
    async fn start(lines: &str, latchkey: &str, api: &str, token: &str) -> Self {
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("latchkey-nginx-{}", latchkey::secret::random_base62(12).unwrap()));
        std::fs::create_dir(&dir).unwrap();
        let mut lines = lines.to_owned();
        if !lines.contains("listen 80;") {
            lines = format!("server {{ listen 80;\n{lines}}}");
        }
        for (shown, here) in [
            ("127.0.0.1:8080", latchkey.trim_start_matches("http://")),
            ("127.0.0.1:9000", api),
            ("listen 80;", &format!("listen 127.0.0.1:{port};")),
            ("lks_…", token),
        ] {
            assert!(lines.contains(shown), "{shown}");
            lines = lines.replace(shown, here);
        }
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path temporary/{name};\n")).concat();
        std::fs::create_dir(dir.join("temporary")).unwrap();
        let around =
            format!("daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{lines}\n}}\n");
        std::fs::write(dir.join("nginx.conf"), around).unwrap();
        // Debian keeps it where not everybody's PATH leads.
        let program =
            ["/usr/sbin/nginx", "/opt/homebrew/bin/nginx", "/usr/local/bin/nginx"].into_iter().find(|path| PathBuf::from(path).exists());
        let process = Command::new(program.unwrap_or("nginx"))
            .args(["-p", dir.to_str().unwrap(), "-c", "nginx.conf", "-e", "error.log"])
            .spawn()
            .expect("nginx, which bin/test installs");
        let mut nginx = Self { process, port, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while Client::new(&nginx.origin()).get("/").try_send().await.is_err() {
            assert!(nginx.process.try_wait().unwrap().is_none() && Instant::now() < deadline, "{}", nginx.log());
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
        }
        nginx
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The company's API: tells what came through, and breaks where it is asked to.
async fn api(request: HttpRequest, body: String) -> HttpResponse {
    if request.path() == "/broken" {
        return HttpResponse::InternalServerError().body("broken in its own way");
    }
    let header = |name: &str| request.headers().get_all(name).map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join("|");
    let names = ["x-organization-id", "x-key-id", "x-permissions", "x-request-id", "authorization", "x-latchkey-service-token"];
    let headers: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!(header(name)))).collect();
    HttpResponse::Ok()
        .json(json!({"method": request.method().as_str(), "uri": request.uri().to_string(), "body": body, "headers": headers}))
}

fn serve() -> (String, ServerHandle) {
    let server = HttpServer::new(|| Web::new().default_service(web::to(api))).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0].to_string();
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (address, handle)
}

fn is_refused(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
}

#[actix_web::test]
async fn a_real_nginx_lets_keys_through_and_answers_refusals_as_the_profile_says() {
    let changes = [PERMISSIONS, &[("requests = 60", "requests = 8")]].concat();
    let world = World::new(&changes);
    let mut server = world.server().await;
    let mut scene = world.make().org().credits(1).key().key();
    let (org, token, [key, other]) = (scene.here().id, scene.service_token(), [0, 1].map(|n| scene.keys()[n].clone()));
    let (address, handle) = serve();
    let nginx = Nginx::start(LINES, &server.origin(), &address, &token).await;
    let (client, anon) = (Client::bearer(&nginx.origin(), &key.text), Client::new(&nginx.origin()));
    let mut conn = world.database.conn();

    let post = client.post("/reports/7?page=2").header("x-organization-id", "org_forged").also_header("x-permissions", "forged");
    let passed = post.header("x-latchkey-service-token", "lks_forged").header("x-original-uri", "/forged").body("kept").send().await;
    assert_eq!(passed.status, 200, "{} {}", passed.text(), nginx.log());
    let seen = passed.json();
    assert_eq!((&seen["method"], &seen["uri"], &seen["body"]), (&json!("POST"), &json!("/reports/7?page=2"), &json!("kept")));
    let headers = &seen["headers"];
    assert_eq!((&headers["x-organization-id"], &headers["x-key-id"]), (&json!(org), &json!(key.id)));
    assert_eq!((&headers["x-permissions"], &headers["authorization"]), (&json!("reports:read,reports:write"), &json!("")));
    let written = row(&mut conn, headers["x-request-id"].as_str().unwrap()).unwrap();
    assert_eq!((written.method.as_str(), written.path.as_str(), written.route.as_str()), ("POST", "/reports/7", "VERIFY reports:read"));
    assert_eq!((written.address.as_str(), written.credits), ("127.0.0.1", 1));
    assert_eq!(balance(&mut conn, org), (0, 0, 1));

    is_refused(&client.get("/reports/7").send().await, 402, NO_CREDITS);
    is_refused(&anon.get("/").send().await, 401, r#"{"detail":"API Key is missing"}"#);
    is_refused(&Client::bearer(&nginx.origin(), "lk_live_x").get("/").send().await, 403, INVALID_KEY);
    sql_query("UPDATE api_keys SET permissions = '{reports:write}'").execute(&mut conn).unwrap();
    let lacking = r#"{"detail":"API Key lacks the permission reports:read","code":"insufficient_permissions"}"#;
    is_refused(&client.get("/reports/7").send().await, 403, lacking);
    let elsewhere = client.delete("/documents").send().await;
    assert_eq!((elsewhere.status, &elsewhere.json()["headers"]["x-permissions"]), (200, &json!("reports:write")));
    let broken = client.get("/broken").send().await;
    assert_eq!((broken.status, broken.text()), (500, "broken in its own way"), "what the API answers is its own");

    let mut last = client.get("/").send().await;
    for _ in 0..8 {
        if last.status == 429 {
            break;
        }
        last = client.get("/").send().await;
    }
    let retry = last.header("retry-after").to_owned();
    is_refused(&last, 429, &format!(r#"{{"detail":"Rate limit exceeded","code":"rate_limited","retry_after":{retry},"limit":8}}"#));
    let refused = row(&mut conn, last.header("x-request-id")).unwrap();
    assert_eq!((refused.status, refused.outcome.as_str()), (429, "rate_limited"));

    let second = Client::bearer(&nginx.origin(), &other.text);
    assert_eq!(second.get("/").send().await.status, 200);
    sql_query("UPDATE api_keys SET revoked_at = now(), revoked_by = 'x'").execute(&mut conn).unwrap();
    is_refused(&second.get("/").send().await, 403, INVALID_KEY);
    // Its own place answers nobody from outside.
    assert_eq!(client.get("/_latchkey").send().await.status, 404);
    assert!(server.terminate());
    assert_eq!(second.get("/").send().await.status, 503, "without Latchkey nobody passes");
    drop(nginx);
    handle.stop(false).await;
}

#[actix_web::test]
async fn ten_lines_let_through_who_may() {
    let world = World::new(&[("requests = 60", "requests = 4")]);
    let server = world.server().await;
    let mut scene = world.make().org().key();
    let (token, (address, handle)) = (scene.service_token(), serve());
    let nginx = Nginx::start(SHORT, &server.origin(), &address, &token).await;
    let client = Client::bearer(&nginx.origin(), &scene.a_key().text);
    let passed = client.post("/reports?page=2").body("kept").send().await;
    assert_eq!((passed.status, &passed.json()["uri"], &passed.json()["body"]), (200, &json!("/reports?page=2"), &json!("kept")));
    assert_eq!(Client::new(&nginx.origin()).get("/").send().await.status, 401, "without a key");
    assert_eq!(Client::bearer(&nginx.origin(), "lk_live_x").get("/").send().await.status, 403);
    for _ in 0..4 {
        client.get("/").send().await;
    }
    assert_eq!(client.get("/").send().await.status, 500, "over the limit: nginx knows no other way to say no");
    sql_query("UPDATE api_keys SET revoked_at = now(), revoked_by = 'x'").execute(&mut world.database.conn()).unwrap();
    assert_eq!(client.get("/").send().await.status, 403, "revoked");
    drop(nginx);
    handle.stop(false).await;
}

#[test]
fn readme_shows_these_lines() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("```nginx\n{SHORT}```\n")), "README shows other ten lines of nginx than those that are tested");
    assert!(readme.contains(&format!("```nginx\n{LINES}```\n")), "README shows other lines of nginx than those that are tested");
}
