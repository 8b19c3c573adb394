//! One Chromium under one ChromeDriver, by the WebDriver protocol: <https://www.w3.org/TR/webdriver2/>.
//!
//! The dozen commands that these tests need are a POST of JSON each, so the tests' own client is enough: a WebDriver crate would
//! bring a second HTTP stack, thirty crates in all.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;

use actix_web::rt::SystemRunner;
use serde_json::{Value, json};

use crate::support::Client;

const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How the browser is set up before it starts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// Scripts are blocked by the browser's own setting.
    pub no_script: bool,
    /// Keeps a log of what goes over the network.
    pub measured: bool,
    /// Answers the question before leaving a page; otherwise the driver leaves without a word.
    pub asked: bool,
}

/// A command that failed, and why.
#[derive(Debug)]
pub struct Failed(pub String);

/// A browser. Closed when dropped, with its driver.
pub struct Driver {
    runtime: Rc<SystemRunner>,
    http: Client,
    session: String,
    process: Child,
    /// Held open: the driver ends when it cannot write.
    _output: BufReader<ChildStdout>,
    profile: PathBuf,
}

/// A reference to an element of the page.
#[derive(Debug, Clone)]
pub struct Element(String);

impl Element {
    /// From how the protocol writes it.
    pub fn of(value: &Value) -> Option<Self> {
        Some(Self(value[ELEMENT].as_str()?.to_owned()))
    }

    /// For a script of the page.
    pub fn reference(&self) -> Value {
        json!({ ELEMENT: self.0 })
    }
}

impl Driver {
    pub fn start(runtime: &Rc<SystemRunner>, setup: Setup) -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (Debian: apt-get install chromium chromium-driver)");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let origin = format!("http://127.0.0.1:{}", told_port(&mut output));
        let profile = std::env::temp_dir().join(format!("latchkey-browser-{}", latchkey::secret::random_base62(12).unwrap()));
        let runtime = runtime.clone();
        let http = runtime.block_on(async { Client::new(&origin) });
        let mut driver = Self { runtime, http, session: String::new(), process, _output: output, profile };
        let answer = driver.call("/session", &driver.capabilities(setup)).unwrap_or_else(|e| panic!("no browser: {}", e.0));
        driver.session = format!("/session/{}", answer["sessionId"].as_str().expect("a session"));
        driver
    }

    fn capabilities(&self, setup: Setup) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.display());
        let mut options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--lang=en-US", "--hide-scrollbars",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900", profile,
            ],
            "prefs": { "credentials_enable_service": false, "profile.password_manager_leak_detection": false },
        });
        if setup.no_script {
            options["prefs"]["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        // Debian's name; elsewhere the driver looks for Chrome itself.
        if let Some(chromium) = on_path("chromium") {
            options["binary"] = json!(chromium);
        }
        let mut logs = json!({ "browser": "ALL" });
        if setup.measured {
            logs["performance"] = json!("ALL");
        }
        let mut wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        if setup.asked {
            // Honoured in sessions that could be spoken to by WebSocket too, and only there.
            wanted["webSocketUrl"] = json!(true);
            wanted["unhandledPromptBehavior"] = json!({ "beforeUnload": "ignore" });
        }
        json!({ "capabilities": { "alwaysMatch": wanted } })
    }

    fn call(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        let answer = self.runtime.block_on(self.http.post(path).json(body).try_send());
        read(answer.map_err(|why| Failed(format!("no answer: {why}")))?.json())
    }

    /// A command of the session that is a POST.
    pub fn post(&self, command: &str, body: Value) -> Result<Value, Failed> {
        self.call(&format!("{}/{command}", self.session), &body)
    }

    /// A command of the session that is a GET.
    pub fn get(&self, command: &str) -> Result<Value, Failed> {
        let request = self.http.get(&format!("{}/{command}", self.session));
        let answer = self.runtime.block_on(request.try_send());
        read(answer.map_err(|why| Failed(format!("no answer: {why}")))?.json())
    }

    /// Runs a function's body in the page, whatever the page's own policy, and returns what it returns.
    pub fn run(&self, body: &str, arguments: Value) -> Result<Value, Failed> {
        self.post("execute/sync", json!({ "script": body, "args": arguments }))
    }

    /// The same for one that returns a promise.
    pub fn run_async(&self, body: &str) -> Result<Value, Failed> {
        let script =
            format!("const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (e) => done(String(e)));");
        self.post("execute/async", json!({ "script": script, "args": [] }))
    }

    /// A command of the Chrome DevTools Protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let asked = self.post("goog/cdp/execute", json!({ "cmd": command, "params": parameters }));
        asked.unwrap_or_else(|e| panic!("{command}: {}", e.0))
    }

    pub fn click(&self, element: &Element) -> Result<Value, Failed> {
        self.post(&format!("element/{}/click", element.0), json!({}))
    }

    pub fn clear(&self, element: &Element) -> Result<Value, Failed> {
        self.post(&format!("element/{}/clear", element.0), json!({}))
    }

    pub fn type_into(&self, element: &Element, text: &str) -> Result<Value, Failed> {
        self.post(&format!("element/{}/value", element.0), json!({ "text": text }))
    }

    /// The name that assistive technology announces.
    pub fn name_of(&self, element: &Element) -> Result<String, Failed> {
        Ok(self.get(&format!("element/{}/computedlabel", element.0))?.as_str().unwrap_or_default().to_owned())
    }

    /// Entries of a log since the last look.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        match self.post("se/log", json!({ "type": kind })) {
            Ok(Value::Array(entries)) => entries,
            other => panic!("no log: {other:?}"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked to, the driver ends its browser; killed, it would leave it behind.
        let request = self.http.delete(&self.session);
        let _ = self.runtime.block_on(request.try_send());
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn read(answer: Value) -> Result<Value, Failed> {
    let value = answer["value"].clone();
    match value["error"].as_str() {
        Some(error) => Err(Failed(format!("{error}: {}", value["message"].as_str().unwrap_or_default()))),
        None => Ok(value),
    }
}

/// `ChromeDriver was started successfully on port 40161.`
fn told_port(output: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some((_, port)) = line.split_once("on port ")
            && line.contains("successfully")
        {
            return port.trim().trim_end_matches('.').parse().expect("a port");
        }
        line.clear();
    }
    panic!("chromedriver ended without a port");
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|file| file.is_file())
}
