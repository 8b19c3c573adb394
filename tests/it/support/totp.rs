//! One-time codes as somebody else makes them: pyotp, of PyPI, which `bin/test` installs.

use std::path::Path;
use std::process::Command;

/// The code of an `otpauth` URL at this moment, so many steps of 30 s away.
pub fn code(url: &str, steps: i64) -> String {
    const SCRIPT: &str = "import sys, time, pyotp\n\
        device = pyotp.parse_uri(sys.argv[1])\n\
        print(device.at(int(time.time()) + 30 * int(sys.argv[2])))";
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outside/python/bin/python");
    let output = Command::new(python).args(["-c", SCRIPT, url, &steps.to_string()]).output().expect("`bin/test` installs pyotp");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The `otpauth` URL in a page.
pub fn url_in(page: &str) -> String {
    let rest = page.split("href=\"otpauth:").nth(1).expect("a page that shows a seed");
    format!("otpauth:{}", rest.split('"').next().unwrap()).replace("&#38;", "&").replace("&amp;", "&")
}
