//! Identifiers: UUIDv7 (RFC 9562) inside, `prefix_` and 22 base62 characters outside.
//!
//! Being ordered by their moment of creation they are cursors too: a list ordered by id is ordered by time.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use time::OffsetDateTime;
use uuid::Uuid;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of 2^128 in base 62.
const WIDTH: usize = 22;

/// A fresh UUIDv7 whose timestamp is `at`, to the millisecond.
pub fn new_uuid(at: OffsetDateTime) -> Uuid {
    let millis = (at.unix_timestamp_nanos() / 1_000_000).max(0) as u64;
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

/// The moment that a UUIDv7 carries, to the millisecond.
pub fn uuid_time(id: Uuid) -> Option<OffsetDateTime> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()?.replace_nanosecond(nanos).ok()
}

/// The least UUIDv7 of `at`'s millisecond: the bound of a period.
pub fn uuid_floor(at: OffsetDateTime) -> Uuid {
    let millis = (at.unix_timestamp_nanos() / 1_000_000).max(0) as u64;
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// `prefix_` and the id in base 62, padded to 22 characters.
pub fn encode(prefix: &str, id: Uuid) -> String {
    let mut digits = [b'0'; WIDTH];
    let mut rest = id.as_u128();
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    let mut text = String::with_capacity(prefix.len() + 1 + WIDTH);
    text.push_str(prefix);
    text.push('_');
    text.extend(digits.iter().map(|&digit| char::from(digit)));
    text
}

/// The inverse of [`encode`]; none for anything that it did not make.
pub fn decode(prefix: &str, text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?.as_bytes();
    if digits.len() != WIDTH {
        return None;
    }
    let mut value: u128 = 0;
    for digit in digits {
        let place = BASE62.iter().position(|candidate| candidate == digit)?;
        value = value.checked_mul(62)?.checked_add(place as u128)?;
    }
    Some(Uuid::from_u128(value))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id of this moment.
            pub fn new(at: OffsetDateTime) -> Self {
                Self(new_uuid(at))
            }

            /// Reads the public form; none for any other text.
            pub fn parse(text: &str) -> Option<Self> {
                decode($prefix, text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&encode($prefix, self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl ToSql<diesel::sql_types::Uuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <Uuid as ToSql<diesel::sql_types::Uuid, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<diesel::sql_types::Uuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <Uuid as FromSql<diesel::sql_types::Uuid, Pg>>::from_sql(value).map(Self)
            }
        }
    };
}

id_type!(/// An organization.
    OrgId, "org");
id_type!(/// A person.
    UserId, "usr");
id_type!(/// A one-time link into an organization.
    InvitationId, "inv");
id_type!(/// An API key; the same over its rotations.
    KeyId, "key");
id_type!(/// One request of the Partner API.
    RequestId, "req");
id_type!(/// A job. Its public form carries the prefix of its kind, see [`crate::profile::JobKind::public_id`].
    JobId, "job");
id_type!(/// One event of a job; the `webhook-id` of its delivery.
    EventId, "evt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_form_round_trips_and_rejects_the_rest() {
        let at = crate::clock::now();
        let id = OrgId::new(at);
        let text = id.to_string();
        assert_eq!(text.len(), 4 + WIDTH);
        assert_eq!(OrgId::parse(&text), Some(id));
        assert_eq!(KeyId::parse(&text), None);
        for bad in ["", "org_", "org_zzzzzzzzzzzzzzzzzzzzzz", "org_\u{0}00000000000000000000", &text[..20]] {
            assert_eq!(OrgId::parse(bad), None, "{bad:?}");
        }
        assert_eq!(OrgId::parse(&OrgId(Uuid::max()).to_string()), Some(OrgId(Uuid::max())));
    }

    #[test]
    fn ids_carry_their_moment_and_sort_by_it() {
        let at = crate::clock::now();
        let later = at + time::Duration::milliseconds(1);
        assert!(RequestId::new(at) < RequestId::new(later));
        let carried = uuid_time(RequestId::new(at).0).expect("a UUIDv7");
        assert_eq!(carried.unix_timestamp_nanos() / 1_000_000, at.unix_timestamp_nanos() / 1_000_000);
        assert!(uuid_floor(at) <= RequestId::new(at).0);
    }
}
