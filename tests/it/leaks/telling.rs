//! E-mail to admins.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use latchkey::actor::Actor;
use latchkey::mail::Mailer;
use latchkey::site::{LeakRules, LeakedKeys};
use latchkey::{clock, keys};

use super::{PLACE, report};
use crate::support::App;

const PATIENCE: Duration = Duration::from_secs(20);

/// A mail server that hands over what it takes: whom to, and the message.
fn post_office() -> (Mailer, Receiver<(String, String)>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", listener.local_addr().unwrap()), "Latchkey <keys@example.com>").unwrap();
    let (taken, letters) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let taken = taken.clone();
            std::thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                let mut say = |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).unwrap();
                let (mut to, mut letter, mut in_letter) = (String::new(), String::new(), false);
                say("220 post.example");
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let verb = line.split(['<', ' ', ':']).next().unwrap_or_default().to_uppercase();
                    match verb.as_str() {
                        _ if in_letter && line == "." => {
                            in_letter = false;
                            say("250 taken");
                            let _ = taken.send((to.clone(), plain(&std::mem::take(&mut letter))));
                        }
                        _ if in_letter => letter.push_str(&format!("{line}\n")),
                        "DATA" => {
                            in_letter = true;
                            say("354 go on");
                        }
                        "RCPT" => {
                            to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                            say("250 known");
                        }
                        "QUIT" => return say("221 bye"),
                        _ => say("250 fine"),
                    }
                }
            });
        }
    });
    (mailer, letters)
}

/// A letter without its encoding (RFC 2045), as far as it is used here.
fn plain(letter: &str) -> String {
    letter.replace("=\n", "").replace("=E2=80=A6", "…").replace("=3D", "=")
}

/// What came, in the order of the addresses.
fn letters(office: &Receiver<(String, String)>, count: usize) -> Vec<(String, String)> {
    let mut letters: Vec<_> = (0..count).map(|_| office.recv_timeout(PATIENCE).expect("a letter")).collect();
    letters.sort();
    letters
}

#[actix_web::test]
async fn every_admin_is_told_once() {
    let (mailer, office) = post_office();
    let app = App::tweaked(|site| site.mail = Some(mailer));
    let mut scene = app.make().org().admin();
    let first = scene.an_admin().email.clone();
    scene = scene.admin().member().key();
    let mut admins = [first, scene.an_admin().email.clone()];
    admins.sort();
    for _ in 0..3 {
        assert_eq!(report(&app.anon(), &scene.a_key().text).await.status, 200);
    }
    let told = letters(&office, 2);
    assert_eq!(told.iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(), admins);
    for (_, letter) in &told {
        assert!(letter.contains("was found in public") && letter.contains("It is revoked"), "{letter}");
        assert!(letter.contains(&format!("({}…)", scene.a_key().prefix)), "{letter}");
        assert!(letter.contains(PLACE) && letter.contains(&format!("/orgs/{}/api-keys", scene.here().slug)), "{letter}");
        assert!(!letter.contains(&scene.a_key().text[12..]), "{letter}");
    }
    // What is told next is told of another key: the repeated reports said nothing.
    let other = app.make().org().admin().key();
    report(&app.anon(), &other.a_key().text).await;
    assert_eq!(letters(&office, 1)[0].0, other.an_admin().email);
}

#[actix_web::test]
async fn a_flagged_key_is_told_of_too_and_a_dead_server_keeps_nobody_waiting() {
    let (mailer, office) = post_office();
    let rules = LeakRules { then: LeakedKeys::Flag, ..LeakRules::default() };
    let app = App::tweaked(|site| (site.mail, site.leaks) = (Some(mailer), rules.into()));
    let scene = app.make().org().admin().key();
    let form = [("key", scene.a_key().text.as_str()), ("where", "a forum")];
    assert_eq!(app.stranger().post("/leaked-keys").form(&form).send().await.status, 200);
    let told = letters(&office, 1);
    assert!(told[0].1.contains("It still works") && told[0].1.contains("Found at, in the finder's words: a forum"), "{}", told[0].1);
    // It works still, and is no news: what comes next is of another key.
    assert_eq!(app.stranger().post("/leaked-keys").form(&form).send().await.status, 200);
    let other = app.make().org().admin().key();
    report(&app.anon(), &other.a_key().text).await;
    assert_eq!(letters(&office, 1)[0].0, other.an_admin().email);

    // Takes connections and never says a word.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", silent.local_addr().unwrap()), "keys@example.com").unwrap();
    let app = App::tweaked(|site| site.mail = Some(mailer));
    let scene = app.make().org().admin().key();
    let before = std::time::Instant::now();
    assert_eq!(report(&app.anon(), &scene.a_key().text).await.status, 200);
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[actix_web::test]
async fn a_key_that_was_flagged_is_told_of_again_when_it_ends_and_a_long_place_is_cut() {
    let (mailer, office) = post_office();
    let app = App::tweaked(|site| site.mail = Some(mailer));
    let scene = app.make().org().admin().key();
    let text = &scene.a_key().text;
    let finder = Actor::leak_report("203.0.113.9".into(), "a test".into());
    let (conn, now, place) = (&mut app.database().conn(), clock::now(), "x".repeat(300));
    keys::report(conn, &finder, now, &app.site.profile, LeakedKeys::Flag, text, &place).unwrap().expect("a key");
    // Ends what was flagged under another setting, and is no news.
    assert_eq!(report(&app.anon(), text).await.status, 200);
    let told = letters(&office, 1);
    assert!(told[0].0 == scene.an_admin().email && told[0].1.contains("It is revoked"), "{}", told[0].1);
    assert!(told[0].1.contains(&format!("{}…", &place[..200])) && !told[0].1.contains(&place[..201]), "{}", told[0].1);
}
