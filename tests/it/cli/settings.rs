//! Settings: every mistake is named, at once, before anything happens.

use super::{Cli, Run};

#[test]
fn all_mistakes_are_named_at_once() {
    let cli = Cli::new();
    let mistakes = [
        ("LATCHKEY_LISTEN", "nonsense"),
        ("LATCHKEY_PUBLIC_URL", "ftp://x"),
        ("DATABASE_URL", "mysql://root:hunter2@x"),
        ("LATCHKEY_PROFILE", "/no/such/profile.toml"),
        ("LATCHKEY_SECRET_KEY", "abc"),
        ("LATCHKEY_WEBHOOK_ALLOW", "10.0.0.0/8,8.8.8.0/24"),
        ("LATCHKEY_WEBHOOK_ALLOW_HTTP", "maybe"),
        ("LATCHKEY_WEBHOOK_RETRY_S", "5,x"),
        ("LATCHKEY_LEAKED_KEYS", "burn"),
        ("LATCHKEY_LEAK_SIGNERS_FILE", "/no/such/signers.json"),
        ("LATCHKEY_TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.0/33"),
        ("LATCHKEY_LOG", "latchkey=loud"),
        ("LATCHKEY_LOG_FORMAT", "xml"),
    ];
    let mut command = cli.command(&["serve"]);
    command.envs(mistakes);
    let run = Run::of(command);
    for (name, _) in mistakes {
        let lines = run.err.lines().filter(|line| line.starts_with(&format!("latchkey: {name}: "))).count();
        assert_eq!(lines, 1, "{name} in {}", run.err);
    }
    assert!(!run.err.contains("hunter2"), "a password is shown: {}", run.err);
    assert_eq!(run.err.lines().count(), mistakes.len(), "{}", run.err);
    run.fails(2, "");
}

#[test]
fn each_kind_of_mistake_is_one() {
    let cli = Cli::new();
    let wrong = [
        ["--listen", "127.0.0.1"],
        ["--listen", "127.0.0.1:99999"],
        ["--public-url", "https://x.example/path"],
        ["--public-url", "https://user@x.example"],
        ["--secret-key-file", "/no/such/file"],
        ["--webhook-allow", "0.0.0.0/0"],
        ["--webhook-allow", "169.254.0.0/16"],
        ["--webhook-allow", "10.0.0.0/33"],
        ["--webhook-retry-s", ""],
        ["--webhook-retry-s", "-1"],
        ["--webhook-retry-s", "0"],
    ];
    for arguments in wrong {
        let joined = format!("{}={}", arguments[0], arguments[1]);
        let name = format!("LATCHKEY_{}", arguments[0].trim_start_matches('-').replace('-', "_").to_uppercase());
        cli.run(&["serve", &joined]).fails(2, &name);
    }
    let key = "07".repeat(32);
    cli.run(&["serve", "--secret-key", &key, "--secret-key-file", "/x"]).fails(2, "set one of them");
}

#[test]
fn help_lists_every_setting_and_no_secret() {
    let cli = Cli::new();
    let mut command = cli.command(&["serve", "--help"]);
    command.env("LATCHKEY_SECRET_KEY", "5ec2e7".repeat(10));
    let help = Run::of(command).ok().out;
    let settings = [
        "LATCHKEY_LISTEN",
        "LATCHKEY_PUBLIC_URL",
        "LATCHKEY_DATA_DIR",
        "DATABASE_URL",
        "LATCHKEY_PROFILE",
        "LATCHKEY_SECRET_KEY",
        "LATCHKEY_SECRET_KEY_FILE",
        "LATCHKEY_WEBHOOK_ALLOW",
        "LATCHKEY_WEBHOOK_ALLOW_HTTP",
        "LATCHKEY_WEBHOOK_RETRY_S",
        "LATCHKEY_LOG",
        "LATCHKEY_LOG_FORMAT",
    ];
    for setting in settings {
        assert!(help.contains(&format!("[env: {setting}")), "{setting} is not in {help}");
    }
    assert!(!help.contains("5ec2e7") && !help.contains(cli.database().url()), "a secret is in {help}");
}

#[test]
fn the_demo_stays_on_this_machine() {
    let cli = Cli::new();
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        cli.run(&["demo", "--listen", open]).fails(2, "loopback");
    }
}

#[test]
fn a_taken_port_is_a_sentence() {
    let cli = Cli::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    cli.run(&["serve", "--listen", &address]).fails(1, "is already in use");
}

#[test]
fn an_address_of_another_machine_is_a_sentence() {
    // 203.0.113.0/24 is for documentation: nobody has it.
    Cli::new().run(&["serve", "--listen", "203.0.113.9:0"]).fails(2, "Cannot listen on 203.0.113.9:0");
}
