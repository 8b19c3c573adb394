//! The real binary in a process of its own, which can be killed.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::Client;
use super::database::TestDb;

const PATIENCE: Duration = Duration::from_secs(30);

/// A `latchkey serve` process. Killed when dropped.
pub struct Server {
    process: Child,
    port: u16,
    /// For what it keeps beside the database.
    data_dir: std::path::PathBuf,
}

impl Server {
    /// Starts it on the database, and waits until it is ready.
    pub async fn start(database: &TestDb) -> Self {
        Self::start_with(database, &[]).await
    }

    /// The same with more environment variables.
    pub async fn start_with(database: &TestDb, variables: &[(&str, &str)]) -> Self {
        Self::start_at(database.url(), variables, Stdio::inherit()).await
    }

    /// The same on any database, with its log (the standard error) sent somewhere.
    pub async fn start_at(url: &str, variables: &[(&str, &str)], log: Stdio) -> Self {
        let port = free_port();
        let data_dir = std::env::temp_dir().join(format!("latchkey-test-{}", latchkey::secret::random_base62(12).unwrap()));
        let process = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .arg("serve")
            .env("DATABASE_URL", url)
            .env("LATCHKEY_LISTEN", format!("127.0.0.1:{port}"))
            .env("LATCHKEY_DATA_DIR", &data_dir)
            .env("LATCHKEY_SECRET_KEY", "07".repeat(32))
            .env("LATCHKEY_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the latchkey binary");
        let mut server = Self { process, port, data_dir };
        server.wait_until_ready().await;
        server
    }

    /// Waits for `/readyz` to answer 200.
    pub async fn wait_until_ready(&mut self) {
        let client = Client::new(&self.origin());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if client.get("/readyz").try_send().await.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("latchkey serve ended with {status}");
            }
            assert!(Instant::now() < deadline, "not ready within {PATIENCE:?}");
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `http://127.0.0.1:port`.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process, for signals.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// kill -9, at once.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// SIGTERM; waits for the end and tells whether its exit status was 0.
    pub fn terminate(&mut self) -> bool {
        let told = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        told.success() && self.wait()
    }

    /// SIGTERM; whether it has ended by itself, however, within this time.
    pub fn end_within(&mut self, patience: Duration) -> bool {
        assert!(Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap().success());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.process.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Waits for its end and tells whether its exit status was 0.
    pub fn wait(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
