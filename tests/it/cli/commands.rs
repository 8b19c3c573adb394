//! Every command, with good and with bad input.

use serde_json::json;

use super::Cli;

#[test]
fn organizations_are_made_listed_suspended_and_reinstated() {
    let cli = Cli::new();
    let made = cli.run(&["org", "create", "--name", "Acme Motion", "--credits", "5", "--json"]).json();
    assert_eq!((made["slug"].as_str(), made["state"].as_str()), (Some("acme-motion"), Some("active")));
    let all = cli.run(&["org", "list", "--json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert!(cli.run(&["org", "list"]).ok().out.contains("acme-motion"));

    cli.run(&["org", "create", "--name", "Other", "--slug", "acme-motion"]).fails(2, "--slug");
    cli.run(&["org", "create", "--name", "Other", "--slug", "Not A Slug"]).fails(2, "--slug");
    cli.run(&["org", "create", "--name", "Other", "--credits=-1"]).fails(2, "--credits");
    cli.run(&["org", "create", "--name", "Poor", "--credits", "0"]).ok();
    cli.run(&["org", "create"]).fails(2, "--name");

    let suspended = cli.run(&["org", "suspend", "acme-motion", "--reason", "unpaid", "--json"]).json();
    assert_eq!((suspended["state"].as_str(), suspended["suspended_reason"].as_str()), (Some("suspended"), Some("unpaid")));
    assert_eq!(cli.run(&["org", "reinstate", "acme-motion", "--reason", "paid", "--json"]).json()["state"], "active");
    cli.run(&["org", "suspend", "nobody", "--reason", "x"]).fails(1, "no organization with the slug \"nobody\"");
    cli.run(&["org", "suspend", "acme-motion"]).fails(2, "--reason");
}

#[test]
fn people_get_a_password_or_a_link() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme"]).ok();
    let invited = cli.run(&[
        "user",
        "create",
        "--email",
        "Ann@Example.com",
        "--org",
        "acme",
        "--role",
        "admin",
        "--public-url",
        "https://k.example",
        "--json",
    ]);
    let invited = invited.json();
    assert_eq!(invited["email"], "ann@example.com");
    assert!(invited["invitation"].as_str().unwrap().starts_with("https://k.example/invitations/lki_"), "{invited}");

    let bob = ["user", "create", "--email", "bob@example.com", "--org", "acme", "--role", "member", "--password-stdin"];
    let run = cli.run_with_input(&bob, "a long enough password\n").ok();
    assert!(run.out.contains("bob@example.com is now member of acme") && !run.out.contains("password"), "{run:?}");

    cli.run_with_input(&bob, "a long enough password\n").fails(1, "has an account");
    let short = ["user", "create", "--email", "eve@example.com", "--org", "acme", "--role", "member", "--password-stdin"];
    cli.run_with_input(&short, "short\n").fails(2, "--password");
    cli.run(&["user", "create", "--email", "nonsense", "--org", "acme", "--role", "member"]).fails(2, "--email");
    cli.run(&["user", "create", "--email", "eve@example.com", "--org", "acme", "--role", "king"]).fails(2, "king");
    cli.run(&["user", "create", "--email", "eve@example.com", "--org", "nobody", "--role", "member"]).fails(1, "\"nobody\"");
    // Nothing of the failed ones stayed: the account is new.
    let eve = cli.run(&["user", "create", "--email", "eve@example.com", "--org", "acme", "--role", "member", "--json"]).json();
    assert_eq!(eve["created"], true);

    let staff = cli.run(&["staff", "create", "--email", "sue@example.com", "--role", "support", "--json"]).json();
    assert_eq!(staff["staff_role"], "support");
    cli.run(&["staff", "create", "--email", "sue@example.com", "--role", "admin"]).fails(2, "admin");
}

#[test]
fn a_person_without_a_password_gets_a_fresh_link_or_a_password() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme"]).ok();
    for name in ["Globex", "Initech", "Umbrella"] {
        cli.run(&["org", "create", "--name", name]).ok();
    }
    let create =
        |org, more: &[&'static str]| [&["user", "create", "--email", "ann@example.com", "--org", org, "--role", "member"], more].concat();
    let link = |made: &serde_json::Value| made["invitation"].as_str().expect("a link").rsplit('/').next().unwrap().to_owned();
    let works = |token: &str| latchkey::accounts::invitation(&mut cli.database().conn(), latchkey::clock::now(), token).is_ok();
    let first = link(&cli.run(&create("acme", &["--json"])).json());
    let second = cli.run(&create("globex", &["--json"])).json();
    assert_eq!(second["created"], false);
    let second = link(&second);
    assert!(!works(&first) && works(&second), "a new link replaces older ones");
    let third = link(&cli.run(&["user", "invite", "--email", "Ann@example.com", "--json"]).json());
    assert!(!works(&second) && works(&third));

    cli.run_with_input(&create("initech", &["--password-stdin"]), "a long enough password\n").ok();
    assert!(!works(&third), "the password takes the place of the link");
    let again = cli.run(&create("umbrella", &[])).ok();
    assert!(again.out.contains("has a password already") && !again.out.contains("/invitations/"), "{again:?}");
    cli.run_with_input(&create("acme", &["--password-stdin"]), "another long password\n").fails(1, "a password already");
    let reset = cli.run(&["user", "invite", "--email", "ann@example.com", "--public-url", "https://k.example"]).ok();
    assert!(reset.out.contains("https://k.example/invitations/lki_"), "{reset:?}");
    cli.run(&["user", "invite", "--email", "nobody@example.com"]).fails(1, "nobody@example.com");
}

#[test]
fn credits_and_limits_refuse_nonsense() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme"]).ok();
    let granted = cli.run(&["credits", "grant", "--org", "acme", "--amount", "7", "--note", "welcome", "--json"]).json();
    assert_eq!(granted, json!({"organization": "acme", "available": 7, "held": 0, "settled": 0}));
    for amount in ["0", "-5", "9999999999999999", "many", "99999999999999999999999"] {
        cli.run(&["credits", "grant", "--org", "acme", "--amount", amount, "--note", "x"]).fails(2, "--amount");
    }
    cli.run(&["credits", "grant", "--org", "acme", "--amount", "1", "--note", " "]).fails(2, "--note");
    let adjust = |amount| cli.run(&["credits", "adjust", "--org", "acme", "--amount", amount, "--note", "a mistake", "--json"]);
    assert_eq!(adjust("-3").json(), json!({"organization": "acme", "available": 4, "held": 0, "settled": 0}));
    assert_eq!(adjust("2").json()["available"], 6);
    for amount in ["0", "-7", "9999999999999999", "-9999999999999999", "many"] {
        adjust(amount).fails(2, "--amount");
    }
    adjust("-7").fails(2, "Only 6 credits are available");
    cli.run(&["credits", "adjust", "--org", "acme", "--amount", "1", "--note", " "]).fails(2, "--note");
    cli.run(&["credits", "adjust", "--org", "nobody", "--amount", "1", "--note", "x"]).fails(1, "\"nobody\"");
    let limited = cli.run(&["limit", "set", "--org", "acme", "--requests-per-minute", "9", "--json"]).json();
    assert_eq!(limited["requests_per_minute"], 9);
    for quota in ["0", "-1", "x"] {
        cli.run(&["limit", "set", "--org", "acme", "--requests-per-minute", quota]).fails(2, "--requests-per-minute");
    }
    cli.run(&["audit", "verify"]).ok();
}

#[test]
fn secrets_are_printed_once_and_only_to_stdout() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme"]).ok();
    let key = cli.run(&["key", "create", "--org", "acme"]).ok().out;
    assert!(key.starts_with("lk_live_") && key.trim().len() == 44, "{key}");
    cli.run(&["key", "create", "--org", "acme"]).fails(1, "");
    let test = cli.run(&["key", "create", "--org", "acme", "--environment", "test", "--json"]).json();
    assert!(test["key"].as_str().unwrap().starts_with("lk_test_"), "{test}");
    cli.run(&["key", "create", "--org", "acme", "--environment", "moon"]).fails(2, "--environment");
    cli.run(&["key", "create", "--org", "acme", "--permission", "fly"]).fails(2, "--permission");
    cli.run(&["key", "create", "--org", "acme", "--profile", "nope"]).fails(2, "nope");

    let token = cli.run(&["worker-token", "create", "--name", "w1", "--json"]).json();
    assert!(token["token"].as_str().unwrap().starts_with("lkw_"), "{token}");
    cli.run(&["worker-token", "create", "--name", "w1"]).fails(2, "--name");
    cli.run(&["worker-token", "create", "--name", ""]).fails(2, "--name");
    // The names of services are their own.
    let token = cli.run(&["service-token", "create", "--name", "w1"]).ok().out;
    assert!(token.starts_with("lks_") && token.trim().len() == 44, "{token}");
    cli.run(&["service-token", "create", "--name", "w1"]).fails(2, "--name");
}

#[test]
fn members_get_another_role_and_leave() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme"]).ok();
    for (email, role) in [("ann@example.com", "admin"), ("bob@example.com", "member")] {
        cli.run(&["user", "create", "--email", email, "--org", "acme", "--role", role]).ok();
    }
    cli.run(&["user", "role", "--email", "ann@example.com", "--org", "acme", "--role", "member"]).fails(1, "keeps one admin");
    let bob = cli.run(&["user", "role", "--email", "bob@example.com", "--org", "acme", "--role", "admin", "--json"]).json();
    assert_eq!(bob["role"], "admin", "{bob}");
    cli.run(&["user", "remove", "--email", "Ann@example.com", "--org", "acme"]).ok();
    cli.run(&["user", "remove", "--email", "ann@example.com", "--org", "acme"]).fails(1, "ann@example.com is no member of acme");
    cli.run(&["user", "remove", "--email", "eve@example.com", "--org", "acme"]).fails(1, "eve@example.com has no account");
}

#[test]
fn profiles_are_shown_and_checked() {
    let cli = Cli::new();
    let all = cli.run(&["profile", "list", "--json"]).json();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|profile| profile["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["analysis", "assessment", "documents", "messaging", "jobs"]);
    for name in names {
        cli.run(&["profile", "check", name]).ok();
    }
    let text = cli.run(&["profile", "show", "analysis"]).ok().out;
    let file = cli.data_dir().join("own.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, &text).unwrap();
    cli.run(&["profile", "check", path]).ok();
    let checked = cli.run(&["profile", "check", path, "--json"]).json();
    assert_eq!((checked["name"].as_str(), checked["limits"].as_u64()), (Some("analysis"), Some(1)), "{checked}");
    std::fs::write(&file, text.replace("[refusals.credits]", "[refusals.money]")).unwrap();
    cli.run(&["profile", "check", path]).fails(2, "own.toml: refusals.credits is missing: this outcome has no answer");
    cli.run(&["profile", "check", "/nowhere.toml"]).fails(2, "/nowhere.toml");
    cli.run(&["profile", "show", "nope"]).fails(2, "there is analysis");
}

#[test]
fn programs_find_the_database() {
    let cli = Cli::new();
    let url = cli.run(&["database", "exec", "--", "sh", "-c", "printf %s \"$DATABASE_URL\""]).ok().out;
    assert_eq!(url, cli.database().url());
    assert_eq!(cli.run(&["database", "exec", "--", "sh", "-c", "exit 7"]).status, 7);
    cli.run(&["database", "exec", "--", "/no/such/program"]).fails(1, "/no/such/program");
    cli.run(&["database", "exec"]).fails(2, "CMD");
}

#[test]
fn a_database_that_is_away_is_a_sentence() {
    let cli = Cli::new();
    let url = ["--database-url", "postgresql://nobody@127.0.0.1:1/none"];
    cli.run(&[&["org", "list"], &url[..]].concat()).fails(1, "The database does not answer");
    cli.run(&[&["migrate"], &url[..]].concat()).fails(1, "The database does not answer");
    cli.run(&[&["serve", "--listen", "127.0.0.1:0"], &url[..]].concat()).fails(1, "The database does not answer");
}

#[test]
fn migrating_twice_says_so() {
    let cli = Cli::new();
    assert_eq!(cli.run(&["migrate", "--json"]).json(), json!({"migrated": []}));
    assert!(cli.run(&["migrate"]).ok().out.contains("up to date"));
}

#[test]
fn staff_come_are_listed_and_go() {
    let cli = Cli::new();
    for (email, role) in [("sam@example.com", "support"), ("olga@example.com", "operator")] {
        cli.run(&["staff", "create", "--email", email, "--role", role]).ok();
    }
    // Who chose the password of an account that is there may be anybody: staff choose anew.
    cli.run(&["org", "create", "--name", "Acme"]).ok();
    let made = ["user", "create", "--email", "early@example.com", "--org", "acme", "--role", "member", "--password-stdin"];
    cli.run_with_input(&made, "chosen by somebody\n").ok();
    let early = ["staff", "create", "--email", "early@example.com", "--role", "operator", "--json"];
    assert!(cli.run(&early).json()["invitation"].as_str().is_some_and(|link| link.contains("/invitations/lki_")));
    let none = "SELECT count(*) FROM users WHERE email = 'early@example.com' AND password_hash IS NULL";
    assert_eq!(crate::support::number(&mut cli.database().conn(), none), 1);
    cli.run(&["staff", "remove", "--email", "early@example.com"]).ok();
    let all = cli.run(&["staff", "list", "--json"]).json();
    let roles: Vec<_> =
        all.as_array().unwrap().iter().map(|one| (one["email"].as_str().unwrap(), one["staff_role"].as_str().unwrap())).collect();
    assert_eq!(roles, [("olga@example.com", "operator"), ("sam@example.com", "support")]);
    assert!(cli.run(&["staff", "remove", "--email", "SAM@example.com"]).ok().out.contains("is staff no more"));
    let left = cli.run(&["staff", "list"]).ok().out;
    assert!(left.contains("olga@example.com") && !left.contains("sam@example.com"), "{left}");
    cli.run(&["staff", "remove", "--email", "sam@example.com"]).fails(1, "is not staff");
    cli.run(&["staff", "remove", "--email", "eve@example.com"]).fails(1, "has no account");
    cli.run(&["staff", "remove"]).fails(2, "--email");
}
