//! What supervisors ask.

use crate::support::App;

#[actix_web::test]
async fn a_running_instance_is_alive_and_ready() {
    let app = App::start();
    let alive = app.anon().get("/healthz").send().await;
    assert_eq!((alive.status, alive.text()), (200, "ok"));
    let ready = app.anon().get("/readyz").send().await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
}
