//! What to look for in the history and in the rollups.

use std::ops::RangeInclusive;

use time::OffsetDateTime;

use crate::ids::{KeyId, RequestId};
use crate::profile::Profile;

/// Statuses that the history can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Exactly this one.
    Exactly(u16),
    /// A hundred: 2 is 200 to 299.
    Class(u8),
}

impl Status {
    /// `429` or `4xx`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("xx") {
            Some(class) => class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class),
            None => text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::Exactly),
        }
    }

    fn bounds(self) -> RangeInclusive<i16> {
        match self {
            Self::Exactly(status) => status as i16..=status as i16,
            Self::Class(class) => i16::from(class) * 100..=i16::from(class) * 100 + 99,
        }
    }
}

/// First word of the routes of requests that a company's own services ask about: their paths are the services' own and may be any number.
const VERIFY: &str = "VERIFY";

/// The route of a request that a service asks about: `VERIFY` and the permission that it needs, if that is one of the profile's.
pub fn verify_route(profile: &Profile, permission: Option<&str>) -> String {
    match permission.filter(|permission| profile.permissions.list.iter().any(|known| known == permission)) {
        Some(permission) => format!("{VERIFY} {permission}"),
        None => VERIFY.to_owned(),
    }
}

/// All of them.
pub fn verify_routes(profile: &Profile) -> Vec<String> {
    let of_permissions = profile.permissions.list.iter().map(|permission| verify_route(profile, Some(permission)));
    of_permissions.chain([VERIFY.to_owned()]).collect()
}

/// Addresses that the history can be narrowed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// These routes of the profile, such as `GET /analyses/{id}`.
    Routes(Vec<String>),
    /// This path and what is below it. Rollups know routes and no paths.
    Path(String),
}

impl Address {
    /// Reads what a person types: `/analyses` for all routes from there on down, `GET /analyses/{id}` for that one alone, or a path as it
    /// was asked for, `/analyses/an_…`. `VERIFY` is whatever services asked about, `VERIFY scan:create` what needs that permission. None for
    /// the root, which all are below.
    pub fn parse(profile: &Profile, text: &str) -> Option<Self> {
        let text = text.trim();
        let names = || profile.routes.iter().map(|route| profile.route_name(route));
        if names().any(|name| name == text) {
            return Some(Self::Routes(vec![text.to_owned()]));
        }
        let verified = verify_routes(profile);
        if text == VERIFY {
            return Some(Self::Routes(verified));
        }
        if verified.iter().any(|name| name == text) {
            return Some(Self::Routes(vec![text.to_owned()]));
        }
        let path = format!("/{}", text.split(['?', '#']).next().unwrap_or_default().trim_matches('/'));
        if path == "/" {
            return None;
        }
        let is_below = |name: &String| name.split_once(' ').is_some_and(|(_, route)| is_below(route, &path));
        let routes: Vec<String> = names().filter(is_below).collect();
        Some(if routes.is_empty() { Self::Path(path) } else { Self::Routes(routes) })
    }

    /// The routes that a request for this path could be of, with all methods; empty for an address that is nobody's.
    pub fn routes_of(profile: &Profile, path: &str) -> Vec<String> {
        let is_one = |route: &str| {
            let (mut given, mut pattern) = (path.split('/'), route.split('/'));
            loop {
                match (given.next(), pattern.next()) {
                    (None, None) => return true,
                    (Some(given), Some(pattern)) if given == pattern || pattern.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        profile.routes.iter().filter(|route| is_one(&profile.full_path(route))).map(|route| profile.route_name(route)).collect()
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What to look for; all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Made with this key.
    pub key: Option<KeyId>,
    /// Answered with this status.
    pub status: Option<Status>,
    /// Made with a key of this environment.
    pub environment: Option<String>,
    /// Asked for there.
    pub address: Option<Address>,
    /// Arrived at this moment or later.
    pub from: Option<OffsetDateTime>,
    /// Arrived before this moment.
    pub to: Option<OffsetDateTime>,
}

impl Filter {
    pub(super) fn statuses(&self) -> RangeInclusive<i16> {
        self.status.map_or(0..=i16::MAX, Status::bounds)
    }
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// With the newest row that is older than this one.
    Before(RequestId),
    /// With the oldest row that is newer than this one; the page is still newest first.
    After(RequestId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_means_routes_where_it_can() {
        let profile = Profile::load("analysis").expect("the default profile");
        let routes = |names: &[&str]| Some(Address::Routes(names.iter().map(ToString::to_string).collect()));
        for (typed, meant) in [
            ("/analyses", routes(&["POST /analyses", "GET /analyses/{id}", "GET /analyses/{id}/results"])),
            ("analyses/", routes(&["POST /analyses", "GET /analyses/{id}", "GET /analyses/{id}/results"])),
            (" GET /analyses/{id} ", routes(&["GET /analyses/{id}"])),
            ("/analyses/{id}", routes(&["GET /analyses/{id}", "GET /analyses/{id}/results"])),
            ("/analyses/an_1?x=/y", Some(Address::Path("/analyses/an_1".into()))),
            ("/anal", Some(Address::Path("/anal".into()))),
            ("VERIFY", routes(&["VERIFY"])),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Address::parse(&profile, typed), meant, "{typed}");
        }
        assert_eq!(Address::routes_of(&profile, "/analyses/an_1/results"), ["GET /analyses/{id}/results"]);
        assert!(Address::routes_of(&profile, "/anal").is_empty());
    }
}
