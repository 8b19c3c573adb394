//! A request to show how a key is used, for screens and the command line.

use super::{Action, Method, Profile};

/// A request to show how a key is used.
pub struct Example {
    /// Whole.
    pub url: String,
    /// JSON, when it is a POST.
    pub body: Option<String>,
    /// The id's name and prefix in the answer, when it makes a job.
    pub job: Option<(String, String)>,
}

impl Example {
    /// The first route that makes a job with these permissions, else the one that tells about the key.
    pub fn of(profile: &Profile, public_url: &str, permissions: &[String]) -> Self {
        let may = |needed: &Option<String>| needed.as_ref().is_none_or(|needed| permissions.contains(needed));
        let makes = profile
            .routes
            .iter()
            .find(|route| route.action == Action::JobsCreate && route.method == Method::Post && may(&route.permission));
        if let Some((route, job)) = makes.and_then(|route| Some((route, profile.job_kind(route.job.as_deref()?)?))) {
            let url = format!("{public_url}{}", profile.full_path(route));
            let body = format!("{{\"input\":{}}}", job.example_input);
            return Self { url, body: Some(body), job: Some((job.id_field.clone(), job.id_prefix.clone())) };
        }
        let reads = profile.route_for(Action::KeyRead).or_else(|| {
            profile.routes.iter().find(|route| route.method == Method::Get && !route.path.contains('{') && may(&route.permission))
        });
        Self { url: format!("{public_url}{}", reads.map_or_else(String::new, |route| profile.full_path(route))), body: None, job: None }
    }

    /// The body as one word of a shell.
    pub fn shell_body(&self) -> Option<String> {
        self.body.as_deref().map(shell_word)
    }

    /// One line for a shell.
    pub fn line(&self, key: &str) -> String {
        self.command(key, " ")
    }

    /// The same over several lines, each but the first indented.
    pub fn lines(&self, key: &str) -> String {
        self.command(key, " \\\n    ")
    }

    fn command(&self, key: &str, gap: &str) -> String {
        let mut command = format!("curl {}{gap}-H \"Authorization: Bearer {key}\"", self.url);
        if let Some(body) = self.shell_body() {
            command.push_str(&format!("{gap}-H \"Content-Type: application/json\"{gap}-d {body}"));
        }
        command
    }
}

/// Between single quotes a POSIX shell leaves everything alone but the quote itself.
pub fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_hands_on_what_the_profile_says() {
        let mut profile = Profile::load("analysis").expect("the default profile");
        profile.jobs[0].example_input = r#"{"note":"it's $HOME `x` \\"}"#.into();
        let example = Example::of(&profile, "http://127.0.0.1:8080", &[]);
        for command in [example.line("lk_live_x"), example.lines("lk_live_x")] {
            let script = format!("curl() {{ for last; do :; done; printf %s \"$last\"; }}\n{command}");
            let told = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&told.stdout), example.body.clone().unwrap_or_default(), "{command}");
        }
    }
}
