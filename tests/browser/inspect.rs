//! A close look at a screen: wide and at 360 px, light and dark.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::person::Person;

/// axe-core 4.14.1, Mozilla Public License 2.0, beside its licences.
const AXE: &str = include_str!("vendor/axe-4.14.1.min.js");

/// The window that a person looks through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// 1280 px.
    Wide,
    /// A phone of 360 px.
    Small,
}

impl Window {
    fn width(self) -> u32 {
        if self == Self::Wide { 1280 } else { 360 }
    }
}

impl Person {
    /// From now on looks through this window.
    pub fn look_through(&self, window: Window) {
        let (small, height) = (window == Window::Small, if window == Window::Small { 740 } else { 900 });
        let metrics = json!({ "width": window.width(), "height": height, "deviceScaleFactor": 1, "mobile": small });
        self.driver.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Looks at what is open, four ways: nothing sticks out sideways, and axe finds nothing. `LATCHKEY_SCREENS=1` keeps pictures.
    pub fn inspect(&self, name: &str) {
        for window in [Window::Wide, Window::Small] {
            self.look_through(window);
            for scheme in ["light", "dark"] {
                let features = json!([
                    { "name": "prefers-color-scheme", "value": scheme },
                    // Colours that are still on their way have another contrast.
                    { "name": "prefers-reduced-motion", "value": "reduce" },
                ]);
                self.driver.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
                let at = format!("{name}-{}-{scheme}", window.width());
                if std::env::var_os("LATCHKEY_SCREENS").is_some() {
                    save(self, &at);
                }
                self.fits(&at, window);
                self.has_nothing_inline(&at);
                self.is_accessible(&at);
            }
        }
        self.look_through(Window::Wide);
    }

    /// Nothing is wider than the window, and no table than its card.
    pub fn fits(&self, at: &str, window: Window) {
        let clipped = "return [...document.querySelectorAll('table')].filter((t) => t.getBoundingClientRect().right > t.parentElement.getBoundingClientRect().right)
            .map((t) => t.rows[0].textContent)";
        assert_eq!(self.ask(clipped, json!([])), json!([]), "{at}: a table wider than its card");
        let wide = self.ask("return document.scrollingElement.scrollWidth", json!([])).as_u64().unwrap();
        let culprits = "return [...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > arguments[0] + 1)
            .slice(0, 8).map((e) => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}`).join('\\n')";
        if wide > u64::from(window.width()) {
            let culprits = self.ask(culprits, json!([window.width()]));
            panic!("{at} is {wide} px wide: {}", culprits.as_str().unwrap_or_default());
        }
    }

    /// No style and no script but in files.
    fn has_nothing_inline(&self, at: &str) {
        let script = "return [...document.querySelectorAll('*')].filter((e) => e.matches('[style], style, script:not([src])')
            || [...e.attributes].some((a) => a.name.startsWith('on'))).map((e) => e.outerHTML.slice(0, 120))";
        assert_eq!(self.ask(script, json!([])), json!([]), "{at}");
    }

    fn is_accessible(&self, at: &str) {
        self.ask(&format!("if (!window.axe) {{ {AXE} }}"), json!([]));
        let script = "const found = await axe.run(document, { resultTypes: ['violations'] });
            if (!found.passes.length) return 'axe looked at nothing';
            return found.violations.map((v) => `${v.id}: ${v.help}\\n` + v.nodes.map((n) => `  ${n.html}\\n  ${n.failureSummary}`).join('\\n'));";
        let found = self.driver.run_async(script).unwrap_or_else(|e| panic!("{at}: {}", e.0));
        let violations: Vec<&str> = found.as_array().unwrap_or_else(|| panic!("{at}: {found}")).iter().filter_map(|v| v.as_str()).collect();
        assert!(violations.is_empty(), "{at}:\n{}", violations.join("\n"));
    }
}

/// Keeps a picture of the whole page in `target/screens`, and tells where.
pub fn save(person: &Person, name: &str) -> String {
    let shot =
        person.driver.post("goog/cdp/execute", json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } }));
    let Some(image) = shot.ok().and_then(|shot| STANDARD.decode(shot["data"].as_str()?).ok()) else { return "nowhere".into() };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
    let file = dir.join(format!("{name}.png"));
    let _ = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&file, image));
    file.display().to_string()
}
