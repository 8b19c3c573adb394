//! How keys of this deployment are found in text: for secret scanners, and for reports that hold more than a key.

use super::format::{LENGTH, VISIBLE};
use super::parse;
use crate::profile::Profile;

/// Id of the gitleaks rule.
const RULE: &str = "latchkey-api-key";

/// How keys begin, up to what is random: `lk_live_`, `lk_test_`.
pub(super) fn beginnings(profile: &Profile) -> Vec<String> {
    let keys = &profile.keys;
    if keys.environments.is_empty() {
        return vec![format!("{}_", keys.prefix)];
    }
    keys.environments.iter().map(|environment| format!("{}_{}_", keys.prefix, environment.name)).collect()
}

/// The regular expression that every key matches, such as `lk_(live|test)_[0-9A-Za-z]{36}`: in the syntax of RE2, and of every other.
pub fn pattern(profile: &Profile) -> String {
    shape(profile, "(")
}

/// `group` opens the choice between environments.
fn shape(profile: &Profile, group: &str) -> String {
    let keys = &profile.keys;
    let names: Vec<&str> = keys.environments.iter().map(|environment| environment.name.as_str()).collect();
    let environment = match names.as_slice() {
        [] => String::new(),
        [one] => format!("{one}_"),
        several => format!("{group}{})_", several.join("|")),
    };
    format!("{}_{environment}[0-9A-Za-z]{{{LENGTH}}}", keys.prefix)
}

/// The rule of gitleaks 8 that finds keys of the deployment at `host`, as TOML.
///
/// A key stands for itself: no letter, digit or `_` around it. In front of it may be what stands for a character in code and in URLs,
/// such as `\n` or `%3D`, whose last letter would otherwise look like a part of it.
pub fn gitleaks_rule(profile: &Profile, host: &str) -> String {
    let description = toml::Value::from(format!("API key of {host}"));
    let keywords = beginnings(profile).into_iter().map(toml::Value::from).map(|word| word.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "[[rules]]\nid = \"{RULE}\"\ndescription = {description}\nregex = '''(?:\\b|\\\\[bfnrtv]|%[0-9A-Fa-f]{{2}})({})\\b'''\n\
         secretGroup = 1\nkeywords = [{keywords}]\ntags = [\"key\", \"latchkey\"]\n",
        shape(profile, "(?:")
    )
}

/// The first key in a text, where somebody brought more than the key alone: a line of code, quotes, spaces.
pub fn find_in<'a>(profile: &Profile, text: &'a str) -> Option<&'a str> {
    text.split(|c: char| !is_word(c)).find(|word| parse(profile, word).is_some())
}

/// A text in which no key of this deployment can be read any more: of what looks like one only the visible characters are left.
pub(super) fn without_keys(profile: &Profile, text: &str) -> String {
    let mut shown = text.to_owned();
    for beginning in beginnings(profile) {
        let mut from = 0;
        while let Some(at) = shown[from..].find(&beginning) {
            let body = from + at + beginning.len();
            let length = shown[body..].bytes().take_while(u8::is_ascii_alphanumeric).count();
            if length > 2 * VISIBLE {
                shown.replace_range(body + VISIBLE..body + length, "…");
            }
            from = body;
        }
    }
    shown
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "lk_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17";

    fn profile() -> Profile {
        Profile::load("analysis").expect("the default profile")
    }

    #[test]
    fn the_pattern_is_the_profiles() {
        let mut profile = profile();
        assert_eq!(pattern(&profile), "lk_(live|test)_[0-9A-Za-z]{36}");
        profile.keys.environments.truncate(1);
        assert_eq!(pattern(&profile), "lk_live_[0-9A-Za-z]{36}");
        profile.keys.environments.clear();
        assert_eq!(pattern(&profile), "lk_[0-9A-Za-z]{36}");
        let rule: toml::Table = gitleaks_rule(&profile, "a\"b").parse().expect("TOML");
        let rule = &rule["rules"][0];
        assert_eq!((rule["description"].as_str(), rule["keywords"][0].as_str()), (Some("API key of a\"b"), Some("lk_")));
    }

    #[test]
    fn a_key_is_found_in_what_is_around_it() {
        for text in [KEY.to_owned(), format!("  {KEY}\n"), format!("API_KEY=\"{KEY}\""), format!("https://x.example/?k={KEY}&a=b")] {
            assert_eq!(find_in(&profile(), &text), Some(KEY), "{text}");
        }
        for text in [String::new(), format!("x{KEY}"), format!("{KEY}x"), KEY.replace("mLq", "mLr")] {
            assert_eq!(find_in(&profile(), &text), None, "{text}");
        }
    }

    #[test]
    fn no_key_is_left_in_a_text() {
        let hidden = |text: &str| without_keys(&profile(), text);
        assert_eq!(hidden(&format!("https://x.example/?k={KEY}&again={KEY}")), "https://x.example/?k=lk_live_zQWB…&again=lk_live_zQWB…");
        assert_eq!(hidden(&format!("x{KEY}yz lk_test_{}", &KEY[8..])), "xlk_live_zQWB… lk_test_zQWB…");
        assert_eq!(hidden("docs/lk_live_keys.md, lk_live_ and lk"), "docs/lk_live_keys.md, lk_live_ and lk");
    }
}
