use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory of pretended installations, removed at the end.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Machine {
        let dir = env::temp_dir().join(format!("latchkey-binaries-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Machine(dir)
    }

    /// Pretends that a server is installed.
    fn install(&self, place: &str, version: &str) -> PathBuf {
        let dir = self.0.join(place);
        fs::create_dir_all(&dir).unwrap();
        for program in NEEDED {
            let file = dir.join(program);
            fs::write(&file, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    fn search(&self) -> Search {
        Search {
            path: vec![self.0.join("path")],
            patterns: vec![self.0.join("lib/*/bin"), self.0.join("pgsql-*/bin")],
            ..Search::default()
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sentence(outcome: Result<Binaries>) -> String {
    outcome.unwrap_err().to_string()
}

#[test]
fn no_server_names_the_package() {
    let machine = Machine::new("none");
    let said = sentence(machine.search().find(None));
    assert!(said.contains("apt-get install postgresql") && said.contains("brew install postgresql@17"), "{said}");
    let said = sentence(machine.search().find(Some((Path::new("/data/postgres"), 16))));
    assert!(said.contains("apt-get install postgresql-16"), "{said}");
}

#[test]
fn a_new_cluster_takes_the_newest() {
    let machine = Machine::new("newest");
    machine.install("lib/9.6/bin", "9.6.24");
    machine.install("lib/15/bin", "15.18 (Debian 15.18-0+deb12u1)");
    let newest = machine.install("lib/101/bin", "101.2");
    machine.install("pgsql-102/bin", "102.1");
    assert_eq!(machine.search().find(None).unwrap(), Binaries { dir: newest, major: 101 });
    let path = machine.install("path", "17rc1");
    assert_eq!(machine.search().find(None).unwrap(), Binaries { dir: path, major: 17 });
}

#[test]
fn an_existing_cluster_takes_its_own_version() {
    let machine = Machine::new("version");
    machine.install("path", "17.2");
    let fifteen = machine.install("lib/15/bin", "15.3");
    let cluster = Path::new("/data/postgres");
    assert_eq!(machine.search().find(Some((cluster, 15))).unwrap().dir, fifteen);
    let said = sentence(machine.search().find(Some((cluster, 16))));
    assert!(said.contains("found: 15, 17") && said.contains("postgresql@16"), "{said}");
}

#[test]
fn an_old_server_is_named() {
    let machine = Machine::new("old");
    machine.install("lib/13/bin", "13.9");
    let said = sentence(machine.search().find(None));
    assert!(said.contains("PostgreSQL 13 is too old"), "{said}");
}

#[test]
fn the_named_directory_is_the_only_one() {
    let machine = Machine::new("named");
    machine.install("path", "17.2");
    let named = machine.install("mine", "16.1");
    let search = Search { named: Some(named.clone()), ..machine.search() };
    assert_eq!(search.find(None).unwrap(), Binaries { dir: fs::canonicalize(named).unwrap(), major: 16 });
    let search = Search { named: Some(machine.0.join("nowhere")), ..machine.search() };
    let said = sentence(search.find(None));
    assert!(said.contains("LATCHKEY_POSTGRES_BIN") && said.contains("nowhere"), "{said}");
}
