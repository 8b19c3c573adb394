//! What somebody of the staff looks for, without the secret that may have been pasted with it.

use crate::keys::{VISIBLE, beginnings};
use crate::profile::Profile;

/// Letters and digits after an underscore that are the random part of some secret; ids have 22.
const SECRET: usize = 30;
/// Characters that are looked for at most: as many as an e-mail address has.
const MOST: usize = 254;

/// What to look for. It never holds a whole key: [`search`](super::search()) takes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    text: String,
    was_cut: bool,
}

impl Wanted {
    /// Reads what was typed. A key in it, wherever, leaves its visible start, and nothing else is looked for.
    pub fn read(profile: &Profile, typed: &str) -> Self {
        let plain: String = typed.chars().filter(|c| !c.is_control()).collect();
        // What is looked for is looked at too: it has no line breaks any more.
        match visible_start(profile, typed).or_else(|| visible_start(profile, &plain)) {
            Some(start) => Self { text: start, was_cut: true },
            None => {
                let text = plain.trim().trim_end_matches(['…', '.']).trim();
                Self { text: text.chars().take(MOST).collect(), was_cut: false }
            }
        }
    }

    /// What is looked for; empty for nothing.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether more of a key was typed than people see of it.
    pub fn was_cut(&self) -> bool {
        self.was_cut
    }
}

/// The visible start of a key that the text has more of.
fn visible_start(profile: &Profile, typed: &str) -> Option<String> {
    // A terminal breaks a long line in the midst of a key. A key begins where a word does, before the gaps are gone.
    let (mut joined, mut words, mut before) = (String::new(), Vec::new(), ' ');
    for c in typed.chars() {
        if !c.is_whitespace() && !c.is_control() {
            if !before.is_alphanumeric() && before != '_' {
                words.push(joined.len());
            }
            joined.push(c);
        }
        before = c;
    }
    let ours = beginnings(profile).into_iter().find_map(|start| {
        words.iter().find_map(|&at| {
            let random = run(joined[at..].strip_prefix(start.as_str())?);
            (random.len() > VISIBLE).then(|| format!("{start}{}", &random[..VISIBLE]))
        })
    });
    // Keys of a former prefix, tokens, links, and what signs webhooks.
    ours.or_else(|| {
        let at = typed.match_indices('_').find(|(at, _)| run(&typed[at + 1..]).len() >= SECRET)?.0;
        let before = typed[..at].bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        Some(typed[at - before..at + 1 + VISIBLE].to_owned())
    })
}

/// The letters and digits that a text begins with.
fn run(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_alphanumeric).count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> (String, bool) {
        read_under("analysis", typed)
    }

    fn read_under(profile: &str, typed: &str) -> (String, bool) {
        let wanted = Wanted::read(&Profile::load(profile).expect("a built-in profile"), typed);
        (wanted.text, wanted.was_cut)
    }

    #[test]
    fn of_a_key_its_visible_start_is_left_wherever_it_stands() {
        let key = "lk_live_a1b2HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH";
        for typed in [
            key.to_owned(),
            format!("  {key}\n"),
            format!("Bearer {key}"),
            format!("curl -H \"Authorization: Bearer {key}\" https://api.example/analyses"),
            format!("https://api.example/?key={key}&x=1"),
            format!("{} {}", &key[..20], &key[20..]),
            format!("{}\n{}", &key[..11], &key[11..]),
            key[..13].to_owned(),
        ] {
            assert_eq!(read(&typed), ("lk_live_a1b2".into(), true), "{typed:?}");
        }
        for typed in [format!("lk_live_ {key}"), format!("lk_live_a1b, {key}"), format!("xlk_live_z9y8z and {key}")] {
            assert_eq!(read(&typed), ("lk_live_a1b2".into(), true), "{typed:?}: not the first that looks so");
        }
        assert_eq!(read("old_live_z9y8HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH."), ("old_live_z9y8".into(), true), "of a former prefix");
        assert_eq!(read("old_live_z9y8HHHHHHHHHHHH\nHHHHHHHHHHHHHHHHHHHH"), ("old_live_z9y8".into(), true), "on two lines");
        assert_eq!(read("é whsec_z9y8HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH=="), ("whsec_z9y8".into(), true), "and other secrets");
    }

    #[test]
    fn the_rest_is_looked_for_as_it_was_typed() {
        for (typed, wanted) in [
            ("lk_live_a1b2…", "lk_live_a1b2"),
            ("lk_live_a1b2...", "lk_live_a1b2"),
            ("lk_live_", "lk_live_"),
            (" Acme Motion ", "Acme Motion"),
            ("dana@acme.example", "dana@acme.example"),
            ("req_0123456789012345678901", "req_0123456789012345678901"),
            ("100%_\0", "100%_"),
            ("", ""),
        ] {
            assert_eq!(read(typed), (wanted.into(), false));
        }
        assert_eq!(read(&"é".repeat(400)).0.chars().count(), MOST);
    }

    #[test]
    fn a_key_begins_where_a_word_does() {
        for typed in ["volk_anna@acme.example", "falk_peter@acme.example", "a_lk_peter", "1lk_peter", "élk_peter"] {
            assert_eq!(read_under("documents", typed), (typed.into(), false));
        }
        for typed in ["lk_a1b2H", "<lk_a1b2H>", "falk_peter@acme.example sent lk_a1b2H", "key=lk_a1b2H", "Bearer\nlk_a1b2\nH"] {
            assert_eq!(read_under("documents", typed), ("lk_a1b2".into(), true), "{typed:?}");
        }
    }
}
