//! Another site, in the browser of somebody who is signed in: what it sends changes nothing, and what it frames stays empty.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::person::not_yet;
use crate::world::World;

/// Serves one page on an address of its own, to all who come, until the test ends. On this machine it is even of the same site:
/// browsers send it cookies that are `SameSite=Lax`.
fn another_site(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4_096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
        }
    });
    format!("http://{address}/")
}

#[test]
fn a_form_of_another_site_changes_nothing() {
    let world = World::start();
    let scene = world.make().org().admin().key();
    let person = world.signed_in(scene.an_admin());
    let revocation = format!("{}/orgs/{}/api-keys/{}/revocation", world.origin(), scene.here().slug, scene.a_key().id);
    let lure = format!("<!doctype html><form method=post action=\"{revocation}\"><button>Win a prize</button></form>");
    person.driver.post("url", serde_json::json!({ "url": another_site(lure) })).unwrap();
    person.click("Win a prize");
    person.see("Another site asked for this");
    assert!(world.admits(&scene.a_key().text));
    person.open("/account");
    person.see("Sessions");
}

#[test]
fn no_page_is_shown_in_a_frame_of_another_site() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.signed_in(scene.an_admin());
    let frame =
        format!("<!doctype html><p>A game</p><iframe src=\"{}/account\" onload=\"document.title = 'loaded'\"></iframe>", world.origin());
    person.driver.post("url", serde_json::json!({ "url": another_site(frame) })).unwrap();
    person.see("A game");
    person.until("an end of loading", || {
        let title = person.ask("return document.title", serde_json::json!([]));
        if title == "loaded" { Ok(()) } else { Err(not_yet()) }
    });
    person.driver.post("frame", serde_json::json!({ "id": 0 })).unwrap();
    let shown = person.ask("return document.body ? document.body.innerText : ''", serde_json::json!([]));
    assert!(!shown.as_str().unwrap().contains("Sessions"), "{shown}");
    person.driver.post("frame", serde_json::json!({ "id": null })).unwrap();
    let said = person.driver.log("browser").iter().any(|entry| entry["message"].to_string().contains("frame-ancestors"));
    assert!(said, "the browser says that it refused");
}
