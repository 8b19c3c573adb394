//! How keys of this deployment are found in text: for secret scanners, and for reports that hold more than a key.

use super::format::{LENGTH, VISIBLE};
use super::parse;
use crate::profile::Profile;

/// Id of the gitleaks rule.
const RULE: &str = "latchkey-api-key";

/// How keys begin, up to what is random: `lk_live_`, `lk_test_`.
pub(crate) fn beginnings(profile: &Profile) -> Vec<String> {
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

/// The keys in a text, each once, in the order of the text, where somebody brought more than a key alone: a line of code, quotes, a
/// whole file of settings. Anything may stand in front, as `\n` and `%3D` do in code and in URLs; a letter or digit behind makes it none.
pub fn find_all<'a>(profile: &Profile, text: &'a str) -> Vec<&'a str> {
    let beginnings = beginnings(profile);
    let key_at = |at: usize| {
        beginnings.iter().find_map(|beginning| {
            let body = text.as_bytes()[at..].strip_prefix(beginning.as_bytes())?;
            let length = body.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let key = text.get(at..at + beginning.len() + length)?;
            parse(profile, key).map(|_| key)
        })
    };
    let mut found = Vec::new();
    for key in (0..text.len()).filter_map(key_at) {
        if !found.contains(&key) {
            found.push(key);
        }
    }
    found
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
        for text in [
            KEY.to_owned(),
            format!("  {KEY}\n"),
            format!("API_KEY=\"{KEY}\""),
            format!("https://x.example/?k={KEY}&a=b"),
            format!("https://x.example/?next=%2F%3Fk%3D{KEY}%26a"),
            format!("\"A=1\\n{KEY}\\nB=2\""),
            format!("x{KEY}"),
            format!("é{KEY}é{KEY}"),
            format!("lk_live_{KEY}_"),
        ] {
            assert_eq!(find_all(&profile(), &text), [KEY], "{text}");
        }
        let none: [&str; 0] = [];
        for text in [String::new(), format!("{KEY}x"), format!("{KEY}0"), KEY.replace("mLq", "mLr"), KEY.replace("live", "prod")] {
            assert_eq!(find_all(&profile(), &text), none, "{text}");
        }
    }

    #[test]
    fn every_key_is_found_once_in_the_order_of_the_text() {
        const OTHER: &str = "lk_test_qkJaB6MffYVzZXWqmcoF49yrUxP3wf0LsakP";
        let text = format!("TEST={OTHER}\nLIVE={KEY}\nAGAIN={OTHER}\n");
        assert_eq!(find_all(&profile(), &text), [OTHER, KEY]);
    }

    #[test]
    fn no_key_is_left_in_a_text() {
        let hidden = |text: &str| without_keys(&profile(), text);
        assert_eq!(hidden(&format!("https://x.example/?k={KEY}&again={KEY}")), "https://x.example/?k=lk_live_zQWB…&again=lk_live_zQWB…");
        assert_eq!(hidden(&format!("x{KEY}yz lk_test_{}", &KEY[8..])), "xlk_live_zQWB… lk_test_zQWB…");
        assert_eq!(hidden("docs/lk_live_keys.md, lk_live_ and lk"), "docs/lk_live_keys.md, lk_live_ and lk");
    }
}
